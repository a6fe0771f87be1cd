//! A connection being relayed, as a sans-IO state machine.
//!
//! A [`Session`] judges what client and app send, frame header by frame header, and says what of it may pass. It
//! has no socket, no clock and no logger; a driver moves the bytes. `handle_*` tell it what happened, `poll_*` say
//! what to do next.
//!
//! - **Bytes pass verbatim.** What the driver has read lies in a [`Window`]; [`Session::handle_bytes`] takes from it
//!   what may not pass. Payloads are skipped, not looked at, except those of Close frames.
//! - **No byte of a frame leaves before its header was judged**, and a control frame leaves whole or not at all. The
//!   start of a frame that cannot be judged yet is held here and put back in front of the next bytes.
//! - **A violation poisons its direction.** Nothing of the offending frame passes, nothing after it is judged.
//! - **A Close of ours goes out between frames** and is the last thing in its direction. A direction that is inside
//!   a frame is relayed to the end of that frame first, or cut at the deadline; nothing is ever forged.
//! - **A cut is never presented as an end.** Only a direction whose last frame was a Close, or whose sender ended
//!   its stream in order between two frames, is ended in order ([`Parting::Orderly`]).
//!
//! `flow` is one direction, `closing` is what both have in common once the end has begun.

mod closing;
mod config;
mod flow;
mod held;

#[cfg(test)]
mod tests;

use std::time::Instant;

use crate::peer::Side;
use crate::rule::Rule;
use crate::telemetry::end::{By, End, Why};
use crate::telemetry::record::Counts;
use crate::window::Window;
use crate::ws::close;
use crate::ws::control::ControlFrame;
use crate::ws::sequence::Terms;
pub use config::{Config, Keepalive, Notice};

use closing::Closing;
use flow::Flow;

/// Room before the filled bytes that a window for [`Session::handle_bytes`] needs: the most a session holds back.
pub const HEADROOM: usize = held::CAPACITY;

/// What client and app agreed on in their handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// permessage-deflate (RFC 7692).
    pub deflate: bool,
}

/// A frame that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {by} broke {rule} ({})", rule.source())]
pub struct Violation {
    /// Who sent it.
    pub by: Side,
    /// Which rule it breaks.
    pub rule: Rule,
}

/// How a side's socket stopped working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It ended its byte stream in order: FIN, over TLS behind a `close_notify`.
    Eof,
    /// It ended its TLS stream without `close_notify`.
    Truncated,
    /// It reset the connection, or the connection broke.
    Reset,
    /// It took nothing of what we wrote for too long.
    WriteStalled,
    /// It broke the TLS protocol.
    TlsBroken,
}

/// How to leave a side when the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// What was given out for this side is a whole. If all of it is written, end the write half in order (unless
    /// that is done) and close; if not, cut.
    Orderly,
    /// Something is missing: reset the connection, without `close_notify`.
    Cut,
}

/// A connection being relayed: two directions and how they end.
#[derive(Debug)]
pub struct Session {
    /// From the client to the app.
    from_client: Flow,
    /// From the app to the client.
    from_app: Flow,
    closing: Closing,
}

impl Session {
    /// The session of a connection whose 101 was just relayed.
    pub fn new(config: &Config, negotiated: Negotiated) -> Self {
        let flow = |sender| {
            Flow::new(Terms {
                sender,
                deflate: negotiated.deflate,
                message: config.message.get(),
                fragments: config.fragments,
            })
        };
        Self { from_client: flow(Side::Client), from_app: flow(Side::App), closing: Closing::new(config.closing) }
    }

    /// Judges the bytes in `window`, all of which `from` has sent. Afterwards the window holds what may go to the
    /// other side now: frames before an offending one included, that one and what follows excluded.
    ///
    /// Costs a few instructions per frame and nothing per byte of payload.
    ///
    /// # Errors
    /// When `from` breaks a rule; reported once. The session is then closing by itself: go on as ever.
    ///
    /// # Panics
    /// When the window has less [`room`](Window::room) than is held: at most [`HEADROOM`].
    pub fn handle_bytes(&mut self, from: Side, window: &mut Window<'_>, now: Instant) -> Result<(), Violation> {
        if self.closing.is_over() {
            window.truncate(0);
            return Ok(());
        }
        let flow = self.flow_mut(from);
        match flow.pass(window) {
            Ok(()) if flow.close_code().is_some() => self.closing.begin(from.into(), Why::Closed, now),
            Ok(()) => {}
            Err(rule) => {
                self.fail(from, rule, now);
                return Err(Violation { by: from, rule });
            }
        }
        Ok(())
    }

    /// `from` stopped: it will send nothing more, or can take nothing more.
    ///
    /// An orderly end leaves the other direction open until it ends, too, or the closing deadline passes. Anything
    /// else ends the session at once, unless the side has had its last word.
    pub fn handle_end(&mut self, from: Side, how: Ending, now: Instant) {
        let flow = self.flow_mut(from);
        let spent = flow.is_spent();
        let between_frames = flow.is_between_frames();
        flow.end();
        let by = By::from(from);
        match how {
            Ending::Eof | Ending::Truncated if spent => {}
            Ending::Eof if between_frames => self.closing.begin(by, Why::Eof, now),
            Ending::Eof | Ending::Truncated => self.closing.abort(by, Why::Truncated),
            // Its Close frame, or the other side's answer to it, may still be on its way to the other side.
            Ending::Reset | Ending::TlsBroken if spent => self.handle_finished(from),
            Ending::Reset => self.closing.abort(by, Why::Reset),
            Ending::TlsBroken => self.closing.abort(by, Why::TlsBroken),
            Ending::WriteStalled => self.closing.abort(by, Why::WriteStalled),
        }
    }

    /// What [`poll_finish`](Self::poll_finish) asked for is done: all was written to `to` and its write half ended.
    pub fn handle_finished(&mut self, to: Side) {
        self.toward_mut(to).handle_finished();
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come. Earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closing.is_due(now) {
            let late = self.closing.closed_by().map(Side::other).filter(|side| self.flow(*side).is_speaking());
            self.closing.expire(late);
        }
    }

    /// This process is shutting down: a Close with `code` goes to both sides. Does nothing once a closing has begun,
    /// which has its own deadline.
    pub fn handle_drain(&mut self, now: Instant, code: u16) {
        if self.closing.has_begun() {
            return;
        }
        self.closing.begin(By::Ringside, Why::Drain, now);
        self.from_client.close(code);
        self.from_app.close(code);
    }

    /// A frame of ours to write to `to`, behind everything given out for it so far. Call it after every `handle_*`
    /// until it gives none. `mask` is the masking key if the frame needs one (toward the app): four unpredictable
    /// bytes (RFC 6455 section 5.3).
    pub fn poll_inject(&mut self, to: Side, mask: [u8; 4]) -> Option<ControlFrame> {
        if self.closing.is_over() {
            return None;
        }
        let code = self.toward_mut(to).poll_close()?;
        let mask = match to {
            Side::Client => None,
            Side::App => Some(mask),
        };
        Some(ControlFrame::close(code, "", mask))
    }

    /// Whether the write half toward `to` is now to be ended in order, behind everything given out for it. True
    /// once; answer with [`handle_finished`](Self::handle_finished). Ask after [`poll_inject`](Self::poll_inject).
    pub fn poll_finish(&mut self, to: Side) -> bool {
        let answered = self.flow(to).has_had_its_say();
        !self.closing.is_over() && self.toward_mut(to).poll_finish(answered)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.closing.deadline()
    }

    /// How the connection ended, when it is over: part from both sides as [`parting`](Self::parting) says.
    ///
    /// It is over when both write halves and both read halves are ended, at the closing deadline, or at a cut. The
    /// wait for the read halves lets our last bytes arrive: closing a socket that has unread data resets it.
    pub fn end(&self) -> Option<End> {
        let done = self.closing.is_over() || (self.from_client.is_done() && self.from_app.is_done());
        let (by, why) = self.closing.cause().filter(|_| done)?;
        let code_sent = self.from_app.closed_with();
        Some(End { by, why, code_sent, code_received: self.from_client.close_code() })
    }

    /// How to leave `side`, should the driver stop now.
    pub fn parting(&self, side: Side) -> Parting {
        if self.flow(side.other()).is_whole() { Parting::Orderly } else { Parting::Cut }
    }

    /// What `from` has sent and was relayed.
    pub fn counts(&self, from: Side) -> Counts {
        self.flow(from).counts()
    }

    /// `by` broke `rule`: both sides get a Close.
    fn fail(&mut self, by: Side, rule: Rule, now: Instant) {
        self.closing.begin(by.into(), Why::Violation(rule), now);
        self.flow_mut(by).close(match by {
            Side::Client => close::GOING_AWAY,
            Side::App => close::INTERNAL_ERROR,
        });
        // Who has sent a Close frame gets the other side's answer to it, as if it had kept quiet: "after receiving a
        // control frame indicating the connection should be closed, a peer discards any further data received" (RFC
        // 6455 section 1.4).
        if self.flow(by).close_code().is_none() {
            self.toward_mut(by).close(rule.close_code());
        }
    }

    /// What `from` sends.
    const fn flow(&self, from: Side) -> &Flow {
        match from {
            Side::Client => &self.from_client,
            Side::App => &self.from_app,
        }
    }

    /// What `from` sends.
    const fn flow_mut(&mut self, from: Side) -> &mut Flow {
        match from {
            Side::Client => &mut self.from_client,
            Side::App => &mut self.from_app,
        }
    }

    /// What goes to `to`.
    const fn toward_mut(&mut self, to: Side) -> &mut Flow {
        self.flow_mut(to.other())
    }
}
