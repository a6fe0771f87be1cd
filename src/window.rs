//! A run of bytes inside a larger buffer, with room before and after it.
//!
//! ```text
//!  buf   |....room....|##### filled #####|......spare......|
//!        0          start               end             buf.len()
//! ```
//!
//! Everything between a socket and its other side works on one `Window`: TLS opens records in it, the session
//! cuts from it what may not pass yet and puts back in front what it held, the socket sends what is left. No
//! step needs a second buffer.

use std::ops::Range;

/// Bytes `start..end` of a buffer; `0 <= start <= end <= buf.len()`.
#[derive(Debug)]
pub struct Window<'b> {
    buf: &'b mut [u8],
    filled: &'b mut Range<usize>,
}

impl<'b> Window<'b> {
    /// A window over `filled` of `buf`. Changes to the range are seen by its owner.
    ///
    /// # Panics
    /// When `filled` is not inside `buf`.
    pub fn new(buf: &'b mut [u8], filled: &'b mut Range<usize>) -> Self {
        assert!(filled.start <= filled.end && filled.end <= buf.len(), "window outside its buffer");
        Self { buf, filled }
    }

    /// Number of filled bytes.
    pub fn len(&self) -> usize {
        self.filled.end - self.filled.start
    }

    /// Whether nothing is filled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes free before the filled ones.
    pub fn room(&self) -> usize {
        self.filled.start
    }

    /// The filled bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buf[self.filled.clone()]
    }

    /// The filled bytes, to change in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.filled.clone()]
    }

    /// Drops `n` filled bytes from the front.
    ///
    /// # Panics
    /// When fewer than `n` are filled.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "consumed more than there is");
        self.filled.start += n;
    }

    /// Keeps only the first `n` filled bytes.
    ///
    /// # Panics
    /// When fewer than `n` are filled.
    pub fn truncate(&mut self, n: usize) {
        assert!(n <= self.len(), "truncated to more than there is");
        self.filled.end = self.filled.start + n;
    }

    /// Puts `bytes` in front of the filled ones.
    ///
    /// # Panics
    /// When there is not enough [`room`](Self::room).
    pub fn prepend(&mut self, bytes: &[u8]) {
        let start = self.filled.start.checked_sub(bytes.len()).expect("room for what is put in front");
        self.buf[start..self.filled.start].copy_from_slice(bytes);
        self.filled.start = start;
    }

    /// Takes `range` (relative to the filled bytes) out; what lies behind it moves up.
    ///
    /// # Panics
    /// When `range` is not inside the filled bytes.
    pub fn remove(&mut self, range: Range<usize>) {
        let len = self.len();
        let bytes = self.bytes_mut();
        bytes.copy_within(range.end..len, range.start);
        self.filled.end -= range.len();
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn cuts_and_puts_back() {
        let mut buf = *b"....abcdef..";
        let mut filled = 4..10;
        let mut window = Window::new(&mut buf, &mut filled);
        window.consume(1);
        window.truncate(4);
        assert_eq!(window.bytes(), b"bcde");
        window.prepend(b"xyz");
        assert_eq!(window.bytes(), b"xyzbcde");
        window.remove(1..4);
        assert_eq!(window.bytes(), b"xcde");
        assert_eq!(window.room(), 2);
        assert_eq!(filled, 2..6);
    }

    #[test]
    #[should_panic(expected = "room for what is put in front")]
    fn refuses_to_prepend_without_room() {
        let mut buf = *b"ab";
        let mut filled = 1..2;
        Window::new(&mut buf, &mut filled).prepend(b"xx");
    }
}
