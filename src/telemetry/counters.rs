//! Counters with a single writer each.
//!
//! A worker adds to its own [`Counters`] with a plain load and store: no locked instruction on the hot path. The
//! control thread reads all workers' counters and sums them; a value it reads is at most one batch old.

use std::sync::atomic::{AtomicU64, Ordering};

use super::reason::Reason;

/// A count that one thread writes and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Call this from the owning thread only: two writers would lose counts (they would not do harm).
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Takes `n` off. For gauges; same rule as [`add`](Self::add).
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(n), Ordering::Relaxed);
    }

    /// What has been counted.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one direction has carried.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Frames relayed.
    pub frames: Counter,
    /// Data messages relayed.
    pub messages: Counter,
    /// Bytes of frames relayed, before TLS.
    pub bytes: Counter,
}

/// One worker's counters.
#[derive(Debug)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Sockets held now, opening ones included (gauge).
    pub held: Counter,
    /// Connections relayed now (gauge).
    pub open: Counter,
    /// Handshakes that got their 101.
    pub opened: Counter,
    /// Handshakes refused, by reason (index: position in [`Reason::ALL`]).
    pub refused: [Counter; Reason::ALL.len()],
    /// Connections ended.
    pub ended: Counter,
    /// Connections ended because a frame broke a rule.
    pub violations: Counter,
    /// From clients to the app.
    pub from_client: Traffic,
    /// From the app to clients.
    pub from_app: Traffic,
    /// Times a connection had to wait for a buffer because the pool was at its bound.
    pub lease_waits: Counter,
    /// Times accepting paused because the connection bound or a resource limit was reached.
    pub accept_pauses: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            accepted: Counter::default(),
            held: Counter::default(),
            open: Counter::default(),
            opened: Counter::default(),
            refused: [const { Counter(AtomicU64::new(0)) }; Reason::ALL.len()],
            ended: Counter::default(),
            violations: Counter::default(),
            from_client: Traffic::default(),
            from_app: Traffic::default(),
            lease_waits: Counter::default(),
            accept_pauses: Counter::default(),
        }
    }
}

impl Counters {
    /// The counter of handshakes refused for `reason`.
    pub fn refused(&self, reason: Reason) -> &Counter {
        &self.refused[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::Counters;
    use crate::telemetry::reason::Reason;

    #[test]
    fn each_reason_has_its_own_counter() {
        let counters = Counters::default();
        for (n, &reason) in (1..).zip(Reason::ALL) {
            counters.refused(reason).add(n);
        }
        for (n, &reason) in (1..).zip(Reason::ALL) {
            assert_eq!(counters.refused(reason).get(), n, "{reason}");
        }
    }
}
