//! The terminal: a picture that is drawn over, and keys.

use std::io::{self, IsTerminal as _, Read as _, Stdout, Write as _};
use std::os::fd::AsFd;
use std::thread;

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::picture::{Line, Size};

/// The other screen, without a cursor; lines that are too long do not go on in the next.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";

/// All of that back.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// To the upper left corner.
const HOME: &str = "\x1b[H";

/// Clears the line, and so much of the screen, from the cursor on.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR: &str = "\x1b[J";

const BOLD: [&str; 2] = ["\x1b[1m", "\x1b[0m"];

/// A terminal that does not tell its size has this.
const USUAL: Size = Size { width: 80, height: 24 };

/// Standard output as a screen. Dropping it gives the terminal back as it was.
#[derive(Debug)]
pub(super) struct Screen {
    out: Stdout,
    /// How standard input was, if it is a terminal.
    input: Option<Termios>,
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn enter() -> io::Result<Self> {
        let screen = Self { out: io::stdout(), input: silent() };
        screen.write(ENTER)?;
        Ok(screen)
    }

    /// Gives the terminal back and stops this process, as Ctrl-Z would have done. Takes the terminal over when it goes on.
    pub(super) fn pause(self) -> io::Result<Self> {
        drop(self);
        kill_process(getpid(), Signal::STOP)?;
        Self::enter()
    }

    /// Draws over what is there.
    pub(super) fn show(&self, lines: &[Line], size: Size) -> io::Result<()> {
        self.write(&drawn(lines, size))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = self.out.lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to be given back.
        let _ = self.write(LEAVE);
        if let Some(input) = &self.input {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, input);
        }
    }
}

/// How large the terminal at standard output is; `None` when it is none.
pub(super) fn size() -> Option<Size> {
    let stdout = io::stdout();
    stdout.is_terminal().then(|| measured(&stdout))
}

/// What the user types.
#[derive(Debug)]
pub(super) struct Keys {
    quits: Receiver<()>,
    /// So that the end of what is typed is no wish.
    _open: Sender<()>,
}

impl Keys {
    /// Begins to read standard input, if it is a terminal.
    pub(super) fn read() -> Self {
        let (open, quits) = channel(1);
        if io::stdin().is_terminal() {
            let quit = open.clone();
            // It ends with the process: a read of a terminal cannot be called off.
            thread::spawn(move || {
                let quit = |key| matches!(key, b'q' | b'Q') && quit.blocking_send(()).is_err();
                io::stdin().lock().bytes().map_while(Result::ok).any(quit)
            });
        }
        Self { quits, _open: open }
    }

    /// Waits for a q.
    pub(super) async fn quit(&mut self) {
        self.quits.recv().await;
    }
}

/// Has standard input show no key and give each at once; Ctrl-C stays what it is. How it was before.
fn silent() -> Option<Termios> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).ok()?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Now, &silent).ok()?;
    Some(before)
}

/// What draws `lines`, of which there are no more than fit.
fn drawn(lines: &[Line], size: Size) -> String {
    let mut text = HOME.to_owned();
    for (n, line) in lines.iter().enumerate() {
        let [begin, end] = if line.bold { BOLD } else { [""; 2] };
        let next = if n == 0 { "" } else { "\r\n" };
        // Cleared before: behind a line that is full, the cursor stands on its last character.
        text.extend([next, CLEAR_LINE, begin, &line.text, end]);
    }
    // Below the last line there is nothing to clear, but all of it would move up.
    if lines.len() < size.height {
        text.extend(["\r\n", CLEAR]);
    }
    text
}

fn measured(terminal: impl AsFd) -> Size {
    match tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Size { width: size.ws_col.into(), height: size.ws_row.into() }
        }
        _ => USUAL,
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Size, drawn};

    #[test]
    fn nothing_is_cleared_that_was_just_written_and_nothing_moves() {
        let lines = [("title", true), ("row", false)].map(|(text, bold)| Line { text: text.into(), bold });
        let full = "\x1b[H\x1b[K\x1b[1mtitle\x1b[0m\r\n\x1b[Krow";
        assert_eq!(drawn(&lines, Size { width: 5, height: 2 }), full);
        assert_eq!(drawn(&lines, Size { width: 5, height: 3 }), format!("{full}\r\n\x1b[J"));
    }
}
