//! The start of a frame that cannot be judged yet.

use crate::window::Window;
use crate::ws::control::ControlFrame;

/// Most bytes held: a control frame without its last byte. An incomplete header is shorter.
pub(super) const CAPACITY: usize = ControlFrame::MAX_LEN - 1;

/// At most [`CAPACITY`] bytes, kept between two windows of a direction.
pub(super) struct Held {
    bytes: [u8; CAPACITY],
    len: u8,
}

impl Held {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; CAPACITY], len: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keeps `bytes`, an incomplete header or control frame. Nothing may be held before.
    #[expect(clippy::cast_possible_truncation, reason = "the copy keeps the length within CAPACITY, which a u8 holds")]
    pub(super) fn store(&mut self, bytes: &[u8]) {
        debug_assert!(self.is_empty(), "held bytes must be put back before others are held");
        self.bytes[..bytes.len()].copy_from_slice(bytes);
        self.len = bytes.len() as u8;
    }

    /// Puts what is held in front of what came next.
    pub(super) fn restore(&mut self, window: &mut Window<'_>) {
        window.prepend(&self.bytes[..usize::from(self.len)]);
        self.len = 0;
    }
}

impl std::fmt::Debug for Held {
    /// The number of bytes only: they may be part of a payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} bytes)", self.len)
    }
}
