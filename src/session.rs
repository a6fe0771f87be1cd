//! A connection being relayed, as a sans-IO state machine.
//!
//! A [`Session`] judges what client and app send, frame by frame, and says what of it may pass. It has no socket, no
//! clock and no logger; a driver moves the bytes. `handle_*` tell it what happened, `poll_*` say what to do next.
//!
//! - **Bytes pass verbatim.** What the driver has read lies in a [`Window`]; [`Session::handle_bytes`] takes from it
//!   what may not pass. Of payloads only control frames' and text are looked at, where they lie.
//! - **No byte of a frame leaves before its header was judged**, and a control frame leaves whole or not at all. The
//!   start of a frame that cannot be judged yet is held here and put back in front of the next bytes.
//! - **A violation poisons its direction.** Nothing of the offending frame passes, nothing after it is judged. Text that
//!   turns out bad in a later read than its header has passed in part; its receiver is then cut, not closed.
//! - **A frame of ours goes out between frames.** A Close is the last thing in its direction. A direction that is inside
//!   a frame is relayed to the end of that frame first, or cut at the deadline; nothing is ever forged.
//! - **A cut is never presented as an end.** Only a direction whose last frame was a Close, or whose sender ended
//!   its stream in order between two frames, is ended in order ([`Parting::Orderly`]).
//! - **Time is one lazy deadline.** While it only moves away, as with every byte that proves a side alive, nobody sets a
//!   timer anew: [`Session::handle_timeout`] comes too early then, and finds the next.
//!
//! `flow` judges one direction and `ends` knows what is still to come of it; `closing` is what both have in common once
//! the end has begun, `farewell` what they are told. `watch` knows what time may bring: `liveness` about a silent side,
//! `life` about the connection.

mod closing;
mod config;
mod ends;
mod event;
mod farewell;
mod flow;
mod held;
mod life;
mod liveness;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use crate::peer::Side;
use crate::rate::meter::Meter;
use crate::rule::Rule;
use crate::telemetry::end::{By, End, Why};
use crate::telemetry::record::{Counts, RoundTrip};
use crate::window::Window;
use crate::ws::control::ControlFrame;
use crate::ws::sequence::Terms;
pub use config::{Config, Keepalive, Notice};
pub use event::{Ear, Ending, Injected, Parting, Start, Violation};

use closing::Closing;
use flow::{Flow, Judge};
use life::{Chance, Life};
use liveness::Liveness;
use watch::{Due, Watch};

/// Room before the filled bytes that a window for [`Session::handle_bytes`] needs: the most a session holds back.
pub const HEADROOM: usize = held::CAPACITY;

/// Who ended, and why.
type Cause = (By, Why);

/// A connection being relayed: two directions and how they end.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    /// From the client to the app.
    from_client: Flow,
    /// From the app to the client.
    from_app: Flow,
    closing: Closing,
    watch: Watch,
    meter: Option<Box<Meter>>,
    chance: Chance,
    /// Nothing is due before this. It may lie earlier than it must.
    next: Option<Instant>,
}

impl Session {
    /// The session of a connection whose 101 was just relayed.
    pub fn new(config: Arc<Config>, start: Start) -> Self {
        let Start { deflate, expires, meter, entropy, now } = start;
        let flow = |sender| {
            let terms = Terms { sender, deflate, message: config.message.get(), fragments: config.fragments };
            Flow::new(terms, now)
        };
        let [a, b, c, d, mark @ ..] = entropy.to_be_bytes();
        let chance = Chance(u32::from_be_bytes([a, b, c, d]));
        let mut session = Self {
            from_client: flow(Side::Client),
            from_app: flow(Side::App),
            closing: Closing::new(config.closing),
            watch: Watch::new(Liveness::new(mark, now), Life::new(&config, expires, chance, now)),
            meter,
            chance,
            next: None,
            config,
        };
        session.schedule();
        session
    }

    /// Judges the bytes in `window`, all of which `from` has sent. Afterwards the window holds what may go to the
    /// other side now: frames before an offending one included, that one and what follows excluded.
    ///
    /// `ear` is told what passes. Costs a few instructions per frame, and per byte of text that is checked.
    ///
    /// # Errors
    /// When `from` breaks a rule; reported once. The session is then closing by itself: go on as ever.
    ///
    /// # Panics
    /// When the window has less [`room`](Window::room) than is held: at most [`HEADROOM`].
    pub fn handle_bytes(
        &mut self,
        from: Side,
        window: &mut Window<'_>,
        ear: Ear<'_>,
        now: Instant,
    ) -> Result<(), Violation> {
        if self.is_over() {
            window.truncate(0);
            return Ok(());
        }
        self.hear(from, now);
        let (flow, meter) = match from {
            Side::Client => (&mut self.from_client, self.meter.as_deref_mut()),
            Side::App => (&mut self.from_app, None),
        };
        let liveness = self.watch.liveness_mut(from);
        match flow.pass(window, &mut Judge { config: &self.config, liveness, meter, ear, now }) {
            Ok(passed) => {
                if flow.ends.close_code().is_some() {
                    self.closing.begin((from.into(), Why::Closed), now);
                    self.schedule();
                } else if let Some(until) = passed.pause {
                    self.watch.pause(until);
                    self.schedule();
                }
                if passed.data {
                    self.watch.life.handle_data(now);
                }
                Ok(())
            }
            Err(rule) => {
                self.fail(from, rule, now);
                Err(Violation { by: from, rule })
            }
        }
    }

    /// `from` stopped: it will send nothing more, or can take nothing more.
    ///
    /// A client's orderly end leaves the other direction open until it ends, too, or the closing deadline passes. An app
    /// that ends without a Close has died: a client that has not said its last word is told so. A client that breaks off is
    /// a cut to the app as well.
    pub fn handle_end(&mut self, from: Side, how: Ending, now: Instant) {
        self.flow_mut(from).ends.end();
        if self.is_lost(from) {
            return;
        }
        let why = match how {
            Ending::Eof if self.flow(from).is_between_frames() => Why::Eof,
            Ending::Eof | Ending::Truncated => Why::Truncated,
            Ending::Reset => Why::Reset,
            Ending::TlsBroken => Why::TlsBroken,
            Ending::WriteStalled => Why::WriteStalled,
        };
        let other_done = self.flow(from.other()).ends.has_had_its_say();
        match (from, why) {
            (_, Why::WriteStalled) => self.lose(from, why, now),
            // Its Close frame, or the other side's answer to it, may still be on its way to the other side.
            _ if self.flow(from).ends.is_spent() => {
                if matches!(how, Ending::Reset | Ending::TlsBroken) {
                    self.toward_mut(from).ends.lose_receiver();
                }
            }
            (Side::App, Why::Reset) if !other_done => self.lose(from, why, now),
            (Side::App, _) if !other_done => self.tell(from, why, now),
            (_, Why::Eof) => self.closing.begin((from.into(), why), now),
            _ => self.closing.abort((from.into(), why)),
        }
        self.schedule();
    }

    /// What [`poll_finish`](Self::poll_finish) asked for is done: all was written to `to` and its write half ended.
    pub fn handle_finished(&mut self, to: Side) {
        self.toward_mut(to).ends.handle_finished();
    }

    /// Nobody was listening to `side` until `now`: its silence till then says nothing about it.
    pub fn handle_unheard(&mut self, side: Side, now: Instant) {
        self.hear(side, now);
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come. Earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        if self.closing.has_begun() {
            self.expire(now);
        } else {
            match self.watch.handle_timeout(&self.config, self.meter.as_deref_mut(), now) {
                Some(Due::Close(why)) => self.leave_both(why, now),
                Some(Due::Dead(side)) => self.lose(side, Why::PeerDead, now),
                None => {}
            }
        }
        self.schedule();
    }

    /// This process is to stop: a Close as configured goes to both sides, and the session is over by `until`. One whose
    /// closing has begun already goes on with that.
    pub fn handle_drain(&mut self, now: Instant, until: Instant) {
        if !self.closing.has_begun() {
            self.leave_both(Why::Drain, now);
        }
        self.closing.hurry(until);
        self.schedule();
    }

    /// Whether there is a frame of ours for `to`, behind everything given out for it so far. Ask after every `handle_*`,
    /// until there is none.
    pub fn has_inject(&self, to: Side) -> bool {
        let flow = self.flow(to.other());
        !self.closing.is_over() && (flow.has_close() || (self.watch.liveness(to).is_due() && flow.takes_ping()))
    }

    /// That frame. `mask` is its masking key if it needs one (toward the app): four unpredictable bytes, other ones for
    /// each frame (RFC 6455 section 5.3).
    pub fn poll_inject(&mut self, to: Side, now: Instant, mask: [u8; 4]) -> Option<Injected> {
        if !self.has_inject(to) {
            return None;
        }
        let mask = match to {
            Side::Client => None,
            Side::App => Some(mask),
        };
        if let Some(cause) = self.flow(to.other()).ends.closing_for() {
            let (code, reason) = farewell::farewell(&self.config, cause, to, self.chance);
            let frame = ControlFrame::close(code, &reason, mask);
            self.toward_mut(to).ends.handle_closed(code);
            return Some(Injected::Close(frame));
        }
        let payload = self.watch.liveness_mut(to).ask(now);
        self.schedule();
        ControlFrame::ping(&payload, mask).map(Injected::Ping)
    }

    /// Whether the write half toward `to` is now to be ended in order, behind everything given out for it. True
    /// once; answer with [`handle_finished`](Self::handle_finished). Ask after [`poll_inject`](Self::poll_inject).
    pub fn poll_finish(&mut self, to: Side) -> bool {
        let answered = self.flow(to).ends.has_had_its_say();
        !self.closing.is_over() && self.toward_mut(to).ends.poll_finish(answered)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Whether `from` may be read from. If not, it may after some [`handle_timeout`](Self::handle_timeout).
    pub const fn may_read(&self, from: Side) -> bool {
        matches!(from, Side::App) || !self.watch.is_paused() || self.closing.has_begun()
    }

    /// Whether all goes its way: no end has begun and nobody is to wait. Then no deadline has come nearer, but that a side
    /// that was heard before its Ping went out is watched again.
    pub const fn is_steady(&self) -> bool {
        !self.closing.has_begun() && !self.watch.is_paused()
    }

    /// Whether nothing can be said to `side` any more, nor is it listened to: close its socket. It may be the first to
    /// notice.
    pub const fn is_lost(&self, side: Side) -> bool {
        self.flow(side.other()).ends.is_lost()
    }

    /// How the connection ended, when it is over: part from both sides as [`parting`](Self::parting) says.
    ///
    /// It is over when both write halves and both read halves are ended, at the closing deadline, or at a cut. The
    /// wait for the read halves lets our last bytes arrive: closing a socket that has unread data resets it.
    pub fn end(&self) -> Option<End> {
        let (by, why) = self.closing.cause().filter(|_| self.is_over())?;
        let code_sent = self.from_app.ends.closed_with();
        Some(End { by, why, code_sent, code_received: self.from_client.ends.close_code() })
    }

    /// How to leave `side`, should the driver stop now.
    pub const fn parting(&self, side: Side) -> Parting {
        if self.flow(side.other()).ends.is_whole() { Parting::Orderly } else { Parting::Cut }
    }

    /// What `from` has sent and was relayed.
    pub const fn counts(&self, from: Side) -> Counts {
        self.flow(from).counts()
    }

    /// How long our Pings to `side` take to come back; `None` before the first has.
    pub fn round_trip(&self, side: Side) -> Option<RoundTrip> {
        self.watch.liveness(side).round_trip()
    }

    /// Pings of ours that `side` has left unanswered in a row, the latest included.
    pub const fn missed(&self, side: Side) -> u32 {
        self.watch.liveness(side).missed()
    }

    /// Who began the end and why, once it has begun; a fault that came later takes its place.
    pub const fn closing(&self) -> Option<(By, Why)> {
        self.closing.cause()
    }

    const fn is_over(&self) -> bool {
        self.closing.is_over() || (self.from_client.ends.is_done() && self.from_app.ends.is_done())
    }

    /// `side` is not silent, or is excused. If the Ping for it had yet to go out, it goes without.
    fn hear(&mut self, side: Side, now: Instant) {
        if self.watch.liveness_mut(side).hear(now) {
            self.schedule();
        }
    }

    /// If the session has been ending for long enough, it is over.
    fn expire(&mut self, now: Instant) {
        if self.closing.is_due(now) {
            let owing = self.closing.closed_by().map(Side::other);
            self.closing.expire(owing.filter(|side| !self.flow(*side).ends.has_had_its_say()));
        }
    }

    /// `by` broke `rule`: both sides get a Close.
    fn fail(&mut self, by: Side, rule: Rule, now: Instant) {
        let cause = (by.into(), Why::Violation(rule));
        self.closing.begin(cause, now);
        self.close_or_give_up(by, cause);
        // Who has sent a Close frame gets the other side's answer to it, as if it had kept quiet: "after receiving a
        // control frame indicating the connection should be closed, a peer discards any further data received" (RFC
        // 6455 section 1.4).
        if self.flow(by).ends.close_code().is_none() {
            self.toward_mut(by).ends.close(cause);
        }
        self.schedule();
    }

    /// We end it for a reason of our own: both sides get a Close.
    fn leave_both(&mut self, why: Why, now: Instant) {
        let cause = (By::Ringside, why);
        self.closing.begin(cause, now);
        self.from_client.ends.close(cause);
        self.from_app.ends.close(cause);
    }

    /// `side` is of no use any more, and neither hears nor says anything. The other is told.
    fn lose(&mut self, side: Side, why: Why, now: Instant) {
        self.flow_mut(side).ends.end();
        self.toward_mut(side).ends.lose_receiver();
        self.tell(side, why, now);
    }

    /// `side` says no more. The other is told with a Close of ours, unless it is inside a frame: then all there is left
    /// is to cut.
    fn tell(&mut self, side: Side, why: Why, now: Instant) {
        let cause = (side.into(), why);
        if self.flow(side).is_inside_frame() {
            self.closing.abort(cause);
        } else {
            self.closing.begin(cause, now);
            self.flow_mut(side).ends.close(cause);
        }
    }

    /// The receiver of what `from` sends gets a Close of ours; or, inside a frame that will not be relayed any further,
    /// is given up.
    fn close_or_give_up(&mut self, from: Side, cause: Cause) {
        if self.flow(from).is_inside_frame() {
            self.flow_mut(from).ends.lose_receiver();
            self.flow_mut(from.other()).ends.end();
            // Nor does the frame end that `from` is in itself.
            if self.flow(from.other()).is_inside_frame() {
                self.closing.abort(cause);
            }
        } else {
            self.flow_mut(from).ends.close(cause);
        }
    }

    /// Finds out anew when something is due.
    fn schedule(&mut self) {
        self.next = if self.closing.has_begun() { self.closing.deadline() } else { self.watch.deadline(&self.config) };
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
