//! One side's socket, and what is going on at it.

use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::time::Instant;

use crate::ring::lease::Lease;
use crate::ring::stream::Stream;

pub(super) struct Socket {
    pub(super) stream: Stream,
    /// Since when a send toward it has made no progress.
    pub(super) sending: Cell<Option<Instant>>,
    /// Whether it would be heard: its pump waits for it, and for nothing else.
    pub(super) listening: Cell<bool>,
    shut: Cell<bool>,
}

impl Socket {
    pub(super) const fn new(stream: Stream) -> Self {
        Self { stream, sending: Cell::new(None), listening: Cell::new(false), shut: Cell::new(false) }
    }

    /// Sends all that is filled in `lease`, beginning `now`.
    pub(super) async fn send(&self, mut lease: Lease, now: Instant) -> io::Result<()> {
        self.sending.set(Some(now));
        while !lease.is_empty() {
            let (result, rest) = self.stream.send(lease).await;
            lease = rest;
            result?;
            if !lease.is_empty() {
                self.sending.set(Some(Instant::now()));
            }
        }
        self.sending.set(None);
        Ok(())
    }

    /// Shuts it, once, because it is of no use any more. That ends what waits for it.
    pub(super) fn shut(&self) {
        if !self.shut.replace(true) {
            // It may be gone already.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}
