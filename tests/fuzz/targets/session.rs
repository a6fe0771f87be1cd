//! A session and its driver: frames and rubbish from both sides, cut anywhere, with answers to our Pings, short writes,
//! ends, losses, a drain and time in any order that the relay's driver permits.
//!
//! The input is what the session is configured to, then a program: an operation per byte, each followed by what it
//! needs. The upper bits of an operation choose its side and its variant.

#![no_main]

#[path = "session/judge.rs"]
mod judge;
#[path = "session/sent.rs"]
mod sent;

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use ringside::bytesize::ByteSize;
use ringside::peer::Side;
use ringside::rate::meter::Meter;
use ringside::rate::subjects::Subjects;
use ringside::rate::{Action, Limit, Limits, Rate};
use ringside::session::{Config, Ending, HEADROOM, Injected, Keepalive, Notice, Parting, Session, Start};
use ringside::telemetry::counters::Counters;
use ringside::telemetry::end::End;
use ringside::telemetry::record::Counts;
use ringside::window::Window;

use judge::{Stream, Terms};
use sent::{KEY, Sent};

const MESSAGE: ByteSize = ByteSize::bytes(1000);
const FRAGMENTS: u32 = 4;
const CLOSING: Duration = Duration::from_secs(5);
/// Of a silence that is asked about.
const INTERVAL: Duration = Duration::from_secs(2);
const MISSED: NonZeroU32 = NonZeroU32::new(2).unwrap();
/// Most deadlines ahead of a session of which nobody says anything any more: the end of a pause, on each side the Pings
/// that may be missed and the end of waiting for the last, the closing deadline; a lazy one may precede each.
const DEADLINES: usize = 2 * (1 + 2 * 3 + 1);
const SIDES: [Side; 2] = [Side::Client, Side::App];

fuzz_target!(|input: &[u8]| {
    let mut program = input.iter().copied();
    let Some(bits) = program.next() else { return };
    let mut driver = Driver::new(bits);
    while driver.session.end().is_none() && driver.step(&mut program).is_some() {
        driver.check();
    }
    driver.leave();
});

/// One direction.
struct Direction {
    sent: Sent,
    /// What the session let pass of it.
    passed: Vec<u8>,
    /// Of what was given out for the receiver, how much is not written yet.
    unwritten: usize,
    /// Whether the sender's end was told. Nothing is read any more.
    ended: bool,
    /// Whether it broke a rule.
    violated: bool,
    /// Whether a Close of ours went out behind what passed.
    closed: bool,
    /// Whether the receiver is gone.
    lost: bool,
    finish: Finish,
    /// The payloads of our Pings to the receiver.
    pings: Vec<Vec<u8>>,
}

/// The end of the write half toward the receiver.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    NotYet,
    Asked,
    Done,
}

struct Driver {
    session: Session,
    counters: Arc<Counters>,
    now: Instant,
    deflate: bool,
    pings: [bool; 2],
    throttles: bool,
    has_idle: bool,
    /// When all must be over, once the end has begun.
    bound: Option<Instant>,
    /// By sender.
    directions: [Direction; 2],
}

impl Driver {
    /// `bits` choose what is configured.
    fn new(bits: u8) -> Self {
        let has = |bit: u8| bits & 1 << bit != 0;
        let now = Instant::now();
        let pings = [has(1), has(2)];
        let [client, app] = pings.map(|asks| asks.then_some(INTERVAL));
        let config = Config {
            message: MESSAGE,
            fragments: FRAGMENTS,
            control_frames: NonZeroU32::new(10).expect("not zero"),
            validate_utf8: true,
            keepalive: Keepalive { client, app, missed: MISSED },
            idle: has(3).then_some(7 * INTERVAL / 2),
            max_age: has(4).then_some(10 * INTERVAL),
            expiry: Some(4401),
            closing: CLOSING,
            drain: Notice { code: 1001, reason: "bye".into() },
            retry: CLOSING,
        };
        let rate = |n| NonZeroU64::new(n).map(|per_second| Rate { per_second, burst: INTERVAL / 4 });
        let action = if has(7) { Action::Throttle } else { Action::Close };
        let limit = if has(6) { Limit { messages: rate(5), bytes: rate(500), action } } else { Limit::default() };
        let limits = Limits { connection: limit, ..Limits::default() };
        let start = Start {
            deflate: has(0),
            expires: has(5).then_some(now + 9 * INTERVAL),
            meter: Meter::new(&Arc::new(limits), None, &Subjects::new(), now),
            entropy: 0x8000_0000_DEAD_BEEF,
            now,
        };
        Self {
            session: Session::new(Arc::new(config), start),
            counters: Arc::default(),
            now,
            deflate: has(0),
            pings,
            throttles: has(6) && has(7),
            has_idle: has(3),
            bound: None,
            directions: SIDES.map(Direction::new),
        }
    }

    fn from(&mut self, side: Side) -> &mut Direction {
        &mut self.directions[side as usize]
    }

    fn toward(&mut self, side: Side) -> &mut Direction {
        self.from(side.other())
    }

    /// One operation; `None` at the end of the program.
    fn step(&mut self, program: &mut impl Iterator<Item = u8>) -> Option<()> {
        let operation = program.next()?;
        let side = SIDES[usize::from(operation >> 7)];
        let variant = operation & 0x40 != 0;
        match operation & 0x0F {
            0..=3 => {
                const USUAL: [u8; 10] = [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88, 0xC1];
                let (first, len) = (program.next()?, program.next()?);
                let first = *USUAL.get(usize::from(first)).unwrap_or(&first);
                let len = if len > 250 { usize::from(len) * 3 } else { usize::from(len) };
                self.from(side).sent.frame(first, len, variant);
            }
            4 => {
                let len = program.next()?.into();
                let rubbish: Vec<_> = program.take(len).collect();
                self.from(side).sent.rubbish(&rubbish);
            }
            5..=7 => self.reads(side, program.next()?, !variant),
            8 => self.answers(side, program.next()?.into()),
            9 => self.writes(side, program.next()?.into()),
            10 => self.ends(side, program.next()?),
            11 if variant => self.loses(side, Ending::WriteStalled),
            11 => self.loses(side, Ending::Reset),
            12 => {
                let until = self.now + Duration::from_millis(u64::from(program.next()?) * 40);
                self.begins(|session, now| session.handle_drain(now, until));
                self.bound = self.bound.map(|bound| bound.min(until));
            }
            13 if variant => self.waits(self.session.poll_timeout().unwrap_or(self.now)),
            13 => self.waits(self.now + Duration::from_millis(u64::from(program.next()?) * 40)),
            14 => self.polls(side, !variant),
            _ => self.finishes(side),
        }
        Some(())
    }

    /// `len` bytes that `side` has sent arrive (255: all). Its pump has done before what there was to do, and writes what
    /// passes: `at_once`, or by and by.
    fn reads(&mut self, side: Side, len: u8, at_once: bool) {
        self.polls(side.other(), at_once);
        self.finishes(side.other());
        let is_busy = self.from(side).unwritten > 0;
        if is_busy || self.from(side).ended || self.session.end().is_some() || !self.session.may_read(side) {
            return;
        }
        let pings = self.toward(side).pings.clone();
        let len = if len == 255 { usize::MAX } else { len.into() };
        let mut buffer = vec![0xEE; HEADROOM];
        buffer.extend(self.from(side).sent.read(len, &pings));
        if buffer.len() == HEADROOM {
            return;
        }
        let mut filled = HEADROOM..buffer.len();
        let mut window = Window::new(&mut buffer, &mut filled);
        let (mut verdict, counters) = (Ok(()), Arc::clone(&self.counters));
        let traffic = counters.from(side);
        self.begins(|session, now| verdict = session.handle_bytes(side, &mut window, traffic.into(), now));

        let direction = &mut self.directions[side as usize];
        let passed = window.bytes();
        let is_next = direction.sent.due.get(direction.passed.len()..).is_some_and(|due| due.starts_with(passed));
        assert!(is_next, "what passes is what was sent, from its beginning, without a gap but our answers");
        let is_over = direction.closed || direction.lost || direction.finish != Finish::NotYet;
        assert!(passed.is_empty() || !is_over, "behind the end");
        direction.passed.extend(passed);
        direction.unwritten = if at_once { 0 } else { passed.len() };
        if let Err(violation) = verdict {
            assert_eq!(violation.by, side);
            assert!(!std::mem::replace(&mut direction.violated, true), "reported twice");
            assert!(self.bound.is_some(), "a violation begins the end");
        }
        if self.pings[side as usize] && self.bound.is_none() {
            let deadline = self.session.poll_timeout();
            assert!(deadline.is_some_and(|deadline| deadline <= self.now + INTERVAL), "who was heard is watched");
        }
    }

    /// So many bytes more toward `side` are written.
    fn writes(&mut self, side: Side, len: usize) {
        let unwritten = &mut self.toward(side).unwritten;
        *unwritten = unwritten.saturating_sub(len);
    }

    /// `side` answers a Ping of ours: the latest, or one before it.
    fn answers(&mut self, side: Side, before: usize) {
        let pings = &self.toward(side).pings;
        if let Some(payload) = pings.iter().rev().nth(before).cloned() {
            self.from(side).sent.payload(0x8A, &payload);
        }
    }

    fn ends(&mut self, side: Side, how: u8) {
        if self.from(side).ended {
            return;
        }
        self.from(side).ended = true;
        let how = match how {
            0..128 => Ending::Eof,
            128..160 => Ending::Truncated,
            160..192 if side == Side::Client => Ending::TlsBroken,
            _ => Ending::Reset,
        };
        self.tells_end(side, how);
    }

    /// A write toward `side` failed, or was stuck for too long.
    fn loses(&mut self, side: Side, how: Ending) {
        let Direction { lost, finish, unwritten, .. } = *self.toward(side);
        let is_stuck = unwritten > 0 || how != Ending::WriteStalled;
        if !lost && finish != Finish::Done && is_stuck {
            self.tells_end(side, how);
        }
    }

    fn tells_end(&mut self, side: Side, how: Ending) {
        self.begins(|session, now| session.handle_end(side, how, now));
        let is_gone = !matches!(how, Ending::Eof | Ending::Truncated);
        assert!(!is_gone || self.session.is_lost(side) || self.session.end().is_some(), "who is gone is lost");
    }

    /// Time goes on until `then`. Nobody listens to a side whose receiver is being written to.
    fn waits(&mut self, then: Instant) {
        self.now = self.now.max(then);
        if self.session.poll_timeout().is_none_or(|deadline| self.now < deadline) {
            return;
        }
        for side in SIDES {
            if self.from(side).unwritten > 0 || !self.session.may_read(side) {
                self.session.handle_unheard(side, self.now);
            }
        }
        self.begins(|session, now| session.handle_timeout(now));
        assert!(self.session.poll_timeout().is_none_or(|next| next > self.now), "a deadline that has passed is none");
        let is_late = self.bound.is_some_and(|bound| self.now >= bound) && self.session.end().is_none();
        assert!(!is_late, "a closing outlived its deadline");
    }

    /// Something happens that may begin the end, or lose a side.
    fn begins(&mut self, event: impl FnOnce(&mut Session, Instant)) {
        event(&mut self.session, self.now);
        if !self.session.is_steady() && self.session.may_read(Side::Client) && self.bound.is_none() {
            self.bound = Some(self.now + CLOSING);
        }
        for side in SIDES {
            if self.session.is_lost(side) {
                self.toward(side).lost = true;
                self.toward(side).unwritten = 0;
            }
        }
    }

    /// Takes what the session wants to tell `side`, unless a write is under way.
    fn polls(&mut self, side: Side, at_once: bool) {
        while self.toward(side).unwritten == 0 && self.session.has_inject(side) {
            let read = self.read_passed(side.other());
            assert!(!read.is_cut && !read.is_closed, "ours goes out between frames, and only before their Close");
            let injected = self.session.poll_inject(side, self.now, KEY).expect("there is a frame");
            let (Injected::Close(frame) | Injected::Ping(frame)) = injected;
            let ours = judge::read(frame.as_bytes(), terms(side.other(), false));
            assert!(!ours.is_cut && ours.frames == 1);
            assert_eq!(ours.is_closed, matches!(injected, Injected::Close(_)));
            let pings = self.pings[side as usize];
            let direction = self.toward(side);
            assert!(!direction.closed && !direction.lost && direction.finish == Finish::NotYet, "behind the end");
            direction.closed = ours.is_closed;
            direction.unwritten = if at_once { 0 } else { frame.as_bytes().len() };
            if !ours.is_closed {
                assert!(pings, "a Ping that nobody has asked for");
                let payload = &frame.as_bytes()[if side == Side::App { 6 } else { 2 }..];
                let key = if side == Side::App { KEY } else { [0; 4] };
                direction.pings.push(judge::unmask(payload, key).collect());
            }
        }
        if self.toward(side).unwritten == 0 && self.session.poll_finish(side) {
            let is_cut = self.read_passed(side.other()).is_cut;
            let direction = self.toward(side);
            assert!(direction.finish == Finish::NotYet, "asked twice");
            assert!(!is_cut && !direction.lost, "a cut as an end");
            direction.finish = Finish::Asked;
        }
    }

    /// What was asked for toward `side` is done.
    fn finishes(&mut self, side: Side) {
        if self.toward(side).finish == Finish::Asked && !self.toward(side).lost {
            self.toward(side).finish = Finish::Done;
            self.session.handle_finished(side);
        }
    }

    /// What `side` sent and was passed, judged anew.
    fn read_passed(&self, side: Side) -> Stream {
        judge::read(&self.directions[side as usize].passed, terms(side, self.deflate))
    }

    /// What holds at every moment.
    fn check(&mut self) {
        let (bound, is_over) = (self.bound, self.session.end().is_some());
        if bound.is_some() && !is_over {
            assert_eq!(self.session.poll_timeout(), bound, "a closing has one deadline");
        }
        let is_paused = !self.session.may_read(Side::Client);
        assert!(!is_paused || self.throttles && self.session.poll_timeout().is_some(), "a pause without an end");
        assert!(self.session.may_read(Side::App));
        for side in SIDES {
            let traffic = self.counters.from(side);
            assert_eq!(traffic.total(), self.session.counts(side), "the worker counts what the session counts");
            let (answered, asked) = (traffic.pongs.get(), !self.toward(side).pings.is_empty());
            assert!(asked || self.session.round_trip(side).is_none(), "a round trip without a Ping");
            let Direction { sent, passed, ended, .. } = self.from(side);
            if bound.is_none() && !is_over {
                assert_eq!(passed.len(), sent.due.len(), "held back without a reason");
                assert!(sent.held() <= HEADROOM);
                assert!(!*ended, "an end begins the end");
                assert_eq!(answered, sent.answers);
            }
            assert!(answered <= sent.answers);
        }
    }

    /// Nobody says anything any more. What is bounded ends, and everything adds up.
    fn leave(&mut self) {
        for _ in 0..DEADLINES {
            let Some(deadline) = self.session.poll_timeout().filter(|_| self.session.end().is_none()) else { break };
            self.session.handle_timeout(deadline - Duration::from_nanos(1));
            assert_eq!(self.session.poll_timeout(), Some(deadline), "before its time");
            self.waits(deadline);
            for side in SIDES {
                self.writes(side, usize::MAX);
                self.polls(side, true);
            }
        }
        let end = self.session.end();
        let is_bounded = self.bound.is_some() || self.has_idle;
        assert!(end.is_some() || self.session.poll_timeout().is_none() && !is_bounded, "a deadline follows the other");
        for side in SIDES {
            let Stream { frames, messages, compressed, is_cut, is_closed } = self.read_passed(side);
            let direction = &self.directions[side as usize];
            let bytes = direction.passed.len() as u64;
            assert_eq!(self.session.counts(side), Counts { frames, messages, bytes, compressed });
            if !direction.lost {
                let is_told = is_closed || direction.closed || direction.finish == Finish::Done;
                let parting = if is_told { Parting::Orderly } else { Parting::Cut };
                assert_eq!(self.session.parting(side.other()), parting);
                assert!(!is_cut || parting == Parting::Cut, "a cut as an end");
            }
        }
        if let Some(end) = end {
            self.stays_over(end);
        }
    }

    /// Nothing passes any more, whatever comes.
    fn stays_over(&mut self, end: End) {
        for side in SIDES {
            assert!(!self.session.has_inject(side) && self.session.poll_inject(side, self.now, KEY).is_none());
            assert!(!self.session.poll_finish(side));
            let mut late = [0x88, 0x02, 0x03, 0xE8];
            let mut filled = 0..late.len();
            let mut window = Window::new(&mut late, &mut filled);
            let traffic = self.counters.from(side);
            assert_eq!(self.session.handle_bytes(side, &mut window, traffic.into(), self.now), Ok(()));
            assert!(window.is_empty());
        }
        self.session.handle_drain(self.now, self.now);
        self.session.handle_timeout(self.now + 2 * CLOSING);
        assert_eq!(self.session.end(), Some(end), "an end does not change");
    }
}

impl Direction {
    fn new(sender: Side) -> Self {
        Self {
            sent: Sent::new(sender),
            passed: Vec::new(),
            unwritten: 0,
            ended: false,
            violated: false,
            closed: false,
            lost: false,
            finish: Finish::NotYet,
            pings: Vec::new(),
        }
    }
}

fn terms(sender: Side, deflate: bool) -> Terms {
    Terms { masked: sender == Side::Client, deflate, message: MESSAGE.get(), fragments: FRAGMENTS }
}
