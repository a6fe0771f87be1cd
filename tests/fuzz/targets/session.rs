//! A session and its driver: frames and rubbish from both sides, cut anywhere, with ends, losses and time in any order
//! that the relay's driver permits.
//!
//! The input is a program: an operation per byte, each followed by what it needs.

#![no_main]

#[path = "session/judge.rs"]
mod judge;

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use ringside::bytesize::ByteSize;
use ringside::peer::Side;
use ringside::session::{Config, Ending, HEADROOM, Negotiated, Parting, Session};
use ringside::telemetry::record::Counts;
use ringside::window::Window;

use judge::{Stream, Terms};

const CONFIG: Config = Config { message: ByteSize::bytes(1000), fragments: 4, closing: Duration::from_secs(5) };
const KEY: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
const SIDES: [Side; 2] = [Side::Client, Side::App];

fuzz_target!(|input: &[u8]| {
    let mut program = input.iter().copied();
    let Some(deflate) = program.next().map(|byte| byte & 1 == 1) else { return };
    let mut driver = Driver::new(deflate);
    while driver.session.end().is_none() && driver.step(&mut program).is_some() {
        driver.check();
    }
    driver.leave();
});

/// What one side sends and what becomes of it.
#[derive(Default)]
struct Direction {
    /// All that was sent.
    sent: Vec<u8>,
    /// How much of it the session was given.
    read: usize,
    /// How much of it the session let pass: always its beginning.
    passed: usize,
    /// Whether the sender's end was told. Nothing is read any more.
    ended: bool,
    /// Whether it broke a rule.
    violated: bool,
    /// Whether the receiver is gone: what passes reaches nobody.
    lost: bool,
    /// Whether a Close of ours went out behind what passed.
    closed: bool,
    finish: Finish,
}

/// The end of the write half toward the receiver.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Finish {
    #[default]
    NotYet,
    Asked,
    Done,
}

struct Driver {
    session: Session,
    now: Instant,
    deadline: Option<Instant>,
    deflate: bool,
    /// By sender.
    directions: [Direction; 2],
}

impl Driver {
    fn new(deflate: bool) -> Self {
        let session = Session::new(CONFIG, Negotiated { deflate });
        Self { session, now: Instant::now(), deadline: None, deflate, directions: Default::default() }
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
        match operation & 0x0F {
            0..=3 => self.sends_frame(side, program.next()?, program.next()?),
            4 => {
                let len = program.next()?.into();
                let rubbish: Vec<_> = program.take(len).collect();
                self.from(side).sent.extend(rubbish);
            }
            5..=9 => self.reads(side, program.next()?.into()),
            10 => self.ends(side, program.next()?),
            11 => self.loses(side, Ending::Reset),
            12 if operation & 0x10 == 0 => self.loses(side, Ending::WriteStalled),
            12 => self.session.handle_drain(self.now, 1001),
            13 => {
                self.now += Duration::from_millis(u64::from(program.next()?) * 40);
                self.session.handle_timeout(self.now);
            }
            14 => self.polls(side),
            _ => self.finishes(side),
        }
        Some(())
    }

    /// `side` sends a frame: `first` is its first byte, or chooses a good one.
    fn sends_frame(&mut self, side: Side, first: u8, len: u8) {
        const USUAL: [u8; 10] = [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88, 0xC1];
        let first = *USUAL.get(usize::from(first)).unwrap_or(&first);
        let len = if len > 250 { usize::from(len) * 3 } else { usize::from(len) };
        let masked = if side == Side::Client { 0x80 } else { 0 };
        let sent = &mut self.from(side).sent;
        match u16::try_from(len).expect("less than 765") {
            short @ 0..126 => sent.extend([first, masked | short.to_be_bytes()[1]]),
            long => {
                sent.extend([first, masked | 126]);
                sent.extend(long.to_be_bytes());
            }
        }
        // 1000, then letters: good in a Close frame, too.
        let payload = [0x03, 0xE8].into_iter().chain(std::iter::repeat(b'a')).take(len);
        match side {
            Side::Client => {
                sent.extend(KEY);
                sent.extend(payload.zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
            }
            Side::App => sent.extend(payload),
        }
    }

    /// `len` bytes that `side` has sent arrive (255: all). Its pump has done before what there was to do.
    fn reads(&mut self, side: Side, len: usize) {
        self.polls(side.other());
        self.finishes(side.other());
        if self.from(side).ended || self.session.end().is_some() {
            return;
        }
        let Direction { sent, read, .. } = self.from(side);
        let end = if len == 255 { sent.len() } else { sent.len().min(*read + len) };
        let mut buffer = vec![0xEE; HEADROOM];
        buffer.extend(&sent[*read..end]);
        *read = end;
        if buffer.len() == HEADROOM {
            return;
        }
        let mut filled = HEADROOM..buffer.len();
        let mut window = Window::new(&mut buffer, &mut filled);
        let verdict = self.session.handle_bytes(side, &mut window, self.now);

        let direction = &mut self.directions[side as usize];
        let passed = window.bytes();
        let expected = direction.sent.get(direction.passed..direction.passed + passed.len());
        assert_eq!(Some(passed), expected, "what passes is what was sent, from its beginning, without a gap");
        assert!(passed.is_empty() || !direction.closed, "behind our Close");
        assert!(passed.is_empty() || direction.finish == Finish::NotYet || direction.lost, "behind the end");
        direction.passed += passed.len();
        if let Err(violation) = verdict {
            assert_eq!(violation.by, side);
            assert!(!std::mem::replace(&mut direction.violated, true), "reported twice");
            assert!(self.session.poll_timeout().is_some(), "a violation begins the end");
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
            160..192 => Ending::TlsBroken,
            _ => Ending::Reset,
        };
        self.toward(side).lost |= matches!(how, Ending::Reset | Ending::TlsBroken);
        self.session.handle_end(side, how, self.now);
    }

    /// A write toward `side` failed, or was stuck for too long.
    fn loses(&mut self, side: Side, how: Ending) {
        if !self.toward(side).lost {
            self.toward(side).lost = true;
            self.session.handle_end(side, how, self.now);
        }
    }

    /// Takes what the session wants to tell `side`.
    fn polls(&mut self, side: Side) {
        while let Some(frame) = self.session.poll_inject(side, KEY) {
            let read = self.read_passed(side.other());
            assert!(read.is_whole && !read.is_closed, "our Close goes out between frames, and only before theirs");
            let direction = self.toward(side);
            assert!(!std::mem::replace(&mut direction.closed, true), "two Closes of ours");
            assert!(direction.finish == Finish::NotYet || direction.lost, "a Close of ours behind the end");
            let ours = judge::read(frame.as_bytes(), terms(side.other(), false));
            assert!(ours.is_whole && ours.is_closed && ours.frames == 1);
        }
        if self.session.poll_finish(side) {
            let is_whole = self.read_passed(side.other()).is_whole;
            let direction = self.toward(side);
            assert!(direction.finish == Finish::NotYet, "asked twice");
            assert!(is_whole || direction.lost, "a cut as an end");
            direction.finish = Finish::Asked;
        }
    }

    /// What was asked for toward `side` is done.
    fn finishes(&mut self, side: Side) {
        if self.toward(side).finish == Finish::Asked {
            self.toward(side).finish = Finish::Done;
            self.session.handle_finished(side);
        }
    }

    /// What `side` sent and was passed, judged anew.
    fn read_passed(&self, side: Side) -> Stream {
        let Direction { sent, passed, .. } = &self.directions[side as usize];
        judge::read(&sent[..*passed], terms(side, self.deflate))
    }

    /// What holds at every moment.
    fn check(&mut self) {
        let deadline = self.session.poll_timeout();
        if let (None, Some(deadline)) = (self.deadline, deadline) {
            assert_eq!(deadline, self.now + CONFIG.closing);
            self.deadline = Some(deadline);
        }
        assert!(deadline.is_none() || deadline == self.deadline, "a deadline is absolute");
        let has_begun = self.deadline.is_some() || self.session.end().is_some();
        for side in SIDES {
            let Direction { read, passed, ended, .. } = self.from(side);
            assert!(has_begun || *read - *passed <= HEADROOM, "held back without a reason");
            assert!(has_begun || !*ended, "an end begins the end");
        }
    }

    /// The session is over, or is made to be. Nothing passes any more, and everything adds up.
    fn leave(&mut self) {
        if let Some(deadline) = self.session.poll_timeout() {
            self.session.handle_timeout(deadline - Duration::from_nanos(1));
            assert_eq!(self.session.poll_timeout(), Some(deadline), "before its time");
            self.now = self.now.max(deadline);
            self.session.handle_timeout(deadline);
            assert!(self.session.end().is_some(), "a closing outlived its deadline");
        }
        let end = self.session.end();
        for side in SIDES {
            let read = self.read_passed(side);
            let Stream { frames, messages, is_whole, is_closed } = read;
            let bytes = self.from(side).passed as u64;
            assert_eq!(self.session.counts(side), Counts { frames, messages, bytes });

            let direction = &self.directions[side as usize];
            if !direction.lost {
                let is_told = is_closed || direction.closed || direction.finish == Finish::Done;
                let parting = if is_told { Parting::Orderly } else { Parting::Cut };
                assert_eq!(self.session.parting(side.other()), parting);
                assert!(is_whole || parting == Parting::Cut, "a cut as an end");
            }
        }
        if end.is_some() {
            for side in SIDES {
                assert_eq!(self.session.poll_inject(side, KEY), None);
                assert!(!self.session.poll_finish(side));
            }
            assert_eq!(self.session.end(), end);
        }
    }
}

fn terms(sender: Side, deflate: bool) -> Terms {
    Terms { masked: sender == Side::Client, deflate, message: CONFIG.message.get(), fragments: CONFIG.fragments }
}
