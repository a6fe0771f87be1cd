//! One direction: what its sender sends, and what of it reaches its receiver.
//!
//! ```text
//!  window   |#### may pass ####|.... judged, may not pass ....|== held ==|
//!           0               passing                         judged      len
//! ```

use super::held::Held;
use crate::rule::Rule;
use crate::telemetry::record::Counts;
use crate::window::Window;
use crate::ws::close::CloseFrame;
use crate::ws::header::{Header, Opcode};
use crate::ws::mask;
use crate::ws::sequence::{Sequence, Terms};

/// The guard of one direction.
#[derive(Debug)]
pub(super) struct Flow {
    sequence: Sequence,
    /// The start of the next frame; empty while a payload passes.
    held: Held,
    payload: Payload,
    sender: Sender,
    /// Whether the sender's byte stream has ended.
    ended: bool,
    gate: Gate,
    finish: Finish,
    counts: Counts,
}

/// What is still to come of the frame whose header was judged last.
#[derive(Debug)]
struct Payload {
    left: u64,
    /// Whether the frame passes. Frames stop passing for good: none does after one that did not.
    passes: bool,
    /// Whether its end is the end of a data message.
    ends_message: bool,
}

/// What the sender may still say.
///
/// ```text
///  Speaking --- its Close frame is complete ---> Closed(code)
///     |                                              | breaks a rule
///     +----- breaks a rule ---> Poisoned(None)       +---> Poisoned(Some(code))
/// ```
#[derive(Clone, Copy, Debug)]
enum Sender {
    /// Frames.
    Speaking,
    /// Nothing that passes: it has sent a Close frame with this code.
    Closed(u16),
    /// Nothing that anybody listens to: what follows a violation cannot be told apart into frames. With the code
    /// of the Close frame it had sent before.
    Poisoned(Option<u16>),
}

/// What the receiver may still get.
///
/// ```text
///  Open ------------- the sender's Close frame passes ------------> Closed(code)
///    |                                                                  ^
///    +--- we want to close ---> Closing(code) --- our Close goes out ---+
///                                               (at a frame boundary)
/// ```
#[derive(Clone, Copy, Debug)]
enum Gate {
    /// All that is judged good.
    Open,
    /// The rest of the frame it has begun to get, then our Close with this code.
    Closing(u16),
    /// Nothing: it got a Close with this code.
    Closed(u16),
}

/// The end of the write half toward the receiver: not yet, asked of the driver, done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    NotYet,
    Asked,
    Done,
}

impl Flow {
    pub(super) const fn new(terms: Terms) -> Self {
        Self {
            sequence: Sequence::new(terms),
            held: Held::new(),
            payload: Payload { left: 0, passes: false, ends_message: false },
            sender: Sender::Speaking,
            ended: false,
            gate: Gate::Open,
            finish: Finish::NotYet,
            counts: Counts { frames: 0, messages: 0, bytes: 0, compressed: 0 },
        }
    }

    /// Judges the window and leaves in it what passes.
    pub(super) fn pass(&mut self, window: &mut Window<'_>) -> Result<(), Rule> {
        if matches!(self.sender, Sender::Poisoned(_)) {
            window.truncate(0);
            return Ok(());
        }
        self.held.restore(window);
        let bytes = window.bytes();
        let (mut judged, mut passing) = (0, 0);
        let verdict = loop {
            judged += self.skip_payload(bytes.len() - judged);
            if self.payload.passes {
                passing = judged;
            }
            let rest = &bytes[judged..];
            if rest.is_empty() {
                break Ok(());
            }
            match self.open_frame(rest) {
                Ok(Some(header_len)) => judged += header_len,
                Ok(None) => {
                    self.held.store(rest);
                    break Ok(());
                }
                Err(rule) => {
                    self.sender = Sender::Poisoned(self.close_code());
                    break Err(rule);
                }
            }
        };
        window.truncate(passing);
        self.counts.bytes += passing as u64;
        verdict
    }

    /// Skips what is there of the payload, given so many bytes; returns how many belong to it.
    fn skip_payload(&mut self, available: usize) -> usize {
        let skipped = usize::try_from(self.payload.left).map_or(available, |left| left.min(available));
        self.payload.left -= skipped as u64;
        if self.payload.left == 0 && self.payload.ends_message {
            self.payload.ends_message = false;
            self.counts.messages += u64::from(self.payload.passes);
        }
        skipped
    }

    /// Judges the frame at the start of `rest`; returns the length of its header, or `None` when too little of the
    /// frame is there to let any of it pass.
    fn open_frame(&mut self, rest: &[u8]) -> Result<Option<usize>, Rule> {
        let Some(header) = Header::parse(rest)? else { return Ok(None) };
        // "The application MUST NOT send any more data frames after sending a Close frame." (RFC 6455 section 5.5.1)
        // A Pong it must send until it has received a Close frame (section 5.5.2); it does not pass.
        if matches!(self.sender, Sender::Closed(_)) && !matches!(header.opcode, Opcode::Ping | Opcode::Pong) {
            return Err(Rule::AfterClose);
        }
        self.sequence.judge(&header)?;
        let passes = self.is_open();
        let is_control = header.opcode.is_control();
        if is_control {
            let Some(payload) = control_payload(&header, rest) else { return Ok(None) };
            if header.opcode == Opcode::Close {
                self.read_close(&header, payload)?;
            }
        }
        self.counts.frames += u64::from(passes);
        self.payload = Payload { left: header.length, passes, ends_message: header.fin && !is_control };
        Ok(Some(header.header_len))
    }

    /// The sender's Close frame, whole.
    fn read_close(&mut self, header: &Header, payload: &[u8]) -> Result<(), Rule> {
        let mut clear = [0; Header::MAX_CONTROL];
        let clear = &mut clear[..payload.len()];
        clear.copy_from_slice(payload);
        if let Some(key) = header.mask {
            mask::apply(key, 0, clear);
        }
        let code = CloseFrame::parse(clear)?.code;
        self.sender = Sender::Closed(code);
        if self.is_open() {
            self.gate = Gate::Closed(code);
        }
        Ok(())
    }

    /// The sender's byte stream has ended.
    pub(super) const fn end(&mut self) {
        self.ended = true;
    }

    /// A Close of ours with `code` is to be the last the receiver gets, unless its last has gone out already.
    pub(super) const fn close(&mut self, code: u16) {
        if self.is_open() {
            self.gate = Gate::Closing(code);
        }
    }

    /// The code of a Close of ours that is to go out now.
    pub(super) const fn poll_close(&mut self) -> Option<u16> {
        match self.gate {
            Gate::Closing(code) if !self.is_inside_frame() => {
                self.gate = Gate::Closed(code);
                Some(code)
            }
            _ => None,
        }
    }

    /// Whether the write half toward the receiver is to be ended now. `answered`: whether the receiver has had its
    /// own say.
    ///
    /// After both Closes it is: "the server MUST close the WebSocket connection" first (RFC 6455 section 7.1.1),
    /// and as the app's client we hurry it only by our FIN. A stream that ended without a Close ends without one.
    pub(super) const fn poll_finish(&mut self, answered: bool) -> bool {
        let over = match self.gate {
            Gate::Open => self.ended,
            Gate::Closing(_) => false,
            Gate::Closed(_) => answered,
        };
        let now = over && matches!(self.finish, Finish::NotYet);
        if now {
            self.finish = Finish::Asked;
        }
        now
    }

    /// The write half toward the receiver is ended, or of no use any more.
    pub(super) const fn handle_finished(&mut self) {
        self.finish = Finish::Done;
    }

    /// Whether another frame may pass. It may not when the receiver's half is ended, be it that the receiver is gone.
    const fn is_open(&self) -> bool {
        matches!(self.gate, Gate::Open) && matches!(self.finish, Finish::NotYet)
    }

    /// Whether the sender may still send frames.
    pub(super) const fn is_speaking(&self) -> bool {
        matches!(self.sender, Sender::Speaking)
    }

    /// Whether the sender has said all it will, or all that anybody listens to.
    pub(super) const fn has_had_its_say(&self) -> bool {
        self.ended || !self.is_speaking()
    }

    /// Whether nothing can get lost in this direction any more: the sender has spoken, or the receiver got its
    /// Close.
    pub(super) const fn is_spent(&self) -> bool {
        !self.is_speaking() || matches!(self.gate, Gate::Closed(_))
    }

    /// Whether the sender's bytes end with a whole frame.
    pub(super) const fn is_between_frames(&self) -> bool {
        self.payload.left == 0 && self.held.is_empty()
    }

    /// Whether the bytes that passed end inside a frame.
    const fn is_inside_frame(&self) -> bool {
        self.payload.passes && self.payload.left > 0
    }

    /// Whether what the receiver got, it got to the end: to a Close frame or to the orderly end of the stream.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.gate, Gate::Closed(_)) || matches!(self.finish, Finish::Done)
    }

    /// Whether nothing will happen in this direction any more.
    pub(super) const fn is_done(&self) -> bool {
        self.ended && matches!(self.finish, Finish::Done)
    }

    /// The code of the sender's Close frame.
    pub(super) const fn close_code(&self) -> Option<u16> {
        match self.sender {
            Sender::Closed(code) => Some(code),
            Sender::Speaking => None,
            Sender::Poisoned(code) => code,
        }
    }

    /// The code of the Close frame that the receiver got.
    pub(super) const fn closed_with(&self) -> Option<u16> {
        match self.gate {
            Gate::Closed(code) => Some(code),
            Gate::Open | Gate::Closing(_) => None,
        }
    }

    /// What has passed.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }
}

/// The payload of a control frame, if all of it is there.
fn control_payload<'b>(header: &Header, rest: &'b [u8]) -> Option<&'b [u8]> {
    let end = usize::try_from(header.frame_len()).ok()?;
    rest.get(header.header_len..end)
}
