//! Which worker takes a connection.
//!
//! The kernel spreads connections over the workers' listeners by chance. Of many that come and go that is even enough; of ten
//! that stay, one of two workers often has seven, and for as long as they live. So a worker that has more than its share
//! hands a connection over before it has read a byte of it:
//!
//! ```text
//! accepted --> even enough? --yes--> here
//!                   |no
//!                   +--> mailbox of the worker with the fewest        full: here, all the same
//! ```
//!
//! Workers see nothing of each other but how many connections each has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::ring::listener::Accepted;

/// Connections that may wait for a worker to take them.
const MAILBOX: usize = 64;

/// One in so many that a worker has may be more than the one with the fewest has: what chance alone evens out is not worth
/// waking another thread for.
const TOLERANCE: usize = 8;

/// A worker's part in sharing connections out.
#[derive(Debug)]
pub struct Share {
    /// Where it hands over to.
    pub(super) balance: Balance,
    /// What it is handed.
    pub(super) mailbox: Receiver<Accepted>,
}

/// The workers as one of them sees them.
#[derive(Debug)]
pub(super) struct Balance {
    own: Load,
    mailboxes: Arc<[Sender<Accepted>]>,
}

/// How many connections each worker has, and whose are meant.
#[derive(Clone, Debug)]
pub(super) struct Load {
    all: Arc<[AtomicUsize]>,
    index: usize,
}

/// How a connection was handed over, or was not.
#[derive(Debug)]
pub(super) enum Handed {
    /// Another worker has it.
    Over,
    /// It stays: nobody has few enough.
    Kept(Accepted),
    /// It stays: the mailbox is full.
    Full(Accepted),
}

/// A share for each of so many workers.
pub fn shares(workers: usize) -> Vec<Share> {
    let all: Arc<[AtomicUsize]> = (0..workers).map(|_| AtomicUsize::new(0)).collect();
    let (senders, mailboxes): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(MAILBOX)).unzip();
    let senders: Arc<[_]> = senders.into();
    let share = |(index, mailbox)| {
        let own = Load { all: Arc::clone(&all), index };
        Share { balance: Balance { own, mailboxes: Arc::clone(&senders) }, mailbox }
    };
    mailboxes.into_iter().enumerate().map(share).collect()
}

impl Balance {
    /// This worker's own load.
    pub(super) fn load(&self) -> &Load {
        &self.own
    }

    /// Hands `accepted` over if another worker should have it. No worker should have more than `bound`.
    pub(super) fn hand_over(&self, accepted: Accepted, bound: usize) -> Handed {
        let Some(other) = self.own.lighter(bound) else { return Handed::Kept(accepted) };
        // Counted before it is there, so that a crowd that comes at once does not go to the same worker.
        other.add();
        match self.mailboxes[other.index].try_send(accepted) {
            Ok(()) => Handed::Over,
            Err(error) => {
                other.sub();
                Handed::Full(error.into_inner())
            }
        }
    }
}

impl Load {
    /// One more.
    pub(super) fn add(&self) {
        self.all[self.index].fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub(super) fn sub(&self) {
        self.all[self.index].fetch_sub(1, Ordering::Relaxed);
    }

    /// The worker that should have a connection rather than this one.
    fn lighter(&self, bound: usize) -> Option<Self> {
        let of = |index: usize| self.all[index].load(Ordering::Relaxed);
        let index = (0..self.all.len()).min_by_key(|index| of(*index))?;
        let (own, fewest) = (of(self.index), of(index));
        let is_uneven = own > fewest + fewest / TOLERANCE;
        let is_full = own >= bound && fewest < bound;
        (is_uneven || is_full).then(|| Self { all: Arc::clone(&self.all), index })
    }
}

#[cfg(test)]
mod tests;
