//! Spans: as a tree, and held against the events they were made from.

use std::fmt;
use std::time::{Duration, SystemTime};

use opentelemetry_sdk::trace::SpanData;

use super::show;
use super::steps::{Differs, same};
use super::witness::Reported;
use crate::telemetry::record::{Connection, Handshake, Outcome};
use crate::telemetry::trace::Span;

/// The attributes that the tree shows.
const KEY: [&str; 8] = [
    "http.response.status_code",
    "ringside.reason",
    "tls.protocol.version",
    "websocket.subprotocol",
    "ringside.end.by",
    "ringside.end.why",
    "websocket.from_client.bytes",
    "websocket.from_app.bytes",
];

/// The first digits of a trace's id: enough to tell a few apart.
const SHORT: usize = 8;

/// The spans of a connection, the handshake above what came of it.
pub(super) struct Tree<'r>(pub(super) &'r Reported);

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reported { handshake_span, connection, .. } = self.0;
        let trace = handshake_span.span_context.trace_id().to_string();
        write!(f, "{:.SHORT$}  {}", trace, Line(handshake_span))?;
        if let Some((_, span)) = connection {
            write!(f, "\n{:SHORT$}    {}", "", Line(span))?;
        }
        Ok(())
    }
}

struct Line<'s>(&'s SpanData);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.0;
        write!(f, "{} {}", span.name, show::took(duration(span)))?;
        for key in KEY {
            if let Some(value) = attribute(span, key) {
                write!(f, " {key}={value}")?;
            }
        }
        Ok(())
    }
}

/// Holds the spans of a connection against its events.
pub(super) fn agree(reported: &Reported) -> Result<(), Differs> {
    let Reported { handshake, handshake_span, connection } = reported;
    agree_on_handshake(handshake, handshake_span)?;
    match connection {
        Some((connection, span)) => agree_on_connection(connection, span, handshake_span),
        None => Ok(()),
    }
}

fn agree_on_handshake(handshake: &Handshake, span: &SpanData) -> Result<(), Differs> {
    identity(&handshake.span, span)?;
    times(span, handshake.started, handshake.took)?;
    has(span, "ringside.connection.id", handshake.id.0)?;
    has(span, "ringside.subject.present", handshake.subject.is_some())?;
    match handshake.outcome {
        Outcome::Opened => {
            has(span, "ringside.outcome", "opened")?;
            has(span, "http.response.status_code", 101)
        }
        Outcome::Refused { reason, status } => {
            has(span, "ringside.outcome", "refused")?;
            has(span, "http.response.status_code", status.unwrap_or_default())?;
            has(span, "ringside.reason", reason)
        }
    }
}

fn agree_on_connection(connection: &Connection, span: &SpanData, above: &SpanData) -> Result<(), Differs> {
    identity(&connection.span, span)?;
    times(span, connection.started, connection.took)?;
    same("trace of both spans", span.span_context.trace_id(), above.span_context.trace_id())?;
    same("span above the connection's", span.parent_span_id, above.span_context.span_id())?;
    has(span, "ringside.connection.id", connection.id.0)?;
    has(span, "ringside.end.by", connection.end.by.as_str())?;
    has(span, "ringside.end.why", connection.end.why.as_str())?;
    has(span, "ringside.end.source", connection.end.why.source().unwrap_or_default())?;
    has(span, "websocket.from_client.messages", connection.from_client.messages)?;
    has(span, "websocket.from_client.bytes", connection.from_client.bytes)?;
    has(span, "websocket.from_app.messages", connection.from_app.messages)?;
    has(span, "websocket.from_app.bytes", connection.from_app.bytes)
}

fn identity(expected: &Span, span: &SpanData) -> Result<(), Differs> {
    same("trace", span.span_context.trace_id(), expected.trace)?;
    same("span", span.span_context.span_id(), expected.id)
}

fn times(span: &SpanData, started: SystemTime, took: Duration) -> Result<(), Differs> {
    same("the span's start is the event's", span.start_time == started, true)?;
    same("the span's duration", duration(span).as_nanos(), took.as_nanos())
}

fn duration(span: &SpanData) -> Duration {
    span.end_time.duration_since(span.start_time).unwrap_or_default()
}

fn has(span: &SpanData, key: &'static str, expected: impl ToString) -> Result<(), Differs> {
    same(key, attribute(span, key).unwrap_or_default(), expected)
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == key).map(|attribute| attribute.value.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::witness::{Reported, witness};
    use super::{Tree, agree};
    use crate::control::export::{Export, Lines};
    use crate::peer::Peer;
    use crate::telemetry::end::{By, End, Why};
    use crate::telemetry::moment::Moments;
    use crate::telemetry::reason::Reason;
    use crate::telemetry::record::{Connection, ConnectionId, Counts, Event, Handshake, Outcome};
    use crate::telemetry::report;
    use crate::telemetry::trace::{Ids, Sampler, Span};

    type Differ = fn(&mut Reported);

    fn handshake(outcome: Outcome) -> Handshake {
        let span = Span::handshake(None, Sampler::ratio(1.0), &mut Ids::from_seed(1));
        let client = Peer::new(([192, 0, 2, 7], 50_123).into());
        let begun = Handshake::begin(ConnectionId(7), client, span, SystemTime::UNIX_EPOCH);
        Handshake { took: Duration::from_micros(2500), outcome, ..begun }
    }

    fn connection(handshake: &Handshake) -> Connection {
        Connection {
            id: handshake.id,
            client: handshake.client,
            span: handshake.span.child(&mut Ids::from_seed(2)),
            handshake: handshake.span,
            started: SystemTime::UNIX_EPOCH,
            took: Duration::from_secs(3),
            subject: None,
            protocol: None,
            from_client: Counts { frames: 2, messages: 1, bytes: 70, compressed: 0 },
            from_app: Counts::default(),
            client_round_trip: None,
            app_round_trip: None,
            moments: Moments::default(),
            end: End { by: By::App, why: Why::Closed, code_sent: Some(1000), code_received: Some(1000) },
        }
    }

    /// What the witness sees when these are reported.
    fn reported(events: impl IntoIterator<Item = Event>) -> Reported {
        let (taps, witness) = witness();
        let (reporter, queue) = report::channel();
        let _export = Export::start(None, None, Lines::default(), queue, taps).unwrap();
        events.into_iter().for_each(|event| reporter.report(event));
        witness.next().unwrap()
    }

    fn relayed() -> Reported {
        let handshake = handshake(Outcome::Opened);
        let connection = connection(&handshake);
        reported([Event::Handshake(Box::new(handshake)), Event::Connection(Box::new(connection))])
    }

    #[test]
    fn the_handshake_stands_above_its_connection() {
        let reported = relayed();
        agree(&reported).unwrap();
        let tree = Tree(&reported).to_string();
        let lines: Vec<_> = tree.lines().collect();
        let trace = reported.handshake.span.trace.to_string();
        assert_eq!(lines[0], format!("{}  GET 2.50 ms http.response.status_code=101", &trace[..8]));
        let end = "ringside.end.by=app ringside.end.why=closed";
        let bytes = "websocket.from_client.bytes=70 websocket.from_app.bytes=0";
        assert_eq!(lines[1..], [format!("            websocket 3.0 s {end} {bytes}")]);
    }

    #[test]
    fn a_span_that_differs_from_its_event_is_found() {
        let differences: [(&str, Differ); 6] = [
            ("duration", |reported| reported.handshake.took += Duration::from_nanos(1)),
            ("ringside.outcome", |reported| {
                reported.handshake.outcome = Outcome::Refused { reason: Reason::Timeout, status: Some(408) };
            }),
            ("span above", |reported| {
                let (_, span) = reported.connection.as_mut().unwrap();
                span.parent_span_id = span.span_context.span_id();
            }),
            ("bytes", |reported| reported.connection.as_mut().unwrap().0.from_app.bytes += 1),
            ("ringside.end.why", |reported| reported.connection.as_mut().unwrap().0.end.why = Why::Reset),
            ("span", |reported| {
                reported.connection.as_mut().unwrap().0.span = reported.handshake.span;
            }),
        ];
        for (what, differ) in differences {
            let mut reported = relayed();
            differ(&mut reported);
            let error = agree(&reported).unwrap_err().to_string();
            assert!(error.contains(what), "{what}: {error}");
        }
    }
}
