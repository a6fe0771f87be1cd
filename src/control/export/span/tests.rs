use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use opentelemetry::trace::{Event as SpanEvent, SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

use super::super::example;
use super::push;
use crate::peer::Side;
use crate::rule::Rule;
use crate::telemetry::end::{By, Why};
use crate::telemetry::moment::{Moment, Moments, What};
use crate::telemetry::reason::Reason;
use crate::telemetry::record::{Connection, Event, Handshake, Outcome, RequestFacts};
use crate::telemetry::step::{Dial, Dialled};
use crate::telemetry::trace::{self, TraceState};

fn attributes(span: &SpanData) -> BTreeMap<&str, String> {
    span.attributes.iter().map(|attribute| (attribute.key.as_str(), attribute.value.to_string())).collect()
}

fn attributes_of(event: &SpanEvent) -> BTreeMap<&str, String> {
    event.attributes.iter().map(|attribute| (attribute.key.as_str(), attribute.value.to_string())).collect()
}

fn expected<const N: usize>(pairs: [(&'static str, &str); N]) -> BTreeMap<&'static str, String> {
    pairs.map(|(key, value)| (key, value.to_owned())).into()
}

fn spans(event: &Event) -> Vec<SpanData> {
    let mut spans = Vec::new();
    push(event, &mut spans);
    spans
}

fn of_handshake(handshake: Handshake) -> Vec<SpanData> {
    spans(&Event::Handshake(Box::new(handshake)))
}

fn of_connection(connection: Connection) -> SpanData {
    let [span] = spans(&Event::Connection(Box::new(connection))).try_into().expect("one span");
    span
}

fn names(spans: &[SpanData]) -> Vec<&str> {
    spans.iter().map(|span| &*span.name).collect()
}

fn span_id(id: trace::SpanId) -> SpanId {
    SpanId::from_bytes(id.0)
}

/// A handshake that was refused in its last part.
fn refused_in(reason: Reason, status: Option<u16>, part: &str) -> Handshake {
    let mut record = example::handshake(Outcome::Refused { reason, status });
    let steps = &mut record.steps;
    match part {
        "tls" => (steps.tls.as_mut().unwrap().failed, steps.token, steps.dial) = (true, None, None),
        "token" => (steps.token.as_mut().unwrap().failed, steps.dial) = (true, None),
        "dial" => steps.dial.as_mut().unwrap().step.failed = true,
        _ => (steps.token, steps.dial) = (None, None),
    }
    record
}

#[test]
fn a_handshake_that_opened() {
    let mut record = example::handshake(Outcome::Opened);
    let connection = trace::SpanId([9; 8]);
    record.connection = Some(connection);
    let spans = of_handshake(record.clone());
    let span = &spans[0];
    assert_eq!((&*span.name, &span.span_kind, &span.status), ("GET /rooms/{room}", &SpanKind::Server, &Status::Unset));
    assert_eq!(span.span_context.trace_id().to_string(), record.span.trace.to_string());
    assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
    assert!(span.parent_span_is_remote && span.span_context.is_sampled());
    assert_eq!(span.start_time, example::started());
    assert_eq!(span.end_time, example::started() + Duration::from_micros(2500));
    assert_eq!(span.links[0].span_context.span_id(), span_id(connection));
    let expected = expected([
        ("client.address", "192.0.2.7"),
        ("http.request.method", "GET"),
        ("http.response.status_code", "101"),
        ("http.route", "/rooms/{room}"),
        ("network.peer.address", "192.0.2.7"),
        ("network.peer.port", "50123"),
        ("network.transport", "tcp"),
        ("ringside.connection.id", "7"),
        ("ringside.outcome", "opened"),
        ("ringside.subject.present", "true"),
        ("ringside.tls.client_certificate", "true"),
        ("tls.cipher", "TLS13_AES_128_GCM_SHA256"),
        ("tls.protocol.name", "tls"),
        ("tls.protocol.version", "1.3"),
        ("tls.resumed", "false"),
        ("url.scheme", "https"),
        ("websocket.subprotocol", "chat.v1"),
    ]);
    assert_eq!(attributes(span), expected);
}

#[test]
fn its_parts_are_children_with_times_of_their_own() {
    let record = example::handshake(Outcome::Opened);
    let spans = of_handshake(record.clone());
    assert_eq!(names(&spans), ["GET /rooms/{room}", "tls", "token", "dial"]);
    let kinds = [SpanKind::Internal, SpanKind::Internal, SpanKind::Client];
    for (n, (span, kind)) in (1..).zip(spans[1..].iter().zip(kinds)) {
        assert_eq!(span.parent_span_id, span_id(record.span.id));
        assert_eq!(span.span_context.span_id(), SpanId::from_bytes([n; 8]));
        assert_eq!(span.span_context.trace_id(), spans[0].span_context.trace_id());
        assert!(span.span_context.is_sampled() && !span.parent_span_is_remote);
        assert_eq!((&span.span_kind, &span.status), (&kind, &Status::Unset));
    }
    let times = |span: &SpanData| [span.start_time, span.end_time];
    let micros = |from, to| [from, to].map(|at| example::started() + Duration::from_micros(at));
    assert_eq!(
        [times(&spans[1]), times(&spans[2]), times(&spans[3])],
        [micros(0, 1500), micros(1600, 1700), micros(1800, 2300)]
    );
    assert_eq!(attributes(&spans[1])["tls.protocol.version"], "1.3");
    let token = expected([("ringside.connection.id", "7"), ("ringside.token.found", "true")]);
    assert_eq!(attributes(&spans[2]), token);
    let dial = expected([
        ("http.request.method", "GET"),
        ("http.response.status_code", "101"),
        ("network.transport", "unix"),
        ("ringside.connection.id", "7"),
        ("server.address", "/run/app.sock"),
    ]);
    assert_eq!(attributes(&spans[3]), dial);
}

#[test]
fn a_dial_says_where_to_when_that_is_known() {
    let mut record = example::handshake(Outcome::Opened);
    let dial = record.steps.dial.as_mut().unwrap();
    dial.to = Some(Dialled::Tcp(([127, 0, 0, 1], 3000).into()));
    let span = of_handshake(record.clone()).pop().unwrap();
    let attributes = attributes(&span);
    let of = ["network.transport", "server.address", "server.port"].map(|key| attributes[key].as_str());
    assert_eq!(of, ["tcp", "127.0.0.1", "3000"]);
    let Some(Dial { to, status, .. }) = &mut record.steps.dial else { panic!("no dial") };
    (*to, *status) = (None, None);
    let span = of_handshake(record).pop().unwrap();
    assert_eq!(self::attributes(&span).keys().collect::<Vec<_>>(), [&"http.request.method", &"ringside.connection.id"]);
}

#[test]
fn a_refusal_stands_at_the_part_that_failed_and_is_an_error_when_it_is_not_the_clients() {
    for (reason, status, part, error) in [
        (Reason::TlsHandshake, None, "tls", false),
        (Reason::Timeout, None, "tls", false),
        (Reason::Timeout, Some(408), "", false),
        (Reason::Overloaded, Some(503), "", true),
        (Reason::OriginNotAllowed, Some(403), "", false),
        (Reason::TokenExpired, Some(401), "token", false),
        (Reason::AppRefused, Some(403), "dial", false),
        (Reason::AppRefused, Some(500), "dial", true),
        (Reason::AppUnreachable, Some(502), "dial", true),
        (Reason::Internal, None, "", true),
    ] {
        let spans = of_handshake(refused_in(reason, status, part));
        let error = error.then_some(reason.as_str());
        for (n, span) in spans.iter().enumerate() {
            let attributes = attributes(span);
            let failed = n == 0 || span.name == part;
            let of = |key| attributes.get(key).map(String::as_str);
            assert_eq!(of("ringside.reason"), failed.then_some(reason.as_str()), "{reason} {}", span.name);
            assert_eq!(of("error.type"), error.filter(|_| failed), "{reason} {}", span.name);
            assert_eq!(matches!(span.status, Status::Error { .. }), failed && error.is_some(), "{reason}");
        }
        assert_eq!(spans.last().unwrap().name == part, !part.is_empty(), "{reason}: nothing happens behind it");
        let status = status.map(|status| status.to_string());
        assert_eq!(attributes(&spans[0]).get("http.response.status_code"), status.as_ref(), "{reason}");
    }
}

#[test]
fn only_a_token_that_was_there_was_found() {
    for (reason, found) in
        [(Reason::TokenMissing, "false"), (Reason::TokenTwice, "true"), (Reason::TokenExpired, "true")]
    {
        let spans = of_handshake(refused_in(reason, Some(401), "token"));
        assert_eq!(attributes(&spans[2])["ringside.token.found"], found, "{reason}");
    }
}

#[test]
fn a_name_is_what_is_known_of_the_request() {
    let request = |method, route: Option<&str>| Some(RequestFacts { method, route: route.map(Into::into) });
    for (request, name, method) in [
        (None, "HTTP", "_OTHER"),
        (request(None, None), "HTTP", "_OTHER"),
        (request(None, Some("/a")), "HTTP /a", "_OTHER"),
        (request(Some("POST"), None), "POST", "POST"),
        (request(Some("GET"), Some("/a/{b}")), "GET /a/{b}", "GET"),
    ] {
        let outcome = Outcome::Refused { reason: Reason::NotUpgrade, status: None };
        let read = request.is_some();
        let spans = of_handshake(Handshake { request, ..example::handshake(outcome) });
        let attributes = attributes(&spans[0]);
        assert_eq!((&*spans[0].name, attributes["http.request.method"].as_str()), (name, method));
        assert_eq!(attributes.contains_key("url.scheme"), read, "{name}");
    }
}

#[test]
fn a_tracestate_stands_in_the_handshake_and_its_parts() {
    let tracestate = TraceState::combine([&b"vendor=1"[..], b"other=a:b"]);
    let spans = of_handshake(Handshake { tracestate, ..example::handshake(Outcome::Opened) });
    for span in &spans {
        assert_eq!(span.span_context.trace_state().header(), "vendor=1,other=a:b", "{}", span.name);
    }
    let none = of_handshake(example::handshake(Outcome::Opened));
    assert_eq!(none[0].span_context.trace_state().header(), "");
    let (with, without) = (&spans[3].span_context, &none[3].span_context);
    assert_eq!((with.span_id(), with.trace_flags()), (without.span_id(), without.trace_flags()));
}

#[test]
fn a_connection_is_a_child_of_its_handshake_and_linked_with_it() {
    let record = example::connection(By::Client, Why::Violation(Rule::ClientUnmasked));
    let handshake = span_id(record.handshake.id);
    let span = of_connection(record);
    assert_eq!((&*span.name, &span.span_kind, &span.status), ("websocket", &SpanKind::Internal, &Status::Unset));
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
        let span = of_connection(example::connection(by, why));
        let error = error.then_some(why.as_str());
        assert_eq!(matches!(span.status, Status::Error { .. }), error.is_some(), "{by:?} {why:?}");
        assert_eq!(attributes(&span).get("error.type").map(String::as_str), error, "{by:?} {why:?}");
    }
}

#[test]
fn an_end_without_a_violation_has_no_source_and_one_without_pongs_no_round_trip() {
    let span = of_connection(example::connection(By::Ringside, Why::Expired));
    let attributes = attributes(&span);
    assert_eq!([&*attributes["ringside.end.by"], &attributes["ringside.end.why"]], ["ringside", "expired"]);
    assert!(!attributes.contains_key("ringside.end.source"), "{attributes:?}");
    assert!(!attributes.keys().any(|key| key.contains("round_trip")), "{attributes:?}");
}

#[test]
fn round_trips_are_in_seconds() {
    let span = of_connection(example::pinged(example::connection(By::Client, Why::PeerDead)));
    let attributes = attributes(&span);
    assert_eq!(attributes["ringside.end.why"], "peer_dead");
    assert_eq!(attributes["websocket.client.round_trip"], "0.0405");
    assert_eq!(attributes["websocket.client.round_trip_least"], "0.02025");
    assert_eq!(attributes["websocket.app.round_trip"], "0.00025");
    assert_eq!(attributes["websocket.app.round_trip_least"], "0.000125");
}

/// One of each kind, a second apart.
fn moments() -> Vec<Moment> {
    let whats = [
        What::PingUnanswered(Side::App),
        What::Throttled,
        What::Closing(By::Client, Why::Violation(Rule::TextUtf8)),
        What::Closing(By::Ringside, Why::Expired),
    ];
    (1..).zip(whats).map(|(second, what)| Moment { after: Duration::from_secs(second), what }).collect()
}

#[test]
fn what_happened_are_events_and_what_was_not_kept_is_counted() {
    let mut record = example::connection(By::Client, Why::Closed);
    record.moments = Moments { kept: moments(), missed: 3 };
    let span = of_connection(record);
    assert_eq!((span.events.len(), span.events.dropped_count), (4, 3));
    let expected = [
        ("ping_unanswered", expected([("ringside.side", "app")])),
        ("throttled", BTreeMap::new()),
        (
            "violation",
            expected([
                ("ringside.by", "client"),
                ("ringside.source", "RFC 6455 section 8.1"),
                ("ringside.why", "text_utf8"),
            ]),
        ),
        ("expiring", expected([("ringside.by", "ringside"), ("ringside.why", "expired")])),
    ];
    for ((second, event), (name, attributes)) in (1..).zip(span.events.iter()).zip(expected) {
        assert_eq!((&*event.name, attributes_of(event)), (name, attributes));
        assert_eq!(event.timestamp, example::started() + Duration::from_secs(second));
    }
}

#[test]
fn a_checkpoint_says_what_came_in_all_and_lately() {
    let mut record = example::checkpoint();
    record.moments = moments()[..1].into();
    let [handshake, connection] = [record.handshake, record.span.parent.unwrap()].map(span_id);
    let [span] = spans(&Event::Checkpoint(Box::new(record))).try_into().expect("one span");
    assert_eq!((&*span.name, &span.span_kind), ("websocket checkpoint", &SpanKind::Internal));
    assert_eq!((span.parent_span_id, span.links[0].span_context.span_id()), (connection, handshake));
    let seconds = |n| example::started() + Duration::from_secs(n);
    assert_eq!((span.start_time, span.end_time), (seconds(60), seconds(120)));
    assert_eq!((&*span.events[0].name, span.events[0].timestamp), ("ping_unanswered", seconds(1)));
    let expected = expected([
        ("client.address", "192.0.2.7"),
        ("network.peer.address", "192.0.2.7"),
        ("network.peer.port", "50123"),
        ("ringside.connection.id", "7"),
        ("websocket.age", "120"),
        ("websocket.checkpoint", "2"),
        ("websocket.client.round_trip", "0.04"),
        ("websocket.client.round_trip_least", "0.02"),
        ("websocket.from_app.bytes", "90"),
        ("websocket.from_app.frames", "9"),
        ("websocket.from_app.messages", "8"),
        ("websocket.from_app.messages_compressed", "0"),
        ("websocket.from_client.bytes", "7000"),
        ("websocket.from_client.frames", "15"),
        ("websocket.from_client.messages", "13"),
        ("websocket.from_client.messages_compressed", "3"),
        ("websocket.interval.from_app.bytes", "90"),
        ("websocket.interval.from_app.frames", "9"),
        ("websocket.interval.from_app.messages", "8"),
        ("websocket.interval.from_app.messages_compressed", "0"),
        ("websocket.interval.from_client.bytes", "6300"),
        ("websocket.interval.from_client.frames", "10"),
        ("websocket.interval.from_client.messages", "10"),
        ("websocket.interval.from_client.messages_compressed", "1"),
    ]);
    assert_eq!(attributes(&span), expected);
}

#[test]
fn a_message_shows_its_size_and_its_time_here() {
    let record = example::message();
    let connection = span_id(record.span.parent.unwrap());
    let [span] = spans(&Event::Message(Box::new(record))).try_into().expect("one span");
    assert_eq!((&*span.name, span.parent_span_id), ("websocket message", connection));
    assert_eq!(span.end_time, span.start_time + Duration::from_micros(120));
    let expected = expected([
        ("ringside.connection.id", "7"),
        ("websocket.message.compressed", "false"),
        ("websocket.message.direction", "from_app"),
        ("websocket.message.frames", "3"),
        ("websocket.message.opcode", "binary"),
        ("websocket.message.size", "1000"),
    ]);
    assert_eq!(attributes(&span), expected);
}

#[test]
fn our_own_attributes_are_those_of_the_table_and_none_names_the_subject() {
    let mut opened = example::handshake(Outcome::Opened);
    opened.detail = Some("a detail".into());
    let mut ended = example::pinged(example::connection(By::App, Why::Violation(Rule::AppMasked)));
    ended.moments.kept = moments();
    ended.end.code_received = Some(1000);
    ended.protocol = Some("chat.v1".into());
    let mut checkpoint = example::checkpoint();
    checkpoint.app_round_trip = checkpoint.client_round_trip;
    let all: Vec<_> = [
        Event::Handshake(Box::new(opened)),
        Event::Handshake(Box::new(refused_in(Reason::AppTimeout, Some(504), "dial"))),
        Event::Connection(Box::new(ended)),
        Event::Checkpoint(Box::new(checkpoint)),
        Event::Message(Box::new(example::message())),
    ]
    .iter()
    .flat_map(spans)
    .collect();
    let pairs = |span: &SpanData| -> Vec<_> {
        let events = span.events.iter().flat_map(|event| event.attributes.clone());
        span.attributes.iter().cloned().chain(events).collect()
    };
    let mut used = BTreeSet::new();
    for attribute in all.iter().flat_map(pairs) {
        let key = attribute.key.as_str().to_owned();
        assert!(!attribute.value.to_string().contains("alice"), "{key}");
        if key.starts_with("ringside.") || key.starts_with("websocket.") {
            used.insert(match key.rsplit_once('.') {
                Some((group, _)) if group.ends_with("from_client") || group.ends_with("from_app") => {
                    format!("{group}.*")
                }
                _ => key,
            });
        }
    }
    let rows = include_str!("../span.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
    let names = rows.flat_map(|row| row.split(" | ").next().unwrap_or_default().split(", "));
    let table: BTreeSet<_> = names.map(|name| name.trim_matches('`').to_owned()).collect();
    assert_eq!(used, table);
}
