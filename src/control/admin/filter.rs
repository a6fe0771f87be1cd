//! `/log/filter`: what is logged, shown and changed.
//!
//! ```text
//! curl 127.0.0.1:9901/log/filter
//! curl -X PUT -d info,ringside::opening=debug 127.0.0.1:9901/log/filter
//! ```
//!
//! A change holds until the next one or until the process ends; the configuration is not written.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::{Method, Request, StatusCode};
use tokio::time::timeout;

use super::{is_from_a_page, not_for_pages};
use crate::control::http::{Answer, TEXT, only, respond};
use crate::control::log::{Filter, LogError};

/// Longest filter that is taken.
const LONGEST: usize = 4096;

/// A filter must be there within this time after the head of its request.
pub(super) const BODY: Duration = Duration::from_secs(5);

/// A filter, for who sent none.
const EXAMPLE: &str = "write a level such as info, or info,ringside::opening=debug";

/// Why a request's body is no text.
enum Unread {
    TooLong,
    TooSlow,
    Broken,
}

pub(super) async fn answer(request: Request<Incoming>, filter: &Filter) -> Answer {
    match *request.method() {
        Method::GET | Method::HEAD => respond(StatusCode::OK, TEXT, format!("{}\n", filter.present())),
        Method::PUT if is_from_a_page(&request) => not_for_pages(),
        Method::PUT => match text(request.into_body()).await {
            Ok(text) => set(&text, filter),
            Err(why) => unread(&why),
        },
        _ => only("GET, HEAD, PUT"),
    }
}

fn set(text: &str, filter: &Filter) -> Answer {
    let text = text.trim();
    match filter.set(text) {
        Ok(before) => respond(StatusCode::OK, TEXT, format!("{text}\nbefore: {before}\n")),
        Err(LogError::Empty) => bad("no filter"),
        Err(LogError::Filter { source, .. }) => bad(&format!("not a filter: {source}")),
        Err(error @ (LogError::Gone(_) | LogError::Twice(_))) => {
            respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n"))
        }
    }
}

async fn text(body: Incoming) -> Result<String, Unread> {
    // Who says that it is too long is not made to send it.
    if body.size_hint().lower() > LONGEST as u64 {
        return Err(Unread::TooLong);
    }
    let read = timeout(BODY, Limited::new(body, LONGEST).collect()).await.map_err(|_| Unread::TooSlow)?;
    let bytes = read.map_err(|why| if why.is::<LengthLimitError>() { Unread::TooLong } else { Unread::Broken })?;
    String::from_utf8(bytes.to_bytes().into()).map_err(|_| Unread::Broken)
}

fn unread(why: &Unread) -> Answer {
    match why {
        Unread::TooLong => {
            respond(StatusCode::PAYLOAD_TOO_LARGE, TEXT, format!("a filter has at most {LONGEST} bytes\n"))
        }
        Unread::TooSlow => respond(StatusCode::REQUEST_TIMEOUT, TEXT, "the filter did not come\n"),
        Unread::Broken => bad("the filter is not UTF-8, or breaks off"),
    }
}

fn bad(why: &str) -> Answer {
    respond(StatusCode::BAD_REQUEST, TEXT, format!("{why}; {EXAMPLE}\n"))
}
