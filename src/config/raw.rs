//! What may be written in the file: every key optional, unknown keys refused, nothing interpreted further.

mod life;
mod value;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub(super) use self::life::{Drain, Keepalive, Limits, RateLimit, Timeouts};
use crate::bytesize::ByteSize;
use crate::control::{export, log, subject};
use crate::ring::engine::Choice;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) listen: Listen,
    pub(super) tls: Option<Tls>,
    pub(super) app: App,
    pub(super) auth: Auth,
    pub(super) access: Access,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    pub(super) keepalive: Keepalive,
    pub(super) drain: Drain,
    pub(super) telemetry: Telemetry,
    pub(super) admin: Option<Admin>,
    pub(super) health: Option<Health>,
    pub(super) log: Log,
    pub(super) runtime: Runtime,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listen {
    pub(super) address: String,
    pub(super) connections: Option<NonZeroUsize>,
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: "0.0.0.0:8443".into(), connections: None }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) client_ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct App {
    pub(super) address: Option<String>,
    #[serde(deserialize_with = "value::duration")]
    pub(super) retry: Duration,
}

impl Default for App {
    fn default() -> Self {
        Self { address: None, retry: Duration::from_secs(5) }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    pub(super) jwt: Option<Jwt>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Jwt {
    pub(super) keys: Option<PathBuf>,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) algorithms: Vec<String>,
    #[serde(deserialize_with = "value::one_or_many")]
    pub(super) issuer: Vec<String>,
    #[serde(deserialize_with = "value::one_or_many")]
    pub(super) audience: Vec<String>,
    #[serde(deserialize_with = "value::duration")]
    pub(super) leeway: Duration,
    pub(super) on_expiry: OnExpiry,
    pub(super) expiry_code: u16,
    pub(super) from: Vec<String>,
    pub(super) forward: bool,
    pub(super) subject_header: String,
    pub(super) claims_to_headers: BTreeMap<String, String>,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            keys: None,
            secret_file: None,
            algorithms: ["RS256", "ES256", "EdDSA"].map(String::from).into(),
            issuer: Vec::new(),
            audience: Vec::new(),
            leeway: Duration::from_secs(30),
            on_expiry: OnExpiry::Close,
            expiry_code: 4401,
            from: ["header", "subprotocol"].map(String::from).into(),
            forward: false,
            subject_header: "x-ringside-subject".into(),
            claims_to_headers: BTreeMap::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnExpiry {
    Close,
    Ignore,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Access {
    pub(super) origins: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Telemetry {
    pub(super) service_name: Option<String>,
    pub(super) routes: Vec<String>,
    pub(super) traces: Option<Traces>,
    pub(super) metrics: Option<Metrics>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Traces {
    pub(super) endpoint: Option<String>,
    pub(super) protocol: Protocol,
    pub(super) sample_ratio: f64,
    pub(super) trust_client: bool,
    #[serde(deserialize_with = "value::duration_or_off")]
    pub(super) checkpoint: Option<Duration>,
    pub(super) messages: Option<Messages>,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: Protocol::HttpProtobuf,
            sample_ratio: 1.0,
            trust_client: false,
            checkpoint: Some(Duration::from_secs(60)),
            messages: None,
        }
    }
}

/// `[telemetry.metrics]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Metrics {
    pub(super) endpoint: Option<String>,
    pub(super) protocol: Protocol,
    #[serde(deserialize_with = "value::duration")]
    pub(super) interval: Duration,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { endpoint: None, protocol: Protocol::HttpProtobuf, interval: export::metrics::INTERVAL }
    }
}

/// `[telemetry.traces.messages]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Messages {
    pub(super) sample_ratio: f64,
    pub(super) per_second: NonZeroU32,
}

impl Default for Messages {
    fn default() -> Self {
        const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
        Self { sample_ratio: 0.01, per_second: PER_SECOND }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum Protocol {
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    #[serde(rename = "grpc")]
    Grpc,
}

impl From<Protocol> for export::Protocol {
    fn from(raw: Protocol) -> Self {
        match raw {
            Protocol::HttpProtobuf => Self::HttpProtobuf,
            Protocol::Grpc => Self::Grpc,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) address: String,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: "127.0.0.1:9901".into() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Health {
    pub(super) address: String,
    pub(super) app: BTreeMap<String, String>,
}

impl Default for Health {
    fn default() -> Self {
        Self { address: "0.0.0.0:9902".into(), app: BTreeMap::new() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    pub(super) format: Format,
    pub(super) filter: String,
    pub(super) subject: Subject,
    pub(super) subject_key_file: Option<PathBuf>,
    pub(super) sample_ratio: f64,
    pub(super) noise: NonZeroU32,
}

impl Default for Log {
    fn default() -> Self {
        const NOISE: NonZeroU32 = NonZeroU32::new(100).unwrap();
        Self {
            format: Format::Text,
            filter: "info".into(),
            subject: Subject::Plain,
            subject_key_file: None,
            sample_ratio: 1.0,
            noise: NOISE,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    Text,
    Json,
}

impl From<Format> for log::Format {
    fn from(raw: Format) -> Self {
        match raw {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    Plain,
    Hashed,
    Off,
}

impl From<Subject> for subject::Choice {
    fn from(raw: Subject) -> Self {
        match raw {
            Subject::Plain => Self::Plain,
            Subject::Hashed => Self::Hashed,
            Subject::Off => Self::Off,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) workers: Option<NonZeroUsize>,
    pub(super) buffers: ByteSize,
}

impl Default for Runtime {
    fn default() -> Self {
        Self { engine: Engine::Auto, workers: None, buffers: ByteSize::mib(64) }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Engine {
    Auto,
    IoUring,
    Epoll,
}

impl From<Engine> for Choice {
    fn from(raw: Engine) -> Self {
        match raw {
            Engine::Auto => Self::Auto,
            Engine::IoUring => Self::IoUring,
            Engine::Epoll => Self::Epoll,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Raw;
    use crate::config::keys;

    #[test]
    fn has_the_keys_of_the_table() {
        let tables: BTreeSet<_> = keys::KEYS.iter().map(keys::Key::table).chain(["", "auth"]).collect();
        for table in tables {
            let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
            let error = toml::from_str::<Raw>(&format!("{header}zebra = 1\n")).unwrap_err();
            // "unknown field `zebra`, expected one of `a`, `b`"
            let names: BTreeSet<_> = error.message().split('`').skip(3).step_by(2).collect();
            assert_eq!(names, keys::names_in(table).into_iter().collect(), "[{table}]: {error}");
        }
    }
}
