//! The start of a frame that cannot be judged yet.

use crate::window::Window;
use crate::ws::control::ControlFrame;
use crate::ws::header::Header;

/// Most bytes held: a control frame without its last byte. An incomplete header is shorter.
pub(super) const CAPACITY: usize = ControlFrame::MAX_LEN - 1;

/// The longest header without its last byte.
const INLINE: usize = Header::MAX_LEN - 1;

/// At most [`CAPACITY`] bytes, kept between two windows of a direction.
///
/// Reads cut headers all the time, and those find room here. A control frame that is cut behind its header is rare, and
/// gets memory of its own: room for it in every idle session would be a third of the session.
pub(super) struct Held {
    inline: [u8; INLINE],
    len: u8,
    boxed: Option<Box<[u8]>>,
}

impl Held {
    pub(super) const fn new() -> Self {
        Self { inline: [0; INLINE], len: 0, boxed: None }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0 && self.boxed.is_none()
    }

    /// Keeps `bytes`, an incomplete header or control frame. Nothing may be held before.
    #[expect(clippy::cast_possible_truncation, reason = "the length is that of what fits inline, which a u8 holds")]
    pub(super) fn store(&mut self, bytes: &[u8]) {
        debug_assert!(self.is_empty(), "held bytes must be put back before others are held");
        if let Some(inline) = self.inline.get_mut(..bytes.len()) {
            inline.copy_from_slice(bytes);
            self.len = bytes.len() as u8;
        } else {
            self.boxed = Some(bytes.into());
        }
    }

    /// Puts what is held in front of what came next.
    pub(super) fn restore(&mut self, window: &mut Window<'_>) {
        window.prepend(&self.inline[..usize::from(self.len)]);
        self.len = 0;
        if let Some(bytes) = self.boxed.take() {
            window.prepend(&bytes);
        }
    }
}

impl std::fmt::Debug for Held {
    /// The number of bytes only: they may be part of a payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let len = self.boxed.as_deref().map_or(self.len.into(), <[u8]>::len);
        write!(f, "Held({len} bytes)")
    }
}
