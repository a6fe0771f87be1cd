//! The spans of a connection: at its end, and while it lives.

use std::time::SystemTime;

use opentelemetry::trace::{Event, SpanKind, Status};
use opentelemetry_sdk::trace::{SpanData, SpanEvents};

use super::attributes::{
    APP_ROUND_TRIP, Attributes, CLIENT_ROUND_TRIP, FROM_APP, FROM_CLIENT, LATELY_FROM_APP, LATELY_FROM_CLIENT, count,
};
use super::{data, link};
use crate::telemetry::end::{By, End};
use crate::telemetry::moment::{Moment, What};
use crate::telemetry::record::{Checkpoint, Connection, Counts};
use crate::telemetry::trace::Span;

/// The span of a connection that is over.
pub(super) fn connection(connection: &Connection) -> SpanData {
    let Connection { id, client, span, handshake, started, took, subject, protocol, end, .. } = connection;
    let mut attributes = Attributes::default();
    attributes.put("ringside.connection.id", count(id.0));
    attributes.peer(*client);
    attributes.put("ringside.subject.present", subject.is_some());
    attributes.put_some("websocket.subprotocol", protocol.clone());
    attributes.counts(FROM_CLIENT, connection.from_client);
    attributes.counts(FROM_APP, connection.from_app);
    attributes.round_trip(CLIENT_ROUND_TRIP, connection.client_round_trip);
    attributes.round_trip(APP_ROUND_TRIP, connection.app_round_trip);
    let status = ended(end, &mut attributes);
    SpanData {
        status,
        links: link(handshake),
        events: events(&connection.moments.kept, connection.moments.missed, *started),
        ..data("websocket", SpanKind::Internal, span, *started, *took, attributes)
    }
}

/// The span of what a connection did since its checkpoint before.
pub(super) fn checkpoint(checkpoint: &Checkpoint) -> SpanData {
    let Checkpoint { id, client, span, handshake, opened, since, age, from_client, from_app, .. } = checkpoint;
    let mut attributes = Attributes::default();
    attributes.put("ringside.connection.id", count(id.0));
    attributes.peer(*client);
    attributes.put("websocket.checkpoint", i64::from(checkpoint.number));
    attributes.put("websocket.age", age.as_secs_f64());
    attributes.counts(FROM_CLIENT, from_client[1]);
    attributes.counts(FROM_APP, from_app[1]);
    attributes.counts(LATELY_FROM_CLIENT, between(*from_client));
    attributes.counts(LATELY_FROM_APP, between(*from_app));
    attributes.round_trip(CLIENT_ROUND_TRIP, checkpoint.client_round_trip);
    attributes.round_trip(APP_ROUND_TRIP, checkpoint.app_round_trip);
    let (began, took) = (opened.checked_add(*since).unwrap_or(*opened), age.saturating_sub(*since));
    SpanData {
        links: link(&Span { id: *handshake, ..*span }),
        events: events(&checkpoint.moments, 0, *opened),
        ..data("websocket checkpoint", SpanKind::Internal, span, began, took, attributes)
    }
}

/// What came between these two.
const fn between([before, now]: [Counts; 2]) -> Counts {
    Counts {
        frames: now.frames.saturating_sub(before.frames),
        messages: now.messages.saturating_sub(before.messages),
        bytes: now.bytes.saturating_sub(before.bytes),
        compressed: now.compressed.saturating_sub(before.compressed),
    }
}

/// How it ended, and the status that this makes: an error is a fault of the app's, or of ours.
fn ended(end: &End, attributes: &mut Attributes) -> Status {
    attributes.put("ringside.end.by", end.by.as_str());
    attributes.put("ringside.end.why", end.why.as_str());
    attributes.put_some("ringside.end.source", end.why.source());
    attributes.put_some("websocket.close.code_sent", end.code_sent.map(i64::from));
    attributes.put_some("websocket.close.code_received", end.code_received.map(i64::from));
    if end.why.is_fault() && end.by != By::Client {
        attributes.put("error.type", end.why.as_str());
        return Status::error(end.to_string());
    }
    Status::Unset
}

fn events(moments: &[Moment], missed: u32, opened: SystemTime) -> SpanEvents {
    let mut events = SpanEvents::default();
    events.events.extend(moments.iter().map(|moment| event(moment, opened)));
    events.dropped_count = missed;
    events
}

fn event(moment: &Moment, opened: SystemTime) -> Event {
    let mut attributes = Attributes::default();
    match moment.what {
        What::PingUnanswered(side) => attributes.put("ringside.side", side.as_str()),
        What::Throttled => {}
        What::Closing(by, why) => {
            attributes.put("ringside.by", by.as_str());
            attributes.put("ringside.why", why.as_str());
            attributes.put_some("ringside.source", why.source());
        }
    }
    Event::new(moment.what.as_str(), moment.at(opened), attributes.done(), 0)
}
