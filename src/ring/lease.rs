//! A buffer lent from the pool.

use std::fmt;
use std::ops::Range;
use std::rc::Rc;

pub use super::shelf::CAPACITY;
use super::shelf::Shelf;
use crate::window::Window;

/// A buffer with some filled bytes in it. It goes back to its pool when dropped.
///
/// - While an operation is in flight, the operation owns the lease.
/// - When the future of that operation is dropped, the lease stays with the ring until the kernel's completion.
/// - A lease that comes back finds its shelf there: it holds a reference to it.
pub struct Lease {
    // Empty only while being dropped.
    buf: Box<[u8]>,
    filled: Range<usize>,
    shelf: Rc<Shelf>,
}

impl Lease {
    pub(super) fn new(buf: Box<[u8]>, shelf: Rc<Shelf>) -> Self {
        debug_assert_eq!(buf.len(), CAPACITY);
        Self { buf, filled: 0..0, shelf }
    }

    /// The filled bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buf[self.filled.clone()]
    }

    /// The filled bytes and the room around them.
    pub fn window(&mut self) -> Window<'_> {
        Window::new(&mut self.buf, &mut self.filled)
    }

    /// Forgets what is filled; the next bytes will be put at `at`.
    ///
    /// # Panics
    /// When `at` is not inside the lease.
    pub fn start_at(&mut self, at: usize) {
        assert!(at <= CAPACITY, "start outside the lease");
        self.filled = at..at;
    }

    /// Puts `bytes` behind the filled ones.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn append(&mut self, bytes: &[u8]) {
        self.spare(bytes.len()).copy_from_slice(bytes);
        self.filled.end += bytes.len();
    }

    /// Up to `limit` free bytes behind the filled ones.
    pub fn spare(&mut self, limit: usize) -> &mut [u8] {
        let end = CAPACITY.min(self.filled.end.saturating_add(limit));
        &mut self.buf[self.filled.end..end]
    }

    /// Counts the first `n` bytes of [`spare`](Self::spare) as filled.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn fill(&mut self, n: usize) {
        assert!(n <= CAPACITY - self.filled.end, "filled past the end of the lease");
        self.filled.end += n;
    }

    /// Splits at `at`: what lies before, to write into, and the filled bytes, which must lie behind. Then
    /// [`replace`](Self::replace) says what counts as filled instead.
    ///
    /// # Panics
    /// When filled bytes lie before `at`.
    pub fn split_at(&mut self, at: usize) -> (&mut [u8], &mut [u8]) {
        assert!(at <= self.filled.start, "filled bytes before the split");
        let (front, back) = self.buf.split_at_mut(at);
        (front, &mut back[self.filled.start - at..self.filled.end - at])
    }

    /// Makes `filled` the filled bytes.
    ///
    /// # Panics
    /// When `filled` is not inside the lease.
    pub fn replace(&mut self, filled: Range<usize>) {
        assert!(filled.start <= filled.end && filled.end <= CAPACITY, "filled outside the lease");
        self.filled = filled;
    }

    /// Drops the first `n` filled bytes.
    ///
    /// # Panics
    /// When fewer are filled.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.filled.len(), "consumed more than is filled");
        self.filled.start += n;
    }

    /// Whether nothing is filled.
    pub fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shelf.put_back(std::mem::take(&mut self.buf));
    }
}

impl fmt::Debug for Lease {
    /// Says how much is filled, never with what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("filled", &self.filled).finish_non_exhaustive()
    }
}
