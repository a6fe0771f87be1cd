//! Any sequence of events, in any order and at any time: no panic, and what every session promises.

use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::splits::stream;
use super::{APP, CLIENT, CONFIG, ENTROPY, Pair, frame};
use crate::opcode::Opcode;
use crate::peer::Side;
use crate::rate::meter::Meter;
use crate::rate::subjects::Subjects;
use crate::rate::{Action, Limit, Limits, Rate};
use crate::session::{Config, Ending, Keepalive, Parting};
use crate::telemetry::end::End;
use crate::ws::control::ControlFrame;
use crate::ws::header::Header;
use crate::ws::mask;

/// The marked part of our Pings' payload; the number follows.
const MARK: [u8; 12] = *b"ringside\xDE\xAD\xBE\xEF";
/// Most deadlines that one session has ahead of it when nobody says anything any more: an end of its pause, and on each
/// side the Pings that may be missed and the end of waiting for the last; then the closing one.
const DEADLINES: usize = 1 + 2 * 4 + 2;

#[derive(Clone, Debug)]
enum Operation {
    /// So many of these bytes and of those it did not send before.
    Sends(Side, Vec<u8>, usize),
    /// Answers a Ping of ours: the latest, or so many before it.
    Answers(Side, u32),
    Ends(Side, Ending),
    /// Nobody was listening to it.
    IsUnheard(Side),
    Waits(Duration),
    /// Until so long before the deadline.
    WaitsForDeadline(Duration),
    /// To be over so much later.
    Drains(Duration),
}

/// What is particular to one session.
#[derive(Clone, Debug)]
struct Terms {
    config: Config,
    expires: Option<Duration>,
    limits: Limits,
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![CLIENT, APP])
}

fn ms(range: Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn operation() -> impl Strategy<Value = Operation> {
    let ending = prop::sample::select(vec![
        Ending::Eof,
        Ending::Eof,
        Ending::Eof,
        Ending::Truncated,
        Ending::Reset,
        Ending::WriteStalled,
        Ending::TlsBroken,
    ]);
    let part = |from| {
        let keep = prop_oneof![2 => 0..200_usize, 1 => Just(usize::MAX)];
        (stream(from, frame(from, 0x8A, b"nobody's")), keep)
            .prop_map(move |(bytes, keep)| Operation::Sends(from, bytes, keep))
    };
    let rubbish = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        6 => part(CLIENT),
        6 => part(APP),
        1 => (side(), rubbish).prop_map(|(side, bytes)| Operation::Sends(side, bytes, usize::MAX)),
        4 => (side(), 0..3_u32).prop_map(|(side, before)| Operation::Answers(side, before)),
        2 => (side(), ending).prop_map(|(side, how)| Operation::Ends(side, how)),
        1 => side().prop_map(Operation::IsUnheard),
        4 => ms(0..3000).prop_map(Operation::Waits),
        1 => ms(10_000..10_000_000).prop_map(Operation::Waits),
        4 => prop::sample::select(vec![0, 1]).prop_map(|ns| Operation::WaitsForDeadline(Duration::from_nanos(ns))),
        1 => ms(0..8000).prop_map(Operation::Drains),
    ]
}

/// Whatever can end a session or hold it up, or not.
fn terms() -> impl Strategy<Value = Terms> {
    let seldom = || prop::option::weighted(0.3, ms(500..8000));
    let often = || prop::option::of(ms(500..5000));
    let rate = |per_second: Range<u64>| {
        let burst = Duration::from_millis(500);
        prop::option::of(per_second.prop_map(move |n| Rate { per_second: NonZeroU64::new(n).unwrap(), burst }))
    };
    let action = prop::sample::select(vec![Action::Close, Action::Throttle, Action::Throttle]);
    let limit =
        (rate(1..20), rate(50..5000), action).prop_map(|(messages, bytes, action)| Limit { messages, bytes, action });
    let limit = prop_oneof![Just(Limit::default()), limit];
    (often(), often(), 1..4_u32, seldom(), seldom(), seldom(), limit).prop_map(
        |(client, app, missed, idle, max_age, expires, connection)| {
            let keepalive = Keepalive { client, app, missed: NonZeroU32::new(missed).unwrap() };
            let config = Config { keepalive, idle, max_age, expiry: Some(4401), ..CONFIG };
            Terms { config, expires, limits: Limits { connection, ..Limits::default() } }
        },
    )
}

/// A session in the middle of its operations, and what it must keep to.
struct Story {
    pair: Pair,
    /// When it must be over, once its end has begun.
    bound: Option<Instant>,
    /// What the client, the app, is still to send.
    unsent: [Vec<u8>; 2],
    /// Sides that said their last.
    ended: Vec<Side>,
    end: Option<End>,
}

impl Story {
    fn begin(Terms { config, expires, limits }: Terms) -> Self {
        let pair = Pair::start(config, |start| {
            start.expires = expires.map(|after| start.now + after);
            start.meter = Meter::new(&Arc::new(limits), None, &Subjects::new(), start.now);
        });
        Self { pair, bound: None, unsent: Default::default(), ended: Vec::new(), end: None }
    }

    fn takes(&mut self, operation: Operation) {
        let pair = &mut self.pair;
        let before = [CLIENT, APP].map(|side| (pair.session.is_lost(side), pair.written(side).len()));
        match operation {
            Operation::Sends(from, ..) | Operation::Answers(from, _) if self.ended.contains(&from) => {}
            Operation::Sends(from, bytes, keep) => self.sends(from, &bytes, keep),
            Operation::Answers(from, before) => {
                let asked = pings(pair, from);
                let number = asked.saturating_sub(before);
                if number > 0 {
                    let pong = [&MARK[..], &number.to_be_bytes()].concat();
                    self.sends(from, &frame(from, 0x8A, &pong), usize::MAX);
                }
            }
            Operation::Ends(from, how) => {
                let (reads, writes) = (!self.ended.contains(&from), !pair.finished.contains(&from));
                let is_seen = match how {
                    Ending::Eof | Ending::Truncated | Ending::TlsBroken => reads,
                    Ending::WriteStalled => writes,
                    Ending::Reset => reads || writes,
                };
                if is_seen {
                    pair.ends(from, how);
                }
                if how != Ending::WriteStalled {
                    self.ended.push(from);
                }
            }
            Operation::IsUnheard(side) => pair.session.handle_unheard(side, pair.now),
            Operation::Waits(time) => self.waits_until(self.pair.now + time),
            Operation::WaitsForDeadline(before) => {
                let then = pair.session.poll_timeout().and_then(|deadline| deadline.checked_sub(before));
                self.waits_until(then.map_or(self.pair.now, |then| then.max(self.pair.now)));
            }
            Operation::Drains(later) => {
                let until = pair.now + later;
                pair.session.handle_drain(pair.now, until);
                pair.settle();
                self.bound = Some(self.bound.map_or(until, |bound| bound.min(until)));
            }
        }
        self.check(before);
    }

    fn sends(&mut self, from: Side, bytes: &[u8], keep: usize) {
        let unsent = &mut self.unsent[from as usize];
        unsent.extend(bytes);
        let sent: Vec<u8> = unsent.drain(..keep.min(unsent.len())).collect();
        // What it breaks is seen by what follows.
        let _ = self.pair.sends(from, &sent);
    }

    fn waits_until(&mut self, then: Instant) {
        let pair = &mut self.pair;
        pair.at(then - pair.start);
        assert!(pair.session.poll_timeout().is_none_or(|next| next > then), "a deadline that has passed is none");
        assert!(self.bound.is_none_or(|bound| bound > then) || pair.session.end().is_some(), "outlived its deadline");
    }

    /// Finds what is promised of a session broken at any moment. `before` the latest operation: whether the client, the
    /// app, was lost, and how many bytes it had got.
    fn check(&mut self, before: [(bool, usize); 2]) {
        let pair = &mut self.pair;
        for (to, (was_lost, len)) in [CLIENT, APP].into_iter().zip(before) {
            let is_silent = was_lost || self.end.is_some();
            assert!(!is_silent || pair.written(to).len() == len, "{to} got something behind its end");
            check_written(pair, to);
        }
        assert!(self.end.is_none() || pair.session.end() == self.end, "the end has changed");
        self.end = pair.session.end();

        let has_begun = pair.session.closing.has_begun();
        if has_begun && self.end.is_none() {
            let bound = *self.bound.get_or_insert(pair.now + CONFIG.closing);
            let latest = pair.now + CONFIG.closing;
            let deadline = pair.session.poll_timeout().expect("something bounds the end");
            assert!(deadline <= bound.max(pair.now) && deadline <= latest, "the end is late");
        }
        let is_paused = !pair.session.may_read(CLIENT);
        assert!(!is_paused || !has_begun && pair.session.poll_timeout().is_some(), "a pause without an end");
        assert!(pair.session.may_read(APP));
        check_deadline(pair);
    }
}

/// How many Pings of ours `to` has got.
fn pings(pair: &Pair, to: Side) -> u32 {
    let marked = |(side, frame): &&(Side, ControlFrame)| *side == to && is_marked(frame.as_bytes(), Opcode::Ping);
    u32::try_from(pair.injected.iter().filter(marked).count()).unwrap()
}

/// Whether `frame`, a whole one, is an `opcode` that carries our mark.
fn is_marked(frame: &[u8], opcode: Opcode) -> bool {
    let header = Header::parse(frame).unwrap().unwrap();
    let mut payload = frame[header.header_len..].to_vec();
    mask::apply(header.mask.unwrap_or_default(), 0, &mut payload);
    header.opcode == opcode && payload.starts_with(&MARK)
}

/// What `to` has got.
struct Written {
    /// Frames, the begun one included.
    frames: u64,
    at_boundary: bool,
    /// Whether a Close frame is the last.
    closed: bool,
}

/// Panics when a header is broken, a control frame is not whole, a Pong is for us, or something follows a Close frame.
fn read_back(written: &[u8], to: Side) -> Written {
    let mut rest = written;
    let mut read = Written { frames: 0, at_boundary: true, closed: false };
    while !rest.is_empty() {
        assert!(!read.closed, "something follows a Close frame");
        let header = Header::parse(rest).expect("a good header").expect("a whole header");
        assert_eq!(header.mask.is_some(), to == APP, "masked toward the app only");
        read.frames += 1;
        read.closed = header.opcode == Opcode::Close;
        let end = usize::try_from(header.frame_len()).unwrap();
        let Some((frame, after)) = rest.split_at_checked(end) else {
            assert!(!header.opcode.is_control(), "a control frame is whole");
            return Written { at_boundary: false, ..read };
        };
        assert!(!is_marked(frame, Opcode::Pong), "an answer to our Ping passed");
        rest = after;
    }
    read
}

/// What `to` got is frames, ours between the other side's; it adds up, and is left as what it is.
fn check_written(pair: &mut Pair, to: Side) {
    let read = read_back(pair.written(to), to);
    let ours: Vec<_> = pair.injected.iter().filter(|(side, _)| *side == to).map(|(_, frame)| *frame).collect();
    let bytes: usize = ours.iter().map(|frame| frame.as_bytes().len()).sum();
    let counts = pair.session.counts(to.other());
    assert_eq!(counts.frames + ours.len() as u64, read.frames, "{to}: frames");
    assert_eq!(counts.bytes + bytes as u64, pair.written(to).len() as u64, "{to}: bytes");

    let finished = pair.finished.contains(&to);
    assert!(!finished || read.at_boundary, "ended in order inside a frame");
    // A peer that was gone before has nothing to be told.
    if !pair.session.flow(to).ends.has_had_its_say() {
        let is_told = read.closed || finished;
        assert_eq!(pair.session.parting(to) == Parting::Orderly, is_told, "{to}: a cut told as an end");
    }
}

/// The deadline may be early, but is never late.
fn check_deadline(pair: &mut Pair) {
    let lazy = pair.session.poll_timeout();
    pair.session.schedule();
    if let Some(exact) = pair.session.poll_timeout() {
        assert!(lazy.is_some_and(|lazy| lazy <= exact), "due at {exact:?}, told {lazy:?}");
    }
    pair.session.next = lazy;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn keeps_its_promises(terms in terms(), operations in prop::collection::vec(operation(), 0..24)) {
        let (asks, minds) = (terms.config.keepalive.client.is_some(), terms.config.idle.is_some());
        let mut story = Story::begin(terms);
        for operation in operations {
            story.takes(operation);
        }
        let mut deadlines = 0;
        while story.end.is_none() && story.pair.session.poll_timeout().is_some() {
            deadlines += 1;
            prop_assert!(deadlines <= DEADLINES, "a deadline follows the other");
            story.takes(Operation::WaitsForDeadline(Duration::ZERO));
        }
        // Inside a frame it cannot be asked.
        let is_watched = minds || asks && !story.pair.session.from_app.is_inside_frame();
        prop_assert!(story.end.is_some() || !is_watched, "nobody says anything, and nobody minds");
        prop_assert!(story.pair.session.may_read(CLIENT));
    }
}

#[test]
fn our_pings_are_marked_as_these_tests_expect() {
    assert_eq!(MARK[8..], ENTROPY.to_be_bytes()[4..]);
}
