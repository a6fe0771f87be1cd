//! Wall-clock time as JWTs and logs count it.
//!
//! Nothing here reads a clock: `now` is an argument everywhere below `worker`. Deadlines are `std::time::Instant`,
//! which a change of the wall clock does not move.

use std::fmt;
use std::time::{Duration, SystemTime};

/// Whole seconds since 1970-01-01T00:00:00Z, the `NumericDate` of RFC 7519 section 2 without its fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// So many seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Seconds since the epoch.
    pub const fn secs(self) -> u64 {
        self.0
    }

    /// How long after `now` this is; zero when it has been.
    pub fn since(self, now: SystemTime) -> Duration {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(self.0).saturating_sub(now)
    }

    /// This much later, at the most the last second that can be counted.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by.as_secs()))
    }
}

impl From<SystemTime> for UnixTime {
    /// A time before the epoch is the epoch.
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
