//! The two ends of a direction: what its sender may still say, and what its receiver may still get.

use super::Cause;

/// Both ends of a direction.
#[derive(Debug)]
pub(super) struct Ends {
    sender: Sender,
    /// Whether the sender's byte stream has ended.
    ended: bool,
    gate: Gate,
    finish: Finish,
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
///  Open -------------- the sender's Close frame passes ------------> Closed(code)
///    |                                                                   ^
///    +--- we want to close ---> Closing(cause) --- our Close goes out ---+
///                                                (at a frame boundary)
/// ```
#[derive(Clone, Copy, Debug)]
enum Gate {
    /// All that is judged good.
    Open,
    /// The rest of the frame it has begun to get, then a Close of ours for this cause.
    Closing(Cause),
    /// Nothing: it got a Close with this code.
    Closed(u16),
}

/// The end of the write half toward the receiver: not yet, asked of the driver, done; or of no use, because the
/// receiver is gone or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    NotYet,
    Asked,
    Done,
    Lost,
}

impl Ends {
    pub(super) const fn new() -> Self {
        Self { sender: Sender::Speaking, ended: false, gate: Gate::Open, finish: Finish::NotYet }
    }

    /// The sender's Close frame came.
    pub(super) const fn handle_close(&mut self, code: u16) {
        self.sender = Sender::Closed(code);
    }

    /// The sender broke a rule.
    pub(super) const fn poison(&mut self) {
        self.sender = Sender::Poisoned(self.close_code());
    }

    /// The sender's byte stream has ended.
    pub(super) const fn end(&mut self) {
        self.ended = true;
    }

    /// A Close of ours is to be the last the receiver gets, unless its last has gone out already.
    pub(super) const fn close(&mut self, cause: Cause) {
        if self.is_open() {
            self.gate = Gate::Closing(cause);
        }
    }

    /// Whether a Close of ours is to go out, at the next frame boundary.
    pub(super) const fn has_close(&self) -> bool {
        matches!(self.gate, Gate::Closing(_)) && !self.is_lost()
    }

    /// The cause of that Close.
    pub(super) const fn closing_for(&self) -> Option<Cause> {
        match self.gate {
            Gate::Closing(cause) if self.has_close() => Some(cause),
            _ => None,
        }
    }

    /// The receiver gets a Close with `code`: the sender's or ours.
    pub(super) const fn handle_closed(&mut self, code: u16) {
        self.gate = Gate::Closed(code);
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

    /// The write half toward the receiver is ended.
    pub(super) const fn handle_finished(&mut self) {
        if !self.is_lost() {
            self.finish = Finish::Done;
        }
    }

    /// The receiver is gone, or is given up: nothing reaches it any more.
    pub(super) const fn lose_receiver(&mut self) {
        self.finish = Finish::Lost;
    }

    /// Whether the receiver is gone or given up.
    pub(super) const fn is_lost(&self) -> bool {
        matches!(self.finish, Finish::Lost)
    }

    /// Whether another frame may pass. It may not when the receiver's half is ended, be it that the receiver is gone.
    pub(super) const fn is_open(&self) -> bool {
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

    /// Whether what the receiver got, it got to the end: to a Close frame or to the orderly end of the stream.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.gate, Gate::Closed(_)) || matches!(self.finish, Finish::Done)
    }

    /// Whether nothing will happen in this direction any more.
    pub(super) const fn is_done(&self) -> bool {
        self.ended && matches!(self.finish, Finish::Done | Finish::Lost)
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

    /// Whether the sender has sent its Close frame and broken no rule since.
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.sender, Sender::Closed(_))
    }

    /// Whether the sender broke a rule.
    pub(super) const fn is_poisoned(&self) -> bool {
        matches!(self.sender, Sender::Poisoned(_))
    }
}
