//! One log line when a handshake is over and one when a connection is.
//!
//! All under the target `ringside::connection`, at level INFO: `ringside::connection=off` in the filter silences them.
//! Durations are in milliseconds.

use std::time::Duration;

use tracing::info;

use crate::telemetry::record::{Connection, Event, Handshake, Outcome, RoundTrip};

/// Writes the event's line. What is told while a connection goes on is for spans alone.
pub(super) fn write(event: &Event) {
    match event {
        Event::Handshake(handshake) => write_handshake(handshake),
        Event::Connection(connection) => write_connection(connection),
        Event::Checkpoint(_) | Event::Message(_) => {}
    }
}

fn write_handshake(handshake: &Handshake) {
    let Handshake { id, client, span, took, tls_took, app_took, tls, subject, protocol, outcome, detail, .. } =
        handshake;
    let (message, status, reason) = match outcome {
        Outcome::Opened => ("opened", Some(101), None),
        Outcome::Refused { reason, status } => ("refused", *status, Some(reason.as_str())),
    };
    info!(
        target: "ringside::connection",
        id = id.0,
        %client,
        status,
        reason,
        detail,
        subject,
        subprotocol = protocol,
        took_ms = millis(*took),
        tls_ms = tls_took.map(millis),
        app_ms = app_took.map(millis),
        tls = tls.as_ref().map(|tls| tls.version),
        cipher = tls.as_ref().map(|tls| tls.cipher),
        resumed = tls.as_ref().map(|tls| tls.resumed),
        trace_id = %span.trace,
        span_id = %span.id,
        "{message}",
    );
}

fn write_connection(connection: &Connection) {
    let Connection { id, client, span, took, subject, protocol, from_client, from_app, end, .. } = connection;
    let rtt = |trip: Option<RoundTrip>| trip.map(|trip| millis(trip.last));
    let rtt_least = |trip: Option<RoundTrip>| trip.map(|trip| millis(trip.least));
    info!(
        target: "ringside::connection",
        id = id.0,
        %client,
        by = end.by.as_str(),
        why = end.why.as_str(),
        source = end.why.source(),
        code_sent = end.code_sent,
        code_received = end.code_received,
        subject,
        subprotocol = protocol,
        took_ms = millis(*took),
        from_client.frames,
        from_client.messages,
        from_client.bytes,
        from_client.compressed,
        from_app.frames,
        from_app.messages,
        from_app.bytes,
        from_app.compressed,
        client_rtt_ms = rtt(connection.client_round_trip),
        client_rtt_least_ms = rtt_least(connection.client_round_trip),
        app_rtt_ms = rtt(connection.app_round_trip),
        app_rtt_least_ms = rtt_least(connection.app_round_trip),
        trace_id = %span.trace,
        span_id = %span.id,
        "ended",
    );
}

/// To the microsecond.
fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Sender, channel};

    use serde_json::{Value, json};

    use super::super::example;
    use super::write;
    use crate::rule::Rule;
    use crate::telemetry::end::{By, Why};
    use crate::telemetry::reason::Reason;
    use crate::telemetry::record::{Event, Outcome};

    /// The event's line as JSON, without its time.
    fn line(event: &Event) -> Value {
        let (to, lines) = channel();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).without_time();
        let subscriber = subscriber.with_writer(move || Line(to.clone())).finish();
        tracing::subscriber::with_default(subscriber, || write(event));
        serde_json::from_slice(&lines.iter().next().expect("a line")).expect("JSON")
    }

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

    #[test]
    fn a_handshake_says_what_came_of_it() {
        let opened = example::handshake(Outcome::Opened);
        let (trace_id, span_id) = (opened.span.trace.to_string(), opened.span.id.to_string());
        let opened = line(&Event::Handshake(Box::new(opened)));
        let expected = json!({
            "level": "INFO", "target": "ringside::connection", "message": "opened", "id": 7,
            "client": "192.0.2.7:50123", "status": 101, "subject": "alice", "subprotocol": "chat.v1",
            "took_ms": 2.5, "tls_ms": 1.5, "app_ms": 0.5, "tls": "1.3", "cipher": "TLS13_AES_128_GCM_SHA256",
            "resumed": false, "trace_id": trace_id, "span_id": span_id,
        });
        assert_eq!(opened, expected);

        let outcome = Outcome::Refused { reason: Reason::TokenExpired, status: Some(401) };
        let refused = line(&Event::Handshake(Box::new(example::handshake(outcome))));
        assert_eq!([&refused["message"], &refused["reason"]], ["refused", "token_expired"]);
        assert_eq!(refused["status"], 401);
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
        let expired = line(&Event::Connection(Box::new(example::connection(By::Ringside, Why::Expired))));
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
}
