//! Control frames of our own (RFC 6455 section 5.5), written into a fixed array.

use std::fmt;

use super::header::Header;
use super::mask;
use crate::opcode::Opcode;

/// A whole control frame as it goes on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ControlFrame {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl ControlFrame {
    /// Bytes of the longest control frame: two of header, the masking key, the payload.
    pub const MAX_LEN: usize = 2 + 4 + Header::MAX_CONTROL;

    /// A Close frame. Of `reason` goes what fits behind the code, cut at a character. `mask` is the masking key of
    /// a frame toward an app (unpredictable, section 5.3) and `None` toward a client (section 5.1).
    pub fn close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Self {
        let code = code.to_be_bytes();
        let mut end = reason.len().min(Header::MAX_CONTROL - code.len());
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Self::new(Opcode::Close, &[&code, &reason.as_bytes()[..end]], mask)
    }

    /// A Ping frame; `None` when `payload` is longer than [`Header::MAX_CONTROL`]. `mask` as for a Close frame.
    pub fn ping(payload: &[u8], mask: Option<[u8; 4]>) -> Option<Self> {
        (payload.len() <= Header::MAX_CONTROL).then(|| Self::new(Opcode::Ping, &[payload], mask))
    }

    /// A Pong frame; `None` when `payload` is longer than [`Header::MAX_CONTROL`]. `mask` as for a Close frame.
    pub fn pong(payload: &[u8], mask: Option<[u8; 4]>) -> Option<Self> {
        (payload.len() <= Header::MAX_CONTROL).then(|| Self::new(Opcode::Pong, &[payload], mask))
    }

    /// What to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }

    /// The frame whose payload is `parts`, together at most [`Header::MAX_CONTROL`] bytes.
    fn new(opcode: Opcode, parts: &[&[u8]], mask: Option<[u8; 4]>) -> Self {
        let mut frame = Self { bytes: [0; Self::MAX_LEN], len: 0 };
        // The second byte, the length, follows when the payload is in place.
        frame.push(&[0x80 | opcode.bits(), 0]);
        if let Some(key) = mask {
            frame.push(&key);
        }
        let start = frame.len;
        for part in parts {
            frame.push(part);
        }
        frame.bytes[1] = frame.len - start;
        if let Some(key) = mask {
            frame.bytes[1] |= 0x80;
            mask::apply(key, 0, &mut frame.bytes[start.into()..frame.len.into()]);
        }
        frame
    }

    #[expect(clippy::cast_possible_truncation, reason = "the copy keeps the end within MAX_LEN, which a u8 holds")]
    fn push(&mut self, part: &[u8]) {
        let start = usize::from(self.len);
        let end = start + part.len();
        self.bytes[start..end].copy_from_slice(part);
        self.len = end as u8;
    }
}

impl fmt::Debug for ControlFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ControlFrame({:02x?})", self.as_bytes())
    }
}
