//! What a real OTLP/HTTP collector gets, and what a broken one does to us: nothing.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span as Exported, Status};
use ringside::control::export::{Config, Export, ExportError, Lines, Protocol, Taps};
use ringside::peer::Peer;
use ringside::rule::Rule;
use ringside::telemetry::end::{By, End, Why};
use ringside::telemetry::moment::{Moment, Moments, What};
use ringside::telemetry::reason::Reason;
use ringside::telemetry::record::{
    Connection, ConnectionId, Counts, Event, Handshake, Outcome, RequestFacts, RoundTrip,
};
use ringside::telemetry::report::{self, Reporter};
use ringside::telemetry::step::{Dial, Dialled, Step, Steps};
use ringside::telemetry::trace::{self, Ids, Remote, Sampler, Span, SpanId, TraceState};

use collector::{Collector, Manner, attribute};

#[path = "../support/collector.rs"]
#[expect(dead_code, reason = "the tests of metrics need more of it")]
mod collector;
mod environment;
mod faults;
#[cfg(feature = "otlp-grpc")]
mod grpc;

/// What this build speaks.
const PROTOCOLS: &[Protocol] =
    if cfg!(feature = "otlp-grpc") { &[Protocol::HttpProtobuf, Protocol::Grpc] } else { &[Protocol::HttpProtobuf] };

/// Longer than any shutdown that does not hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// When the handshakes were accepted.
fn started() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn config(endpoint: &str) -> Config {
    let traces = trace::Config::default();
    Config { endpoint: endpoint.to_owned(), protocol: Protocol::HttpProtobuf, traces }
}

fn start(endpoint: &str) -> (Reporter, Export) {
    start_with(config(endpoint))
}

fn start_with(config: Config) -> (Reporter, Export) {
    let (reporter, events) = report::channel();
    let export =
        Export::start(Some(config), Some("under-test"), Lines::default(), events, Taps::default()).expect("start");
    (reporter, export)
}

fn client() -> Peer {
    Peer::new(([192, 0, 2, 7], 50_123).into())
}

fn handshake(span: Span, outcome: Outcome) -> Event {
    Event::Handshake(Box::new(Handshake {
        took: Duration::from_millis(3),
        subject: Some("alice".into()),
        outcome,
        ..Handshake::begin(ConnectionId(1), client(), span, started())
    }))
}

/// A handshake that led to the connection with this span.
fn opened(span: Span, connection: Span) -> Event {
    let [after, took] = [1, 2].map(Duration::from_millis);
    let step = Step { id: SpanId([3; 8]), after, took, failed: false };
    let to = Some(Dialled::Tcp(([127, 0, 0, 1], 3000).into()));
    let dial = Some(Dial { step, to, status: Some(101) });
    let Event::Handshake(begun) = handshake(span, Outcome::Opened) else { panic!("another event") };
    Event::Handshake(Box::new(Handshake {
        tracestate: TraceState::combine([&b"vendor=1"[..]]),
        connection: Some(connection.id),
        steps: Steps { dial, ..Steps::default() },
        request: Some(RequestFacts { method: Some("GET"), route: Some("/rooms/{room}".into()) }),
        ..*begun
    }))
}

fn connection(handshake: Span, span: Span) -> Event {
    let what = What::Closing(By::App, Why::Violation(Rule::AppMasked));
    let violation = Moment { after: Duration::from_secs(2), what };
    Event::Connection(Box::new(Connection {
        id: ConnectionId(1),
        client: client(),
        span,
        handshake,
        started: started() + Duration::from_secs(1),
        took: Duration::from_secs(60),
        subject: Some("alice".into()),
        protocol: Some("chat.v1".into()),
        from_client: Counts { frames: 5, messages: 3, bytes: 700, compressed: 2 },
        from_app: Counts { frames: 9, messages: 8, bytes: 1400, compressed: 0 },
        client_round_trip: Some(RoundTrip { last: Duration::from_millis(40), least: Duration::from_millis(25) }),
        app_round_trip: None,
        moments: Moments { kept: vec![violation], missed: 2 },
        end: End {
            by: By::App,
            why: Why::Violation(Rule::AppMasked),
            code_sent: Some(1001),
            code_received: Some(1000),
        },
    }))
}

fn root(ids: &mut Ids) -> Span {
    Span::handshake(None, Sampler::ratio(1.0), ids)
}

fn status(span: &Exported) -> StatusCode {
    span.status.as_ref().map_or(StatusCode::Unset, Status::code)
}

/// Reports `n` handshakes, as fast as a worker could.
fn report_many(reporter: &Reporter, n: u64) {
    let mut ids = Ids::from_seed(n);
    for _ in 0..n {
        reporter.report(handshake(root(&mut ids), Outcome::Opened));
    }
}

/// Shuts down within `within` and no longer; returns whether that was enough.
fn shutdown(export: Export, within: Duration) -> bool {
    let began = Instant::now();
    let done = export.shutdown(within);
    assert!(began.elapsed() < within + Duration::from_secs(1), "{:?}", began.elapsed());
    done
}

#[test]
fn an_opened_connection_is_spans_of_the_clients_trace() {
    let collector = Collector::start(Manner::Takes);
    let (reporter, export) = start(&collector.endpoint);
    let mut ids = Ids::from_seed(1);
    let remote = Remote::parse(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let upper = Span::handshake(remote, Sampler::ratio(1.0), &mut ids);
    let lower = upper.child(&mut ids);
    reporter.report(opened(upper, lower));
    reporter.report(connection(upper, lower));
    let counts = export.counts();
    assert!(shutdown(export, PATIENCE));
    assert_eq!((counts.exported(), counts.dropped()), (3, 0));

    let received = collector.next().expect("a request");
    assert_eq!(received.head[0], "POST /v1/traces HTTP/1.1");
    assert!(received.head.contains(&"content-type: application/x-protobuf".to_owned()), "{:?}", received.head);
    let [resource] = received.spans.as_slice() else { panic!("one resource: {:?}", received.spans) };
    let of = &resource.resource.as_ref().expect("a resource").attributes;
    assert_eq!(attribute(of, "service.name"), "under-test");
    let scope = resource.scope_spans[0].scope.as_ref().expect("a scope");
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("ringside", env!("CARGO_PKG_VERSION")));

    let [first, dial, second] = resource.scope_spans[0].spans.as_slice() else { panic!("three: {resource:?}") };
    assert_eq!((first.name.as_str(), first.kind()), ("GET /rooms/{room}", SpanKind::Server));
    assert_eq!((&first.trace_id[..], &first.span_id[..]), (&upper.trace.0[..], &upper.id.0[..]));
    assert_eq!(first.parent_span_id, remote.expect("valid").span.0);
    assert_eq!(first.start_time_unix_nano, 1_700_000_000_000_000_000);
    assert_eq!(first.end_time_unix_nano - first.start_time_unix_nano, 3_000_000);
    assert_eq!(attribute(&first.attributes, "http.response.status_code"), "101");
    assert_eq!(attribute(&first.attributes, "http.route"), "/rooms/{room}");
    assert_eq!(attribute(&first.attributes, "ringside.subject.present"), "true");
    assert_eq!(status(first), StatusCode::Unset);
    assert_eq!(first.links[0].span_id, lower.id.0);
    assert_eq!([&first.trace_state, &dial.trace_state, &second.trace_state], ["vendor=1", "vendor=1", ""]);

    assert_eq!((dial.name.as_str(), dial.kind()), ("dial", SpanKind::Client));
    assert_eq!((&dial.span_id[..], &dial.parent_span_id[..]), (&[3; 8][..], &upper.id.0[..]));
    assert_eq!(dial.start_time_unix_nano, 1_700_000_000_001_000_000);
    assert_eq!(dial.end_time_unix_nano - dial.start_time_unix_nano, 2_000_000);
    assert_eq!(attribute(&dial.attributes, "server.port"), "3000");

    assert_eq!((second.name.as_str(), second.kind()), ("websocket", SpanKind::Internal));
    assert_eq!((&second.trace_id[..], &second.parent_span_id[..]), (&upper.trace.0[..], &upper.id.0[..]));
    assert_eq!(second.links[0].span_id, upper.id.0);
    let [event] = second.events.as_slice() else { panic!("one event: {:?}", second.events) };
    assert_eq!((event.name.as_str(), event.time_unix_nano), ("violation", 1_700_000_003_000_000_000));
    assert_eq!(attribute(&event.attributes, "ringside.why"), "app_masked");
    assert_eq!(second.dropped_events_count, 2);
    for (key, value) in [
        ("websocket.from_client.frames", "5"),
        ("websocket.from_client.messages", "3"),
        ("websocket.from_client.bytes", "700"),
        ("websocket.from_app.frames", "9"),
        ("websocket.from_app.messages", "8"),
        ("websocket.from_app.bytes", "1400"),
        ("websocket.close.code_sent", "1001"),
        ("websocket.close.code_received", "1000"),
        ("websocket.subprotocol", "chat.v1"),
        ("ringside.end.by", "app"),
        ("ringside.end.why", "app_masked"),
        ("ringside.end.source", "RFC 6455 section 5.1"),
        ("error.type", "app_masked"),
        ("websocket.from_client.messages_compressed", "2"),
        ("websocket.from_app.messages_compressed", "0"),
        ("websocket.client.round_trip", "0.04"),
        ("websocket.client.round_trip_least", "0.025"),
        ("websocket.app.round_trip", ""),
    ] {
        assert_eq!(attribute(&second.attributes, key), value, "{key}");
    }
    assert_eq!(status(second), StatusCode::Error);
}

#[test]
fn a_refusal_says_why_and_only_sampled_traces_are_sent() {
    let collector = Collector::start(Manner::Takes);
    let (reporter, export) = start(&collector.endpoint);
    let mut ids = Ids::from_seed(2);
    let unsampled = Span::handshake(None, Sampler::ratio(0.0), &mut ids);
    reporter.report(handshake(unsampled, Outcome::Opened));
    for (reason, status) in [(Reason::TokenExpired, 401), (Reason::AppTimeout, 504)] {
        reporter.report(handshake(root(&mut ids), Outcome::Refused { reason, status: Some(status) }));
    }
    assert!(shutdown(export, PATIENCE));

    let spans = collector.spans();
    let [client_fault, app_fault] = spans.as_slice() else { panic!("two spans: {spans:?}") };
    assert_eq!(attribute(&client_fault.attributes, "ringside.reason"), "token_expired");
    assert_eq!(attribute(&client_fault.attributes, "http.response.status_code"), "401");
    assert_eq!(attribute(&client_fault.attributes, "error.type"), "");
    assert_eq!(status(client_fault), StatusCode::Unset);
    assert_eq!(attribute(&app_fault.attributes, "error.type"), "app_timeout");
    assert_eq!(status(app_fault), StatusCode::Error);
}

#[test]
fn without_a_collector_taps_still_see_everything() {
    let (reporter, events) = report::channel();
    let ((to_events, tapped_events), (to_spans, tapped_spans)) = (channel(), channel());
    let taps = Taps {
        events: Some(Box::new(move |event: &Event| drop(to_events.send(event.clone())))),
        spans: Some(Box::new(move |spans| {
            drop(to_spans.send(spans.iter().map(|span| span.name.to_string()).collect()));
        })),
    };
    let export = Export::start(None, None, Lines::default(), events, taps).expect("start");
    let mut ids = Ids::from_seed(3);
    let upper = root(&mut ids);
    reporter.report(handshake(upper, Outcome::Opened));
    reporter.report(handshake(Span::handshake(None, Sampler::ratio(0.0), &mut ids), Outcome::Opened));
    reporter.report(connection(upper, upper.child(&mut ids)));
    assert!(shutdown(export, PATIENCE));
    assert_eq!(tapped_events.iter().count(), 3);
    let tapped: Vec<Vec<String>> = tapped_spans.iter().collect();
    assert_eq!(tapped, [["HTTP"], ["websocket"]]);
}

#[test]
fn settings_that_cannot_work_are_refused_at_the_start() {
    let start = |config| Export::start(Some(config), None, Lines::default(), report::channel().1, Taps::default());
    let scheme = start(config("ftp://collector:4318")).expect_err("no HTTP");
    assert!(matches!(scheme, ExportError::Scheme(_)), "{scheme}");
    assert!(start(config("http://not a url")).is_err());
    if cfg!(not(feature = "otlp-grpc")) {
        let grpc = start(Config { protocol: Protocol::Grpc, ..config("http://127.0.0.1:4317") }).expect_err("no gRPC");
        assert!(matches!(grpc, ExportError::GrpcNotBuilt), "{grpc}");
    }
}
