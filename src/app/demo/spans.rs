//! Spans held against the events they were made from.

use std::time::{Duration, SystemTime};

use opentelemetry_sdk::trace::SpanData;

use super::steps::{Differs, same};
use super::witness::Reported;
use crate::telemetry::record::{Connection, Handshake, Outcome};
use crate::telemetry::step::Step;
use crate::telemetry::trace::{Span, SpanId};

/// Holds the spans of a connection against its events.
pub(super) fn agree(reported: &Reported) -> Result<(), Differs> {
    let Reported { handshake, connection, spans } = reported;
    let above = find(spans, handshake.span.id, "no span of the handshake")?;
    agree_on_handshake(handshake, above)?;
    let steps = parts(handshake);
    for (name, step) in &steps {
        agree_on_part(handshake, name, step, find(spans, step.id, "no span of a part of the handshake")?)?;
    }
    if let Some(connection) = connection {
        agree_on_connection(connection, find(spans, connection.span.id, "no span of the connection")?, above)?;
    }
    same("spans", spans.len(), 1 + steps.len() + usize::from(connection.is_some()))
}

fn find<'s>(spans: &'s [SpanData], id: SpanId, missing: &'static str) -> Result<&'s SpanData, Differs> {
    spans.iter().find(|span| span.span_context.span_id().to_bytes() == id.0).ok_or(Differs::Report(missing))
}

/// The parts that happened, with the names of their spans.
fn parts(handshake: &Handshake) -> Vec<(&'static str, Step)> {
    let steps = &handshake.steps;
    let dial = steps.dial.as_ref().map(|dial| dial.step);
    let all = [("tls", steps.tls), ("token", steps.token), ("dial", dial)];
    all.into_iter().filter_map(|(name, step)| Some((name, step?))).collect()
}

fn agree_on_part(handshake: &Handshake, name: &str, step: &Step, span: &SpanData) -> Result<(), Differs> {
    same("name of a part of the handshake", &span.name, name)?;
    identity(&handshake.span.above(step.id), span)?;
    times(span, handshake.started + step.after, step.took)?;
    has(span, "ringside.connection.id", handshake.id.0)
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
    let linked = |from: &SpanData, to: &SpanData| {
        let of = from.links.first().map(|link| link.span_context.span_id().to_string());
        same("linked span", of.unwrap_or_default(), to.span_context.span_id())
    };
    linked(span, above)?;
    linked(above, span)?;
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
    same("span", span.span_context.span_id(), expected.id)?;
    let parent = expected.parent.map_or(opentelemetry::trace::SpanId::INVALID.to_bytes(), |parent| parent.0);
    same("span above", span.parent_span_id, SpanId(parent))
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

    use opentelemetry_sdk::trace::SpanData;

    use super::super::tree::Tree;
    use super::super::witness::{Reported, witness};
    use super::agree;
    use crate::control::export::{Export, Lines};
    use crate::peer::Peer;
    use crate::telemetry::end::{By, End, Why};
    use crate::telemetry::moment::{Moment, Moments, What};
    use crate::telemetry::reason::Reason;
    use crate::telemetry::record::{Connection, ConnectionId, Counts, Event, Handshake, Outcome, RequestFacts};
    use crate::telemetry::report;
    use crate::telemetry::step::{Dial, Step, Steps};
    use crate::telemetry::trace::{Ids, Sampler, Span, SpanId};

    type Differ = fn(&mut Reported);

    fn handshake(outcome: Outcome) -> Handshake {
        let span = Span::handshake(None, Sampler::ratio(1.0), &mut Ids::from_seed(1));
        let client = Peer::new(([192, 0, 2, 7], 50_123).into());
        let begun = Handshake::begin(ConnectionId(7), client, span, SystemTime::UNIX_EPOCH);
        let [after, took] = [100, 2000].map(Duration::from_micros);
        let dial = Step { id: SpanId([3; 8]), after, took, failed: outcome != Outcome::Opened };
        let dial = Some(Dial { step: dial, to: None, status: None });
        let request = Some(RequestFacts { method: Some("GET"), route: None });
        let steps = Steps { dial, ..begun.steps };
        Handshake { took: Duration::from_micros(2500), steps, request, outcome, ..begun }
    }

    fn connection(handshake: &Handshake) -> Connection {
        let throttled = Moment { after: Duration::from_secs(1), what: What::Throttled };
        Connection {
            id: handshake.id,
            client: handshake.client,
            span: handshake.span.child(&mut Ids::from_seed(2)),
            handshake: handshake.span,
            started: SystemTime::UNIX_EPOCH + handshake.took,
            took: Duration::from_secs(3),
            subject: None,
            protocol: None,
            from_client: Counts { frames: 2, messages: 1, bytes: 70, compressed: 0 },
            from_app: Counts::default(),
            client_round_trip: None,
            app_round_trip: None,
            moments: Moments { kept: vec![throttled], missed: 0 },
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
        let mut handshake = handshake(Outcome::Opened);
        let connection = connection(&handshake);
        handshake.connection = Some(connection.span.id);
        reported([Event::Handshake(Box::new(handshake)), Event::Connection(Box::new(connection))])
    }

    #[test]
    fn the_handshake_stands_above_its_parts_and_its_connection() {
        let reported = relayed();
        agree(&reported).unwrap();
        let tree = Tree(&reported.spans).to_string();
        let expected = format!(
            "trace {}\n\
             GET                +0.00 ms    2.50 ms  http.response.status_code=101\n\
             ├─ dial            +0.10 ms    2.00 ms\n\
             └─ websocket       +2.50 ms      3.0 s  ringside.end.by=app ringside.end.why=closed\n   \
             │                                    websocket.from_client.messages=1 websocket.from_client.bytes=70\n   \
             │                                    websocket.from_app.messages=0 websocket.from_app.bytes=0\n   \
             └─ throttled      +1.0 s",
            reported.handshake.span.trace
        );
        assert_eq!(tree, expected);
    }

    #[test]
    fn a_refusal_ends_at_the_part_that_failed() {
        let outcome = Outcome::Refused { reason: Reason::AppTimeout, status: Some(504) };
        let reported = reported([Event::Handshake(Box::new(handshake(outcome)))]);
        agree(&reported).unwrap();
        let tree = Tree(&reported.spans).to_string();
        let lines: Vec<_> = tree.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "GET        +0.00 ms    2.50 ms  http.response.status_code=504 ringside.reason=app_timeout \
                 error.type=app_timeout",
                "└─ dial    +0.10 ms    2.00 ms  ringside.reason=app_timeout",
            ]
        );
    }

    #[test]
    fn a_span_that_differs_from_its_event_is_found() {
        let differences: [(&str, Differ); 9] = [
            ("duration", |reported| reported.handshake.took += Duration::from_nanos(1)),
            ("ringside.outcome", |reported| {
                reported.handshake.outcome = Outcome::Refused { reason: Reason::Timeout, status: Some(408) };
            }),
            ("span above", |reported| last(reported).parent_span_id = last(reported).span_context.span_id()),
            ("linked", |reported| last(reported).links.links.clear()),
            ("bytes", |reported| connection_of(reported).from_app.bytes += 1),
            ("ringside.end.why", |reported| connection_of(reported).end.why = Why::Reset),
            ("no span of the connection", |reported| connection_of(reported).span.id = SpanId([1; 8])),
            ("no span of a part", |reported| drop(reported.spans.remove(1))),
            ("spans", |reported| {
                let more = reported.spans[0].clone();
                reported.spans.push(more);
            }),
        ];
        for (what, differ) in differences {
            let mut reported = relayed();
            differ(&mut reported);
            let error = agree(&reported).unwrap_err().to_string();
            assert!(error.contains(what), "{what}: {error}");
        }
    }

    fn last(reported: &mut Reported) -> &mut SpanData {
        reported.spans.last_mut().unwrap()
    }

    fn connection_of(reported: &mut Reported) -> &mut Connection {
        reported.connection.as_mut().unwrap()
    }
}
