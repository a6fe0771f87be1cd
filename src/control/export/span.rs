//! Spans from records. They are built whole, from a record that is complete: nothing is kept open for hours.
//!
//! ```text
//! GET /rooms/{room}        SERVER    accept to the 101 or the refusal; in the trace of the client's traceparent
//! ├─ tls                   INTERNAL  the TLS handshake
//! ├─ token                 INTERNAL  the search for a token and its check
//! ├─ dial                  CLIENT    from the dial to the app's answer; the app's traceparent names it
//! └─ websocket             INTERNAL  the 101 to the end; linked with the handshake, both ways
//!    ├─ websocket checkpoint  INTERNAL  one each interval, while it lives; linked with the handshake
//!    └─ websocket message     INTERNAL  a message, of those that are chosen
//! ```
//!
//! The handshake follows the HTTP conventions of OpenTelemetry. Its name is the method and the route, when there is one;
//! a path may hold what must not be seen, so neither it nor the query stands anywhere (`url.path` is missed on purpose).
//! Nor does other text that strangers choose: `Host` (`server.address`) and `User-Agent`. What is not a method of HTTP is
//! `_OTHER`, and so is what could not be read.
//!
//! A part of a handshake that failed carries the reason; one that did not happen has no span. The dial is none of HTTP's
//! spans by its name, because it is no request of the client's: it has the conventions' attributes.
//!
//! The connection is INTERNAL: it is no request, and one of hours among the SERVER spans would spoil every latency figure
//! made of them. It is a child of its handshake, and linked with it for backends that show a span only once its parent is
//! complete; a checkpoint is linked with it too, because its parent comes last of all. All are sampled like the
//! handshake. The client's `tracestate` stands in the spans of the handshake and its parts alone: kept for the others, it
//! would stay in memory for hours.
//!
//! What happened meanwhile are events of the connection and of the checkpoint that follows: `ping_unanswered`,
//! `throttled`, and what began the end: `expiring`, `drain`, `violation`, else `closing`.
//!
//! OpenTelemetry has no WebSocket conventions; ours are:
//!
//! | attribute | on | meaning |
//! |---|---|---|
//! | `ringside.connection.id` | all | number of the connection, unique in the process |
//! | `ringside.outcome` | handshake | `opened` or `refused` |
//! | `ringside.reason` | handshake, the part that failed | why it was refused |
//! | `ringside.detail` | handshake | what an operator may want to know beyond the reason |
//! | `ringside.subject.present` | handshake, connection | whether a token named a subject; never which |
//! | `ringside.tls.client_certificate` | handshake, tls | whether the client showed a certificate that verified |
//! | `ringside.token.found` | token | whether there was a token to check |
//! | `ringside.end.by`, `ringside.end.why` | connection | who ended it and why: `telemetry::end::Why` lists the causes |
//! | `ringside.end.source` | connection | where the rule stands that was broken: an RFC's section or a key of the configuration |
//! | `ringside.side` | event `ping_unanswered` | `client` or `app`: who did not answer |
//! | `ringside.by`, `ringside.why` | events of the end | who began it and why; the connection's end says what it came to |
//! | `ringside.source` | event `violation` | where the rule stands that was broken |
//! | `websocket.subprotocol` | handshake, connection | as agreed |
//! | `websocket.from_client.*`, `websocket.from_app.*` | connection, checkpoint | `frames`, `messages`, `bytes` that the side has sent since the 101; of the messages, `messages_compressed` |
//! | `websocket.interval.from_client.*`, `websocket.interval.from_app.*` | checkpoint | the same since the checkpoint before |
//! | `websocket.checkpoint` | checkpoint | which one of this connection, from 1 |
//! | `websocket.age` | checkpoint | seconds since the 101 |
//! | `websocket.client.round_trip`, `websocket.app.round_trip` | connection, checkpoint | seconds that our latest answered Ping took |
//! | `websocket.client.round_trip_least`, `websocket.app.round_trip_least` | connection, checkpoint | seconds that the quickest took |
//! | `websocket.close.code_sent`, `websocket.close.code_received` | connection | close codes to and from the client |
//! | `websocket.message.direction` | message | `from_client` or `from_app` |
//! | `websocket.message.opcode` | message | `text` or `binary` |
//! | `websocket.message.size` | message | bytes of payload, as on the wire |
//! | `websocket.message.frames` | message | frames it came in |
//! | `websocket.message.compressed` | message | whether permessage-deflate compressed it |
//!
//! A message's span is its time in the sidecar: from the judgement of its first frame until its last byte was handed to
//! the receiver's socket. Nothing shows what it says.
//!
//! The status is an error when our side of the house failed: a 5xx, a fault of ours, or an app that broke off, broke a
//! rule, stalled or died; then `error.type` is the reason or the cause. What a client does wrong leaves it unset, as the
//! HTTP conventions say of 4xx; so does a 101, and so does every orderly end, be it that the app leaves without a Close
//! (`eof`) or the token expires. A part of a handshake has an error when it failed and the handshake has one.

mod attributes;
mod connection;
mod handshake;
mod message;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use self::attributes::Attributes;
use crate::telemetry::record::Event;
use crate::telemetry::trace::Span;

static SCOPE: LazyLock<InstrumentationScope> =
    LazyLock::new(|| InstrumentationScope::builder("ringside").with_version(env!("CARGO_PKG_VERSION")).build());

/// Whether the event's spans are exported.
pub(super) fn sampled(event: &Event) -> bool {
    match event {
        Event::Handshake(handshake) => handshake.span.sampled,
        Event::Checkpoint(checkpoint) => checkpoint.span.sampled,
        Event::Message(message) => message.span.sampled,
        Event::Connection(connection) => connection.span.sampled,
    }
}

/// Appends the event's spans, the one above the others first.
pub(super) fn push(event: &Event, spans: &mut Vec<SpanData>) {
    match event {
        Event::Handshake(handshake) => handshake::push(handshake, spans),
        Event::Checkpoint(checkpoint) => spans.push(connection::checkpoint(checkpoint)),
        Event::Message(message) => spans.push(message::message(message)),
        Event::Connection(connection) => spans.push(connection::connection(connection)),
    }
}

fn data(
    name: impl Into<Cow<'static, str>>,
    span_kind: SpanKind,
    span: &Span,
    started: SystemTime,
    took: Duration,
    attributes: Attributes,
) -> SpanData {
    SpanData {
        span_context: context(span),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.0)),
        parent_span_is_remote: false,
        span_kind,
        name: name.into(),
        start_time: started,
        end_time: started.checked_add(took).unwrap_or(started),
        attributes: attributes.done(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: SCOPE.clone(),
    }
}

fn context(span: &Span) -> SpanContext {
    let flags = if span.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, id) = (TraceId::from_bytes(span.trace.0), SpanId::from_bytes(span.id.0));
    SpanContext::new(trace, id, flags, false, TraceState::NONE)
}

fn link(span: &Span) -> SpanLinks {
    let mut links = SpanLinks::default();
    links.links.push(Link::with_context(context(span)));
    links
}
