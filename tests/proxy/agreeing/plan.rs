//! What a connection is to do, drawn by chance.

use rand::Rng;
use rand::rngs::StdRng;

use crate::support::frame::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT};

/// What both sides send, and how they end.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) client: Vec<Frame>,
    pub(super) app: Vec<Frame>,
    pub(super) ending: Ending,
}

/// A frame of this first byte, with so much payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) first: u8,
    pub(super) size: usize,
}

/// How a connection ends, once each side has got all that the other had to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client closes with 1000.
    ClientCloses,
    /// The app closes with 3333.
    AppCloses,
    /// The client cuts its TLS.
    ClientCuts,
    /// The app ends its stream.
    AppEnds,
    /// The client sends a frame that is not masked.
    ClientBreaks,
    /// The app sends one that is.
    AppBreaks,
}

/// What one side has sent, by the place of the opcode in the labels of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) frames: [u64; 6],
    pub(super) bytes: [u64; 6],
    /// By the opcode of their first frame.
    pub(super) messages: [u64; 6],
    /// Of messages.
    pub(super) payload: u64,
}

impl Ending {
    pub(super) const ALL: [Self; 6] =
        [Self::ClientCloses, Self::AppCloses, Self::ClientCuts, Self::AppEnds, Self::ClientBreaks, Self::AppBreaks];

    /// Who ended it, why, and the source of a broken rule.
    pub(super) const fn told(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ClientCloses => ("client", "closed", ""),
            Self::AppCloses => ("app", "closed", ""),
            Self::ClientCuts => ("client", "truncated", ""),
            Self::AppEnds => ("app", "eof", ""),
            Self::ClientBreaks => ("client", "client_unmasked", "RFC 6455 section 5.1"),
            Self::AppBreaks => ("app", "app_masked", "RFC 6455 section 5.1"),
        }
    }

    /// The code of the Close that the client sends, be it the answer to one. After a violation of its own, nobody listens.
    pub(super) const fn code_of_client(self) -> Option<u16> {
        match self {
            Self::ClientCloses => Some(1000),
            Self::AppCloses => Some(3333),
            Self::AppEnds => Some(1012),
            Self::AppBreaks => Some(1011),
            Self::ClientCuts | Self::ClientBreaks => None,
        }
    }

    /// Whether a Close passes from each side to the other.
    const fn is_relayed(self) -> bool {
        matches!(self, Self::ClientCloses | Self::AppCloses)
    }
}

impl Plan {
    pub(super) fn draw(chance: &mut StdRng) -> Self {
        Self {
            client: frames(chance),
            app: frames(chance),
            ending: Ending::ALL[chance.random_range(0..Ending::ALL.len())],
        }
    }

    /// What the client sends and what the app sends, as far as it passes.
    ///
    /// An app that has ended its stream may still read: the client's answer to our Close passes.
    pub(super) fn sent(&self) -> [Sent; 2] {
        let relayed = self.ending.is_relayed();
        [Sent::all(&self.client, relayed || self.ending == Ending::AppEnds, true), Sent::all(&self.app, relayed, false)]
    }

    /// What of that the app and the client get. An app that has ended its stream has gone.
    pub(super) fn arrives(&self) -> [Sent; 2] {
        let relayed = self.ending.is_relayed();
        [Sent::all(&self.client, relayed, true), Sent::all(&self.app, relayed, false)]
    }
}

impl Sent {
    /// These frames, and perhaps a Close with a code.
    fn all(frames: &[Frame], closes: bool, masked: bool) -> Self {
        let close = Frame { first: FIN | CLOSE, size: 2 };
        let (mut sent, mut message) = (Self::default(), 0);
        for frame in frames.iter().chain(closes.then_some(&close)) {
            sent.count(frame.first, frame.size, masked, &mut message);
        }
        sent
    }

    /// One frame more. `message` is the opcode of the message that it belongs to, if it is not the first of it.
    pub(super) fn count(&mut self, first: u8, size: usize, masked: bool, message: &mut u8) {
        let opcode = first & 0x0f;
        let place = match opcode {
            CONTINUATION | TEXT | BINARY => usize::from(opcode),
            CLOSE => 3,
            PING => 4,
            PONG => 5,
            other => panic!("opcode {other}"),
        };
        self.frames[place] += 1;
        let header = match size {
            0..126 => 2,
            126..65_536 => 4,
            _ => 10,
        };
        self.bytes[place] += header + if masked { 4 } else { 0 } + size as u64;
        if opcode <= BINARY {
            if opcode != CONTINUATION {
                *message = opcode;
            }
            self.payload += size as u64;
            self.messages[usize::from(*message)] += u64::from(first & FIN != 0);
        }
    }

    pub(super) fn and(self, more: Self) -> Self {
        let sum = |one: [u64; 6], other: [u64; 6]| std::array::from_fn(|n| one[n] + other[n]);
        Self {
            frames: sum(self.frames, more.frames),
            bytes: sum(self.bytes, more.bytes),
            messages: sum(self.messages, more.messages),
            payload: self.payload + more.payload,
        }
    }
}

impl Frame {
    /// As the client or the app sends it: different at every place, and ASCII where it is text.
    pub(super) fn encode(self, masked: bool) -> Vec<u8> {
        let payload: Vec<u8> = frame::pattern(self.size as u64, self.size).iter().map(|byte| byte & 0x7f).collect();
        if masked { frame::masked(self.first, &payload) } else { frame::bare(self.first, &payload) }
    }
}

/// Up to a dozen messages, some in fragments, with Pings and Pongs between and inside them.
fn frames(chance: &mut StdRng) -> Vec<Frame> {
    let mut frames = Vec::new();
    for _ in 0..chance.random_range(0..12) {
        let opcode = if chance.random_bool(0.5) { TEXT } else { BINARY };
        let fragments = if chance.random_bool(0.3) { chance.random_range(2..5) } else { 1 };
        for n in 0..fragments {
            let first = if n == 0 { opcode } else { CONTINUATION } | if n + 1 == fragments { FIN } else { 0 };
            frames.push(Frame { first, size: size(chance) });
            if chance.random_bool(0.2) {
                let first = FIN | if chance.random_bool(0.5) { PING } else { PONG };
                frames.push(Frame { first, size: chance.random_range(0..126) });
            }
        }
    }
    frames
}

/// Mostly small; now and then one that needs each longer form of the length.
fn size(chance: &mut StdRng) -> usize {
    match chance.random_range(0..100) {
        0 => chance.random_range(65_536..70_000),
        1..20 => chance.random_range(126..4096),
        _ => chance.random_range(0..126),
    }
}
