//! What a worker counts.
//!
//! Each has its own [`Counters`], which it alone writes. The control thread reads all workers' counters and sums them; a
//! value it reads is at most one batch old.

use std::array;
use std::time::Duration;

use super::code::CodeClass;
use super::counter::Counter;
use super::end::{By, Why};
use super::histogram::{DELAY, EXCHANGE, Histogram, SIZE};
use super::reason::Reason;
use super::record::Counts;
use super::suite::Suite;
use crate::opcode::Opcode;
use crate::peer::Side;

/// A counter for each member of a closed list, by its place there.
#[derive(Debug)]
struct Each<const N: usize>([Counter; N]);

impl<const N: usize> Default for Each<N> {
    fn default() -> Self {
        Self(array::from_fn(|_| Counter::default()))
    }
}

/// What one side has sent.
#[derive(Debug)]
pub struct Traffic {
    /// Frames relayed, by [`Opcode`].
    frames: Each<{ Opcode::ALL.len() }>,
    /// Bytes of frames relayed, headers included, before TLS, by [`Opcode`].
    bytes: Each<{ Opcode::ALL.len() }>,
    /// Data messages relayed, by the [`Opcode`] of their first frame.
    messages: Each<{ Opcode::ALL.len() }>,
    /// Of those, the ones compressed by permessage-deflate.
    pub compressed: Counter,
    /// Payloads of the messages.
    pub sizes: Histogram,
    /// From when a read's bytes were there until what may pass of them was handed to the receiver's socket.
    pub delays: Histogram,
    /// Pongs that answered our keepalive Pings.
    pub pongs: Counter,
    /// How long those took.
    pub round_trips: Histogram,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            frames: Each::default(),
            bytes: Each::default(),
            messages: Each::default(),
            compressed: Counter::default(),
            sizes: Histogram::new(&SIZE),
            delays: Histogram::new(&DELAY),
            pongs: Counter::default(),
            round_trips: Histogram::new(&EXCHANGE),
        }
    }
}

impl Traffic {
    /// All kinds of frames together.
    pub fn total(&self) -> Counts {
        let all = |counters: &Each<{ Opcode::ALL.len() }>| counters.0.iter().map(Counter::get).sum();
        Counts {
            frames: all(&self.frames),
            messages: all(&self.messages),
            bytes: all(&self.bytes),
            compressed: self.compressed.get(),
        }
    }

    /// The counter of frames of this kind.
    pub fn frames(&self, opcode: Opcode) -> &Counter {
        &self.frames.0[opcode as usize]
    }

    /// The counter of bytes of such frames.
    pub fn bytes(&self, opcode: Opcode) -> &Counter {
        &self.bytes.0[opcode as usize]
    }

    /// The counter of messages whose first frame is of this kind: [`Opcode::Text`] or [`Opcode::Binary`].
    pub fn messages(&self, opcode: Opcode) -> &Counter {
        &self.messages.0[opcode as usize]
    }
}

/// What went to one side besides what the other sent, and what waits for it.
#[derive(Debug, Default)]
pub struct Toward {
    /// Keepalive Pings of ours.
    pub pings: Counter,
    /// Bytes handed to its socket that the kernel has not taken yet (gauge).
    pub queued: Counter,
    /// Nanoseconds that sends took which the kernel did not take within [`PROMPT`].
    pub backpressure: Counter,
}

/// A send that the kernel takes in this time is no backpressure.
pub const PROMPT: Duration = Duration::from_millis(1);

/// A part of a handshake that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// All of it, from accept to the last byte of our answer.
    Total,
    /// The TLS handshake.
    Tls,
    /// From there until the request was complete.
    Request,
    /// The check of the token, and whatever else decides who may come in.
    Token,
    /// From the dial to the app's answer.
    App,
}

impl Phase {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 5] = [Self::Total, Self::Tls, Self::Request, Self::Token, Self::App];

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Tls => "tls",
            Self::Request => "request",
            Self::Token => "token",
            Self::App => "app",
        }
    }
}

/// How long handshakes took, by [`Phase`].
#[derive(Debug)]
struct Phases([Histogram; Phase::ALL.len()]);

impl Default for Phases {
    fn default() -> Self {
        Self(array::from_fn(|_| Histogram::new(&EXCHANGE)))
    }
}

/// One worker's counters.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Sockets held now, opening ones included (gauge).
    pub held: Counter,
    /// Connections relayed now (gauge).
    pub open: Counter,
    /// Handshakes that got their 101.
    pub opened: Counter,
    /// Handshakes refused, by [`Reason`].
    refused: Each<{ Reason::ALL.len() }>,
    /// How long those took that opened, and those that were refused.
    phases: [Phases; 2],
    /// What TLS agreed on, by [`Suite`](super::suite::Suite), without and with a resumed session.
    tls: [Each<{ Suite::COUNT }>; 2],
    /// Connections to the app: those that were made, and those that failed.
    dials: [Counter; 2],
    /// Connections ended, by [`By`] and [`Why`].
    ended: [Each<{ Why::ALL.len() }>; By::ALL.len()],
    /// Close codes that clients sent, and that they got.
    codes: [Each<{ CodeClass::COUNT }>; 2],
    /// From clients to the app.
    pub from_client: Traffic,
    /// From the app to clients.
    pub from_app: Traffic,
    /// To clients.
    to_client: Toward,
    /// To the app.
    to_app: Toward,
    /// Times reading from a client paused because it was over a rate.
    pub throttled: Counter,
    /// Times a connection had to wait for a buffer because the pool was at its bound.
    pub lease_waits: Counter,
    /// Times accepting paused because the connection bound or a resource limit was reached.
    pub accept_pauses: Counter,
    /// Connections accepted here and handed over to a worker that had fewer.
    pub handed_over: Counter,
    /// Those that stayed because that worker's mailbox was full.
    pub mailbox_full: Counter,
}

impl Counters {
    /// The counter of handshakes refused for `reason`.
    pub fn refused(&self, reason: Reason) -> &Counter {
        &self.refused.0[reason as usize]
    }

    /// How long this phase of handshakes took that got their 101, or that were refused.
    pub fn phase(&self, phase: Phase, opened: bool) -> &Histogram {
        &self.phases[usize::from(opened)].0[phase as usize]
    }

    /// The counter of TLS handshakes that agreed on `suite`.
    pub fn tls(&self, suite: Suite, resumed: bool) -> &Counter {
        &self.tls[usize::from(resumed)].0[suite.index()]
    }

    /// The counter of dials of the app that came to a connection, or that did not.
    pub const fn dials(&self, connected: bool) -> &Counter {
        &self.dials[connected as usize]
    }

    /// The counter of connections that `by` ended because of `why`, who is one of [`Why::by`]: metrics show no other.
    pub fn ended(&self, by: By, why: Why) -> &Counter {
        debug_assert!(why.by().contains(&by), "{why:?} by {by:?}");
        &self.ended[by.index()].0[why.index()]
    }

    /// The counter of connections whose client sent, or got, a Close with a code of this class.
    pub fn codes(&self, class: CodeClass, sent_to_client: bool) -> &Counter {
        &self.codes[usize::from(sent_to_client)].0[class.index()]
    }

    /// What this side has sent.
    pub const fn from(&self, side: Side) -> &Traffic {
        match side {
            Side::Client => &self.from_client,
            Side::App => &self.from_app,
        }
    }

    /// What goes to this side.
    pub const fn to(&self, side: Side) -> &Toward {
        match side {
            Side::Client => &self.to_client,
            Side::App => &self.to_app,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counters, Phase};
    use crate::peer::Side;
    use crate::telemetry::end::Why;
    use crate::telemetry::reason::Reason;

    #[test]
    fn each_reason_has_its_own_counter() {
        let counters = Counters::default();
        for (n, &reason) in (1..).zip(Reason::ALL) {
            counters.refused(reason).add(n);
        }
        for (n, &reason) in (1..).zip(Reason::ALL) {
            assert_eq!(counters.refused(reason).get(), n, "{reason}");
        }
    }

    #[test]
    fn each_end_has_its_own_counter() {
        let counters = Counters::default();
        let ends = || Why::ALL.into_iter().flat_map(|why| why.by().iter().map(move |&by| (by, why)));
        for (n, (by, why)) in (1..).zip(ends()) {
            counters.ended(by, why).add(n);
        }
        for (n, (by, why)) in (1..).zip(ends()) {
            assert_eq!(counters.ended(by, why).get(), n, "{by:?} {why:?}");
        }
    }

    #[test]
    fn the_sides_are_apart() {
        let counters = Counters::default();
        counters.to(Side::Client).pings.add(1);
        counters.to(Side::App).pings.add(2);
        counters.from(Side::Client).pongs.add(3);
        counters.from(Side::App).pongs.add(4);
        let of = |side| [counters.to(side).pings.get(), counters.from(side).pongs.get()];
        assert_eq!([of(Side::Client), of(Side::App)], [[1, 3], [2, 4]]);
    }

    #[test]
    fn each_phase_has_its_place() {
        for (place, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, place, "{phase:?}");
        }
    }
}
