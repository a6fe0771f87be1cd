//! What a run needs: certificate, keys, token, configuration, the echo app and the proxies.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertifiedKey, KeyPair, PKCS_RSA_SHA256};
use serde_json::json;
use tempfile::TempDir;

use crate::client::Target;
use crate::{Fault, cpu};

/// Core of the proxy.
pub const PROXY_CORE: usize = 0;

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

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// The yardstick.
    Pump,
    /// Ringside on its `io_uring` engine.
    IoUring,
    /// Ringside on its epoll engine.
    Epoll,
}

impl Which {
    /// All of them, the yardstick first.
    pub const ALL: [Self; 3] = [Self::Pump, Self::IoUring, Self::Epoll];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pump => "pump",
            Self::IoUring => "ringside io_uring",
            Self::Epoll => "ringside epoll",
        }
    }
}

/// Certificate, keys and token of a run, in a directory that goes with it.
pub struct Files {
    dir: TempDir,
    certificate: String,
    signer: EncodingKey,
}

impl Files {
    /// Makes them all.
    pub fn new() -> Result<Self, Fault> {
        let dir = tempfile::tempdir()?;
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = cert.pem();
        fs::write(dir.path().join("tls.crt"), &certificate)?;
        fs::write(dir.path().join("tls.key"), signing_key.serialize_pem())?;
        let signer = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        fs::write(dir.path().join("issuer.pem"), signer.public_key_pem())?;
        let signer = EncodingKey::from_rsa_pem(signer.serialize_pem().as_bytes())?;
        Ok(Self { dir, certificate, signer })
    }

    /// The app's socket, or another file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a configuration of Ringside, and says where: one worker, TLS, RS256; everything else at its default.
    pub fn configuration(&self, address: SocketAddr, engine: &str) -> Result<PathBuf, Fault> {
        let file = self.path(&format!("{engine}-{}.toml", address.port()));
        fs::write(&file, configuration(address, engine)?)?;
        Ok(file)
    }

    /// What a client of `subject` needs to connect to `address`.
    pub fn target(&self, address: SocketAddr, subject: &str) -> Result<Target, Fault> {
        let token = token(&self.signer, subject)?;
        Ok(Target { address, certificate: self.certificate.clone(), token })
    }
}

/// The files of a run and its echo app. All goes with it.
pub struct Rig {
    files: Files,
    ringside: PathBuf,
    _echo: Process,
}

impl Rig {
    /// Builds Ringside, makes the files, moves this process to the load's core and starts the echo app there.
    pub fn new() -> Result<Self, Fault> {
        let ringside = build()?;
        cpu::pin(LOAD_CORE)?;
        cpu::raise_file_limit()?;
        let files = Files::new()?;
        let socket = files.path("app.sock");
        let echo = Process::start(Command::new(env::current_exe()?).arg("echo").arg(&socket), &files.path("echo.log"))?;
        wait(|| socket.exists(), "the echo app")?;
        Ok(Self { files, ringside, _echo: echo })
    }

    /// Starts a proxy on its own core. The pump has no settings.
    pub fn start(&self, which: Which, settings: Settings<'_>) -> Result<Proxy, Fault> {
        self.start_other(&self.ringside, which, settings)
    }

    /// The same with another Ringside, the binary of another version.
    pub fn start_other(&self, ringside: &Path, which: Which, settings: Settings<'_>) -> Result<Proxy, Fault> {
        let address = free_address()?;
        let path = |name: &str| self.files.path(name);
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &PROXY_CORE.to_string()]);
        match which {
            Which::Pump => {
                command.arg(env::current_exe()?).arg("pump").args(["--listen", &address.to_string()]).args([
                    "--app".into(),
                    path("app.sock"),
                    "--certificate".into(),
                    path("tls.crt"),
                    "--key".into(),
                    path("tls.key"),
                ])
            }
            Which::IoUring | Which::Epoll => {
                let engine = if which == Which::IoUring { "io_uring" } else { "epoll" };
                let file = self.files.configuration(address, engine)?;
                command.arg(ringside).args(["run", "--config"]).arg(file).envs(settings.iter().copied())
            }
        };
        let log = path(&format!("{}.log", address.port()));
        let mut process = Process::start(&mut command, &log)?;
        let started = wait(|| process.has_ended() || TcpStream::connect(address).is_ok(), which.name());
        if started.is_err() || process.has_ended() {
            return Err(format!("{} did not start:\n{}", which.name(), fs::read_to_string(log)?).into());
        }
        Ok(Proxy { which, target: self.files.target(address, "load")?, process })
    }

    /// The same proxy for a client of its own subject.
    pub fn target(&self, proxy: &Proxy, subject: &str) -> Result<Target, Fault> {
        self.files.target(proxy.target.address, subject)
    }
}

/// A proxy that runs.
pub struct Proxy {
    /// Which one.
    pub which: Which,
    /// How clients reach it.
    pub target: Target,
    process: Process,
}

impl Proxy {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// A process that ends with its owner.
struct Process(Child);

impl Process {
    fn start(command: &mut Command, log: &Path) -> Result<Self, Fault> {
        let log = File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        Ok(Self(child.map_err(|error| format!("cannot run {command:?}: {error}"))?))
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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

fn configuration(address: SocketAddr, engine: &str) -> Result<String, Fault> {
    let mut text = String::new();
    writeln!(text, "[listen]\naddress = \"{address}\"")?;
    writeln!(text, "[tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"")?;
    writeln!(text, "[app]\naddress = \"unix:app.sock\"")?;
    writeln!(text, "[auth.jwt]\nkeys = \"issuer.pem\"\nalgorithms = [\"RS256\"]")?;
    writeln!(text, "issuer = \"https://issuer.example\"\naudience = [\"bench\"]")?;
    writeln!(text, "[runtime]\nengine = \"{engine}\"\nworkers = 1")?;
    Ok(text)
}

fn token(signer: &EncodingKey, subject: &str) -> Result<String, Fault> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "iss": "https://issuer.example", "aud": "bench", "sub": subject, "iat": now, "exp": now + 24 * 60 * 60,
    });
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, signer)?)
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
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
