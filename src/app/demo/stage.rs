//! Everything that a demo needs, made and started.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use super::DemoError;
use super::certificate::{self, Certificate};
use super::dir::Dir;
use super::echo;
use super::tokens::{AUDIENCE, ISSUER, Tokens};
use crate::app::serve::Server;
use crate::config::{Config, Loaded, Source};
use crate::control::export::Taps;
use crate::control::log::{self, Guard};

/// Variables that the demo follows. The rest of a configuration in the environment is meant for another proxy.
const VARIABLES: &str = "RINGSIDE_RUNTIME_";

/// Lets the kernel choose a port that is free.
pub(super) const ANY_PORT: u16 = 0;

/// The proxy with its app, and what a client needs.
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) certificate: Certificate,
    pub(super) tokens: Tokens,
    dir: Dir,
    _log: Guard,
}

impl Stage {
    /// Sets the stage: the proxy listens on this port of 127.0.0.1.
    pub(super) fn set(port: u16, taps: Taps) -> Result<Self, DemoError> {
        let dir = Dir::make().map_err(DemoError::Dir)?;
        let certificate = certificate::make()?;
        let (tokens, jwks) = Tokens::make(SystemTime::now().into())?;
        let configuration = configuration(port);
        for (name, text) in [
            ("tls.crt", &certificate.pem),
            ("tls.key", &certificate.key),
            ("jwks.json", &jwks),
            ("ringside.toml", &configuration),
        ] {
            fs::write(dir.file(name), text).map_err(DemoError::File)?;
        }
        echo::start(&dir.file("app.sock")).map_err(DemoError::App)?;
        let variables = env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(VARIABLES.as_bytes()));
        let source = Source::File(dir.file("ringside.toml"));
        let Loaded { config, .. } = Config::load(&source, variables).map_err(DemoError::Config)?;
        let log = log::init(&config.log)?;
        let server = Server::start(config, taps)?;
        Ok(Self { server, certificate, tokens, dir, _log: log })
    }

    /// Drains and stops the proxy, and removes the demo's files.
    pub(super) fn strike(self) {
        self.server.stop();
    }

    /// The name of a file of the demo.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.file(name)
    }

    /// The engine that runs and why.
    pub(super) fn engine(&self) -> String {
        let process = self.server.process(|| 0)();
        format!("{}: {}", process.engine, process.engine_why)
    }

    /// Where clients connect.
    pub(super) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.server.address().port())
    }
}

/// The demo's configuration file, which one's own can begin with.
fn configuration(port: u16) -> String {
    format!(
        r#"[listen]
address = "127.0.0.1:{port}"

[tls]
certificate = "tls.crt"
key = "tls.key"

[app]
address = "unix:app.sock"

[auth.jwt]
keys = "jwks.json"
algorithms = ["ES256"]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
claims_to_headers = {{ tenant = "x-tenant" }}

[drain]
spread = "0s"

[log]
filter = "warn"
"#
    )
}
