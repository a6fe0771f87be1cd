//! The frame header (RFC 6455 section 5.2).
//!
//! ```text
//!   0               1               2 ..                        .. 13
//!  +-+-+-+-+-------+-+-------------+------------------+------------+
//!  |F|R|R|R| opcode|M| length (7)  | length (16 / 64) | mask key   |
//!  |I|S|S|S|  (4)  |A|             | if 126 / 127     | (32) if    |
//!  |N|V|V|V|       |S|             |                  | MASK is set|
//!  | |1|2|3|       |K|             |                  |            |
//!  +-+-+-+-+-------+-+-------------+------------------+------------+
//! ```

use crate::opcode::Opcode;
use crate::rule::Rule;

/// A complete frame header that is well-formed by itself. Whether it may stand where it stands, and whether its
/// sender must mask, is for [`Sequence`](super::sequence::Sequence) to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the last fragment of its message.
    pub fin: bool,
    /// RSV1, RSV2 and RSV3 as the bits 4, 2 and 1.
    pub rsv: u8,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key; `None` when the MASK bit is zero.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload; at most `i64::MAX`.
    pub length: u64,
    /// Bytes of the header itself: 2 to [`Header::MAX_LEN`].
    pub header_len: usize,
}

impl Header {
    /// Bytes of the longest header.
    pub const MAX_LEN: usize = 14;
    /// Most bytes of payload in a control frame (section 5.5).
    pub const MAX_CONTROL: usize = 125;
    /// RSV1 in [`rsv`](Self::rsv).
    pub const RSV1: u8 = 0b100;

    /// Reads the header at the start of `bytes`. `None` when bytes are missing: give all of them again, with more.
    ///
    /// A byte is judged as soon as it is there, in the order of the wire, so that the verdict on a stream does not
    /// depend on how it was cut into reads.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Rule> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let fin = first & 0x80 != 0;
        // "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_." (5.2)
        let opcode = Opcode::from_bits(first & 0x0F).ok_or(Rule::ReservedOpcode)?;
        // "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented." (5.5)
        if opcode.is_control() && !fin {
            return Err(Rule::ControlFragmented);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > Self::MAX_CONTROL {
            return Err(Rule::ControlTooLong);
        }
        let Some((length, length_end)) = parse_length(short, bytes)? else { return Ok(None) };
        let (mask, header_len) = if second & 0x80 == 0 {
            (None, length_end)
        } else {
            let Some(key) = field(bytes, length_end) else { return Ok(None) };
            (Some(key), length_end + key.len())
        };
        Ok(Some(Self { fin, rsv: first >> 4 & 0b111, opcode, mask, length, header_len }))
    }

    /// Bytes of the whole frame.
    pub const fn frame_len(&self) -> u64 {
        self.header_len as u64 + self.length
    }
}

/// The payload length, and where its field ends. `short` is the 7-bit length of the second byte.
///
/// "[I]n all cases, the minimal number of bytes MUST be used to encode the length" (section 5.2)
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Rule> {
    match short {
        126 => {
            let Some(field) = field(bytes, 2) else { return Ok(None) };
            let length = u16::from_be_bytes(field);
            if length < 126 {
                return Err(Rule::LengthNotMinimal);
            }
            Ok(Some((length.into(), 2 + field.len())))
        }
        127 => {
            let Some(field) = field(bytes, 2) else { return Ok(None) };
            let length = u64::from_be_bytes(field);
            // "[A] 64-bit unsigned integer (the most significant bit MUST be 0)" (section 5.2)
            if length > i64::MAX as u64 {
                return Err(Rule::LengthTooLarge);
            }
            if length <= u16::MAX.into() {
                return Err(Rule::LengthNotMinimal);
            }
            Ok(Some((length, 2 + field.len())))
        }
        _ => Ok(Some((short.into(), 2))),
    }
}

/// The `N` bytes at `at`, if they are there.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
