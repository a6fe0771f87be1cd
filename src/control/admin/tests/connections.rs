use std::future::{pending, ready};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::connections::{Ask, MOST, USUAL};
use super::{Fixture, read_all};
use crate::control::export::example;
use crate::opcode::Opcode;
use crate::peer::Peer;
use crate::telemetry::end::{By, Why};
use crate::telemetry::live::Row;
use crate::telemetry::reason::Reason;
use crate::telemetry::record::{ConnectionId, Counts, Event, Outcome, RoundTrip};
use crate::telemetry::trace::TraceId;

fn row(number: u64, bytes: u64) -> Row {
    Row {
        id: ConnectionId(number),
        client: Peer::new(([192, 0, 2, 7], 50_123).into()),
        subject: Some("alice".into()),
        protocol: None,
        trace: TraceId([7; 16]),
        age: Duration::from_micros(1_500_250),
        from_client: Counts { frames: 3, messages: 2, bytes, compressed: 1 },
        from_app: Counts::default(),
        client_round_trip: None,
        app_round_trip: None,
        closing: None,
    }
}

/// A worker that has these connections.
fn worker(rows: Vec<Row>) -> Ask {
    Box::new(move |most| Box::pin(ready(Some(rows.iter().take(most).cloned().collect()))))
}

/// One that hangs.
fn hung() -> Ask {
    Box::new(|_| Box::pin(pending()))
}

/// One that has ended, or is asked too often already.
fn gone() -> Ask {
    Box::new(|_| Box::pin(ready(None)))
}

impl Fixture {
    /// The body of the answer, which is JSON.
    async fn connections(&self, query: &str) -> Value {
        let answer = self.ask(&format!("GET /connections{query}")).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: application/json"), "{answer}");
        serde_json::from_str(body).expect("JSON")
    }

    /// Status and body of the answer to a request with this line and `Host`.
    async fn told(&self, line: &str, host: &str, fields: &str) -> (u16, String) {
        let mut stream = self.connect().await;
        let request = format!("{line} HTTP/1.1\r\nhost: {host}\r\n{fields}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("write");
        let answer = read_all(&mut stream).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head[9..12].parse().expect("a status"), body.to_owned())
    }
}

#[tokio::test]
async fn a_connection_is_told_of_in_full() {
    let trip = |last, least| Some(RoundTrip { last: Duration::from_micros(last), least: Duration::from_micros(least) });
    let closing = Row {
        protocol: Some("chat.v1".into()),
        client_round_trip: trip(40_500, 20_250),
        app_round_trip: trip(250, 125),
        closing: Some((By::Ringside, Why::Drain)),
        ..row(7, 700)
    };
    let fixture = Fixture::start_before(vec![worker(vec![row(8, 600)]), worker(vec![closing, row(9, 1)])]).await;
    fixture.counters.open.add(3);
    fixture.counters.held.add(4);
    fixture.counters.refused(Reason::Timeout).add(5);
    fixture.counters.from_client.messages(Opcode::Text).add(6);
    let answer = fixture.connections("?most=2").await;
    let alice = fixture.subjects.show("alice");
    let nothing = json!({"frames": 0, "messages": 0, "bytes": 0});
    let expected = json!([
        {
            "id": 7, "client": "192.0.2.7:50123", "subject": alice, "subprotocol": "chat.v1",
            "trace_id": "07070707070707070707070707070707", "age": 1.500_25,
            "state": "closing", "by": "ringside", "why": "drain",
            "from_client": {"frames": 3, "messages": 2, "bytes": 700}, "from_app": nothing,
            "client_rtt_ms": 40.5, "client_rtt_least_ms": 20.25, "app_rtt_ms": 0.25, "app_rtt_least_ms": 0.125,
        },
        {
            "id": 8, "client": "192.0.2.7:50123", "subject": alice, "state": "open",
            "trace_id": "07070707070707070707070707070707", "age": 1.500_25,
            "from_client": {"frames": 3, "messages": 2, "bytes": 600}, "from_app": nothing,
        },
    ]);
    assert_eq!(answer["connections"], expected);
    assert_eq!((&answer["shown"], &answer["workers_silent"]), (&json!(2), &json!([])));
    let totals = json!({
        "open": 3, "held": 4, "limit": 9000, "draining": false, "accepted": 0, "opened": 0, "refused": 5,
        "from_client": {"frames": 0, "messages": 6, "bytes": 0}, "from_app": nothing,
    });
    assert_eq!(answer["totals"], totals);
    assert_eq!((&answer["engine"], &answer["started"]), (&json!("epoll"), &json!("2023-11-14T22:13:20.000Z")));
    assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
    humantime::parse_rfc3339(answer["at"].as_str().expect("a text")).expect("a time");
}

#[tokio::test]
async fn those_who_are_gone_are_told_of() {
    let fixture = Fixture::start().await;
    let alice = fixture.subjects.show("alice");
    let ended = example::connection(By::Client, Why::PeerDead);
    let trace = ended.span.trace.to_string();
    let mut refused = example::handshake(Outcome::Refused { reason: Reason::AppUnreachable, status: Some(502) });
    refused.detail = Some("connection refused".into());
    fixture.recent.note(&Event::Connection(Box::new(ended)));
    fixture.recent.note(&Event::Handshake(Box::new(refused)));
    let expected = json!([
        {
            "at": "2023-11-14T22:13:20.252Z", "id": 7, "client": "192.0.2.7:50123", "subject": alice,
            "trace_id": trace, "age": 0.002_5, "kind": "refused", "reason": "app_unreachable", "status": 502,
            "detail": "connection refused",
        },
        {
            "at": "2023-11-14T23:13:20.250Z", "id": 7, "client": "192.0.2.7:50123", "subject": alice,
            "trace_id": trace, "age": 3600.0, "kind": "ended", "by": "client", "why": "peer_dead", "code_sent": 1002,
        },
    ]);
    assert_eq!(fixture.connections("").await["recent"], expected);
}

#[tokio::test]
async fn who_ends_meanwhile_is_told_of_once() {
    let fixture = Fixture::start_before(vec![worker(vec![row(7, 1), row(8, 1)])]).await;
    fixture.recent.note(&Event::Connection(Box::new(example::connection(By::App, Why::Reset))));
    let answer = fixture.connections("").await;
    assert_eq!((&answer["connections"][0]["id"], &answer["shown"]), (&json!(8), &json!(1)));
    assert_eq!(answer["recent"][0]["id"], 7);
}

#[tokio::test]
async fn how_many_is_up_to_who_asks_within_a_bound() {
    let many: Vec<_> = (0..=MOST as u64).map(|number| row(number, number)).collect();
    let fixture = Fixture::start_before(vec![worker(many)]).await;
    for (query, shown) in [("", USUAL), ("?", USUAL), ("?most=0", 0), ("?most=7", 7), ("?most=10000", MOST)] {
        assert_eq!(fixture.connections(query).await["shown"], shown, "{query}");
    }
    for query in ["?most=10001", "?most=-1", "?most=", "?most=all", "?many=3", "?most=3&most=4"] {
        let (status, body) = fixture.told(&format!("GET /connections{query}"), "127.0.0.1", "").await;
        assert_eq!(status, 400, "{query}: {body}");
        assert!(body.contains("N is 0 to 10000; without it, it is 1000"), "{body}");
    }
    assert_eq!(fixture.told("POST /connections", "127.0.0.1", "").await.0, 405);
    assert_eq!(fixture.told("HEAD /connections", "127.0.0.1", "").await, (200, String::new()));
}

#[tokio::test]
async fn it_is_not_for_pages() {
    let fixture = Fixture::start().await;
    for origin in ["https://evil.example", "null", "http://127.0.0.1:9901"] {
        let (status, _) = fixture.told("GET /connections", "127.0.0.1", &format!("origin: {origin}\r\n")).await;
        assert_eq!(status, 403, "{origin}");
    }
    for host in ["evil.example", "evil.example:9901", "127.0.0.1.evil.example", "localhost.evil.example", "a b", ""] {
        let (status, body) = fixture.told("GET /connections", host, "").await;
        assert!(status == 421 || status == 400, "{host}: {status} {body}");
        assert!(!body.contains("totals"), "{host}: {body}");
    }
    for host in ["127.0.0.1", "10.0.0.7:9901", "[::1]:9901", "localhost:9901", "LOCALHOST"] {
        let (status, body) = fixture.told("GET /connections", host, "").await;
        assert_eq!(status, 200, "{host}: {body}");
    }
}

#[tokio::test]
async fn a_worker_that_does_not_answer_is_named_and_not_waited_for() {
    let fixture = Fixture::start_before(vec![hung(), worker(vec![row(7, 1)]), gone(), hung()]).await;
    let stream = fixture.connect().await;
    // Nothing else happens but timeouts: the paused clock jumps to them.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let answer = fixture.connections("").await;
    assert!(began.elapsed() < Duration::from_secs(1), "all hang together: {:?}", began.elapsed());
    assert_eq!(answer["workers_silent"], json!([0, 2, 3]));
    assert_eq!((&answer["shown"], &answer["connections"][0]["id"]), (&json!(1), &json!(7)));
    drop(stream);
}

#[tokio::test]
async fn a_worker_that_is_done_is_not_called_silent() {
    let fixture = Fixture::start_before(vec![gone(), hung()]).await;
    fixture.drain.trigger();
    assert_eq!(fixture.connections("").await["workers_silent"], json!([1]));
    fixture.counters.held.add(1);
    let answer = fixture.connections("").await;
    assert_eq!((&answer["workers_silent"], &answer["totals"]["draining"]), (&json!([0, 1]), &json!(true)));
}

#[tokio::test]
async fn there_is_one_answer_at_a_time() {
    // More than what the sockets take while nobody reads.
    let long: Box<str> = "𝕏".repeat(256).into();
    let many: Vec<_> = (0..MOST as u64).map(|number| Row { protocol: Some(long.clone()), ..row(number, 1) }).collect();
    let fixture = Fixture::start_before(vec![worker(many)]).await;
    let mut slow = fixture.connect().await;
    slow.write_all(b"GET /connections?most=10000 HTTP/1.1\r\nhost: [::1]\r\nconnection: close\r\n\r\n")
        .await
        .expect("write");
    slow.read_exact(&mut [0; 12]).await.expect("an answer");
    let (status, body) = fixture.told("GET /connections?most=0", "127.0.0.1", "").await;
    assert_eq!((status, body.as_str()), (503, "others ask, too: try again\n"));
    assert!(fixture.ask("GET /livez").await.starts_with("HTTP/1.1 200 "));
    read_all(&mut slow).await;
    assert_eq!(fixture.connections("?most=0").await["shown"], 0);
}
