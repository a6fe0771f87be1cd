//! The bounded way from the workers to the exporter.
//!
//! Once per handshake and once per connection, never per frame. A full queue drops the event and counts it: a
//! slow log or collector never slows a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::names::Queue;
use super::record::Event;

/// Events that may wait for the exporter.
pub const QUEUE: usize = 8192;

/// The workers' end.
#[derive(Clone, Debug)]
pub struct Reporter {
    queue: SyncSender<Event>,
    backlog: Backlog,
}

/// The exporter's end.
#[derive(Debug)]
pub struct Events {
    queue: Receiver<Event>,
    backlog: Backlog,
}

/// How full the queue is, to look at without being a worker: the exporter ends when the last reporter is gone.
#[derive(Clone, Debug, Default)]
pub struct Backlog(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicU64,
    dropped: AtomicU64,
}

/// A queue of at most [`QUEUE`] events.
pub fn channel() -> (Reporter, Events) {
    let (queue, events) = sync_channel(QUEUE);
    let backlog = Backlog::default();
    (Reporter { queue, backlog: backlog.clone() }, Events { queue: events, backlog })
}

impl Reporter {
    /// Hands `event` over, or drops and counts it when the queue is full or its reader is gone.
    pub fn report(&self, event: Event) {
        let Counts { waiting, dropped } = &*self.backlog.0;
        // Counted first, so that the reader never takes one more than there are.
        waiting.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                waiting.fetch_sub(1, Ordering::Relaxed);
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Events dropped so far.
    pub fn dropped(&self) -> u64 {
        self.backlog.figures().dropped
    }

    /// How full the queue is.
    pub fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }
}

impl Events {
    /// The next event; waits for it no longer than `within`.
    pub fn next(&self, within: Duration) -> Result<Event, RecvTimeoutError> {
        let event = self.queue.recv_timeout(within)?;
        self.backlog.0.waiting.fetch_sub(1, Ordering::Relaxed);
        Ok(event)
    }
}

impl Backlog {
    /// What waits, how much may, and what was dropped.
    pub fn figures(&self) -> Queue {
        let Counts { waiting, dropped } = &*self.0;
        let waiting = waiting.load(Ordering::Relaxed);
        Queue { waiting, limit: QUEUE as u64, dropped: dropped.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{QUEUE, channel};
    use crate::peer::Peer;
    use crate::telemetry::record::{ConnectionId, Event, Handshake};
    use crate::telemetry::trace::{Ids, Sampler, Span};

    #[test]
    fn what_finds_no_room_or_no_reader_is_counted() {
        let span = Span::handshake(None, Sampler::ratio(1.0), &mut Ids::from_seed(1));
        let client = Peer::new(([192, 0, 2, 7], 50_123).into());
        let event = Event::Handshake(Box::new(Handshake::begin(ConnectionId(1), client, span, SystemTime::UNIX_EPOCH)));
        let (reporter, events) = channel();
        let other_worker = reporter.clone();
        (0..QUEUE).for_each(|_| reporter.report(event.clone()));
        assert_eq!(reporter.dropped(), 0);
        other_worker.report(event.clone());
        assert_eq!(reporter.dropped(), 1);
        let full = other_worker.backlog().figures();
        assert_eq!((full.waiting, full.limit, full.dropped), (QUEUE as u64, QUEUE as u64, 1));
        (0..QUEUE).for_each(|_| drop(events.next(Duration::ZERO).expect("one of them")));
        assert!(events.next(Duration::ZERO).is_err());
        assert_eq!(reporter.backlog().figures().waiting, 0);
        drop(events);
        reporter.report(event);
        assert_eq!(other_worker.dropped(), 2);
        assert_eq!(other_worker.backlog().figures().waiting, 0);
    }
}
