//! The sidecar's configuration: environment variables, checked by Ringside's own `config`.

use std::time::Duration;

use ringside::config::keys::KEYS;
use ringside::config::{Config, Place, Problem as Wrong, Problems};

use super::Listens;
use crate::annotation::{self, DOC, OWNED, PREFIX, path};
use crate::pod::Pod;
use crate::problem::Problem;
use crate::sidecar::{ADMIN_PORT, HEALTH_PORT, JWKS_DIRECTORY, TLS_DIRECTORY};

/// A variable of the sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What the pod's own shape makes of the configuration.
pub(super) struct Own<'v> {
    pub(super) host: &'static str,
    pub(super) port: u16,
    pub(super) app: Listens<'v>,
    pub(super) tls: Option<&'v str>,
    pub(super) jwks: Option<&'v str>,
    pub(super) config_map: Option<&'v str>,
    pub(super) may_io_uring: bool,
}

/// Variables that Ringside would start with.
#[derive(Default)]
pub(super) struct Checked {
    pub(super) variables: Vec<Variable>,
    pub(super) drain: Duration,
    pub(super) warnings: Vec<Problem>,
}

/// The configuration of `pod`'s sidecar.
pub(super) fn config(pod: &Pod<'_>, own: &Own<'_>) -> Result<Checked, Vec<Problem>> {
    let mut settings = own.settings();
    let ours = pod.annotations.iter().filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, *value)));
    for (name, value) in ours.filter(|(name, _)| OWNED.iter().all(|(owned, _)| owned != name)) {
        let Some(key) = annotation::key(name) else { continue };
        settings.retain(|(known, _)| *known != key.path);
        settings.push((key.path, value.into()));
    }
    // In the order of the reference, whatever order annotations have.
    settings.sort_by_key(|(path, _)| KEYS.iter().position(|key| key.path == *path));
    let variables: Vec<_> = settings
        .into_iter()
        .filter_map(|(key, value)| Some(Variable { name: annotation::key(key)?.variable(), value }))
        .collect();
    let env = variables.iter().map(|Variable { name, value }| (name, value));
    match Config::parse_env(env) {
        Ok(loaded) => Ok(Checked {
            drain: loaded.config.worker.drain.timeout,
            // What a file says, which is not here, may answer them.
            warnings: loaded.warnings.iter().filter(|_| own.config_map.is_none()).filter_map(problem).collect(),
            variables,
        }),
        Err(Problems(problems)) => Err(problems.iter().filter_map(problem).collect()),
    }
}

impl Own<'_> {
    /// Keys and values before any annotation.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let address = |host: &str, port| if host == "::" { format!("[::]:{port}") } else { format!("{host}:{port}") };
        let mut settings = vec![
            ("listen.address", address(self.host, self.port)),
            ("app.address", self.app.to_string()),
            ("admin.address", address("127.0.0.1", ADMIN_PORT)),
            ("health.address", address(self.host, HEALTH_PORT)),
            // The pod's hooks and its grace period rely on these two.
            ("drain.spread", "5s".into()),
            ("drain.timeout", "15s".into()),
        ];
        if self.tls.is_some() {
            settings.push(("tls.certificate", format!("{TLS_DIRECTORY}/tls.crt")));
            settings.push(("tls.key", format!("{TLS_DIRECTORY}/tls.key")));
        }
        if self.jwks.is_some() {
            settings.push(("auth.jwt.keys", format!("{JWKS_DIRECTORY}/jwks.json")));
        }
        if self.config_map.is_none() {
            let engine = if self.may_io_uring { "auto" } else { "epoll" };
            // A node has many cores, of which no limit keeps a sidecar.
            settings.extend(
                [("runtime.engine", engine), ("runtime.workers", "2"), ("log.format", "json")]
                    .map(|(key, value)| (key, value.to_owned())),
            );
        }
        settings
    }
}

/// A problem of the configuration as one of the pod. What nobody can set cannot be wrong by itself: a port that is taken
/// is told of where ports are looked at.
fn problem(wrong: &Wrong) -> Option<Problem> {
    let key = match &wrong.place {
        Place::Variable(name) => annotation::key_of(name).map_or(wrong.key.as_str(), |key| key.path),
        Place::File { .. } => wrong.key.as_str(),
    };
    let name = match OWNED.iter().find(|(owned, _)| *owned == key) {
        Some((_, by)) => (*by)?,
        None => key,
    };
    let what = match &wrong.value {
        Some(value) => format!("is {value:?}: {}", wrong.what),
        None => wrong.what.clone(),
    };
    Some(Problem::new(path(name), what, format!("{}; see {DOC}", wrong.help)))
}
