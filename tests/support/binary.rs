//! The `ringside` command as a process of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;

use super::PATIENCE;
use super::app::{App, Joined};
use super::client::{Client, Security};
use super::http::upgrade;
use super::material;
use super::proxy::Setup;

/// A running `ringside run`. Killed when dropped, if it still runs.
pub(crate) struct Binary {
    pub(crate) address: SocketAddr,
    pid: Pid,
    lines: Receiver<String>,
    /// Lines read so far.
    seen: Vec<String>,
    exit: Receiver<ExitStatus>,
    exited: bool,
    _dir: TempDir,
}

impl Binary {
    /// Starts it in front of the app at this address, and waits until it listens.
    pub(crate) fn start(setup: &Setup, app: &str) -> Self {
        let (dir, command) = command(setup, app);
        Self::spawn(command, dir)
    }

    /// The same for this command, whose files are in `dir`.
    pub(crate) fn spawn(mut command: Command, dir: TempDir) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
        let (to_lines, lines) = channel();
        for output in [boxed(child.stdout.take()), boxed(child.stderr.take())] {
            let to_lines = to_lines.clone();
            thread::spawn(move || {
                // The test may be over before the process is.
                BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| to_lines.send(line))
            });
        }
        let pid = Pid::from_child(&child);
        let mut binary = Self {
            address: SocketAddr::from(([0; 4], 0)),
            pid,
            lines,
            seen: Vec::new(),
            exit: wait(child),
            exited: false,
            _dir: dir,
        };
        binary.address = binary.address_in("listening");
        binary
    }

    /// A client and an app that talk to each other through it.
    pub(crate) fn join(&self, app: &App) -> (Client, Joined) {
        let mut client = Client::connect(self.address, Security::usual());
        client.send(upgrade(&[]).as_bytes());
        let mut joined = app.accept();
        joined.answer(&[]);
        assert_eq!(client.head().status(), 101);
        (client, joined)
    }

    /// Where its admin endpoint listens, which it must have been told to. It says so only once.
    pub(crate) fn admin(&mut self) -> SocketAddr {
        self.address_in("admin endpoint")
    }

    /// Where its health endpoint listens. It says so before it says where the admin endpoint does, and only once.
    pub(crate) fn health(&mut self) -> SocketAddr {
        self.address_in("health endpoint")
    }

    /// The address in the next line that contains this.
    fn address_in(&mut self, wanted: &str) -> SocketAddr {
        let line = self.line(wanted);
        // As text or as JSON.
        let address = ["address=", "\"address\":\""].iter().find_map(|name| Some(line.split_once(name)?.1));
        let address = address.and_then(|rest| rest.split([' ', '"']).next());
        address.and_then(|address| address.parse().ok()).expect("an address in that line")
    }

    /// The next line that contains this.
    pub(crate) fn line(&mut self, wanted: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no line with {wanted:?}:\n{}", self.seen.join("\n")));
            self.seen.push(line.clone());
            if line.contains(wanted) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it runs");
    }

    /// Halts it, until it gets a SIGCONT: what happens meanwhile, it finds all together.
    pub(crate) fn halt(&self) {
        self.signal(Signal::STOP);
        let halted = waitid(WaitId::Pid(self.pid), WaitIdOptions::STOPPED).expect("a child");
        assert!(halted.is_some_and(|status| status.stopped()), "it does not stop");
    }

    /// The memory that it has for itself alone, in bytes (`RssAnon` of proc(5)).
    pub(crate) fn anonymous_memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux says so");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib << 10
    }

    /// Waits for its end. Returns its exit status and everything it has written.
    pub(crate) fn exit(mut self) -> (Option<i32>, String) {
        let status = self.exit.recv_timeout(PATIENCE);
        let status = status.unwrap_or_else(|_| panic!("it does not exit:\n{}", self.seen.join("\n")));
        self.exited = true;
        self.seen.extend(self.lines.iter());
        (status.code(), self.seen.join("\n"))
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        if !self.exited && self.exit.try_recv().is_err() {
            // It may exit by itself in this moment.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// Runs it until it exits by itself. Returns its exit status, and everything it has written.
pub(crate) fn run_to_end(setup: &Setup, app: &str) -> (Option<i32>, String) {
    let (_dir, mut command) = command(setup, app);
    let output = command.output().expect("the binary");
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8"))
}

fn command(setup: &Setup, app: &str) -> (TempDir, Command) {
    let dir = tempfile::tempdir().expect("a directory");
    material::write_files(dir.path());
    let file = dir.path().join("ringside.toml");
    fs::write(&file, setup.toml(app)).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringside"));
    command.arg("run").arg("--config").arg(file).env_clear().stdin(Stdio::null());
    command.envs(setup.variables.iter().map(|(name, value)| (name, value)));
    (dir, command)
}

fn boxed(output: Option<impl Read + Send + 'static>) -> Box<dyn Read + Send> {
    Box::new(output.expect("piped"))
}

/// Waits for the end on a thread, because that wait has no bound.
fn wait(mut child: Child) -> Receiver<ExitStatus> {
    let (ended, exit) = channel();
    thread::spawn(move || ended.send(child.wait().expect("a child")));
    exit
}
