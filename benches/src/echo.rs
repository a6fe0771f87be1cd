//! An echo app that trusts its input: it upgrades whoever asks and sends every frame back unmasked.
//!
//! It works on streams, not on frames: payload bytes go back as they come, so it holds no message. One read takes
//! all that is there, one write gives all of it back.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::Path;

use mio::event::Event;
use mio::net::{UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Registry, Token};
use tungstenite::handshake::derive_accept_key;

const LISTENER: Token = Token(usize::MAX);

/// Bytes taken in one read.
const READ: usize = 256 << 10;

/// Header bytes of a masked frame at the most.
const HEADER: usize = 14;

/// Listens on the Unix socket `path`.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    UnixListener::bind(path)
}

/// Echoes for ever.
pub fn serve(mut listener: UnixListener) -> io::Result<()> {
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut conversations = HashMap::new();
    let mut taken = vec![0; READ];
    let mut given = Vec::with_capacity(READ);
    let mut next = 0;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    poll.registry().register(&mut socket, Token(next), Interest::READABLE)?;
                    conversations.insert(next, Conversation::new(socket));
                    next += 1;
                }
            } else if let Some(conversation) = conversations.get_mut(&event.token().0)
                && !conversation.turn(event, poll.registry(), &mut taken, &mut given)
            {
                conversations.remove(&event.token().0);
            }
        }
    }
}

struct Conversation {
    socket: UnixStream,
    phase: Phase,
    /// What the peer did not take yet. While there is some, nothing is read.
    unsent: Vec<u8>,
}

enum Phase {
    /// The request head so far.
    Upgrading(Vec<u8>),
    Echoing(Frames),
}

impl Conversation {
    fn new(socket: UnixStream) -> Self {
        Self { socket, phase: Phase::Upgrading(Vec::new()), unsent: Vec::new() }
    }

    /// Handles an event. False when the conversation is over.
    fn turn(&mut self, event: &Event, registry: &Registry, space: &mut [u8], given: &mut Vec<u8>) -> bool {
        let token = event.token();
        if !self.unsent.is_empty() {
            given.clear();
            given.append(&mut self.unsent);
            match self.give(given) {
                Ok(true) if registry.reregister(&mut self.socket, token, Interest::READABLE).is_ok() => {}
                Ok(false) => return true,
                _ => return false,
            }
        }
        loop {
            let n = match self.socket.read(space) {
                Ok(n) if n > 0 => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                _ => return false,
            };
            given.clear();
            if !self.phase.answer(&mut space[..n], given) {
                return false;
            }
            match self.give(given) {
                Ok(true) => {}
                Ok(false) => {
                    return registry.reregister(&mut self.socket, token, Interest::WRITABLE).is_ok();
                }
                Err(_) => return false,
            }
            // A short read of a stream socket has emptied it, and what comes later is a new event (epoll(7)).
            if n < space.len() {
                return true;
            }
        }
    }

    /// Writes `bytes` and keeps what does not fit. Whether all of it went out.
    fn give(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unsent = rest.to_vec();
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

impl Phase {
    /// Puts the answer to `taken` behind `given`. False when this is no upgrade.
    fn answer(&mut self, taken: &mut [u8], given: &mut Vec<u8>) -> bool {
        match self {
            Self::Echoing(frames) => return frames.echo(taken, given),
            Self::Upgrading(head) => {
                head.extend_from_slice(taken);
                let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return true };
                let mut early = head.split_off(end + 4);
                let Some(key) = websocket_key(head) else { return false };
                given.extend_from_slice(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
                );
                given.extend_from_slice(format!("Sec-WebSocket-Accept: {}\r\n\r\n", derive_accept_key(key)).as_bytes());
                let mut frames = Frames::default();
                frames.echo(&mut early, given);
                *self = Self::Echoing(frames);
            }
        }
        true
    }
}

fn websocket_key(head: &[u8]) -> Option<&[u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        name.eq_ignore_ascii_case(b"sec-websocket-key").then(|| value[1..].trim_ascii())
    })
}

/// Where in the stream of frames a conversation is.
#[derive(Default)]
struct Frames {
    header: [u8; HEADER],
    /// Header bytes gathered so far.
    gathered: usize,
    mask: [u8; 4],
    /// Payload bytes of this frame still to come.
    left: u64,
}

impl Frames {
    /// Puts `taken`, unmasked, behind `given`. A ping goes back as a pong, a Close as a Close.
    fn echo(&mut self, mut taken: &mut [u8], given: &mut Vec<u8>) -> bool {
        while !taken.is_empty() {
            if self.left == 0 {
                self.header[self.gathered] = taken[0];
                self.gathered += 1;
                taken = &mut taken[1..];
                if !self.begin(given) {
                    return false;
                }
                continue;
            }
            let here = taken.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let (payload, rest) = taken.split_at_mut(here);
            unmask(payload, self.mask);
            given.extend_from_slice(payload);
            self.mask.rotate_left(here % 4);
            self.left -= here as u64;
            taken = rest;
        }
        true
    }

    /// Reads the header if it is complete. False when the frame is not masked.
    fn begin(&mut self, given: &mut Vec<u8>) -> bool {
        if self.gathered < 2 {
            return true;
        }
        let extended = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.header[1] & 0x80 == 0 {
            return false;
        }
        if self.gathered < 2 + extended + 4 {
            return true;
        }
        let (front, mask) = self.header[..self.gathered].split_at(2 + extended);
        self.left = match extended {
            0 => u64::from(front[1] & 0x7f),
            _ => front[2..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        self.mask.copy_from_slice(mask);
        let pong = if front[0] & 0x0f == 9 { front[0] + 1 } else { front[0] };
        given.extend_from_slice(&[pong, front[1] & 0x7f]);
        given.extend_from_slice(&front[2..]);
        self.gathered = 0;
        true
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u32::from_ne_bytes(mask);
    let (fours, rest) = payload.as_chunks_mut::<4>();
    for four in fours {
        *four = (u32::from_ne_bytes(*four) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[test]
    fn echoes_whatever_the_split() {
        // "Hello" masked (RFC 6455 section 5.7), an empty ping, and a frame with a 16-bit length.
        let mut wire = vec![0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58, 0x89, 0x80, 1, 2, 3, 4];
        wire.extend([0x82, 0xfe, 0, 200, 0, 0, 0, 0]);
        wire.extend([7; 200]);
        let mut expected = vec![0x81, 0x05];
        expected.extend(b"Hello\x8a\x00\x82\x7e\x00\xc8");
        expected.extend([7; 200]);
        for size in 1..wire.len() {
            let (mut frames, mut given) = (Frames::default(), Vec::new());
            for part in wire.chunks(size) {
                assert!(frames.echo(&mut part.to_vec(), &mut given));
            }
            assert_eq!(given, expected, "in parts of {size}");
        }
    }
}
