//! Where a pool keeps its buffers.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tokio::sync::Notify;

use super::usage::{self, Usage};

/// Size of every buffer in bytes: 64 KiB of payload, and 4 KiB for what stands before and between it.
pub const CAPACITY: usize = 68 << 10;

/// Returned buffers kept for the next borrower (8.5 MiB). A worker with a hundred busy connections lends as many at a
/// time; freeing and making them anew showed as a seventh of its time.
pub(super) const KEPT: usize = 128;

/// The buffers of a worker that are not lent, and how many are.
pub(super) struct Shelf {
    free: RefCell<Vec<Box<[u8]>>>,
    lent: Cell<usize>,
    bound: usize,
    waiting: Cell<usize>,
    returned: Notify,
    usage: Arc<Usage>,
}

impl Shelf {
    /// A shelf that gives out at most `bound` buffers at a time.
    pub(super) fn new(bound: usize) -> Self {
        Self {
            free: RefCell::default(),
            lent: Cell::new(0),
            bound,
            waiting: Cell::new(0),
            returned: Notify::new(),
            usage: usage::of_this_thread(),
        }
    }

    /// A buffer, if the bound allows one more.
    pub(super) fn take(&self) -> Option<Box<[u8]>> {
        if self.lent.get() >= self.bound {
            return None;
        }
        self.lent.set(self.lent.get() + 1);
        self.usage.count_lent(true);
        Some(self.free.borrow_mut().pop().unwrap_or_else(|| vec![0; CAPACITY].into_boxed_slice()))
    }

    /// Takes a buffer back, and wakes who has waited longest.
    pub(super) fn put_back(&self, mut buf: Box<[u8]>) {
        self.lent.set(self.lent.get() - 1);
        self.usage.count_lent(false);
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT {
            free.push(buf);
        } else {
            vacate(&mut buf);
        }
        drop(free);
        if self.is_waited_for() {
            self.returned.notify_one();
        }
    }

    /// A buffer as soon as one comes back.
    pub(super) async fn wait(&self) -> Box<[u8]> {
        let _waiting = Waiting::enter(&self.waiting);
        loop {
            self.returned.notified().await;
            if let Some(buf) = self.take() {
                return buf;
            }
        }
    }

    /// Whether somebody waits: who comes now must wait behind.
    pub(super) const fn is_waited_for(&self) -> bool {
        self.waiting.get() > 0
    }

    /// How many buffers are lent.
    pub(super) const fn lent(&self) -> usize {
        self.lent.get()
    }

    /// How many buffers may be lent at a time.
    pub(super) const fn bound(&self) -> usize {
        self.bound
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free.borrow().len()
    }
}

/// Gives the memory under `buf`, which is about to be freed, back to the system.
///
/// The allocator alone would not: it returns only what lies above everything still in use, and after a burst that is
/// next to nothing.
fn vacate(buf: &mut [u8]) {
    let page = rustix::param::page_size();
    let start = buf.as_ptr().align_offset(page);
    let Some(pages) = buf.get_mut(start..) else { return };
    let len = pages.len() / page * page;
    #[expect(unsafe_code, reason = "the system is told by address")]
    // SAFETY: `pages` begins at a page, its first `len` bytes are whole pages, and nobody else may use them while it is
    // borrowed. Their bytes become zeros, which are bytes as good as any.
    let vacated = unsafe { rustix::mm::madvise(pages.as_mut_ptr().cast(), len, rustix::mm::Advice::LinuxDontNeed) };
    // Locked memory stays where it is; it is freed all the same.
    let _ = vacated;
}

/// Counts a waiting borrower, also when its future is dropped.
struct Waiting<'s>(&'s Cell<usize>);

impl<'s> Waiting<'s> {
    fn enter(waiting: &'s Cell<usize>) -> Self {
        waiting.set(waiting.get() + 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
