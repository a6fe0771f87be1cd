use std::io;
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;

use super::super::example;
use super::{Lines, Suppressed, Writer};
use crate::control::subject::{Choice, Subjects};
use crate::rule::Rule;
use crate::telemetry::end::{By, Why};
use crate::telemetry::reason::Reason;
use crate::telemetry::record::{Connection, Event, Handshake, Outcome};
use crate::telemetry::trace::{Sampler, TraceId};

struct Line(Sender<Vec<u8>>);

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.send(line.to_vec()).map_err(io::Error::other)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log of JSON without times.
fn subscriber(filter: &str) -> (impl Subscriber + Send + Sync, Receiver<Vec<u8>>) {
    let (to, lines) = channel();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).without_time();
    let subscriber = subscriber.with_env_filter(EnvFilter::try_new(filter).unwrap());
    (subscriber.with_writer(move || Line(to.clone())).finish(), lines)
}

/// What is written by `write`, given a writer of these lines.
fn written(filter: &str, lines: Lines, write: impl FnOnce(&mut Writer, Instant)) -> (Vec<Value>, u64) {
    let (subscriber, received) = subscriber(filter);
    let (suppressed, now) = (Suppressed::default(), Instant::now());
    let mut writer = Writer::new(lines, suppressed.clone(), now);
    tracing::subscriber::with_default(subscriber, || write(&mut writer, now));
    let lines = received.try_iter().map(|line| serde_json::from_slice(&line).expect("JSON")).collect();
    (lines, suppressed.count())
}

/// The event's line.
fn line(event: &Event) -> Value {
    line_of(Lines::default(), event)
}

fn line_of(lines: Lines, event: &Event) -> Value {
    let (mut lines, _) = written("info", lines, |writer, now| writer.write(event, now));
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

fn opened() -> Event {
    Event::Handshake(Box::new(example::handshake(Outcome::Opened)))
}

fn refused(reason: Reason) -> Event {
    Event::Handshake(Box::new(example::handshake(Outcome::Refused { reason, status: Some(401) })))
}

fn ended(by: By, why: Why) -> Event {
    Event::Connection(Box::new(example::connection(by, why)))
}

fn noise(lines: u32) -> Lines {
    Lines { noise: NonZeroU32::new(lines).unwrap(), ..Lines::default() }
}

#[test]
fn a_handshake_says_what_came_of_it() {
    let record = example::handshake(Outcome::Opened);
    let (trace_id, span_id) = (record.span.trace.to_string(), record.span.id.to_string());
    let expected = json!({
        "level": "INFO", "target": "ringside::connection", "message": "opened", "id": 7,
        "client": "192.0.2.7:50123", "status": 101, "subject": "alice", "subprotocol": "chat.v1",
        "took_ms": 2.5, "tls_ms": 1.5, "app_ms": 0.5, "tls": "1.3", "cipher": "TLS13_AES_128_GCM_SHA256",
        "resumed": false, "trace_id": trace_id, "span_id": span_id,
    });
    assert_eq!(line(&opened()), expected);

    let mut same = expected;
    same["message"] = "refused".into();
    same["reason"] = "token_expired".into();
    same["status"] = 401.into();
    assert_eq!(line(&refused(Reason::TokenExpired)), same);
}

#[test]
fn a_connection_says_how_it_ended() {
    let record = example::connection(By::Client, Why::Violation(Rule::ReservedBits));
    let (trace_id, span_id) = (record.span.trace.to_string(), record.span.id.to_string());
    let expected = json!({
        "level": "INFO", "target": "ringside::connection", "message": "ended", "id": 7,
        "client": "192.0.2.7:50123", "by": "client", "why": "reserved_bits",
        "source": "RFC 6455 section 5.2", "code_sent": 1002, "subject": "alice", "took_ms": 3_600_000.0,
        "from_client.frames": 5, "from_client.messages": 3, "from_client.bytes": 700,
        "from_client.compressed": 2,
        "from_app.frames": 9, "from_app.messages": 9, "from_app.bytes": u64::MAX, "from_app.compressed": 0,
        "trace_id": trace_id, "span_id": span_id,
    });
    assert_eq!(line(&Event::Connection(Box::new(record))), expected);
}

#[test]
fn an_end_without_a_violation_has_no_source() {
    let expired = line(&ended(By::Ringside, Why::Expired));
    assert_eq!([&expired["by"], &expired["why"]], ["ringside", "expired"]);
    for absent in ["source", "client_rtt_ms", "client_rtt_least_ms", "app_rtt_ms", "app_rtt_least_ms"] {
        assert_eq!(expired.get(absent), None, "{absent}");
    }
}

#[test]
fn round_trips_are_in_milliseconds() {
    let record = example::pinged(example::connection(By::Client, Why::PeerDead));
    let dead = line(&Event::Connection(Box::new(record)));
    assert_eq!([&dead["by"], &dead["why"]], ["client", "peer_dead"]);
    assert_eq!([&dead["client_rtt_ms"], &dead["client_rtt_least_ms"]], [40.5, 20.25]);
    assert_eq!([&dead["app_rtt_ms"], &dead["app_rtt_least_ms"]], [0.25, 0.125]);
}

#[test]
fn who_is_to_blame_decides_the_level() {
    for (event, level) in [
        (opened(), "INFO"),
        (refused(Reason::TokenMissing), "INFO"),
        (refused(Reason::AppRefused), "INFO"),
        (refused(Reason::AppTimeout), "WARN"),
        (refused(Reason::Overloaded), "WARN"),
        (refused(Reason::Internal), "ERROR"),
        (ended(By::Client, Why::Closed), "INFO"),
        (ended(By::Client, Why::Violation(Rule::TextUtf8)), "INFO"),
        (ended(By::App, Why::Eof), "INFO"),
        (ended(By::App, Why::Violation(Rule::TextUtf8)), "WARN"),
        (ended(By::App, Why::Reset), "WARN"),
        (ended(By::Ringside, Why::Drain), "INFO"),
        (ended(By::Ringside, Why::Internal), "ERROR"),
    ] {
        assert_eq!(line(&event)["level"], level, "{event:?}");
    }
}

#[test]
fn both_lines_show_the_subject_as_it_was_chosen() {
    for choice in [Choice::Plain, Choice::Hashed, Choice::Off] {
        let subjects = Subjects::load(choice, None).unwrap();
        let expected = subjects.show("alice").map(|shown| Value::from(shown.into_owned()));
        for event in [opened(), refused(Reason::TokenExpired), ended(By::Client, Why::Closed)] {
            let line = line_of(Lines { subjects: subjects.clone(), ..Lines::default() }, &event);
            assert_eq!(line.get("subject"), expected.as_ref(), "{choice:?}");
            assert!(choice == Choice::Plain || !line.to_string().contains("alice"), "{line}");
        }
    }
}

/// A connection in this trace.
fn in_trace(n: u64, why: Why, by: By) -> (Handshake, Connection) {
    // Traces are sampled by their last bytes; these are spread evenly.
    let low = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let trace = TraceId([[0; 8], low].concat().try_into().unwrap());
    let (mut handshake, mut connection) = (example::handshake(Outcome::Opened), example::connection(by, why));
    (handshake.span.trace, connection.span.trace) = (trace, trace);
    (handshake, connection)
}

#[test]
fn both_lines_of_a_connection_are_there_or_neither() {
    let sampler = Sampler::ratio(0.25);
    let (lines, suppressed) = written("info", Lines { sampler, ..Lines::default() }, |writer, now| {
        for (handshake, connection) in (0..400).map(|n| in_trace(n, Why::Closed, By::Client)) {
            writer.write(&Event::Handshake(Box::new(handshake)), now);
            writer.write(&Event::Connection(Box::new(connection)), now);
        }
    });
    for pair in lines.chunks(2) {
        assert_eq!([&pair[0]["message"], &pair[1]["message"]], ["opened", "ended"]);
        assert_eq!(pair[0]["trace_id"], pair[1]["trace_id"]);
    }
    assert!((160..240).contains(&lines.len()), "{}", lines.len());
    assert_eq!(suppressed, 0, "what the ratio leaves out is not suppressed");
}

#[test]
fn a_fault_is_told_of_a_connection_that_is_not_sampled() {
    let none = || Lines { sampler: Sampler::ratio(0.0), ..Lines::default() };
    for (event, is_told) in [
        (opened(), false),
        (ended(By::Client, Why::Closed), false),
        (ended(By::App, Why::Eof), false),
        (refused(Reason::TokenMissing), true),
        (refused(Reason::AppUnreachable), true),
        (ended(By::Client, Why::Violation(Rule::TextUtf8)), true),
        (ended(By::App, Why::Reset), true),
        (ended(By::Ringside, Why::Internal), true),
    ] {
        let (lines, _) = written("info", none(), |writer, now| writer.write(&event, now));
        assert_eq!(lines.len(), usize::from(is_told), "{event:?}");
    }
}

#[test]
fn what_is_past_the_noise_is_summed_up_at_its_level() {
    let second = Duration::from_secs(1);
    let (lines, suppressed) = written("info", noise(2), |writer, now| {
        for _ in 0..10 {
            writer.write(&refused(Reason::TokenMissing), now);
            writer.write(&ended(By::Client, Why::Violation(Rule::TextUtf8)), now);
            writer.write(&refused(Reason::AppUnreachable), now);
        }
        writer.sum_up(now + second / 2);
        writer.sum_up(now + second);
        writer.sum_up(now + second * 2);
        // There is room for two more.
        (0..3).for_each(|_| writer.write(&refused(Reason::TokenMissing), now + second * 3));
        writer.finish();
        writer.finish();
    });
    let told: Vec<_> = lines.iter().map(|line| (line["level"].as_str().unwrap(), &line["message"])).collect();
    let expected = [
        // Two of the clients', two of the app's.
        ("INFO", "refused"),
        ("INFO", "ended"),
        ("WARN", "refused"),
        ("WARN", "refused"),
        ("INFO", "suppressed"),
        ("WARN", "suppressed"),
        ("INFO", "refused"),
        ("INFO", "refused"),
        ("INFO", "suppressed"),
    ];
    assert_eq!(told.iter().map(|(level, message)| (*level, message.as_str().unwrap())).collect::<Vec<_>>(), expected);
    assert_eq!((&lines[4]["lines"], &lines[4]["reasons"]), (&18.into(), &"text_utf8 9, token_missing 9".into()));
    assert_eq!((&lines[5]["lines"], &lines[5]["reasons"]), (&8.into(), &"app_unreachable 8".into()));
    assert_eq!((&lines[8]["lines"], &lines[8]["reasons"]), (&1.into(), &"token_missing 1".into()));
    assert_eq!(suppressed, 18 + 8 + 1);
}

#[test]
fn no_noise_suppresses_what_is_always_told() {
    let (lines, suppressed) = written("info", noise(1), |writer, now| {
        for _ in 0..50 {
            writer.write(&opened(), now);
            writer.write(&ended(By::Client, Why::Closed), now);
            writer.write(&ended(By::App, Why::Reset), now);
            writer.write(&refused(Reason::Internal), now);
        }
    });
    assert_eq!((lines.len(), suppressed), (200, 0));
}

#[test]
fn what_the_filter_leaves_out_is_not_suppressed() {
    let flood = |writer: &mut Writer, now| {
        (0..10).for_each(|_| writer.write(&refused(Reason::TokenMissing), now));
        (0..10).for_each(|_| writer.write(&refused(Reason::AppTimeout), now));
        writer.finish();
    };
    let (lines, suppressed) = written("warn", noise(4), flood);
    assert_eq!((lines.len(), suppressed), (5, 6), "{lines:?}");
    let (lines, suppressed) = written("info,ringside::connection=off", noise(4), flood);
    assert_eq!((lines.len(), suppressed), (0, 0), "{lines:?}");
}
