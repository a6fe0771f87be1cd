//! The ends that time brings by itself: the token's, old age, and having nothing to say.
//!
//! All of it is counted on the monotonic clock from the moment the connection opened. A token's `exp` was turned into a
//! span of time then, when the token was found good by the wall clock; a step of that clock later on neither ends a
//! connection early nor lets it live on.

use std::time::{Duration, Instant};

use super::config::Config;
use crate::telemetry::end::Why;

#[derive(Debug)]
pub(super) struct Life {
    /// The nearer of the token's expiry and old age.
    ends: Option<(Instant, Why)>,
    /// When data passed last, whichever way.
    data: Instant,
}

impl Life {
    /// Of a connection that opens `now`. `chance` takes up to a tenth off its maximum age, so that connections that came
    /// together do not all come back together.
    pub(super) fn new(config: &Config, expires: Option<Instant>, chance: Chance, now: Instant) -> Self {
        let expiry = expires.filter(|_| config.expiry.is_some()).map(|at| (at, Why::Expired));
        let age = config.max_age.and_then(|age| now.checked_add(age.saturating_sub(chance.of(age / 10))));
        let ends = [expiry, age.map(|at| (at, Why::MaxAge))].into_iter().flatten().min_by_key(|(at, _)| *at);
        Self { ends, data: now }
    }

    /// Data passed.
    pub(super) const fn handle_data(&mut self, now: Instant) {
        self.data = now;
    }

    pub(super) fn deadline(&self, idle: Option<Duration>) -> Option<Instant> {
        let idle = idle.and_then(|idle| self.data.checked_add(idle));
        [self.ends.map(|(at, _)| at), idle].into_iter().flatten().min()
    }

    /// Why it must end now, if it must.
    pub(super) fn due(&self, idle: Option<Duration>, now: Instant) -> Option<Why> {
        match self.ends {
            Some((at, why)) if now >= at => Some(why),
            _ => self.deadline(idle).filter(|deadline| now >= *deadline).map(|_| Why::Idle),
        }
    }
}

/// A share of one, fixed for a connection by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chance(pub(super) u32);

impl Chance {
    /// That share of `whole`.
    pub(super) fn of(self, whole: Duration) -> Duration {
        whole.mul_f64(f64::from(self.0) / f64::from(u32::MAX))
    }
}
