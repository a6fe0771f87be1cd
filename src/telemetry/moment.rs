//! What happened to a connection while it was relayed, besides traffic: few things, each with its time.

use std::time::{Duration, SystemTime};

use super::end::{By, Why};
use crate::peer::Side;

/// Most moments that are kept of one connection. What comes past them is counted.
pub const MOST: usize = 32;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, counted from the 101.
    pub after: Duration,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// One more Ping goes to this side, because it left the one before unanswered.
    PingUnanswered(Side),
    /// Reading from the client paused, because it was over a rate.
    Throttled,
    /// The end began: who began it, and why. A violation goes by its rule.
    Closing(By, Why),
}

/// The moments of one connection, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// The first [`MOST`].
    pub kept: Vec<Moment>,
    /// How many came past them.
    pub missed: u32,
}

impl What {
    /// Its name in spans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PingUnanswered(_) => "ping_unanswered",
            Self::Throttled => "throttled",
            Self::Closing(_, Why::Expired) => "expiring",
            Self::Closing(_, Why::Drain) => "drain",
            Self::Closing(_, Why::Violation(_)) => "violation",
            Self::Closing(..) => "closing",
        }
    }
}

impl Moments {
    /// One more.
    pub fn push(&mut self, moment: Moment) {
        if self.kept.len() < MOST {
            self.kept.push(moment);
        } else {
            self.missed = self.missed.saturating_add(1);
        }
    }
}

impl Moment {
    /// When it was, on the wall clock, of a connection that opened at this time.
    pub fn at(&self, opened: SystemTime) -> SystemTime {
        opened.checked_add(self.after).unwrap_or(opened)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MOST, Moment, Moments, What};

    #[test]
    fn what_comes_past_the_bound_is_counted() {
        let mut moments = Moments::default();
        for n in 0..40 {
            moments.push(Moment { after: Duration::from_secs(n), what: What::Throttled });
        }
        assert_eq!((moments.kept.len(), moments.missed), (MOST, 8));
        assert_eq!(moments.kept[MOST - 1].after, Duration::from_secs(31));
    }
}
