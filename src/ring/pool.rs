//! A worker's buffers.
//!
//! The pool lends at most as many leases as its bound says; who comes later waits its turn, and the wait is
//! counted. Some returned buffers are kept for the next borrower; the memory of the rest of a burst goes back to the
//! system.

use std::fmt;
use std::rc::Rc;

use super::lease::{CAPACITY, Lease};
use super::shelf::Shelf;
use crate::bytesize::ByteSize;

/// Fewest leases of a pool: a connection needs one in each direction.
const FEWEST: usize = 8;

/// How many leases of a pool with so much memory may be lent at a time.
pub fn bound(memory: ByteSize) -> usize {
    (memory.len() / CAPACITY).max(FEWEST)
}

/// Called each time somebody has to wait.
pub type OnWait = Box<dyn Fn()>;

/// The leases of one worker. Not shared between threads.
pub struct Pool {
    shelf: Rc<Shelf>,
    on_wait: OnWait,
}

impl Pool {
    /// A pool that lends at most `memory` bytes at a time, and calls `on_wait` when somebody has to wait.
    pub fn new(memory: ByteSize, on_wait: OnWait) -> Rc<Self> {
        Rc::new(Self { shelf: Rc::new(Shelf::new(bound(memory))), on_wait })
    }

    /// A lease with nothing filled, as soon as one is free.
    pub async fn lend(&self) -> Lease {
        if let Some(lease) = self.lend_now() {
            return lease;
        }
        (self.on_wait)();
        Lease::new(self.shelf.wait().await, Rc::clone(&self.shelf))
    }

    /// A lease with nothing filled, if one is free and nobody waits for it.
    pub fn lend_now(&self) -> Option<Lease> {
        if self.shelf.is_waited_for() { None } else { self.try_lend() }
    }

    /// A lease with nothing filled, if the bound allows one now; does not wait behind others.
    fn try_lend(&self) -> Option<Lease> {
        Some(Lease::new(self.shelf.take()?, Rc::clone(&self.shelf)))
    }

    /// Whether somebody waits for a lease now.
    pub fn is_waited_for(&self) -> bool {
        self.shelf.is_waited_for()
    }

    /// How many leases are lent.
    pub fn lent(&self) -> usize {
        self.shelf.lent()
    }

    /// How many leases may be lent at a time.
    pub fn bound(&self) -> usize {
        self.shelf.bound()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("lent", &self.lent()).field("bound", &self.bound()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::Future;
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};

    use super::{FEWEST, Pool};
    use crate::bytesize::ByteSize;
    use crate::ring::lease::CAPACITY;
    use crate::ring::shelf::KEPT;

    #[test]
    fn lends_up_to_its_bound_and_then_in_turn() {
        let waits = Rc::new(Cell::new(0));
        let seen = Rc::clone(&waits);
        let pool = Pool::new(ByteSize::bytes(1), Box::new(move || seen.set(seen.get() + 1)));
        let mut lent: Vec<_> = (0..FEWEST).map(|_| pool.try_lend().unwrap()).collect();
        assert!(pool.try_lend().is_none());

        let mut waiting = pin!(pool.lend());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(!pool.is_waited_for());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        assert_eq!(waits.get(), 1);
        assert!(pool.is_waited_for());

        lent.pop();
        let Poll::Ready(lease) = waiting.as_mut().poll(&mut cx) else { panic!("a lease came back") };
        assert_eq!((pool.lent(), pool.is_waited_for()), (FEWEST, false));
        drop((lease, lent));
        assert_eq!(pool.lent(), 0);
    }

    #[test]
    fn frees_what_a_burst_left() {
        let pool = Pool::new(ByteSize::bytes(1000 * CAPACITY as u64), Box::new(|| ()));
        let lent: Vec<_> = (0..1000).map(|_| pool.try_lend().unwrap()).collect();
        drop(lent);
        assert_eq!(pool.shelf.free(), KEPT);
    }
}
