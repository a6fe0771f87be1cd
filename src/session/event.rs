//! What a driver tells a session, and what it is told.

use std::time::Instant;

use crate::peer::Side;
use crate::rate::meter::Meter;
use crate::rule::Rule;
use crate::telemetry::chooser::Chooser;
use crate::telemetry::counters::Traffic;
use crate::ws::control::ControlFrame;

/// What is particular to one connection.
#[derive(Debug)]
pub struct Start {
    /// Whether client and app agreed on permessage-deflate (RFC 7692).
    pub deflate: bool,
    /// When the client's token expires, leeway included.
    pub expires: Option<Instant>,
    /// What the client's rates are measured by; `None`: it has no limits.
    pub meter: Option<Box<Meter>>,
    /// Unpredictable bits: they mark our Pings, and scatter what must not happen to all connections at once.
    pub entropy: u64,
    /// When the 101 went out.
    pub now: Instant,
}

/// Who is told what of the frames that pass: once for all connections of a thread.
#[derive(Clone, Copy, Debug)]
pub struct Ear<'e> {
    /// What the sender of the bytes sent on all connections.
    pub traffic: &'e Traffic,
    /// Which messages are told of one by one; `None`: none.
    pub chooser: Option<&'e Chooser>,
}

impl<'e> From<&'e Traffic> for Ear<'e> {
    fn from(traffic: &'e Traffic) -> Self {
        Self { traffic, chooser: None }
    }
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

/// A frame of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injected {
    /// The last of its direction.
    Close(ControlFrame),
    /// A question whether anybody is there.
    Ping(ControlFrame),
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
