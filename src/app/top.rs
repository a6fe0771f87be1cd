//! `ringside top`: who is connected to a running sidecar, and why others are gone.
//!
//! ```text
//! admin endpoint --GET /connections--> this look and the one before --> `picture` --> `screen`, or once to a pipe
//! ```

mod picture;
mod rates;
mod screen;
mod table;
mod text;

#[cfg(test)]
mod example;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::cli::Top;
use super::sidecar::ask::{AskError, Endpoint, PATIENCE};
use super::sidecar::target::{self, TargetError};
use crate::control::admin::connections::shape::Connections;
use picture::{ENDLESS, Size, View, draw};
use screen::{Keys, Screen};

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
enum TopError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("cannot use the terminal: {0}")]
    Terminal(#[from] io::Error),
    #[error("the sidecar was not asked: {0}")]
    Asking(#[from] JoinError),
}

/// What was seen.
struct Seen {
    before: Option<Connections>,
    now: Connections,
    /// Why there is nothing newer.
    trouble: Option<String>,
}

/// Shows who is connected: until the user has seen enough, or once.
pub fn top(args: &Top) -> ExitCode {
    let env: Vec<_> = std::env::vars_os().collect();
    match show(args, &env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody reads: the exit code is all that is left to say.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(args: &Top, env: &[(OsString, OsString)]) -> Result<(), TopError> {
    let endpoint = Endpoint::new(target::find(&args.sidecar, env)?);
    let now = look(&endpoint, args.most)?;
    let terminal = screen::size();
    if args.once || terminal.is_none() {
        let size = terminal.map_or(ENDLESS, |Size { width, .. }| Size { width, ..ENDLESS });
        let seen = Seen { before: None, now, trouble: None };
        return print(&seen.picture(&endpoint, args, size), &mut io::stdout().lock());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let watched = runtime.block_on(watch(&endpoint, args, now));
    // A question that is still open is left alone.
    runtime.shutdown_background();
    watched
}

/// Who is connected now. Blocks.
fn look(endpoint: &Endpoint, most: usize) -> Result<Connections, AskError> {
    endpoint.get(&format!("/connections?most={most}"), PATIENCE)
}

fn print(lines: &[picture::Line], out: &mut impl Write) -> Result<(), TopError> {
    match lines.iter().try_for_each(|line| writeln!(out, "{}", line.text.trim_end())) {
        // A reader that went away has seen what it wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Looks again and again, until a signal or a key ends it.
async fn watch(endpoint: &Endpoint, args: &Top, now: Connections) -> Result<(), TopError> {
    let mut leave = Leave::new()?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut stopped = signal(SignalKind::from_raw(libc::SIGTSTP))?;
    let mut looks = interval_at(Instant::now() + args.interval, args.interval);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen { before: None, now, trouble: None };
    let mut screen = Screen::enter()?;
    loop {
        let size = screen::size().unwrap_or(ENDLESS);
        screen.show(&seen.picture(endpoint, args, size), size)?;
        tokio::select! {
            () = leave.wanted() => return Ok(()),
            _ = resized.recv() => continue,
            _ = stopped.recv() => {
                screen = screen.pause()?;
                continue;
            }
            _ = looks.tick() => {}
        }
        let (asked, most) = (endpoint.clone(), args.most);
        let answer = tokio::select! {
            () = leave.wanted() => return Ok(()),
            answer = spawn_blocking(move || look(&asked, most)) => answer?,
        };
        seen.then(answer);
    }
}

/// What ends the watching.
struct Leave {
    signals: [Signal; 3],
    keys: Keys,
}

impl Leave {
    fn new() -> io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self { signals: [interrupt?, terminate?, hangup?], keys: Keys::read() })
    }

    /// Waits until the user has seen enough.
    async fn wanted(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = self.keys.quit() => {}
        }
    }
}

impl Seen {
    fn picture(&self, endpoint: &Endpoint, args: &Top, size: Size) -> Vec<picture::Line> {
        let from = endpoint.address.to_string();
        let view = View {
            from: &from,
            before: self.before.as_ref(),
            now: &self.now,
            sort: args.sort,
            trouble: self.trouble.as_deref(),
        };
        draw(&view, size)
    }

    /// One more look, which may have failed: then the one before stays to be seen.
    fn then(&mut self, answer: Result<Connections, AskError>) {
        match answer {
            Ok(now) => {
                self.before = Some(std::mem::replace(&mut self.now, now));
                self.trouble = None;
            }
            Err(error) => self.trouble = Some(format!("what stands here is old: {error}")),
        }
    }
}
