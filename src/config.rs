//! The configuration: what is written, and what is needed.
//!
//! `raw` structs say what may be written; `resolve` turns them into the `Config` of each module. Every problem is told
//! at once, each with its line, its key, what was written, what is wrong with it and what to do. Nobody but
//! `app` imports this module: each part is handed to the module that owns it.
//!
//! Precedence: environment variable, file, default. [`keys::KEYS`] lists every key with its variable. There need not be a
//! file: the environment alone may hold everything.

mod address;
mod auth;
mod bounds;
mod collector;
mod document;
mod files;
mod findings;
mod health;
pub mod keys;
mod life;
mod problem;
mod rates;
mod raw;
mod read;
mod resolve;
mod source;
mod suggest;
mod traces;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use self::findings::Places;
pub use self::problem::{Place, Position, Problem, Problems};
pub use self::source::Source;
use crate::control::{self, admin, export, log};
use crate::http1::route::Routes;
use crate::jwt::algorithm::Algorithm;
use crate::jwt::verify;
use crate::policy::auth::TokenSource;
use crate::{opening, policy, relay, session, tls, upstream, worker};

/// Everything that `app` needs to start.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Listener, engine and workers.
    pub worker: worker::Config,
    /// `None`: clients connect without TLS.
    pub tls: Option<tls::Config>,
    /// Bounds of the opening phase.
    pub opening: opening::Config,
    /// `None`: anybody may connect.
    pub jwt: Option<Jwt>,
    /// Who may come in, and what the app learns of them.
    pub policy: policy::Config,
    /// The way to the app.
    pub upstream: upstream::Config,
    /// Bounds on what is relayed.
    pub session: session::Config,
    /// Bounds of the relaying driver.
    pub relay: relay::Config,
    /// `None`: no spans are exported.
    pub traces: Option<export::Config>,
    /// `None`: no metrics are exported; `/metrics` of the admin endpoint has them.
    pub metrics: Option<export::metrics::Config>,
    /// `service.name` on every span; `None`: what the environment says, see [`export::Export::start`].
    pub service_name: Option<String>,
    /// What spans call the paths that clients ask for.
    pub routes: Routes,
    /// `None`: no admin endpoint.
    pub admin: Option<admin::Config>,
    /// `None`: no health endpoint.
    pub health: Option<control::health::Config>,
    /// What is logged and how.
    pub log: log::Config,
}

/// How tokens are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// JWKS or PEM public keys.
    pub keys: Option<PathBuf>,
    /// Shared secret of the HS algorithms. At least one of the two is there.
    pub secret: Option<PathBuf>,
    /// Those accepted; never empty.
    pub algorithms: Vec<Algorithm>,
    /// What a token must satisfy.
    pub verify: verify::Config,
}

/// A configuration and what is unwise about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed but should be known.
    pub warnings: Vec<Problem>,
    places: Places,
}

impl Loaded {
    /// Something that came to light later is wrong with `key`, such as the contents of the file it names.
    pub fn problem(&self, key: &'static str, what: impl Into<String>, help: impl Into<String>) -> Problem {
        let (place, value) = self.places.of(key);
        Problem { key: key.into(), place, value, what: what.into(), help: help.into() }
    }
}

impl Config {
    /// The configuration in `source`, a file being overridden by `env`, with every file it names checked for being readable.
    ///
    /// A host name as the app's address is resolved, once.
    pub fn load<K, V>(source: &Source, env: impl IntoIterator<Item = (K, V)>) -> Result<Loaded, Problems>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        match source {
            Source::File(file) => finish(Some((&files::read(file)?, file)), env, true),
            Source::Environment => finish(None, env, true),
        }
    }

    /// The configuration in `text` as if it were the contents of `file`, which need not exist, nor any file it names.
    pub fn parse<K, V>(text: &str, file: &Path, env: impl IntoIterator<Item = (K, V)>) -> Result<Loaded, Problems>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        finish(Some((text, file)), env, false)
    }

    /// The configuration in `env` alone, as [`load`](Self::load) has it from [`Source::Environment`]; no file it names need
    /// exist.
    pub fn parse_env<K, V>(env: impl IntoIterator<Item = (K, V)>) -> Result<Loaded, Problems>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        finish(None, env, false)
    }

    /// What will run, in one line.
    pub fn summary(&self) -> String {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        let auth = match &self.jwt {
            Some(_) => {
                let from: Vec<_> = self.policy.from.iter().map(TokenSource::to_string).collect();
                format!("token from {}", from.join(", "))
            }
            None => "no authentication".into(),
        };
        let app = address::show(&self.upstream.address);
        let engine = self.worker.engine.as_str();
        format!("{scheme}://{} -> {app}; {auth}; engine {engine}", self.worker.listen)
    }
}

/// `file` is the text of the file, and its name.
fn finish<K, V>(
    file: Option<(&str, &Path)>,
    env: impl IntoIterator<Item = (K, V)>,
    check_files: bool,
) -> Result<Loaded, Problems>
where
    K: Into<OsString>,
    V: Into<OsString>,
{
    let env: Vec<_> = env.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let (raw, mut findings) = read::read(file, &env)?;
    let base = file.and_then(|(_, file)| file.parent()).unwrap_or(Path::new(""));
    let config = resolve::resolve(raw, base, &env, &mut findings);
    if check_files {
        files::check(&mut findings);
    }
    if findings.problems.is_empty() {
        return Ok(Loaded { config, places: findings.places(), warnings: findings.warnings });
    }
    let mut problems = findings.problems;
    problems.sort_by_key(Problem::order);
    Err(Problems(problems))
}
