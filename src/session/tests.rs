//! Traces of both directions on simulated time, and properties over arbitrary streams.

mod closing;
mod frames;
mod keepalive;
mod life;
mod operations;
mod oracle;
mod rates;
mod splits;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Config, Ending, HEADROOM, Injected, Keepalive, Notice, Parting, Session, Start, Violation};
use crate::bytesize::ByteSize;
use crate::peer::Side;
use crate::telemetry::counters::Counters;
use crate::telemetry::end::{By, End, Why};
use crate::window::Window;
use crate::ws::control::ControlFrame;
use crate::ws::mask;

const CONFIG: Config = Config {
    message: ByteSize::kib(64),
    fragments: 16,
    control_frames: NonZeroU32::new(100).unwrap(),
    validate_utf8: true,
    keepalive: Keepalive { client: None, app: None, missed: NonZeroU32::new(2).unwrap() },
    idle: None,
    max_age: None,
    expiry: None,
    closing: Duration::from_secs(5),
    drain: Notice { code: 1001, reason: String::new() },
    retry: Duration::from_secs(5),
};
/// When a drain is over, after the start.
const DRAIN: Duration = Duration::from_secs(30);
/// Its upper half is chance: a half. The lower one marks Pings.
const ENTROPY: u64 = 0x8000_0000_DEAD_BEEF;
const KEY: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
const CLIENT: Side = Side::Client;
const APP: Side = Side::App;

/// A frame as `from` sends it: masked from the client, unmasked from the app.
fn frame(from: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    let length_field = match payload.len() {
        0..126 => 0,
        126..65536 => 2,
        _ => 8,
    };
    encode(first, from == CLIENT, length_field, payload)
}

/// A frame in the bytes of the wire; its length stands in a field of `length_field` bytes (0: in the second byte).
#[expect(clippy::cast_possible_truncation, reason = "the tests ask for fields that hold the length")]
fn encode(first: u8, masked: bool, length_field: usize, payload: &[u8]) -> Vec<u8> {
    let len = payload.len();
    let short = match length_field {
        0 => len as u8,
        2 => 126,
        _ => 127,
    };
    let mut bytes = vec![first, u8::from(masked) << 7 | short];
    bytes.extend_from_slice(&(len as u64).to_be_bytes()[8 - length_field..]);
    let mut payload = payload.to_vec();
    if masked {
        bytes.extend(KEY);
        mask::apply(KEY, 0, &mut payload);
    }
    bytes.extend(payload);
    bytes
}

fn text(from: Side, payload: &str) -> Vec<u8> {
    frame(from, 0x81, payload.as_bytes())
}

/// A Close frame with `code`, as `from` sends it.
fn close(from: Side, code: u16) -> Vec<u8> {
    frame(from, 0x88, &code.to_be_bytes())
}

/// A Close of ours, as `to` sees it.
fn ours(to: Side, code: u16, reason: &str) -> Vec<u8> {
    ControlFrame::close(code, reason, (to == APP).then_some(KEY)).as_bytes().to_vec()
}

/// A session with its driver: a buffer per read, and the bytes that have been written to each side.
struct Pair {
    session: Session,
    start: Instant,
    now: Instant,
    to_client: Vec<u8>,
    to_app: Vec<u8>,
    /// Frames of ours among them.
    injected: Vec<(Side, ControlFrame)>,
    /// Sides whose write half was ended in order.
    finished: Vec<Side>,
    counters: Counters,
}

impl Pair {
    fn new() -> Self {
        Self::with(CONFIG)
    }

    fn with(config: Config) -> Self {
        Self::start(config, |_| {})
    }

    /// A session that `particular` makes different from the plainest.
    fn start(config: Config, particular: impl FnOnce(&mut Start)) -> Self {
        let now = Instant::now();
        let mut start = Start { deflate: false, expires: None, meter: None, entropy: ENTROPY, now };
        particular(&mut start);
        let (session, start) = (Session::new(Arc::new(config), start), now);
        let (to_client, to_app, injected, finished) = Default::default();
        Self { session, start, now: start, to_client, to_app, injected, finished, counters: Counters::default() }
    }

    fn written(&mut self, to: Side) -> &mut Vec<u8> {
        match to {
            Side::Client => &mut self.to_client,
            Side::App => &mut self.to_app,
        }
    }

    /// `from` sends `bytes` in one piece; what passes is written, then what the session wants.
    fn sends(&mut self, from: Side, bytes: &[u8]) -> Result<(), Violation> {
        let mut buf = vec![0xEE; HEADROOM];
        buf.extend(bytes);
        let mut filled = HEADROOM..buf.len();
        let mut window = Window::new(&mut buf, &mut filled);
        let verdict = self.session.handle_bytes(from, &mut window, self.counters.from(from).into(), self.now);
        let counted = self.counters.from(from).total();
        assert_eq!(counted, self.session.counts(from), "the worker counts what the session counts");
        let passed = window.bytes().to_vec();
        self.written(from.other()).extend(passed);
        self.settle();
        verdict
    }

    fn ends(&mut self, from: Side, how: Ending) {
        self.session.handle_end(from, how, self.now);
        self.settle();
    }

    fn drains(&mut self) {
        self.session.handle_drain(self.now, self.start + DRAIN);
        self.settle();
    }

    /// Time goes on until so much after the start.
    fn at(&mut self, after: Duration) {
        self.now = self.start + after;
        self.session.handle_timeout(self.now);
        self.settle();
    }

    /// Does what the session wishes.
    fn settle(&mut self) {
        for to in [CLIENT, APP] {
            while let Some(Injected::Close(frame) | Injected::Ping(frame)) = self.session.poll_inject(to, self.now, KEY)
            {
                self.written(to).extend(frame.as_bytes());
                self.injected.push((to, frame));
            }
            if self.session.poll_finish(to) {
                self.finished.push(to);
                self.session.handle_finished(to);
            }
        }
    }

    /// What was written to `to` since the last call.
    fn got(&mut self, to: Side) -> Vec<u8> {
        std::mem::take(self.written(to))
    }

    /// The end, which must have come: who, why, the code to the client, the code from the client.
    fn end(&self) -> (By, Why, Option<u16>, Option<u16>) {
        let End { by, why, code_sent, code_received } = self.session.end().expect("the session is over");
        (by, why, code_sent, code_received)
    }

    /// How the client and the app are left.
    fn partings(&self) -> (Parting, Parting) {
        (self.session.parting(CLIENT), self.session.parting(APP))
    }
}

#[test]
fn is_small() {
    let size = size_of::<Session>();
    assert!(size <= 600, "a session is {size} bytes");
}
