//! What one side sends: frames and rubbish; and what of it is to pass.

use std::io::Cursor;

use ringside::peer::Side;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, OpCode};

use crate::judge;

/// Of every frame of a client. Its opposite masks ours.
pub const KEY: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
/// What text consists of: characters of one to four bytes.
const CHARACTERS: &[u8] = "aß€🦀".as_bytes();

/// The bytes that one side sends, and what is to pass of those that were read.
pub struct Sent {
    by: Side,
    bytes: Vec<u8>,
    /// How far into [`CHARACTERS`] the text is that it sends.
    character: usize,
    /// How many were read.
    pub read: usize,
    /// Of those, how many belong to frames that were told apart.
    told: usize,
    /// How many follow that belong to the payload told last.
    payload: usize,
    /// What is to pass, if all is good: what was told without answers to our Pings.
    pub due: Vec<u8>,
    /// How many answers to our Pings there were.
    pub answers: u64,
}

impl Sent {
    /// Nothing yet.
    pub fn new(by: Side) -> Self {
        Self { by, bytes: Vec::new(), character: 0, read: 0, told: 0, payload: 0, due: Vec::new(), answers: 0 }
    }

    /// Anything.
    pub fn rubbish(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// A frame with this first byte. A Close frame has a good code; the text of a message goes on through its
    /// fragments, and is good when it ends with a character, if nobody makes its last byte `bad`.
    pub fn frame(&mut self, first: u8, len: usize, bad: bool) {
        let is_close = first & 0x0F == 8;
        if matches!(first & 0x0F, 1 | 2) {
            self.character = 0;
        }
        let from = if first & 0x0F < 8 { self.character } else { 0 };
        let characters = CHARACTERS.iter().copied().cycle().skip(from);
        let mut payload: Vec<u8> = match is_close {
            true => [0x03, 0xE8].into_iter().chain(characters).take(len).collect(),
            false => characters.take(len).collect(),
        };
        if first & 0x0F < 8 {
            self.character = (self.character + len) % CHARACTERS.len();
        }
        if let (true, Some(last)) = (bad, payload.last_mut()) {
            *last = 0xFF;
        }
        self.payload(first, &payload);
    }

    /// A frame with this payload.
    pub fn payload(&mut self, first: u8, payload: &[u8]) {
        let masked = if self.by == Side::Client { 0x80 } else { 0 };
        match u16::try_from(payload.len()).expect("a short frame") {
            short @ 0..126 => self.bytes.extend([first, masked | short.to_be_bytes()[1]]),
            long => {
                self.bytes.extend([first, masked | 126]);
                self.bytes.extend(long.to_be_bytes());
            }
        }
        match self.by {
            Side::Client => {
                self.bytes.extend(KEY);
                self.bytes.extend(judge::unmask(payload, KEY));
            }
            Side::App => self.bytes.extend(payload),
        }
    }

    /// At most `len` bytes more are read. `pings`: the payloads of ours that the sender has got by then.
    pub fn read(&mut self, len: usize, pings: &[Vec<u8>]) -> &[u8] {
        let start = self.read;
        self.read = self.bytes.len().min(start.saturating_add(len));
        while self.told < self.read && self.tell(pings) {}
        &self.bytes[start..self.read]
    }

    /// Tells the next frame, or what more there is of the payload told last. False when that takes more bytes.
    fn tell(&mut self, pings: &[Vec<u8>]) -> bool {
        let rest = &self.bytes[self.told..self.read];
        if self.payload > 0 {
            let len = self.payload.min(rest.len());
            self.due.extend(&rest[..len]);
            self.told += len;
            self.payload -= len;
            return true;
        }
        let mut cursor = Cursor::new(rest);
        let Ok(Some((header, length))) = FrameHeader::parse(&mut cursor) else { return false };
        let body = usize::try_from(cursor.position()).expect("a length");
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut told = body;
        if let OpCode::Control(control) = header.opcode {
            let Some(payload) = rest.get(body..body.saturating_add(length)) else { return false };
            let clear: Vec<_> = judge::unmask(payload, header.mask.unwrap_or_default()).collect();
            told += length;
            if control == Control::Pong && is_answer(&clear, pings) {
                self.answers += 1;
                self.told += told;
                return true;
            }
        } else {
            self.payload = length;
        }
        self.due.extend(&rest[..told]);
        self.told += told;
        true
    }

    /// How many bytes were read that are the start of a frame which cannot be told yet.
    pub fn held(&self) -> usize {
        self.read - self.told
    }
}

/// Whether a Pong of `payload` answers one of `pings`, whichever number stands at its end.
fn is_answer(payload: &[u8], pings: &[Vec<u8>]) -> bool {
    let mark = |payload: &[u8]| payload.split_last_chunk::<4>().map(|(mark, _)| mark.to_vec());
    pings.first().is_some_and(|ping| payload.len() == ping.len() && mark(ping) == mark(payload))
}
