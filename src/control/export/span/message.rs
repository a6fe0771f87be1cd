//! The span of one message. Nothing of what it says.

use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;

use super::attributes::{Attributes, count};
use super::data;
use crate::peer::Side;
use crate::telemetry::record::Message;

pub(super) fn message(message: &Message) -> SpanData {
    let Message { id, span, from, opcode, size, frames, compressed, started, took } = message;
    let mut attributes = Attributes::default();
    attributes.put("ringside.connection.id", count(id.0));
    let direction = match from {
        Side::Client => "from_client",
        Side::App => "from_app",
    };
    attributes.put("websocket.message.direction", direction);
    attributes.put("websocket.message.opcode", opcode.as_str());
    attributes.put("websocket.message.size", count(*size));
    attributes.put("websocket.message.frames", i64::from(*frames));
    attributes.put("websocket.message.compressed", *compressed);
    data("websocket message", SpanKind::Internal, span, *started, *took, attributes)
}
