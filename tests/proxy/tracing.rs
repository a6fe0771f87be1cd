//! The spans of a handshake and its parts, and the trace context that passes.

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

use crate::support::PATIENCE;
use crate::support::app::App;
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{TEXT, from_client};
use crate::support::http::{Message, upgrade, upgrade_to};
use crate::support::material::{forged, token};
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(
    an_opened_handshake_has_its_parts_and_its_connection,
    without_tls_and_authentication_the_dial_is_all,
    a_refusal_ends_in_the_part_that_was_refused,
    a_dial_that_fails_says_why,
    a_state_passes_with_its_parent_or_not_at_all,
    a_trusted_client_decides,
);

const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The spans of an event after the other.
struct Spans(Receiver<Vec<SpanData>>);

impl Spans {
    /// A setup whose spans come here.
    fn of(setup: Setup) -> (Setup, Self) {
        let (to, spans) = channel();
        (setup.spans(to), Self(spans))
    }

    fn next(&self) -> Vec<SpanData> {
        self.0.recv_timeout(PATIENCE).expect("spans of an event")
    }
}

fn names(spans: &[SpanData]) -> Vec<&str> {
    spans.iter().map(|span| &*span.name).collect()
}

fn id(span: &SpanData) -> SpanId {
    span.span_context.span_id()
}

/// The attribute as text; empty when there is none.
fn attribute(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
}

/// The parts stand below the handshake, one after the other, within its time.
#[track_caller]
fn assert_order(spans: &[SpanData]) {
    let (above, parts) = spans.split_first().expect("a handshake");
    let mut now = above.start_time;
    for part in parts {
        assert_eq!(part.parent_span_id, id(above), "{}", part.name);
        assert_eq!(part.span_context.trace_id(), above.span_context.trace_id(), "{}", part.name);
        assert!(now <= part.start_time && part.start_time <= part.end_time, "{}: {spans:?}", part.name);
        now = part.end_time;
    }
    assert!(now <= above.end_time, "{spans:?}");
}

/// What the app is asked for a request with these fields, and the spans of the handshake.
fn asked(proxy: &Proxy, app: &App, spans: &Spans, fields: &[&str]) -> (Message, Vec<SpanData>) {
    let (client, joined) = proxy.join_with(app, fields);
    let handshake = spans.next();
    let request = joined.request().clone();
    drop((client, joined));
    assert_eq!(names(&spans.next()), ["websocket"]);
    (request, handshake)
}

fn an_opened_handshake_has_its_parts_and_its_connection(engine: Engine) {
    let app = App::tcp();
    let setup = Setup::new(engine).jwt("").table("telemetry", "routes = [\"/rooms/{room}\"]");
    let (setup, spans) = Spans::of(setup);
    let proxy = setup.start(&app);
    let bearer = format!("Authorization: Bearer {}", token());
    let mut client = proxy.ask(&upgrade_to("/rooms/s3cret?a=b", &[&bearer, PARENT]));
    let mut joined = app.accept();
    joined.answer(&[]);
    assert_eq!(client.head().status(), 101);
    let handshake = spans.next();
    assert_eq!(names(&handshake), ["GET /rooms/{room}", "tls", "token", "dial"]);
    assert_order(&handshake);
    let [above, tls, token, dial] = handshake.as_slice() else { panic!("{handshake:?}") };
    assert_eq!((above.span_kind.clone(), dial.span_kind.clone()), (SpanKind::Server, SpanKind::Client));
    assert_eq!(above.span_context.trace_id().to_string(), TRACE);
    let traceparent = format!("00-{TRACE}-{}-01", id(dial));
    assert_eq!(joined.request().field("traceparent"), Some(&*traceparent), "the dial is above what the app does");
    assert_eq!(attribute(above, "http.route"), "/rooms/{room}");
    assert_eq!(attribute(tls, "tls.protocol.version"), "1.3");
    assert_eq!(attribute(token, "ringside.token.found"), "true");
    let (address, port) = app.address().split_once(':').expect("HOST:PORT");
    let of = ["network.transport", "server.address", "server.port", "http.response.status_code"];
    assert_eq!(of.map(|key| attribute(dial, key)), ["tcp", address, port, "101"]);

    client.send(&from_client(TEXT, b"hello"));
    drop(client);
    let connection = spans.next();
    let [connection] = connection.as_slice() else { panic!("{connection:?}") };
    assert_eq!([connection.parent_span_id, connection.links[0].span_context.span_id()], [id(above); 2]);
    assert_eq!(above.links[0].span_context.span_id(), id(connection));
    assert_eq!(connection.span_context.trace_id(), above.span_context.trace_id());
    let all = format!("{handshake:?} {connection:?}");
    assert!(!all.contains("s3cret") && !all.contains("a=b"), "a path was shown: {all}");
}

fn without_tls_and_authentication_the_dial_is_all(engine: Engine) {
    let app = App::unix();
    let (setup, spans) = Spans::of(Setup::new(engine).plain());
    let proxy = setup.start(&app);
    let (asked, handshake) = asked(&proxy, &app, &spans, &[]);
    assert_eq!(names(&handshake), ["GET", "dial"]);
    assert_order(&handshake);
    let path = app.address().strip_prefix("unix:").expect("a Unix socket");
    let of = ["network.transport", "server.address"].map(|key| attribute(&handshake[1], key));
    assert_eq!(of, ["unix", path]);
    let context = &handshake[1].span_context;
    let traceparent = format!("00-{}-{}-01", context.trace_id(), context.span_id());
    assert_eq!(asked.field("traceparent"), Some(&*traceparent));
}

fn a_refusal_ends_in_the_part_that_was_refused(engine: Engine) {
    let app = App::unix();
    let setup = Setup::new(engine).jwt("").table("access", "origins = [\"https://a.example\"]");
    let (setup, spans) = Spans::of(setup);
    let proxy = setup.start(&app);
    let forged = upgrade(&[&format!("Authorization: Bearer {}", forged())]);
    let post = upgrade(&[]).replace("GET", "POST");
    for (request, expected, reason, found) in [
        (upgrade(&[]), &["GET", "tls", "token"][..], "token_missing", "false"),
        (forged, &["GET", "tls", "token"], "token_signature", "true"),
        (upgrade(&["Origin: https://b.example"]), &["GET", "tls"], "origin_not_allowed", ""),
        (post, &["POST", "tls"], "method_not_get", ""),
        ("nonsense\r\n\r\n".to_owned(), &["HTTP", "tls"], "head_malformed", ""),
    ] {
        let mut client = proxy.ask(&request);
        assert_eq!(client.head().reason(), reason);
        drop(client);
        let handshake = spans.next();
        assert_eq!(names(&handshake), expected);
        assert_order(&handshake);
        assert_eq!(attribute(&handshake[0], "ringside.reason"), reason);
        assert_eq!(attribute(&handshake[1], "ringside.reason"), "", "TLS went well");
        if let Some(token) = handshake.get(2) {
            let of = ["ringside.reason", "ringside.token.found"].map(|key| attribute(token, key));
            assert_eq!(of, [reason, found]);
        }
        assert!(handshake.iter().all(|span| span.status == Status::Unset), "it is the client's fault");
    }
    let mut client = crate::support::client::tcp(proxy.address());
    std::io::Write::write_all(&mut client, b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    let handshake = spans.next();
    assert_eq!(names(&handshake), ["HTTP", "tls"]);
    assert_eq!(attribute(&handshake[1], "ringside.reason"), "tls_handshake");
    assert_eq!(attribute(&handshake[1], "tls.protocol.version"), "");
}

fn a_dial_that_fails_says_why(engine: Engine) {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    let app = App::tcp();
    for (answer, reason, status, error) in [
        (None, "app_unreachable", "", true),
        (Some("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), "app_refused", "403", false),
        (Some("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), "app_refused", "500", true),
        (Some("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "app_handshake", "101", true),
        (Some("nonsense\r\n\r\n"), "app_handshake", "", true),
        (Some(""), "app_timeout", "", true),
    ] {
        let (setup, spans) = Spans::of(Setup::new(engine).plain().table("timeouts", "app = \"500ms\""));
        let proxy = answer.map_or_else(|| setup.start_before(&nobody.to_string()), |_| setup.start(&app));
        let mut client = proxy.ask(&upgrade(&[]));
        let joined = answer.map(|answer| {
            let mut joined = app.accept();
            joined.send(answer.as_bytes());
            joined
        });
        client.head();
        drop((client, joined));
        let handshake = spans.next();
        let [above, dial] = handshake.as_slice() else { panic!("{reason}: {handshake:?}") };
        assert_order(&handshake);
        for span in [above, dial] {
            assert_eq!(attribute(span, "ringside.reason"), reason);
            assert_eq!(attribute(span, "error.type"), if error { reason } else { "" });
            assert_eq!(matches!(span.status, Status::Error { .. }), error, "{reason}");
        }
        assert_eq!(attribute(dial, "http.response.status_code"), status, "{reason}");
        assert_eq!(attribute(dial, "server.address"), "127.0.0.1", "{reason}");
    }
}

fn a_state_passes_with_its_parent_or_not_at_all(engine: Engine) {
    let app = App::unix();
    let (setup, spans) = Spans::of(Setup::new(engine).plain());
    let proxy = setup.start(&app);
    let long = format!("tracestate: a={}", "v".repeat(257));
    for (fields, passes) in [
        (&[PARENT, "tracestate: rojo=1 , congo=2"][..], Some("rojo=1,congo=2")),
        (&["Tracestate: rojo=1", PARENT, "tracestate: congo=2"], Some("rojo=1,congo=2")),
        (&[PARENT], None),
        (&["tracestate: rojo=1"], None),
        (&[&PARENT.to_uppercase(), "tracestate: rojo=1"], None),
        (&[PARENT, PARENT, "tracestate: rojo=1"], None),
        (&[PARENT, "tracestate: rojo"], None),
        (&[PARENT, "tracestate: rojo=1", "tracestate: rojo=2"], None),
        (&[PARENT, &long], None),
    ] {
        let (asked, handshake) = asked(&proxy, &app, &spans, &[fields, &["baggage: user=ann"]].concat());
        assert_eq!(asked.field("tracestate"), passes, "{fields:?}");
        assert_eq!(asked.field("baggage"), Some("user=ann"));
        for span in &handshake {
            assert_eq!(span.span_context.trace_state().header(), passes.unwrap_or_default(), "{fields:?}");
        }
        let named = fields.iter().filter(|field| **field == PARENT).count() == 1;
        assert_eq!(handshake[0].span_context.trace_id().to_string() == TRACE, named, "{fields:?}");
    }
}

fn a_trusted_client_decides(engine: Engine) {
    let app = App::unix();
    let not_sampled = PARENT.replace("-01", "-00");
    for (ratio, trust, parent, flags) in [
        ("0.0", "false", PARENT, "00"),
        ("1.0", "false", &*not_sampled, "01"),
        ("0.0", "true", PARENT, "01"),
        ("1.0", "true", &*not_sampled, "00"),
        ("0.0", "true", "X: no parent", "00"),
    ] {
        let lines = format!("endpoint = \"http://127.0.0.1:1\"\nsample_ratio = {ratio}\ntrust_client = {trust}");
        let proxy = Setup::new(engine).plain().table("telemetry.traces", &lines).start(&app);
        let (client, joined) = proxy.join_with(&app, &[parent]);
        let traceparent = joined.request().field("traceparent").expect("one").to_owned();
        assert_eq!(traceparent.rsplit_once('-').expect("flags").1, flags, "{lines}\n{parent}");
        drop((client, joined));
        let (handshake, connection) = (proxy.handshake(), proxy.connection());
        assert_eq!([handshake.span.sampled, connection.span.sampled], [flags == "01"; 2], "{lines}\n{parent}");
    }
}
