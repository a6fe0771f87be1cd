//! Counters with a single writer each.
//!
//! A worker adds to its own [`Counters`] with a plain load and store: no locked instruction on the hot path. The
//! control thread reads all workers' counters and sums them; a value it reads is at most one batch old.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

use super::end::{By, Why};
use super::reason::Reason;
use crate::peer::Side;

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
    /// Of those, the ones compressed by permessage-deflate.
    pub compressed: Counter,
    /// Bytes of frames relayed, before TLS.
    pub bytes: Counter,
}

/// A counter for each member of a closed list, by its place there.
#[derive(Debug)]
struct Each<const N: usize>([Counter; N]);

impl<const N: usize> Default for Each<N> {
    fn default() -> Self {
        Self(array::from_fn(|_| Counter::default()))
    }
}

/// One worker's counters.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Sockets held now, opening ones included (gauge).
    pub held: Counter,
    /// Connections relayed now (gauge).
    pub open: Counter,
    /// Handshakes that got their 101.
    pub opened: Counter,
    /// Handshakes refused, by [`Reason`].
    refused: Each<{ Reason::ALL.len() }>,
    /// Connections ended, by [`By`] and [`Why`].
    ended: [Each<{ Why::ALL.len() }>; By::ALL.len()],
    /// From clients to the app.
    pub from_client: Traffic,
    /// From the app to clients.
    pub from_app: Traffic,
    /// Keepalive Pings of ours, by the [`Side`] they went to.
    pings: [Counter; 2],
    /// Those that were answered by a Pong, by the [`Side`] it came from.
    pongs: [Counter; 2],
    /// Times reading from a client paused because it was over a rate.
    pub throttled: Counter,
    /// Times a connection had to wait for a buffer because the pool was at its bound.
    pub lease_waits: Counter,
    /// Times accepting paused because the connection bound or a resource limit was reached.
    pub accept_pauses: Counter,
}

impl Counters {
    /// The counter of handshakes refused for `reason`.
    pub fn refused(&self, reason: Reason) -> &Counter {
        &self.refused.0[reason as usize]
    }

    /// The counter of connections that `by` ended because of `why`, who is one of [`Why::by`]: metrics show no other.
    pub fn ended(&self, by: By, why: Why) -> &Counter {
        debug_assert!(why.by().contains(&by), "{why:?} by {by:?}");
        &self.ended[by.index()].0[why.index()]
    }

    /// The counter of our keepalive Pings to `to`.
    pub fn pings(&self, to: Side) -> &Counter {
        &self.pings[to as usize]
    }

    /// The counter of the Pongs by which `from` answered our keepalive Pings.
    pub fn pongs(&self, from: Side) -> &Counter {
        &self.pongs[from as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::Counters;
    use crate::peer::Side;
    use crate::telemetry::end::Why;
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

    #[test]
    fn each_end_has_its_own_counter() {
        let counters = Counters::default();
        let ends = || Why::ALL.into_iter().flat_map(|why| why.by().iter().map(move |&by| (by, why)));
        for (n, (by, why)) in (1..).zip(ends()) {
            counters.ended(by, why).add(n);
        }
        for (n, (by, why)) in (1..).zip(ends()) {
            assert_eq!(counters.ended(by, why).get(), n, "{by:?} {why:?}");
        }
    }

    #[test]
    fn pings_and_pongs_of_the_sides_are_apart() {
        let counters = Counters::default();
        counters.pings(Side::Client).add(1);
        counters.pings(Side::App).add(2);
        counters.pongs(Side::Client).add(3);
        counters.pongs(Side::App).add(4);
        let of = |side| [counters.pings(side).get(), counters.pongs(side).get()];
        assert_eq!([of(Side::Client), of(Side::App)], [[1, 3], [2, 4]]);
    }
}
