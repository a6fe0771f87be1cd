//! One direction: what its sender sends, and what of it reaches its receiver.
//!
//! ```text
//!  window   |#### may pass ####|.... judged, may not pass ....|== held ==|
//!           0               passing                         judged      len
//! ```

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use super::config::Config;
use super::ends::Ends;
use super::event::Ear;
use super::held::Held;
use super::liveness::Liveness;
use crate::opcode::Opcode;
use crate::rate::bucket::Bucket;
use crate::rate::meter::Meter;
use crate::rate::{Action, Rate};
use crate::rule::Rule;
use crate::telemetry::chooser::Chosen;
use crate::telemetry::counters::Traffic;
use crate::telemetry::record::Counts;
use crate::window::Window;
use crate::ws::close::CloseFrame;
use crate::ws::header::Header;
use crate::ws::mask;
use crate::ws::sequence::{Sequence, Terms};
use crate::ws::utf8::Utf8;

/// The guard of one direction.
#[derive(Debug)]
pub(super) struct Flow {
    sequence: Sequence,
    /// The start of the next frame; empty while a payload passes.
    held: Held,
    payload: Payload,
    message: Message,
    /// Counts control frames; full again with every data frame.
    controls: Bucket,
    pub(super) ends: Ends,
    counts: Counts,
}

/// What the frames of one window are judged with.
pub(super) struct Judge<'j> {
    pub(super) config: &'j Config,
    /// What the sender's silence is measured by, and its answers to our Pings.
    pub(super) liveness: &'j mut Liveness,
    /// What the sender's rates are measured by.
    pub(super) meter: Option<&'j mut Meter>,
    pub(super) ear: Ear<'j>,
    pub(super) now: Instant,
}

/// What a window had in it besides frames that pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Whether bytes of data frames passed.
    pub(super) data: bool,
    /// Until when nothing more is to be read from the sender.
    pub(super) pause: Option<Instant>,
}

/// What is still to come of the frame whose header was judged last.
#[derive(Debug)]
struct Payload {
    left: u64,
    /// The masking key as it applies to the next byte.
    key: Option<[u8; 4]>,
    /// Whether the frame passes. Frames stop passing for good: none does after one that did not.
    passes: bool,
    kind: Kind,
    opcode: Opcode,
}

/// What the end of a frame means to its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Control,
    /// One that others follow.
    Fragment,
    /// The last of its message.
    Final,
}

/// What is known of the data message whose frame came last.
#[derive(Debug)]
struct Message {
    /// Its text, if it is looked at.
    text: Option<Utf8>,
    compressed: bool,
    /// [`Opcode::Text`] or [`Opcode::Binary`].
    opcode: Opcode,
    /// Bytes of payload in the frames that have begun.
    size: u64,
    /// It is one of those that are told of one by one.
    chosen: Option<Box<Begun>>,
}

/// What is remembered of a message that was chosen.
#[derive(Debug)]
struct Begun {
    at: Instant,
    frames: u32,
}

/// What passed of one window, by opcode. The counters that others read get it in one go, so that nothing is ever taken
/// back there.
#[derive(Default)]
struct Tally {
    frames: [u32; Opcode::ALL.len()],
    bytes: [usize; Opcode::ALL.len()],
}

/// What came of looking at the start of a frame.
enum Opened {
    /// It may pass, payload and all, as far as the header (of so many bytes) can tell.
    Passes(usize),
    /// It is a frame of so many bytes for us: it does not pass.
    Ours(usize),
    /// Too little of it is there to let any of it pass.
    Incomplete,
}

impl Flow {
    pub(super) const fn new(terms: Terms, now: Instant) -> Self {
        Self {
            sequence: Sequence::new(terms),
            held: Held::new(),
            payload: Payload { left: 0, key: None, passes: false, kind: Kind::Control, opcode: Opcode::Continuation },
            message: Message { text: None, compressed: false, opcode: Opcode::Binary, size: 0, chosen: None },
            controls: Bucket::new(now),
            ends: Ends::new(),
            counts: Counts { frames: 0, messages: 0, bytes: 0, compressed: 0 },
        }
    }

    /// Judges the window and leaves in it what passes.
    pub(super) fn pass(&mut self, window: &mut Window<'_>, judge: &mut Judge<'_>) -> Result<Passed, Rule> {
        if self.ends.is_poisoned() {
            window.truncate(0);
            return Ok(Passed::default());
        }
        // Who was lost inside a frame does not get the rest.
        self.payload.passes &= !self.ends.is_lost();
        self.held.restore(window);
        let (mut judged, mut passing) = (0, 0);
        let mut passed = Passed::default();
        let mut tally = Tally::default();
        let mut opened = false;
        let verdict = loop {
            let rest = &window.bytes()[judged..];
            match self.skip_payload(rest, judge.ear) {
                Ok(skipped) => judged += skipped,
                Err(rule) => {
                    self.retract(opened, &mut tally);
                    break Err(rule);
                }
            }
            if self.payload.passes {
                passed.data |= self.payload.kind != Kind::Control && judged > passing;
                tally.bytes[self.payload.opcode as usize] += judged - passing;
                passing = judged;
            }
            let rest = &window.bytes()[judged..];
            if rest.is_empty() {
                break Ok(passed);
            }
            match self.open_frame(rest, judge, &mut passed) {
                Ok(Opened::Passes(header_len)) => {
                    opened = true;
                    judged += header_len;
                    tally.frames[self.payload.opcode as usize] += u32::from(self.payload.passes);
                }
                Ok(Opened::Ours(frame_len)) => window.remove(judged..judged + frame_len),
                Ok(Opened::Incomplete) => {
                    self.held.store(rest);
                    break Ok(passed);
                }
                Err(rule) => break Err(rule),
            }
        };
        if verdict.is_err() {
            self.ends.poison();
        }
        window.truncate(passing);
        self.counts.bytes += passing as u64;
        tally.count(judge.ear.traffic);
        verdict
    }

    /// Skips what is there of the payload; returns how many bytes belong to it. On an error none of them is skipped.
    fn skip_payload(&mut self, available: &[u8], ear: Ear<'_>) -> Result<usize, Rule> {
        let len = usize::try_from(self.payload.left).map_or(available.len(), |left| left.min(available.len()));
        let ends_message = self.payload.kind == Kind::Final && self.payload.left == len as u64;
        if self.payload.kind != Kind::Control
            && let Some(text) = &mut self.message.text
        {
            text.check(&available[..len], self.payload.key)?;
            if ends_message {
                text.finish()?;
            }
        }
        self.payload.left -= len as u64;
        if let Some(key) = &mut self.payload.key {
            key.rotate_left(len % 4);
        }
        if ends_message {
            self.payload.kind = Kind::Fragment;
            if self.payload.passes {
                self.count_message(ear);
            }
        }
        Ok(len)
    }

    fn count_message(&mut self, Ear { traffic, chooser }: Ear<'_>) {
        let Message { compressed, opcode, size, .. } = self.message;
        if let (Some(chooser), Some(begun)) = (chooser, self.message.chosen.take()) {
            let Begun { at: began, frames } = *begun;
            chooser.pass(Chosen { opcode, size, frames, compressed, began });
        }
        self.counts.messages += 1;
        self.counts.compressed += u64::from(compressed);
        traffic.messages(opcode).add(1);
        traffic.sizes.record(size);
        if compressed {
            traffic.compressed.add(1);
        }
    }

    /// The frame whose payload came last breaks a rule. If it was `opened` in this window none of it has passed, so
    /// that the receiver is between frames; else the receiver misses the rest of it.
    fn retract(&mut self, opened: bool, tally: &mut Tally) {
        if opened {
            self.counts.frames -= u64::from(self.payload.passes);
            tally.frames[self.payload.opcode as usize] -= u32::from(self.payload.passes);
            self.payload.left = 0;
        }
    }

    /// Judges the frame at the start of `rest`.
    fn open_frame(&mut self, rest: &[u8], judge: &mut Judge<'_>, passed: &mut Passed) -> Result<Opened, Rule> {
        let Some(header) = Header::parse(rest)? else { return Ok(Opened::Incomplete) };
        // "The application MUST NOT send any more data frames after sending a Close frame." (RFC 6455 section 5.5.1)
        // A Pong it must send until it has received a Close frame (section 5.5.2); it does not pass.
        if self.ends.is_closed() && !matches!(header.opcode, Opcode::Ping | Opcode::Pong) {
            return Err(Rule::AfterClose);
        }
        self.sequence.judge(&header)?;
        let kind = if header.opcode.is_control() {
            let Some(payload) = control_payload(&header, rest) else { return Ok(Opened::Incomplete) };
            if self.read_control(&header, payload, judge)? {
                return Ok(Opened::Ours(header.header_len + payload.len()));
            }
            Kind::Control
        } else {
            self.begin_data(&header, judge, passed)?;
            if header.fin { Kind::Final } else { Kind::Fragment }
        };
        let relayed = self.let_pass(header.opcode);
        self.counts.frames += u64::from(relayed);
        self.payload = Payload { left: header.length, key: header.mask, passes: relayed, kind, opcode: header.opcode };
        Ok(Opened::Passes(header.header_len))
    }

    /// A data frame begins, and with it perhaps a message.
    fn begin_data(&mut self, header: &Header, judge: &mut Judge<'_>, passed: &mut Passed) -> Result<(), Rule> {
        let begins_message = header.opcode != Opcode::Continuation;
        if begins_message {
            let compressed = header.rsv & Header::RSV1 != 0;
            let looked_at = header.opcode == Opcode::Text && judge.config.validate_utf8 && !compressed;
            let is_chosen = judge.ear.chooser.is_some_and(|chooser| chooser.chooses(judge.now));
            let chosen = is_chosen.then(|| Box::new(Begun { at: judge.now, frames: 0 }));
            let text = looked_at.then(Utf8::new);
            self.message = Message { text, compressed, opcode: header.opcode, size: 0, chosen };
        }
        if let Some(begun) = &mut self.message.chosen {
            begun.frames += 1;
        }
        self.message.size = self.message.size.saturating_add(header.length);
        if let Some(meter) = &mut judge.meter {
            passed.pause = meter.take(begins_message.into(), header.length, judge.now)?;
        }
        self.controls = Bucket::new(judge.now);
        Ok(())
    }

    /// A control frame, whole. Returns whether it is for us alone.
    fn read_control(&mut self, header: &Header, payload: &[u8], judge: &mut Judge<'_>) -> Result<bool, Rule> {
        let mut clear = [0; Header::MAX_CONTROL];
        let clear = &mut clear[..payload.len()];
        clear.copy_from_slice(payload);
        if let Some(key) = header.mask {
            mask::apply(key, 0, clear);
        }
        if header.opcode == Opcode::Close {
            self.ends.handle_close(CloseFrame::parse(clear)?.code);
            return Ok(false);
        }
        let flood = Rate { per_second: NonZeroU64::from(judge.config.control_frames), burst: Duration::from_secs(1) };
        self.controls.take(&flood, Action::Close, 1, judge.now).map_err(|_| Rule::ControlFlood)?;
        if header.opcode != Opcode::Pong || !judge.liveness.has_asked() {
            return Ok(false);
        }
        let Some(pong) = judge.liveness.handle_pong(clear, judge.now) else { return Ok(false) };
        judge.ear.traffic.pongs.add(1);
        if let Some(took) = pong.round_trip {
            judge.ear.traffic.round_trips.record_time(took);
        }
        Ok(true)
    }

    /// Whether a frame passes, now that it was found good. A Close frame is the last that does.
    const fn let_pass(&mut self, opcode: Opcode) -> bool {
        let passes = self.ends.is_open();
        if let (Opcode::Close, true, Some(code)) = (opcode, passes, self.ends.close_code()) {
            self.ends.handle_closed(code);
        }
        passes
    }

    /// Whether a Close of ours can go out now.
    pub(super) const fn has_close(&self) -> bool {
        self.ends.has_close() && !self.is_inside_frame()
    }

    /// Whether a Ping of ours can go out now.
    pub(super) const fn takes_ping(&self) -> bool {
        self.ends.is_open() && !self.is_inside_frame()
    }

    /// Whether the sender's bytes end with a whole frame.
    pub(super) const fn is_between_frames(&self) -> bool {
        self.payload.left == 0 && self.held.is_empty()
    }

    /// Whether the bytes that passed end inside a frame.
    pub(super) const fn is_inside_frame(&self) -> bool {
        self.payload.passes && self.payload.left > 0
    }

    /// What has passed.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }
}

impl Tally {
    fn count(&self, traffic: &Traffic) {
        for (opcode, (frames, bytes)) in Opcode::ALL.into_iter().zip(self.frames.into_iter().zip(self.bytes)) {
            if bytes > 0 {
                traffic.frames(opcode).add(frames.into());
                traffic.bytes(opcode).add(bytes as u64);
            }
        }
    }
}

/// The payload of a control frame, if all of it is there.
fn control_payload<'b>(header: &Header, rest: &'b [u8]) -> Option<&'b [u8]> {
    let end = usize::try_from(header.frame_len()).ok()?;
    rest.get(header.header_len..end)
}
