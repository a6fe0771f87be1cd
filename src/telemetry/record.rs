//! One record per handshake and one per connection, handed over once, when they are done.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::end::End;
use super::moment::{Moment, Moments};
use super::reason::Reason;
use super::step::Steps;
use super::trace::{Span, SpanId, TraceState};
use crate::opcode::Opcode;
use crate::peer::{Peer, Side};

/// Number of a connection, unique within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// From accept to the 101 or the refusal.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The connection it belongs to.
    pub id: ConnectionId,
    /// Who connected.
    pub client: Peer,
    /// Its span. `parent` is what the client's `traceparent` named.
    pub span: Span,
    /// What came with that `traceparent`. Not kept for the connection: it would stay for hours.
    pub tracestate: Option<TraceState>,
    /// The span of the connection that came of it; `None` when it was refused.
    pub connection: Option<SpanId>,
    /// When the connection was accepted.
    pub started: SystemTime,
    /// From accept to the last byte of our answer.
    pub took: Duration,
    /// Its parts.
    pub steps: Steps,
    /// What TLS agreed on.
    pub tls: Option<TlsFacts>,
    /// How long the client took for its request, from accept or the end of TLS; `None` when it was not complete.
    pub request_took: Option<Duration>,
    /// What the client asked for; `None` when its request could not be read.
    pub request: Option<RequestFacts>,
    /// The token's subject.
    pub subject: Option<String>,
    /// The agreed subprotocol.
    pub protocol: Option<String>,
    /// What it came to.
    pub outcome: Outcome,
    /// What an operator may want to know about a refusal beyond its reason, such as the error of the dial.
    pub detail: Option<String>,
}

impl Handshake {
    /// The record of a handshake that begins now.
    pub const fn begin(id: ConnectionId, client: Peer, span: Span, started: SystemTime) -> Self {
        Self {
            id,
            client,
            span,
            tracestate: None,
            connection: None,
            started,
            took: Duration::ZERO,
            steps: Steps { tls: None, token: None, dial: None },
            tls: None,
            request_took: None,
            request: None,
            subject: None,
            protocol: None,
            outcome: Outcome::Opened,
            detail: None,
        }
    }

    /// How long the TLS handshake took; `None` without TLS or before its end.
    pub fn tls_took(&self) -> Option<Duration> {
        self.steps.tls.filter(|step| !step.failed).map(|step| step.took)
    }

    /// How long the check of the token took; `None` when there was none.
    pub fn token_took(&self) -> Option<Duration> {
        self.steps.token.map(|step| step.took)
    }

    /// How long the app took from the dial to its answer; `None` when it was not dialled.
    pub fn app_took(&self) -> Option<Duration> {
        self.steps.dial.as_ref().map(|dial| dial.step.took)
    }
}

/// What TLS agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The cipher suite's IANA name.
    pub cipher: &'static str,
    /// Whether the session was resumed.
    pub resumed: bool,
    /// Whether the client showed a certificate that verified.
    pub client_certificate: bool,
}

/// What a request asked for, as far as strangers may say it: nothing in here is text of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// Its method, when HTTP knows it.
    pub method: Option<&'static str>,
    /// The template of its path, when it is of one that is configured.
    pub route: Option<Arc<str>>,
}

/// What a handshake came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A 101; the connection is relayed.
    Opened,
    /// An HTTP response other than 101, or none (`status` is `None`) when the client could not read one.
    Refused {
        /// Why.
        reason: Reason,
        /// The HTTP status the client got.
        status: Option<u16>,
    },
}

/// What one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames of any kind.
    pub frames: u64,
    /// Data messages whose last frame was relayed.
    pub messages: u64,
    /// Bytes of frames, headers included, as relayed (before TLS).
    pub bytes: u64,
    /// Of the messages, those compressed by permessage-deflate: their text is not checked.
    pub compressed: u64,
}

/// How long our Pings to one side took to come back as Pongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// The latest.
    pub last: Duration,
    /// The shortest: nearest to what the network takes.
    pub least: Duration,
}

/// From the 101 to the end.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Which.
    pub id: ConnectionId,
    /// Who connected.
    pub client: Peer,
    /// Its span, linked with the handshake's.
    pub span: Span,
    /// The handshake's span.
    pub handshake: Span,
    /// When the 101 went out.
    pub started: SystemTime,
    /// From then to the end.
    pub took: Duration,
    /// The token's subject.
    pub subject: Option<String>,
    /// The agreed subprotocol.
    pub protocol: Option<String>,
    /// What the client sent.
    pub from_client: Counts,
    /// What the app sent.
    pub from_app: Counts,
    /// Of our Pings to the client; `None` when none was answered.
    pub client_round_trip: Option<RoundTrip>,
    /// Of our Pings to the app; `None` when none was answered.
    pub app_round_trip: Option<RoundTrip>,
    /// What happened meanwhile.
    pub moments: Moments,
    /// How it ended.
    pub end: End,
}

/// What a connection has come to while it is relayed: told now and then, so that it can be seen before it ends.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Which connection.
    pub id: ConnectionId,
    /// Who connected.
    pub client: Peer,
    /// The checkpoint's own span; its parent is the connection's.
    pub span: Span,
    /// The handshake's span in the same trace, which collectors have while the connection's is still to come.
    pub handshake: SpanId,
    /// Which checkpoint of this connection, from 1.
    pub number: u32,
    /// When the 101 went out.
    pub opened: SystemTime,
    /// From then to the checkpoint before, or zero.
    pub since: Duration,
    /// From the 101 to now.
    pub age: Duration,
    /// What the client has sent, up to the checkpoint before and up to now.
    pub from_client: [Counts; 2],
    /// What the app has sent, likewise.
    pub from_app: [Counts; 2],
    /// Of our Pings to the client.
    pub client_round_trip: Option<RoundTrip>,
    /// Of our Pings to the app.
    pub app_round_trip: Option<RoundTrip>,
    /// What happened since the checkpoint before.
    pub moments: Vec<Moment>,
}

/// One data message that passed, of those that are chosen to be told of one by one. Nothing of what it said.
#[derive(Clone, Debug)]
pub struct Message {
    /// The connection it passed on.
    pub id: ConnectionId,
    /// Its span; its parent is the connection's.
    pub span: Span,
    /// Who sent it.
    pub from: Side,
    /// [`Opcode::Text`] or [`Opcode::Binary`].
    pub opcode: Opcode,
    /// Bytes of payload, as on the wire.
    pub size: u64,
    /// Frames it came in.
    pub frames: u32,
    /// Whether permessage-deflate compressed it.
    pub compressed: bool,
    /// When its first frame was judged.
    pub started: SystemTime,
    /// From then until its last byte was handed to the receiver's socket.
    pub took: Duration,
}

/// What workers hand to the exporter, in the order it happened on that worker.
#[derive(Clone, Debug)]
pub enum Event {
    /// A handshake is over.
    Handshake(Box<Handshake>),
    /// A connection goes on.
    Checkpoint(Box<Checkpoint>),
    /// A message that was chosen has passed.
    Message(Box<Message>),
    /// A connection is over.
    Connection(Box<Connection>),
}
