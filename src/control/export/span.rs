//! Spans from records. They are built whole, from a record that is complete: nothing is kept open for hours.
//!
//! The handshake is a SERVER span by the HTTP conventions of OpenTelemetry, from accept to the 101 or the refusal. Its
//! name is the method alone: there is no route here, and a path may hold what must not be seen.
//!
//! The connection is an INTERNAL span named `websocket`: it is no request, and one of hours among the SERVER spans
//! would spoil every latency figure made of them. It is a child of its handshake, and linked with it for backends
//! that show a span only once its parent is complete. OpenTelemetry has no WebSocket conventions; ours are:
//!
//! | attribute | on | meaning |
//! |---|---|---|
//! | `ringside.connection.id` | both | number of the connection, unique in the process |
//! | `ringside.outcome` | handshake | `opened` or `refused` |
//! | `ringside.reason` | handshake | why it was refused |
//! | `ringside.subject.present` | both | whether a token named a subject; never which |
//! | `ringside.tls.duration` | handshake | seconds that the TLS handshake took |
//! | `ringside.tls.client_certificate` | handshake | whether the client showed a certificate that verified |
//! | `ringside.app.duration` | handshake | seconds from the dial to the app's answer |
//! | `ringside.end.by`, `ringside.end.why` | connection | who ended it and why: `telemetry::end::Why` lists the causes |
//! | `ringside.end.source` | connection | where the rule stands that was broken: an RFC's section or a key of the configuration |
//! | `websocket.subprotocol` | both | as agreed |
//! | `websocket.from_client.*`, `websocket.from_app.*` | connection | `frames`, `messages`, `bytes` that the side sent; of the messages, `messages_compressed` |
//! | `websocket.client.round_trip`, `websocket.app.round_trip` | connection | seconds that our latest answered Ping took |
//! | `websocket.client.round_trip_least`, `websocket.app.round_trip_least` | connection | seconds that the quickest took |
//! | `websocket.close.code_sent`, `websocket.close.code_received` | connection | close codes to and from the client |
//!
//! The status is an error when our side of the house failed: a 5xx, a fault of ours, or an app that broke off, broke a
//! rule, stalled or died. What a client does wrong leaves it unset, as the HTTP conventions say of 4xx; so does a 101,
//! and so does every orderly end, be it that the app leaves without a Close (`eof`) or the token expires.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::peer::Peer;
use crate::telemetry::end::{By, End};
use crate::telemetry::reason::Reason;
use crate::telemetry::record::{
    Checkpoint, Connection, Counts, Event, Handshake, Message, Outcome, RoundTrip, TlsFacts,
};
use crate::telemetry::trace::Span;

static SCOPE: LazyLock<InstrumentationScope> =
    LazyLock::new(|| InstrumentationScope::builder("ringside").with_version(env!("CARGO_PKG_VERSION")).build());

/// What [`Counts`] of a client are called.
const FROM_CLIENT: [&str; 4] = [
    "websocket.from_client.frames",
    "websocket.from_client.messages",
    "websocket.from_client.bytes",
    "websocket.from_client.messages_compressed",
];

/// What [`Counts`] of an app are called.
const FROM_APP: [&str; 4] = [
    "websocket.from_app.frames",
    "websocket.from_app.messages",
    "websocket.from_app.bytes",
    "websocket.from_app.messages_compressed",
];

/// What a [`RoundTrip`] of a client is called.
const CLIENT_ROUND_TRIP: [&str; 2] = ["websocket.client.round_trip", "websocket.client.round_trip_least"];

/// What a [`RoundTrip`] of an app is called.
const APP_ROUND_TRIP: [&str; 2] = ["websocket.app.round_trip", "websocket.app.round_trip_least"];

/// Whether the event's span is exported.
pub(super) fn sampled(event: &Event) -> bool {
    match event {
        Event::Handshake(handshake) => handshake.span.sampled,
        Event::Checkpoint(checkpoint) => checkpoint.span.sampled,
        Event::Message(message) => message.span.sampled,
        Event::Connection(connection) => connection.span.sampled,
    }
}

/// The event's span.
pub(super) fn from_event(event: &Event) -> SpanData {
    match event {
        Event::Handshake(handshake) => from_handshake(handshake),
        Event::Checkpoint(checkpoint) => from_checkpoint(checkpoint),
        Event::Message(message) => from_message(message),
        Event::Connection(connection) => from_connection(connection),
    }
}

fn from_handshake(handshake: &Handshake) -> SpanData {
    let Handshake {
        id, client, span, started, took, tls_took, app_took, tls, subject, protocol, outcome, detail, ..
    } = handshake;
    let mut attributes = Attributes::default();
    attributes.put("ringside.connection.id", count(id.0));
    attributes.peer(*client);
    let status = attributes.outcome(*outcome, tls.is_some());
    if let Some(tls) = tls {
        attributes.tls(tls);
    }
    attributes.put_some("ringside.tls.duration", tls_took.map(|took| took.as_secs_f64()));
    attributes.put_some("ringside.app.duration", app_took.map(|took| took.as_secs_f64()));
    attributes.put("ringside.subject.present", subject.is_some());
    attributes.put_some("websocket.subprotocol", protocol.clone());
    attributes.put_some("ringside.detail", detail.clone());
    let name = if is_get(*outcome) { "GET" } else { "HTTP" };
    SpanData {
        parent_span_is_remote: span.parent.is_some(),
        status,
        ..data(name, SpanKind::Server, span, *started, *took, attributes)
    }
}

fn from_connection(connection: &Connection) -> SpanData {
    let Connection {
        id,
        client,
        span,
        handshake,
        started,
        took,
        subject,
        protocol,
        from_client,
        from_app,
        client_round_trip,
        app_round_trip,
        end,
        ..
    } = connection;
    let mut attributes = Attributes::default();
    attributes.put("ringside.connection.id", count(id.0));
    attributes.peer(*client);
    attributes.put("ringside.subject.present", subject.is_some());
    attributes.put_some("websocket.subprotocol", protocol.clone());
    attributes.counts(FROM_CLIENT, *from_client);
    attributes.counts(FROM_APP, *from_app);
    attributes.round_trip(CLIENT_ROUND_TRIP, *client_round_trip);
    attributes.round_trip(APP_ROUND_TRIP, *app_round_trip);
    let status = attributes.end(end);
    let mut links = SpanLinks::default();
    links.links.push(Link::with_context(context(handshake)));
    SpanData { status, links, ..data("websocket", SpanKind::Internal, span, *started, *took, attributes) }
}

fn from_checkpoint(checkpoint: &Checkpoint) -> SpanData {
    let Checkpoint { id, client, span, opened, since, age, from_client, from_app, .. } = checkpoint;
    let mut attributes = Attributes::default();
    attributes.put("ringside.connection.id", count(id.0));
    attributes.put("websocket.checkpoint", i64::from(checkpoint.number));
    attributes.peer(*client);
    attributes.counts(FROM_CLIENT, from_client[1]);
    attributes.counts(FROM_APP, from_app[1]);
    attributes.round_trip(CLIENT_ROUND_TRIP, checkpoint.client_round_trip);
    attributes.round_trip(APP_ROUND_TRIP, checkpoint.app_round_trip);
    let began = opened.checked_add(*since).unwrap_or(*opened);
    let took = age.saturating_sub(*since);
    data("websocket checkpoint", SpanKind::Internal, span, began, took, attributes)
}

fn from_message(message: &Message) -> SpanData {
    let Message { id, span, from, opcode, size, frames, compressed, started, took } = message;
    let mut attributes = Attributes::default();
    attributes.put("ringside.connection.id", count(id.0));
    attributes.put("websocket.message.from", from.as_str());
    attributes.put("websocket.message.opcode", opcode.as_str());
    attributes.put("websocket.message.size", count(*size));
    attributes.put("websocket.message.frames", i64::from(*frames));
    attributes.put("websocket.message.compressed", *compressed);
    data("websocket message", SpanKind::Internal, span, *started, *took, attributes)
}

fn data(
    name: &'static str,
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
        attributes: attributes.0,
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
    SpanContext::new(trace, id, flags, false, TraceState::default())
}

/// Whether the request is known to have been a GET: it was read, and found to be one.
fn is_get(outcome: Outcome) -> bool {
    let Outcome::Refused { reason, .. } = outcome else { return true };
    !matches!(
        reason,
        Reason::TlsHandshake
            | Reason::ClientGone
            | Reason::HeadMalformed
            | Reason::HeadTooLarge
            | Reason::HttpVersion
            | Reason::MethodNotGet
            | Reason::Timeout
            | Reason::Overloaded
            | Reason::Draining
            | Reason::Internal
    )
}

/// Whether an end counts as a failure of our side: a fault of the app's, or of ours.
fn is_fault(end: &End) -> bool {
    end.why.is_fault() && end.by != By::Client
}

/// OTLP knows signed integers only.
fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn put(&mut self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        self.0.push(KeyValue::new(key, value));
    }

    fn put_some(&mut self, key: &'static str, value: Option<impl Into<opentelemetry::Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn peer(&mut self, client: Peer) {
        let address = client.ip().to_string();
        self.put("client.address", address.clone());
        self.put("network.peer.address", address);
        self.put("network.peer.port", i64::from(client.port()));
    }

    fn outcome(&mut self, outcome: Outcome, tls: bool) -> Status {
        self.put("http.request.method", if is_get(outcome) { "GET" } else { "_OTHER" });
        let (name, status) = match outcome {
            Outcome::Opened => ("opened", Some(101)),
            Outcome::Refused { status, .. } => ("refused", status),
        };
        self.put("ringside.outcome", name);
        if let Some(status) = status {
            self.put("url.scheme", if tls { "https" } else { "http" });
            self.put("http.response.status_code", i64::from(status));
        }
        let Outcome::Refused { reason, .. } = outcome else { return Status::Unset };
        self.put("ringside.reason", reason.as_str());
        if status.is_some_and(|status| status >= 500) || reason == Reason::Internal {
            self.put("error.type", reason.as_str());
            return Status::error(reason.as_str());
        }
        Status::Unset
    }

    fn tls(&mut self, tls: &TlsFacts) {
        self.put("tls.protocol.name", "tls");
        self.put("tls.protocol.version", tls.version);
        self.put("tls.cipher", tls.cipher);
        self.put("tls.resumed", tls.resumed);
        self.put("ringside.tls.client_certificate", tls.client_certificate);
    }

    fn counts(&mut self, keys: [&'static str; 4], counts: Counts) {
        let Counts { frames, messages, bytes, compressed } = counts;
        for (key, n) in keys.into_iter().zip([frames, messages, bytes, compressed]) {
            self.put(key, count(n));
        }
    }

    fn round_trip(&mut self, keys: [&'static str; 2], trip: Option<RoundTrip>) {
        let Some(RoundTrip { last, least }) = trip else { return };
        for (key, took) in keys.into_iter().zip([last, least]) {
            self.put(key, took.as_secs_f64());
        }
    }

    fn end(&mut self, end: &End) -> Status {
        self.put("ringside.end.by", end.by.as_str());
        self.put("ringside.end.why", end.why.as_str());
        self.put_some("ringside.end.source", end.why.source());
        self.put_some("websocket.close.code_sent", end.code_sent.map(i64::from));
        self.put_some("websocket.close.code_received", end.code_received.map(i64::from));
        if is_fault(end) {
            self.put("error.type", end.why.as_str());
            return Status::error(end.to_string());
        }
        Status::Unset
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use opentelemetry::trace::{SpanId, SpanKind, Status};
    use opentelemetry_sdk::trace::SpanData;

    use super::super::example;
    use super::{from_connection, from_handshake};
    use crate::rule::Rule;
    use crate::telemetry::end::{By, Why};
    use crate::telemetry::reason::Reason;
    use crate::telemetry::record::Outcome;

    fn attributes(span: &SpanData) -> BTreeMap<&str, String> {
        span.attributes.iter().map(|attribute| (attribute.key.as_str(), attribute.value.to_string())).collect()
    }

    #[test]
    fn a_handshake_that_opened() {
        let record = example::handshake(Outcome::Opened);
        let span = from_handshake(&record);
        assert_eq!((&*span.name, &span.span_kind, &span.status), ("GET", &SpanKind::Server, &Status::Unset));
        assert_eq!(span.span_context.trace_id().to_string(), record.span.trace.to_string());
        assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
        assert!(span.parent_span_is_remote && span.span_context.is_sampled());
        assert_eq!(span.start_time, example::started());
        assert_eq!(span.end_time, example::started() + Duration::from_micros(2500));
        let expected = [
            ("client.address", "192.0.2.7"),
            ("http.request.method", "GET"),
            ("http.response.status_code", "101"),
            ("network.peer.address", "192.0.2.7"),
            ("network.peer.port", "50123"),
            ("ringside.app.duration", "0.0005"),
            ("ringside.connection.id", "7"),
            ("ringside.outcome", "opened"),
            ("ringside.subject.present", "true"),
            ("ringside.tls.client_certificate", "true"),
            ("ringside.tls.duration", "0.0015"),
            ("tls.cipher", "TLS13_AES_128_GCM_SHA256"),
            ("tls.protocol.name", "tls"),
            ("tls.protocol.version", "1.3"),
            ("tls.resumed", "false"),
            ("url.scheme", "https"),
            ("websocket.subprotocol", "chat.v1"),
        ];
        assert_eq!(attributes(&span), expected.map(|(key, value)| (key, value.to_owned())).into());
    }

    #[test]
    fn a_refusal_is_an_error_when_it_is_not_the_clients() {
        for (reason, status, name, error) in [
            (Reason::TokenExpired, Some(401), "GET", false),
            (Reason::MethodNotGet, Some(426), "HTTP", false),
            (Reason::TlsHandshake, None, "HTTP", false),
            (Reason::AppUnreachable, Some(502), "GET", true),
            (Reason::Internal, None, "HTTP", true),
        ] {
            let span = from_handshake(&example::handshake(Outcome::Refused { reason, status }));
            let attributes = attributes(&span);
            assert_eq!(span.name, name, "{reason}");
            assert_eq!(attributes["ringside.reason"], reason.as_str());
            assert_eq!(attributes.get("http.response.status_code"), status.map(|status| status.to_string()).as_ref());
            assert_eq!(attributes.contains_key("url.scheme"), status.is_some(), "{reason}");
            assert_eq!(attributes.get("error.type").map(String::as_str), error.then_some(reason.as_str()));
            assert_eq!(matches!(span.status, Status::Error { .. }), error, "{reason}");
        }
    }

    #[test]
    fn a_connection_is_a_child_of_its_handshake_and_linked_with_it() {
        let record = example::connection(By::Client, Why::Violation(Rule::ClientUnmasked));
        let span = from_connection(&record);
        assert_eq!((&*span.name, &span.span_kind, &span.status), ("websocket", &SpanKind::Internal, &Status::Unset));
        let handshake = SpanId::from_bytes(record.handshake.id.0);
        assert_eq!((span.parent_span_id, span.parent_span_is_remote), (handshake, false));
        assert_eq!(span.links[0].span_context.span_id(), handshake);
        let attributes = attributes(&span);
        assert_eq!(attributes["ringside.end.why"], "client_unmasked");
        assert_eq!(attributes["ringside.end.source"], "RFC 6455 section 5.1");
        assert_eq!(attributes["websocket.from_client.messages"], "3");
        assert_eq!(attributes["websocket.from_client.messages_compressed"], "2");
        assert_eq!(attributes["websocket.from_app.bytes"], i64::MAX.to_string(), "more than OTLP can say");
        assert_eq!(attributes["websocket.close.code_sent"], "1002");
        assert!(!attributes.contains_key("websocket.close.code_received"));
    }

    #[test]
    fn an_end_is_an_error_when_it_is_not_the_clients() {
        for (by, why, error) in [
            (By::Client, Why::Closed, false),
            (By::Client, Why::Reset, false),
            (By::Client, Why::PeerDead, false),
            (By::Client, Why::Violation(Rule::TextUtf8), false),
            (By::App, Why::Closed, false),
            (By::App, Why::Eof, false),
            (By::App, Why::Truncated, true),
            (By::App, Why::Reset, true),
            (By::App, Why::WriteStalled, true),
            (By::App, Why::PeerDead, true),
            (By::App, Why::CloseTimeout, true),
            (By::App, Why::Violation(Rule::TextUtf8), true),
            (By::Ringside, Why::Idle, false),
            (By::Ringside, Why::Expired, false),
            (By::Ringside, Why::MaxAge, false),
            (By::Ringside, Why::Drain, false),
            (By::Ringside, Why::Internal, true),
        ] {
            let span = from_connection(&example::connection(by, why));
            let error = error.then_some(why.as_str());
            assert_eq!(matches!(span.status, Status::Error { .. }), error.is_some(), "{by:?} {why:?}");
            assert_eq!(attributes(&span).get("error.type").map(String::as_str), error, "{by:?} {why:?}");
        }
    }

    #[test]
    fn an_end_without_a_violation_has_no_source_and_one_without_pongs_no_round_trip() {
        let span = from_connection(&example::connection(By::Ringside, Why::Expired));
        let attributes = attributes(&span);
        assert_eq!([&*attributes["ringside.end.by"], &attributes["ringside.end.why"]], ["ringside", "expired"]);
        assert!(!attributes.contains_key("ringside.end.source"), "{attributes:?}");
        assert!(!attributes.keys().any(|key| key.contains("round_trip")), "{attributes:?}");
    }

    #[test]
    fn round_trips_are_in_seconds() {
        let span = from_connection(&example::pinged(example::connection(By::Client, Why::PeerDead)));
        let attributes = attributes(&span);
        assert_eq!(attributes["ringside.end.why"], "peer_dead");
        assert_eq!(attributes["websocket.client.round_trip"], "0.0405");
        assert_eq!(attributes["websocket.client.round_trip_least"], "0.02025");
        assert_eq!(attributes["websocket.app.round_trip"], "0.00025");
        assert_eq!(attributes["websocket.app.round_trip_least"], "0.000125");
    }

    #[test]
    fn our_own_attributes_stand_in_the_table_above_and_none_names_the_subject() {
        let table: String = include_str!("span.rs").lines().take_while(|line| line.starts_with("//!")).collect();
        let refused = Outcome::Refused { reason: Reason::AppTimeout, status: Some(504) };
        for span in [
            from_handshake(&example::handshake(refused)),
            from_connection(&example::pinged(example::connection(By::App, Why::Violation(Rule::AppMasked)))),
        ] {
            for (key, value) in attributes(&span) {
                let (name, own) = match key.rsplit_once('.') {
                    Some((group @ ("websocket.from_client" | "websocket.from_app"), _)) => (format!("{group}.*"), true),
                    _ => (key.to_owned(), key.starts_with("ringside.") || key.starts_with("websocket.")),
                };
                assert!(!own || table.contains(&format!("`{name}`")), "{key} is not in the table");
                assert!(!value.contains("alice"), "{key}");
            }
        }
    }
}
