//! The bounded way from the workers to the exporter.
//!
//! Once per handshake and once per connection, never per frame. A full queue drops the event and counts it: a
//! slow log or collector never slows a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::record::Event;

/// Events that may wait for the exporter.
pub const QUEUE: usize = 8192;

/// The workers' end.
#[derive(Clone, Debug)]
pub struct Reporter {
    queue: SyncSender<Event>,
    dropped: Arc<AtomicU64>,
}

/// A queue of at most [`QUEUE`] events.
pub fn channel() -> (Reporter, Receiver<Event>) {
    let (queue, events) = sync_channel(QUEUE);
    (Reporter { queue, dropped: Arc::default() }, events)
}

impl Reporter {
    /// Hands `event` over, or drops and counts it when the queue is full or its reader is gone.
    pub fn report(&self, event: Event) {
        match self.queue.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Events dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Where the events dropped are counted, to look at without being a worker: the exporter ends when the last
    /// reporter is gone.
    pub fn drops(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

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
        assert_eq!(events.try_iter().count(), QUEUE);
        drop(events);
        reporter.report(event);
        assert_eq!(other_worker.dropped(), 2);
    }
}
