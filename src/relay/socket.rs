//! One side's socket, and what is going on at it.

use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::ring::lease::Lease;
use crate::ring::stream::Stream;
use crate::telemetry::counter::Counter;
use crate::telemetry::counters::{PROMPT, Toward};

pub(super) struct Socket {
    pub(super) stream: Stream,
    /// Since when a send toward it has made no progress.
    pub(super) sending: Cell<Option<Instant>>,
    /// Whether it would be heard: its pump waits for it, and for nothing else.
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

    /// Sends all that is filled in `lease`, beginning `now`. What waits meanwhile is counted, and for how long. Returns how
    /// long that was.
    ///
    /// The one place for this, because its future is part of every idle connection: a function around it would double it.
    pub(super) async fn send(&self, mut lease: Lease, now: Instant, toward: &Toward) -> io::Result<Duration> {
        self.sending.set(Some(now));
        self.queue(&lease, &toward.queued);
        loop {
            let (result, rest) = self.stream.send(lease).await;
            lease = rest;
            let took = now.elapsed();
            let is_over = lease.is_empty() || result.is_err();
            if is_over && took > PROMPT {
                toward.backpressure.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            }
            result?;
            self.queue(&lease, &toward.queued);
            if is_over {
                self.sending.set(None);
                return Ok(took);
            }
            self.sending.set(Some(now + took));
        }
    }

    /// What is filled in `lease` is all that waits.
    fn queue(&self, lease: &Lease, queued: &Counter) {
        let waits = u32::try_from(lease.bytes().len()).unwrap_or(u32::MAX);
        let waited = self.queued.replace(waits);
        queued.sub(waited.into());
        queued.add(waits.into());
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
