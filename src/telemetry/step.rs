//! The parts of a handshake that have spans of their own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::trace::SpanId;

/// A part of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its span; the one above it is the handshake's.
    pub id: SpanId,
    /// From accept to its begin.
    pub after: Duration,
    /// How long it took.
    pub took: Duration,
    /// Whether the handshake was refused for what came of it.
    pub failed: bool,
}

/// The part in which the app is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// From the dial to the app's answer. Its span is the one that the app was told as its parent.
    pub step: Step,
    /// Where the app was looked for, the last place if there are several. Noted only for spans that are exported.
    pub to: Option<Dialled>,
    /// The status that the app answered with, when it could be read.
    pub status: Option<u16>,
}

/// A place where the app was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// A Unix stream socket.
    Unix(PathBuf),
    /// TCP.
    Tcp(SocketAddr),
}

/// The parts of one handshake; `None`: it did not come to that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// The TLS handshake.
    pub tls: Option<Step>,
    /// The search for a token and its check. Without authentication, and for an `Origin` that is refused before that,
    /// there is none.
    pub token: Option<Step>,
    /// The question to the app.
    pub dial: Option<Dial>,
}
