//! The latest ends and refusals, for whoever asks why somebody is gone.
//!
//! The export thread writes, whatever the log leaves out; the admin endpoint reads. Who floods us with requests that
//! are refused does not push the ends out, nor the other way round: of the kind that is more, the oldest goes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::peer::Peer;
use crate::telemetry::end::End;
use crate::telemetry::reason::Reason;
use crate::telemetry::record::{ConnectionId, Event, Outcome};
use crate::telemetry::trace::TraceId;

/// How many are kept.
pub const KEPT: usize = 64;

/// The latest ends and refusals. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<VecDeque<Gone>>>);

/// Somebody who is gone.
#[derive(Clone, Debug)]
pub struct Gone {
    /// When.
    pub at: SystemTime,
    /// Number of the connection.
    pub id: ConnectionId,
    /// Where the client connected from.
    pub client: Peer,
    /// The token's subject.
    pub subject: Option<String>,
    /// The trace it belongs to.
    pub trace: TraceId,
    /// How long it was here: from the 101 to the end, or from accept to the refusal.
    pub took: Duration,
    /// How it went.
    pub how: How,
}

/// How somebody went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Its connection was relayed, and has ended so.
    Ended(End),
    /// It got no 101.
    Refused {
        /// Why.
        reason: Reason,
        /// The HTTP status it got, if it got any.
        status: Option<u16>,
        /// What an operator may want to know beyond the reason.
        detail: Option<String>,
    },
}

impl Recent {
    /// Keeps what the event says of somebody who is gone.
    pub(super) fn note(&self, event: &Event) {
        let Some(gone) = gone(event) else { return };
        let mut kept = self.kept();
        kept.push_back(gone);
        if kept.len() > KEPT {
            let ends = kept.iter().filter(|gone| gone.is_end()).count();
            let of_ends = ends > KEPT / 2;
            if let Some(oldest) = kept.iter().position(|gone| gone.is_end() == of_ends) {
                kept.remove(oldest);
            }
        }
    }

    /// All that are kept, the newest first.
    pub fn latest(&self) -> Vec<Gone> {
        self.kept().iter().rev().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Gone>> {
        // Nobody panics while holding it, and if, what is kept is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gone {
    /// Whether it had its 101.
    pub const fn is_end(&self) -> bool {
        matches!(self.how, How::Ended(_))
    }
}

fn gone(event: &Event) -> Option<Gone> {
    match event {
        Event::Handshake(handshake) => {
            let Outcome::Refused { reason, status } = handshake.outcome else { return None };
            Some(Gone {
                at: after(handshake.started, handshake.took),
                id: handshake.id,
                client: handshake.client,
                subject: handshake.subject.clone(),
                trace: handshake.span.trace,
                took: handshake.took,
                how: How::Refused { reason, status, detail: handshake.detail.clone() },
            })
        }
        Event::Connection(connection) => Some(Gone {
            at: after(connection.started, connection.took),
            id: connection.id,
            client: connection.client,
            subject: connection.subject.clone(),
            trace: connection.span.trace,
            took: connection.took,
            how: How::Ended(connection.end),
        }),
        Event::Checkpoint(_) | Event::Message(_) => None,
    }
}

fn after(started: SystemTime, took: Duration) -> SystemTime {
    started.checked_add(took).unwrap_or(started)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::export::example;
    use super::{How, KEPT, Recent};
    use crate::telemetry::end::{By, Why};
    use crate::telemetry::reason::Reason;
    use crate::telemetry::record::{ConnectionId, Event, Outcome};

    fn end(number: u64) -> Event {
        let mut connection = example::connection(By::App, Why::Reset);
        connection.id = ConnectionId(number);
        Event::Connection(Box::new(connection))
    }

    fn handshake(number: u64, outcome: Outcome) -> Event {
        let mut handshake = example::handshake(outcome);
        handshake.id = ConnectionId(number);
        Event::Handshake(Box::new(handshake))
    }

    fn refusal(number: u64) -> Event {
        handshake(number, Outcome::Refused { reason: Reason::TokenExpired, status: Some(401) })
    }

    fn numbers(recent: &Recent) -> Vec<u64> {
        recent.latest().iter().map(|gone| gone.id.0).collect()
    }

    #[test]
    fn the_newest_comes_first_and_the_oldest_goes() {
        let recent = Recent::default();
        (0..100).for_each(|number| recent.note(&end(number)));
        assert_eq!(numbers(&recent), (100 - KEPT as u64..100).rev().collect::<Vec<_>>());
    }

    #[test]
    fn who_got_in_is_not_gone() {
        let recent = Recent::default();
        recent.note(&handshake(1, Outcome::Opened));
        assert_eq!(numbers(&recent), [0; 0]);
        recent.note(&refusal(1));
        recent.note(&end(2));
        let [ended, refused] = recent.latest().try_into().expect("two");
        assert_eq!((ended.id.0, ended.at), (2, example::started() + Duration::from_secs(3600)));
        let reason = Reason::TokenExpired;
        assert_eq!(refused.how, How::Refused { reason, status: Some(401), detail: None });
        assert_eq!(refused.subject.as_deref(), Some("alice"));
    }

    #[test]
    fn a_flood_of_one_kind_leaves_the_other() {
        let recent = Recent::default();
        (0..40).for_each(|number| recent.note(&end(number)));
        (100..1100).for_each(|number| recent.note(&refusal(number)));
        let (refusals, ends): (Vec<_>, Vec<_>) = numbers(&recent).into_iter().partition(|number| *number >= 100);
        assert_eq!(refusals, (1068..1100).rev().collect::<Vec<_>>());
        assert_eq!(ends, (8..40).rev().collect::<Vec<_>>());
        (40..100).for_each(|number| recent.note(&end(number)));
        assert_eq!(numbers(&recent)[..32], (68..100).rev().collect::<Vec<_>>());
    }
}
