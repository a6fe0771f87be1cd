//! Token buckets: for one connection, and for connections on many threads.
//!
//! A bucket does not know its rate. It holds a time, not an amount, so a new configuration applies to an old bucket
//! without anything to convert.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Action, Rate};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// More than the allowance covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than the rate allows")]
pub struct Exceeded;

/// The bucket of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// When the allowance is or was full.
    full_at: Instant,
}

/// A bucket that many threads take from.
#[derive(Debug)]
pub struct SharedBucket {
    epoch: Instant,
    /// When the allowance is or was full: nanoseconds after `epoch`, at most the 584 years that 64 bits count.
    full_at: AtomicU64,
}

impl Bucket {
    /// A full bucket.
    pub const fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes `n` units. Returns how long to wait until more may be taken: always zero with [`Action::Close`]. Taking
    /// zero units always works and asks just that.
    ///
    /// # Errors
    /// With [`Action::Close`], when the allowance does not cover `n` and is not full either. Nothing is taken then.
    pub fn take(&mut self, rate: &Rate, action: Action, n: u64, now: Instant) -> Result<Duration, Exceeded> {
        let used = rate.charge(action, n, self.full_at.saturating_duration_since(now))?;
        // A time that cannot be counted is hundreds of billions of years away; the last one that could has to do.
        if let Some(full_at) = now.checked_add(used) {
            self.full_at = full_at;
        }
        Ok(rate.wait(action, used))
    }
}

impl SharedBucket {
    /// A full bucket.
    pub const fn new(now: Instant) -> Self {
        Self { epoch: now, full_at: AtomicU64::new(0) }
    }

    /// As [`Bucket::take`]. A `now` of before the bucket was made counts as the time it was made.
    ///
    /// # Errors
    /// As [`Bucket::take`].
    pub fn take(&self, rate: &Rate, action: Action, n: u64, now: Instant) -> Result<Duration, Exceeded> {
        let now = nanos(now.saturating_duration_since(self.epoch));
        // Relaxed is enough: the bucket is this one cell, it publishes nothing else, and the changes of one cell
        // have one order that all threads see. Each starts from the last, so none is lost.
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let used = rate.charge(action, n, Duration::from_nanos(full_at.saturating_sub(now)))?;
            let next = now.saturating_add(nanos(used));
            // Who only asks does not take the cache line from the others.
            if n == 0 {
                return Ok(rate.wait(action, used));
            }
            match self.full_at.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(rate.wait(action, used)),
                Err(newer) => full_at = newer,
            }
        }
    }

    /// When the allowance is or was full. From then on the bucket is as good as new, if nobody takes from it.
    pub fn full_at(&self) -> Instant {
        let after = Duration::from_nanos(self.full_at.load(Ordering::Relaxed));
        self.epoch.checked_add(after).unwrap_or(self.epoch)
    }
}

impl Rate {
    /// Given how much of the allowance is used, how much is when `n` more units are taken. Amounts are given as the
    /// time in which they grow again.
    fn charge(&self, action: Action, n: u64, used: Duration) -> Result<Duration, Exceeded> {
        let after = used.saturating_add(self.time_for(n));
        let is_covered = after <= self.burst || used.is_zero() || n == 0;
        match action {
            Action::Close if !is_covered => Err(Exceeded),
            Action::Close | Action::Throttle => Ok(after),
        }
    }

    /// How long to wait when so much is used.
    fn wait(&self, action: Action, used: Duration) -> Duration {
        match action {
            Action::Close => Duration::ZERO,
            Action::Throttle => used.saturating_sub(self.burst),
        }
    }

    /// The time in which the allowance grows by `n`.
    ///
    /// Rounded down, or three units of 333,333,333.3 ns would not fit into a second; but something is never free.
    fn time_for(&self, n: u64) -> Duration {
        let time = u128::from(n) * NANOS_PER_SECOND / u128::from(self.per_second.get());
        Duration::from_nanos(u64::try_from(time).unwrap_or(u64::MAX).max(n.min(1)))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
