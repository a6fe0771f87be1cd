//! WebSocket frames, written and read by hand: the tests do not trust the code they test.

use std::io::{self, Read};

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The bit of the first byte that ends a message.
pub(crate) const FIN: u8 = 0x80;
/// The bit of the first byte that permessage-deflate uses (RFC 7692 section 6).
pub(crate) const RSV1: u8 = 0x40;

/// The masking key of every client frame here.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as it was received, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// FIN, RSV and opcode.
    pub(crate) first: u8,
    pub(crate) masked: bool,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Code and reason of a Close frame.
    pub(crate) fn close(&self) -> (u16, &str) {
        assert_eq!(self.first, FIN | CLOSE, "not a Close: {:02x} with {} bytes", self.first, self.payload.len());
        let (code, reason) = self.payload.split_first_chunk().expect("a code");
        (u16::from_be_bytes(*code), str::from_utf8(reason).expect("UTF-8"))
    }
}

/// A whole message in one masked frame, as a client sends it.
pub(crate) fn from_client(opcode: u8, payload: &[u8]) -> Vec<u8> {
    encode(FIN | opcode, Some(MASK), payload)
}

/// A whole message in one frame without a mask, as an app sends it.
pub(crate) fn from_app(opcode: u8, payload: &[u8]) -> Vec<u8> {
    encode(FIN | opcode, None, payload)
}

/// A client's frame with this first byte.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    encode(first, Some(MASK), payload)
}

/// An app's frame with this first byte.
pub(crate) fn bare(first: u8, payload: &[u8]) -> Vec<u8> {
    encode(first, None, payload)
}

/// The payload of a Close frame.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// Bytes that are different at every place, so that nothing missing, doubled or swapped goes unseen.
pub(crate) fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(len.div_ceil(8)).flatten().collect();
    bytes.truncate(len);
    bytes
}

/// At least `total` bytes of frames as a client sends them, no two alike. Their masking key is zero, which leaves the
/// payload as it is: masking 64 MiB in a debug build takes longer than the tests.
pub(crate) fn many_from_client(total: usize) -> Vec<u8> {
    many(Some([0; 4]), total)
}

/// At least `total` bytes of frames as an app sends them, no two alike.
pub(crate) fn many_from_app(total: usize) -> Vec<u8> {
    many(None, total)
}

fn many(mask: Option<[u8; 4]>, total: usize) -> Vec<u8> {
    let base = pattern(1, 70_000);
    let mut frames = Vec::with_capacity(total + base.len());
    for n in 0_usize.. {
        if frames.len() >= total {
            break;
        }
        // Different in length, in its beginning, and in where it begins in the pattern.
        let mut payload = base[n % 1009..60_000 + n % 7919].to_vec();
        payload[..8].copy_from_slice(&n.to_be_bytes());
        frames.extend(encode(FIN | BINARY, mask, &payload));
    }
    frames
}

#[expect(clippy::cast_possible_truncation, reason = "each arm has checked that the length fits")]
fn encode(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(bit + len as u8),
        len @ 126..65_536 => {
            frame.push(bit + 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(bit + 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    let start = frame.len() + mask.map_or(0, |mask| mask.len());
    frame.extend(mask.into_iter().flatten());
    frame.extend(payload);
    if let Some(mask) = mask.filter(|mask| *mask != [0; 4]) {
        unmask(mask, &mut frame[start..]);
    }
    frame
}

/// The next frame, whole.
pub(crate) fn read(from: &mut impl Read) -> io::Result<Frame> {
    let mut start = [0; 2];
    from.read_exact(&mut start)?;
    let length = match start[1] & 0x7f {
        126 => u64::from(u16::from_be_bytes(read_array(from)?)),
        127 => u64::from_be_bytes(read_array(from)?),
        length => u64::from(length),
    };
    let mask = (start[1] & 0x80 != 0).then(|| read_array(from)).transpose()?;
    let mut payload = vec![0; usize::try_from(length).expect("fits")];
    from.read_exact(&mut payload)?;
    if let Some(mask) = mask {
        unmask(mask, &mut payload);
    }
    Ok(Frame { first: start[0], masked: mask.is_some(), payload })
}

fn read_array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut array = [0; N];
    from.read_exact(&mut array)?;
    Ok(array)
}

fn unmask(mask: [u8; 4], bytes: &mut [u8]) {
    bytes.iter_mut().zip(mask.into_iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}
