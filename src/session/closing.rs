//! How the end of a session comes about: its cause, its deadline.

use std::time::{Duration, Instant};

use super::Cause;
use crate::peer::Side;
use crate::telemetry::end::{By, Why};

/// Where a session is between its first byte and its end.
///
/// ```text
///             a Close passes, a stream ends in order, a              both directions are done,
///             violation, a dead side, a decision of ours             or the deadline passes
///  Relaying -------------------------------------------> Closing ------------------------------> Over
///     |                                                     |                                     ^
///     +---- the client breaks off, or the app inside -------+-------------------------------------+
///           a frame: nothing can be ended politely
/// ```
///
/// The closing handshake proper (RFC 6455 section 7.1) is in the two flows: a side has closed when its Close frame
/// came, and was closed when one went to it. Either side or we may begin, Closes may cross, each direction ends by
/// itself; `Closing` only bounds the whole with one absolute deadline, counted from its beginning.
#[derive(Debug)]
pub(super) struct Closing {
    phase: Phase,
    within: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Relaying,
    /// `until` is `None` when the configured time reaches beyond what can be counted.
    Closing {
        cause: Cause,
        until: Option<Instant>,
    },
    Over(Cause),
}

impl Closing {
    /// A closing that is to take no longer than `within`, once it begins.
    pub(super) const fn new(within: Duration) -> Self {
        Self { phase: Phase::Relaying, within }
    }

    /// The end begins. If it had begun already, it keeps its deadline; its cause gives way only to a first fault.
    pub(super) fn begin(&mut self, new: Cause, now: Instant) {
        match &mut self.phase {
            Phase::Relaying => {
                self.phase = Phase::Closing { cause: new, until: now.checked_add(self.within) };
            }
            Phase::Closing { cause, .. } => *cause = worse(*cause, new),
            Phase::Over(_) => {}
        }
    }

    /// Once begun, it is to be over by `latest`.
    pub(super) fn hurry(&mut self, latest: Instant) {
        if let Phase::Closing { until, .. } = &mut self.phase {
            *until = Some(until.map_or(latest, |until| until.min(latest)));
        }
    }

    /// Ends at once because of a fault.
    pub(super) const fn abort(&mut self, new: Cause) {
        match self.phase {
            Phase::Relaying => self.phase = Phase::Over(new),
            Phase::Closing { cause, .. } => self.phase = Phase::Over(worse(cause, new)),
            Phase::Over(_) => {}
        }
    }

    /// Ends a closing at once, for the cause it had.
    const fn end(&mut self) {
        if let Phase::Closing { cause, .. } = self.phase {
            self.phase = Phase::Over(cause);
        }
    }

    /// The deadline has passed. `late`: who still owed a Close frame in answer to one.
    pub(super) fn expire(&mut self, late: Option<Side>) {
        match late {
            Some(side) => self.abort((side.into(), Why::CloseTimeout)),
            None => self.end(),
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| now >= deadline)
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closing { until, .. } => until,
            Phase::Relaying | Phase::Over(_) => None,
        }
    }

    pub(super) const fn has_begun(&self) -> bool {
        !matches!(self.phase, Phase::Relaying)
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// Who ended, and why, as far as can be said now.
    pub(super) const fn cause(&self) -> Option<Cause> {
        match self.phase {
            Phase::Relaying => None,
            Phase::Closing { cause, .. } | Phase::Over(cause) => Some(cause),
        }
    }

    /// The side whose Close frame began the end, if nothing worse has happened since.
    pub(super) const fn closed_by(&self) -> Option<Side> {
        match self.cause() {
            Some((By::Client, Why::Closed)) => Some(Side::Client),
            Some((By::App, Why::Closed)) => Some(Side::App),
            _ => None,
        }
    }
}

/// The first fault, or without one the first cause.
const fn worse(first: Cause, second: Cause) -> Cause {
    if !first.1.is_fault() && second.1.is_fault() { second } else { first }
}
