//! The subjects of tokens, each with the buckets that all its connections share.
//!
//! A connection [joins](Subjects::join) its subject when it opens and leaves when its [`Membership`] is dropped. Only
//! then is a lock taken; in between a connection goes to its buckets directly.
//!
//! ```text
//!            first connection opens            last connection leaves
//!  (unknown) ----------------------> in use --------------------------> idle
//!      ^                                ^       a connection opens       |
//!      |                                +--------------------------------+
//!      +---- its buckets are full again, or too many are idle -----------+
//! ```
//!
//! An idle subject keeps its used allowance: closing and opening again does not refill it. Its buckets stand still,
//! so the time when they will be full is known as soon as it is idle, and it is forgotten after that, by a later
//! connection that opens. At most [`IDLE`] subjects are idle; the one that is full first makes room, which forgives
//! the least. Subjects in use are never dropped; there are no more of them than connections.
//!
//! A subject is known by 128 bits of keyed hash. So it takes the same little memory however long it is, and is not
//! kept in clear. That two among a million share a bucket has a chance of less than one in 10^26, and nobody who does
//! not know this process' keys can aim at it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::bucket::SharedBucket;

/// Most subjects without a connection that are remembered.
pub const IDLE: usize = 16_384;

/// Most subjects that are forgotten when a connection opens. It adds one at the most, so what is due runs out.
const FORGOTTEN_AT_ONCE: usize = 2;

/// Every subject that has a connection or a used allowance.
pub struct Subjects {
    keys: [RandomState; 2],
    known: Mutex<Known>,
}

/// How many subjects there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// With a connection.
    pub in_use: usize,
    /// Without one, remembered for the allowance they have used. At most [`IDLE`].
    pub idle: usize,
    /// Forgotten so far because too many were idle, possibly before their allowance was full again.
    pub crowded_out: u64,
}

/// One connection's share in its subject's buckets; it leaves when dropped.
pub struct Membership {
    subjects: Arc<Subjects>,
    key: Key,
    buckets: Arc<Buckets>,
}

type Key = u128;

#[derive(Debug)]
struct Buckets {
    messages: SharedBucket,
    bytes: SharedBucket,
}

#[derive(Default)]
struct Known {
    places: HashMap<Key, Place>,
    /// The places without members, by the time when their buckets are full.
    idle: BTreeSet<(Instant, Key)>,
    crowded_out: u64,
}

struct Place {
    members: usize,
    buckets: Arc<Buckets>,
}

impl Subjects {
    /// Nobody is known yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { keys: [RandomState::new(), RandomState::new()], known: Mutex::default() })
    }

    /// One more connection of `subject`.
    pub fn join(self: &Arc<Self>, subject: &str, now: Instant) -> Membership {
        let [high, low] = self.keys.each_ref().map(|key| u128::from(key.hash_one(subject)));
        let key = (high << u64::BITS) | low;
        let mut known = self.known();
        known.forget(now);
        let buckets = known.enter(key, now);
        Membership { subjects: Arc::clone(self), key, buckets }
    }

    /// How many there are.
    pub fn census(&self) -> Census {
        let known = self.known();
        let idle = known.idle.len();
        Census { in_use: known.places.len() - idle, idle, crowded_out: known.crowded_out }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No code that can panic runs under the lock, so what is known is whole even when it is poisoned.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Forgets some who are as good as new.
    fn forget(&mut self, now: Instant) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.idle.first() {
                Some((full_at, _)) if *full_at <= now => self.forget_first(),
                _ => break,
            }
        }
    }

    /// Forgets the idle one that is full first.
    fn forget_first(&mut self) {
        if let Some((_, key)) = self.idle.pop_first() {
            self.places.remove(&key);
        }
    }

    /// One more member at the place of `key`.
    fn enter(&mut self, key: Key, now: Instant) -> Arc<Buckets> {
        let place = match self.places.entry(key) {
            Entry::Occupied(place) => place.into_mut(),
            Entry::Vacant(place) => place.insert(Place { members: 0, buckets: Arc::new(Buckets::new(now)) }),
        };
        if place.members == 0 {
            self.idle.remove(&(place.buckets.full_at(), key));
        }
        place.members += 1;
        Arc::clone(&place.buckets)
    }

    /// One member fewer at the place of `key`.
    fn leave(&mut self, key: Key) {
        let Some(place) = self.places.get_mut(&key) else { return };
        place.members = place.members.saturating_sub(1);
        if place.members > 0 {
            return;
        }
        self.idle.insert((place.buckets.full_at(), key));
        if self.idle.len() > IDLE {
            self.forget_first();
            self.crowded_out += 1;
        }
    }
}

impl Buckets {
    const fn new(now: Instant) -> Self {
        Self { messages: SharedBucket::new(now), bytes: SharedBucket::new(now) }
    }

    /// When both are full. Does not change without members: each has taken for the last time before it leaves.
    fn full_at(&self) -> Instant {
        self.messages.full_at().max(self.bytes.full_at())
    }
}

impl Membership {
    /// The subject's bucket for messages.
    pub fn messages(&self) -> &SharedBucket {
        &self.buckets.messages
    }

    /// The subject's bucket for bytes.
    pub fn bytes(&self) -> &SharedBucket {
        &self.buckets.bytes
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.subjects.known().leave(self.key);
    }
}

impl fmt::Debug for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subjects").field(&self.census()).finish()
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("buckets", &self.buckets).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
