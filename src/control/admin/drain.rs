//! `/drain`: whether this process drains, and how to make it.

use humantime::format_duration;
use hyper::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};
use tracing::info;

use super::{Sources, is_from_a_page, not_for_pages};
use crate::control::http::{Answer, JSON, TEXT, only, respond};
use crate::lifecycle::drain::Pace;

/// What a GET answers, as JSON and as who asked reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct State {
    /// Whether this process was told to stop.
    pub draining: bool,
    /// Connections of any kind: those that are opening or leaving, too. A drain is over when there is none.
    pub connections: u64,
}

pub(super) fn answer<B>(request: &Request<B>, sources: &Sources) -> Answer {
    match *request.method() {
        Method::GET | Method::HEAD => state(sources),
        Method::POST if is_from_a_page(request) => not_for_pages(),
        Method::POST => begin(sources),
        _ => only("GET, HEAD, POST"),
    }
}

fn state(Sources { vitals, .. }: &Sources) -> Answer {
    let state = State { draining: vitals.is_draining(), connections: vitals.held() };
    match serde_json::to_vec(&state) {
        Ok(json) => respond(StatusCode::OK, JSON, json),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

fn begin(Sources { vitals, pace, .. }: &Sources) -> Answer {
    info!(target: "ringside::admin", "told to drain");
    vitals.drain.trigger();
    let Pace { spread, timeout } = *pace;
    let (held, spread, timeout) = (vitals.held(), format_duration(spread), format_duration(timeout));
    let plan = format!("Close goes out within {spread}, the rest is cut after {timeout}");
    respond(StatusCode::ACCEPTED, TEXT, format!("draining: {held} connections; {plan}\n"))
}
