//! The spans of a handshake and its parts.

use std::borrow::Cow;
use std::str::FromStr as _;

use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceState};
use opentelemetry_sdk::trace::SpanData;

use super::attributes::{Attributes, count};
use super::{data, link};
use crate::telemetry::reason::Reason;
use crate::telemetry::record::{Handshake, Outcome, RequestFacts};
use crate::telemetry::step::{Dial, Dialled, Step};

/// The handshake's span, and behind it one of each part that happened.
pub(super) fn push(handshake: &Handshake, spans: &mut Vec<SpanData>) {
    let first = spans.len();
    spans.push(whole(handshake));
    spans.extend(handshake.steps.tls.map(|step| tls(handshake, step)));
    spans.extend(handshake.steps.token.map(|step| token(handshake, step)));
    spans.extend(handshake.steps.dial.as_ref().map(|step| dial(handshake, step)));
    if let Some(state) = &handshake.tracestate {
        // OpenTelemetry reads whatever keeps to the grammar. If it did not, the spans would be worth more than the state.
        let state = TraceState::from_str(state.as_str()).unwrap_or_default();
        for span in &mut spans[first..] {
            span.span_context = with_state(&span.span_context, state.clone());
        }
    }
}

fn with_state(context: &SpanContext, state: TraceState) -> SpanContext {
    SpanContext::new(context.trace_id(), context.span_id(), context.trace_flags(), context.is_remote(), state)
}

fn whole(handshake: &Handshake) -> SpanData {
    let Handshake { id, client, span, connection, started, took, tls, request, subject, protocol, outcome, .. } =
        handshake;
    let mut attributes = Attributes::default();
    attributes.put("ringside.connection.id", count(id.0));
    attributes.peer(*client);
    attributes.put("network.transport", "tcp");
    let method = request.as_ref().and_then(|request| request.method);
    attributes.put("http.request.method", method.unwrap_or("_OTHER"));
    attributes.put_some("http.route", request.as_ref().and_then(|request| request.route.clone()));
    let (outcome, status) = match outcome {
        Outcome::Opened => ("opened", Some(101)),
        Outcome::Refused { status, .. } => ("refused", *status),
    };
    attributes.put("ringside.outcome", outcome);
    if request.is_some() || status.is_some() {
        attributes.put("url.scheme", if tls.is_some() { "https" } else { "http" });
    }
    attributes.put_some("http.response.status_code", status.map(i64::from));
    if let Some(tls) = tls {
        attributes.tls(tls);
    }
    attributes.put("ringside.subject.present", subject.is_some());
    attributes.put_some("websocket.subprotocol", protocol.clone());
    attributes.put_some("ringside.detail", handshake.detail.clone());
    let status = refusal(handshake, &mut attributes);
    SpanData {
        parent_span_is_remote: span.parent.is_some(),
        status,
        links: connection.map(|id| link(&span.above(id))).unwrap_or_default(),
        ..data(name(request.as_ref()), SpanKind::Server, span, *started, *took, attributes)
    }
}

/// The method and the route, as far as they are known.
fn name(request: Option<&RequestFacts>) -> Cow<'static, str> {
    let method = request.and_then(|request| request.method).unwrap_or("HTTP");
    match request.and_then(|request| request.route.as_ref()) {
        Some(route) => format!("{method} {route}").into(),
        None => method.into(),
    }
}

fn tls(handshake: &Handshake, step: Step) -> SpanData {
    let mut attributes = Attributes::default();
    if let Some(tls) = &handshake.tls {
        attributes.tls(tls);
    }
    part("tls", SpanKind::Internal, handshake, step, attributes)
}

fn token(handshake: &Handshake, step: Step) -> SpanData {
    let mut attributes = Attributes::default();
    let missing = matches!(handshake.outcome, Outcome::Refused { reason: Reason::TokenMissing, .. });
    attributes.put("ringside.token.found", !missing);
    part("token", SpanKind::Internal, handshake, step, attributes)
}

fn dial(handshake: &Handshake, dial: &Dial) -> SpanData {
    let mut attributes = Attributes::default();
    match &dial.to {
        Some(Dialled::Unix(path)) => {
            attributes.put("network.transport", "unix");
            attributes.put("server.address", path.display().to_string());
        }
        Some(Dialled::Tcp(address)) => {
            attributes.put("network.transport", "tcp");
            attributes.put("server.address", address.ip().to_string());
            attributes.put("server.port", i64::from(address.port()));
        }
        None => {}
    }
    attributes.put("http.request.method", "GET");
    attributes.put_some("http.response.status_code", dial.status.map(i64::from));
    part("dial", SpanKind::Client, handshake, dial.step, attributes)
}

fn part(name: &'static str, kind: SpanKind, handshake: &Handshake, step: Step, mut attributes: Attributes) -> SpanData {
    let Handshake { id, span, started, .. } = handshake;
    attributes.put("ringside.connection.id", count(id.0));
    let status = if step.failed { refusal(handshake, &mut attributes) } else { Status::Unset };
    let began = started.checked_add(step.after).unwrap_or(*started);
    SpanData { status, ..data(name, kind, &span.above(step.id), began, step.took, attributes) }
}

/// Why it was refused, if it was, and the status that this makes.
fn refusal(handshake: &Handshake, attributes: &mut Attributes) -> Status {
    let Outcome::Refused { reason, status } = handshake.outcome else { return Status::Unset };
    attributes.put("ringside.reason", reason.as_str());
    if status.is_some_and(|status| status >= 500) || reason == Reason::Internal {
        attributes.put("error.type", reason.as_str());
        return Status::error(reason.as_str());
    }
    Status::Unset
}
