//! The spans of connections that live, until each has its last.

use std::collections::HashMap;

use opentelemetry::Value;
use opentelemetry_sdk::trace::SpanData;

/// Most connections at a time. What finds no room is shown without its beginning.
const CONNECTIONS: usize = 256;

/// Most spans of a connection: enough for its handshake and an hour of checkpoints. Of those in between, the oldest go.
const SPANS: usize = 64;

/// How many of the first spans stay: the handshake and its parts.
const FIRST: usize = 4;

/// Trees that grow.
#[derive(Default)]
pub(super) struct Forest(HashMap<i64, Vec<SpanData>>);

impl Forest {
    /// Takes the spans of an event. Returns all of its connection, if nothing follows.
    pub(super) fn add(&mut self, spans: &[SpanData]) -> Option<Vec<SpanData>> {
        let first = spans.first()?;
        let Some(&Value::I64(id)) = value(first, "ringside.connection.id") else { return None };
        if is_last(first) {
            let mut all = self.0.remove(&id).unwrap_or_default();
            all.extend_from_slice(spans);
            return Some(all);
        }
        if self.0.len() < CONNECTIONS || self.0.contains_key(&id) {
            let all = self.0.entry(id).or_default();
            all.extend_from_slice(spans);
            if all.len() > SPANS {
                all.drain(FIRST..FIRST + all.len() - SPANS);
            }
        }
        None
    }
}

/// Whether nothing follows: a connection is over, or a handshake was refused.
fn is_last(span: &SpanData) -> bool {
    span.name == "websocket" || value(span, "ringside.outcome").is_some_and(|outcome| outcome.as_str() == "refused")
}

fn value<'s>(span: &'s SpanData, key: &str) -> Option<&'s Value> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == key).map(|attribute| &attribute.value)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
    use opentelemetry::{InstrumentationScope, KeyValue};
    use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

    use super::{CONNECTIONS, FIRST, Forest, SPANS};

    fn span(name: &'static str, id: i64, outcome: Option<&'static str>) -> SpanData {
        let outcome = outcome.map(|outcome| KeyValue::new("ringside.outcome", outcome));
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: std::time::SystemTime::UNIX_EPOCH,
            end_time: std::time::SystemTime::UNIX_EPOCH,
            attributes: [KeyValue::new("ringside.connection.id", id)].into_iter().chain(outcome).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    fn opened(id: i64) -> Vec<SpanData> {
        vec![span("GET", id, Some("opened")), span("tls", id, None), span("token", id, None), span("dial", id, None)]
    }

    fn names(spans: Option<Vec<SpanData>>) -> Option<Vec<String>> {
        spans.map(|spans| spans.iter().map(|span| span.name.to_string()).collect())
    }

    #[test]
    fn a_tree_is_complete_with_its_connection_or_its_refusal() {
        let mut forest = Forest::default();
        assert_eq!(
            names(forest.add(&[span("GET", 1, Some("refused")), span("tls", 1, None)])).unwrap(),
            ["GET", "tls"]
        );
        assert_eq!(names(forest.add(&opened(2))), None);
        assert_eq!(names(forest.add(&opened(3))), None);
        assert_eq!(names(forest.add(&[span("websocket checkpoint", 2, None)])), None);
        let two = names(forest.add(&[span("websocket", 2, None)])).unwrap();
        assert_eq!(two, ["GET", "tls", "token", "dial", "websocket checkpoint", "websocket"]);
        assert_eq!(names(forest.add(&[span("websocket", 3, None)])).unwrap().len(), 5);
        assert_eq!(names(forest.add(&[])), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut forest = Forest::default();
        forest.add(&opened(0));
        for _ in 0..2 * SPANS {
            forest.add(&[span("websocket checkpoint", 0, None)]);
        }
        let all = names(forest.add(&[span("websocket", 0, None)])).unwrap();
        assert_eq!((all.len(), all[FIRST - 1].as_str()), (SPANS + 1, "dial"));
        let most = i64::try_from(CONNECTIONS).unwrap();
        for id in 0..=most {
            forest.add(&opened(id));
        }
        assert_eq!(names(forest.add(&[span("websocket", most, None)])).unwrap(), ["websocket"]);
        assert_eq!(names(forest.add(&[span("websocket", 0, None)])).unwrap().len(), 5);
    }
}
