//! One side's socket, and what is going on at it.

use std::cell::Cell;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::ring::stream::Stream;
use crate::telemetry::counter::Counter;
use crate::telemetry::counters::{PROMPT, Toward};

pub(super) struct Socket {
    pub(super) stream: Stream,
    /// Since when a send toward it has made no progress.
    pub(super) sending: Cell<Option<Instant>>,
    /// Whether it would be heard: it is waited for, and nothing else keeps us from it.
    pub(super) listening: Cell<bool>,
    shut: Cell<bool>,
    /// Bytes of the send in flight that the kernel has not taken.
    queued: Cell<u32>,
}

impl Socket {
    pub(super) const fn new(stream: Stream) -> Self {
        Self {
            stream,
            sending: Cell::new(None),
            listening: Cell::new(false),
            shut: Cell::new(false),
            queued: Cell::new(0),
        }
    }

    /// A send that began at `began` has so many bytes left `now`, and goes on.
    pub(super) fn progress(&self, left: usize, now: Instant, toward: &Toward) {
        self.sending.set(Some(now));
        self.queue(left, &toward.queued);
    }

    /// A send that took so long is over.
    pub(super) fn sent(&self, took: Duration, toward: &Toward) {
        self.sending.set(None);
        self.queue(0, &toward.queued);
        if took > PROMPT {
            toward.backpressure.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// So many bytes are all that waits.
    fn queue(&self, waits: usize, queued: &Counter) {
        let waits = u32::try_from(waits).unwrap_or(u32::MAX);
        let waited = self.queued.replace(waits);
        if waited != waits {
            queued.sub(waited.into());
            queued.add(waits.into());
        }
    }

    /// Bytes of the send in flight that the kernel has not taken. What a failed send left counts until the end.
    pub(super) fn queued(&self) -> u64 {
        self.queued.get().into()
    }

    /// Shuts it, once, because it is of no use any more. That ends what waits for it.
    pub(super) fn shut(&self) {
        if !self.shut.replace(true) {
            // It may be gone already.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}
