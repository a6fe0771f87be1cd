//! Where metrics go.

use std::time::Duration;

use super::super::{ExportError, Protocol, check};

/// How often, when nothing says otherwise.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// No more often.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Where metrics go and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Base URL of the collector, such as `http://127.0.0.1:4318`. Over HTTP, `/v1/metrics` is appended.
    pub endpoint: String,
    /// How.
    pub protocol: Protocol,
    /// How often; besides, once more at the end.
    pub interval: Duration,
}

impl Config {
    /// Whether this binary can export so.
    pub fn check(&self) -> Result<(), ExportError> {
        check(&self.endpoint, self.protocol)
    }
}
