//! What a run needs: certificate, keys, token, configuration, the echo app and the proxies.

mod process;

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use self::process::Process;
use crate::client::Target;
use crate::files::Files;
use crate::peer::Installed;
use crate::{Fault, cpu};

/// Core of load and app.
pub const LOAD_CORE: usize = 1;

/// How long a process may take to start.
const START: Duration = Duration::from_secs(10);

/// Environment variables that change Ringside's configuration, one key each.
pub type Settings<'s> = &'s [(&'s str, &'s str)];

/// Every key at its default.
pub const DEFAULTS: Settings<'static> = &[];

/// No keepalive and no expiry: nothing that needs a timer while nobody says anything.
pub const NO_TIMES: Settings<'static> =
    &[("RINGSIDE_KEEPALIVE_CLIENT", "off"), ("RINGSIDE_AUTH_JWT_ON_EXPIRY", "ignore")];

/// Everything that a connection can be measured by, at once: keepalive to both sides, expiry, age, idleness, and rates by
/// connection and by subject. None of it is hit.
pub const ALL_LIMITS: Settings<'static> = &[
    ("RINGSIDE_KEEPALIVE_CLIENT", "30s"),
    ("RINGSIDE_KEEPALIVE_APP", "30s"),
    ("RINGSIDE_TIMEOUTS_IDLE", "1h"),
    ("RINGSIDE_TIMEOUTS_MAX_AGE", "12h"),
    ("RINGSIDE_LIMITS_CONNECTION_MESSAGES", "1000000000"),
    ("RINGSIDE_LIMITS_CONNECTION_BYTES", "1000GiB"),
    ("RINGSIDE_LIMITS_SUBJECT_MESSAGES", "1000000000"),
    ("RINGSIDE_LIMITS_SUBJECT_BYTES", "1000GiB"),
];

/// An engine of Ringside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// On `io_uring`.
    IoUring,
    /// On epoll.
    Epoll,
}

impl Engine {
    /// Both.
    pub const ALL: [Self; 2] = [Self::IoUring, Self::Epoll];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IoUring => "ringside io_uring",
            Self::Epoll => "ringside epoll",
        }
    }

    /// The value of `runtime.engine`.
    const fn key(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

/// The files of a run and its echo app. All goes with it.
pub struct Rig {
    files: Files,
    ringside: PathBuf,
    app: Process,
    cores: usize,
}

impl Rig {
    /// Builds Ringside, makes the files, moves this process to the load's core and starts the echo app there.
    pub fn new() -> Result<Self, Fault> {
        Self::with(build()?)
    }

    /// The same with a Ringside that is built already.
    pub fn with(ringside: PathBuf) -> Result<Self, Fault> {
        // Before it is one.
        let cores = thread::available_parallelism()?.get();
        cpu::pin(LOAD_CORE)?;
        cpu::raise_file_limit()?;
        let files = Files::new()?;
        let socket = files.path("app.sock");
        let mut echo = Command::new(env::current_exe()?);
        echo.arg("echo").arg(&socket);
        let app = Process::start(&echo, &LOAD_CORE.to_string(), &files.path("echo.log"))?;
        wait(|| socket.exists(), "the echo app")?;
        Ok(Self { files, ringside, app, cores })
    }

    /// The echo app's process.
    pub fn app(&self) -> u32 {
        self.app.pid()
    }

    /// Cores of this machine that the run may use.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Starts Ringside with one worker.
    pub fn start(&self, engine: Engine, settings: Settings<'_>) -> Result<Proxy, Fault> {
        self.start_workers(engine, 1, settings)
    }

    /// Starts Ringside.
    pub fn start_workers(&self, engine: Engine, workers: usize, settings: Settings<'_>) -> Result<Proxy, Fault> {
        self.start_other(&self.ringside, engine, workers, settings)
    }

    /// The same with another Ringside, the binary of another version.
    pub fn start_other(
        &self,
        ringside: &Path,
        engine: Engine,
        workers: usize,
        settings: Settings<'_>,
    ) -> Result<Proxy, Fault> {
        let address = free_address()?;
        let mut command = Command::new(ringside);
        command.args(["run", "--config"]).arg(self.files.configuration(address, engine.key(), workers)?);
        command.envs(settings.iter().copied());
        self.launch(engine.name(), &command, address, workers)
    }

    /// Starts the floor, which has one thread.
    pub fn start_floor(&self) -> Result<Proxy, Fault> {
        let (address, path) = (free_address()?, |name: &str| self.files.path(name));
        let mut command = Command::new(env::current_exe()?);
        command.args(["floor", "--listen", &address.to_string(), "--app"]).arg(path("app.sock"));
        command.arg("--certificate").arg(path("tls.crt")).arg("--key").arg(path("tls.key"));
        self.launch("floor", &command, address, 1)
    }

    /// Starts a peer.
    pub fn start_peer(&self, installed: &Installed, workers: usize) -> Result<Proxy, Fault> {
        let address = free_address()?;
        let command = installed.command(&self.files, address, workers)?;
        self.launch(installed.peer.name, &command, address, workers)
    }

    fn launch(
        &self,
        name: &'static str,
        command: &Command,
        address: SocketAddr,
        workers: usize,
    ) -> Result<Proxy, Fault> {
        let log = self.files.path(&format!("{}.log", address.port()));
        let mut process = Process::start(command, &cores(workers, self.cores), &log)?;
        let started = wait(|| process.has_ended() || TcpStream::connect(address).is_ok(), name);
        if started.is_err() || process.has_ended() {
            return Err(format!("{name} did not start:\n{}", fs::read_to_string(log)?).into());
        }
        Ok(Proxy { name, target: self.files.target(address, "load")?, process })
    }

    /// Targets that must be refused by who checks tokens: one with a token of another issuer's key, one without.
    pub fn bad_targets(&self, proxy: &Proxy) -> Result<[Target; 2], Fault> {
        let forged = self.files.forged(proxy.target.address)?;
        let without = Target { token: String::new(), ..forged.clone() };
        Ok([forged, without])
    }
}

/// A proxy that runs.
pub struct Proxy {
    /// Its name in tables.
    pub name: &'static str,
    /// How clients reach it.
    pub target: Target,
    process: Process,
}

impl Proxy {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Cores for so many workers: none of them the load's, unless there are too few.
fn cores(workers: usize, available: usize) -> String {
    let free: Vec<_> = (0..available).filter(|core| *core != LOAD_CORE).collect();
    let chosen = if free.len() < workers { (0..available).collect() } else { free };
    chosen.iter().take(workers).map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Builds the product as it ships, and says where it is.
fn build() -> Result<PathBuf, Fault> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "ringside"])
        .current_dir(&root)
        .status()?;
    if !built.success() {
        return Err("ringside does not build".into());
    }
    // Where cargo put this binary, it put that one.
    let here = env::current_exe()?.with_file_name("ringside");
    if here.exists() { Ok(here) } else { Err("run the bench with `cargo run --release -p ringside-bench`".into()) }
}

fn free_address() -> Result<SocketAddr, Fault> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn wait(mut done: impl FnMut() -> bool, what: &str) -> Result<(), Fault> {
    let began = Instant::now();
    while !done() {
        if began.elapsed() > START {
            return Err(format!("{what} did not start").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::cores;

    #[test]
    fn workers_keep_off_the_loads_core_where_they_can() {
        assert_eq!((cores(1, 2), cores(2, 2)), ("0".into(), "0,1".into()));
        assert_eq!((cores(1, 4), cores(2, 4)), ("0".into(), "0,2".into()));
    }
}
