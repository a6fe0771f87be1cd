//! What the client is told: our 101, our refusal, or the app's own refusal.

use std::time::Duration;

use tungstenite::handshake::derive_accept_key;

use super::answer::{Accepted, Answer};
use super::fields::{self, HopByHop, folded};

/// The field that says in one word why a request was refused.
pub const REASON: &str = "ringside-reason";

/// What [`REASON`] says when the app itself refused.
pub const APP_REFUSED: &str = "app_refused";

/// Our own refusal. `reason` and `detail` are `'static` so that nothing a client sent can be echoed in them.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The status code.
    pub status: u16,
    /// The reason's name, for programs.
    pub reason: &'static str,
    /// One short sentence, for people.
    pub detail: &'static str,
    /// `WWW-Authenticate` of a 401 (RFC 6750 section 3).
    pub www_authenticate: Option<&'a str>,
    /// `Retry-After` of a 503; rounded up to whole seconds.
    pub retry_after: Option<Duration>,
    /// Whether the request was a HEAD: then the body is announced but not sent (RFC 9110 section 9.3.2).
    pub to_head: bool,
}

/// Appends our 101 to the client: its own key answered, what the app chose, and the app's other end-to-end fields
/// (cookies, for one) in order.
pub fn switching(client_key: &str, accepted: &Accepted<'_>, answer: &Answer<'_>, out: &mut Vec<u8>) {
    status_line(101, "Switching Protocols", out);
    fields::write("Upgrade", b"websocket", out);
    fields::write("Connection", b"Upgrade", out);
    fields::write("Sec-WebSocket-Accept", derive_accept_key(client_key.as_bytes()).as_bytes(), out);
    if let Some(protocol) = accepted.protocol() {
        fields::write("Sec-WebSocket-Protocol", protocol.as_bytes(), out);
    }
    if let Some(extensions) = accepted.extensions() {
        fields::write("Sec-WebSocket-Extensions", extensions.as_bytes(), out);
    }
    end_to_end(answer, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends our refusal; the connection is to be closed behind it.
pub fn refusal(refusal: &Refusal<'_>, out: &mut Vec<u8>) {
    let body = format!("{}\n", refusal.detail);
    status_line(refusal.status, phrase(refusal.status), out);
    fields::write("Content-Type", b"text/plain; charset=utf-8", out);
    fields::write("Cache-Control", b"no-store", out);
    if let Some(challenge) = refusal.www_authenticate {
        fields::write("WWW-Authenticate", challenge.as_bytes(), out);
    }
    if let Some(pause) = refusal.retry_after {
        let seconds = pause.as_secs().saturating_add(u64::from(pause.subsec_nanos() > 0));
        fields::write("Retry-After", seconds.to_string().as_bytes(), out);
    }
    fields::write(REASON, refusal.reason.as_bytes(), out);
    end(refusal.status, body.len(), out);
    if !refusal.to_head {
        out.extend_from_slice(body.as_bytes());
    }
}

/// Appends the app's own 3xx, 4xx or 5xx with its end-to-end fields; the connection is to be closed behind it. `body` is
/// as much of the body as the caller holds; its length is what is announced.
pub fn relayed_refusal(answer: &Answer<'_>, body: &[u8], out: &mut Vec<u8>) {
    status_line(answer.status, answer.phrase, out);
    end_to_end(answer, out);
    fields::write(REASON, APP_REFUSED.as_bytes(), out);
    end(answer.status, body.len(), out);
    out.extend_from_slice(body);
}

fn status_line(status: u16, phrase: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("HTTP/1.1 {status} {phrase}\r\n").as_bytes());
}

/// The last fields of a refusal, and the empty line. A 426 says what to upgrade to (RFC 9110 section 15.5.22) and which
/// version we speak (RFC 6455 section 4.4).
fn end(status: u16, length: usize, out: &mut Vec<u8>) {
    if status == 426 {
        fields::write("Upgrade", b"websocket", out);
        fields::write("Sec-WebSocket-Version", b"13", out);
        fields::write("Connection", b"Upgrade, close", out);
    } else {
        fields::write("Connection", b"close", out);
    }
    fields::write("Content-Length", length.to_string().as_bytes(), out);
    out.extend_from_slice(b"\r\n");
}

/// The app's fields that travel on: not those about its connection to us, and none that we write.
fn end_to_end(answer: &Answer<'_>, out: &mut Vec<u8>) {
    let hop_by_hop = HopByHop::of(&answer.fields);
    for field in &answer.fields {
        let is_ours = folded(field.name).starts_with("sec-websocket-") || field.name.eq_ignore_ascii_case(REASON);
        if !is_ours && !hop_by_hop.holds(field.name) {
            fields::write(field.name, field.value, out);
        }
    }
}

/// The phrase of every status that we refuse with.
fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        408 => "Request Timeout",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        // The phrase may be empty; its space may not (RFC 9112 section 4).
        _ => "",
    }
}

#[cfg(test)]
mod tests;
