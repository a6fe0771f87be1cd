//! What a pod is to get: its annotations, and the settings where they say nothing.

mod config;
mod read;

use std::fmt;
use std::time::Duration;

pub use self::config::Variable;
use crate::pod::Pod;
use crate::problem::Problem;
use crate::settings::{Seccomp, Settings};

/// Everything that the injection of one pod depends on.
#[derive(Clone, Debug)]
pub struct Wish<'v> {
    /// Native sidecar, or a container among the others.
    pub form: Form,
    /// The image that has `ringside`.
    pub image: &'v str,
    /// When it is pulled; `None`: as the cluster does.
    pub pull_policy: Option<&'v str>,
    /// The app's container, by its place in `spec.containers`.
    pub app: usize,
    /// Where the app listens.
    pub listens: Listens<'v>,
    /// Where clients connect.
    pub port: u16,
    /// Secret with the certificate; `None`: no TLS.
    pub tls: Option<&'v str>,
    /// `ConfigMap` with the issuer's keys; `None`: anybody may connect.
    pub jwks: Option<&'v str>,
    /// `ConfigMap` with a configuration file.
    pub config_map: Option<&'v str>,
    /// Secret with other files.
    pub secret: Option<&'v str>,
    /// Whether the sidecar asks the app what kubelet asks.
    pub forwards_probes: bool,
    /// Seccomp profile.
    pub seccomp: Seccomp,
    /// Resource requests: CPU, memory.
    pub requests: [&'v str; 2],
    /// Memory limit.
    pub memory_limit: Option<&'v str>,
    /// The sidecar's configuration.
    pub variables: Vec<Variable>,
    /// How long clients have to leave: `drain.timeout`.
    pub drain: Duration,
    /// What is allowed but should be known.
    pub warnings: Vec<Problem>,
}

/// How the sidecar stands in the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An init container that goes on: it starts before the others and ends after them.
    Native,
    /// A container among the others.
    Classic,
}

/// Where the app listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens<'v> {
    /// On this port, on loopback at least.
    Port(u16),
    /// On a Unix socket: its path, and the directory that is shared.
    Socket {
        /// The socket.
        path: &'v str,
        /// Where it is.
        directory: &'v str,
    },
}

impl fmt::Display for Listens<'_> {
    /// As `app.address` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "127.0.0.1:{port}"),
            Self::Socket { path, .. } => write!(f, "unix:{path}"),
        }
    }
}

impl<'v> Wish<'v> {
    /// For how many seconds the app stays after the pod's end has begun: until the drain is over, and a little longer.
    pub const fn stays(&self) -> u64 {
        const MARGIN: u64 = 1;
        self.drain.as_secs() + (self.drain.subsec_nanos() > 0) as u64 + MARGIN
    }

    /// What `pod`, which has no sidecar, is to get. Everything that is wrong is told at once.
    pub fn read(pod: &Pod<'v>, settings: &'v Settings) -> Result<Self, Vec<Problem>> {
        read::wish(pod, settings)
    }
}

#[cfg(test)]
mod tests;
