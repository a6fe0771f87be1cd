//! What scenes are made of: steps of the client, and comparisons.

use tungstenite::handshake::client::Response;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use super::client::{Client, Credentials, Opening, Tls, as_subprotocol};
use super::tokens::Tokens;
use crate::telemetry::reason::Reason;

/// Who plays.
pub(super) struct Cast<'s> {
    pub(super) client: Client,
    pub(super) tokens: &'s Tokens,
}

/// What the client saw.
pub(super) type Played = Result<String, Differs>;

/// What was not as expected.
#[derive(Debug, thiserror::Error)]
pub(super) enum Differs {
    #[error("{what}: expected {expected:?}, saw {saw:?}")]
    Value { what: &'static str, expected: String, saw: String },
    #[error("the app was told the token")]
    TokenTold,
    #[error("the client failed: {0}")]
    Client(#[from] Box<Error>),
    #[error("Ringside reported {0}")]
    Report(&'static str),
}

/// Compares two values as they are shown.
#[expect(clippy::needless_pass_by_value, reason = "two dozen comparisons read better without borrows")]
pub(super) fn same(what: &'static str, saw: impl ToString, expected: impl ToString) -> Result<(), Differs> {
    let (saw, expected) = (saw.to_string(), expected.to_string());
    if saw == expected { Ok(()) } else { Err(Differs::Value { what, expected, saw }) }
}

/// Opens a WebSocket.
pub(super) fn open(cast: &Cast<'_>, credentials: Credentials<'_>) -> Result<(Box<WebSocket<Tls>>, Response), Differs> {
    match cast.client.open(credentials).map_err(Box::new)? {
        Opening::Opened(socket, response) => Ok((socket, response)),
        Opening::Refused(response) => Err(Differs::Value {
            what: "status",
            expected: "101".into(),
            saw: format!("{}, {}", response.status().as_u16(), field(&response, "ringside-reason")),
        }),
    }
}

/// Tries to open, which must be refused with 401 and this reason.
pub(super) fn refused(cast: &Cast<'_>, credentials: Credentials<'_>, reason: Reason) -> Played {
    let (status, response) = match cast.client.open(credentials).map_err(Box::new)? {
        Opening::Opened(_, response) | Opening::Refused(response) => (response.status().as_u16(), response),
    };
    same("status", status, 401)?;
    same("ringside-reason", field(&response, "ringside-reason"), reason)?;
    let challenge = field(&response, "www-authenticate");
    same("scheme of WWW-Authenticate", challenge.split(' ').next().unwrap_or_default(), "Bearer")?;
    let challenge = challenge.split(", error_description").next().unwrap_or_default();
    Ok(format!("{status}, ringside-reason: {reason}, www-authenticate: {challenge}"))
}

/// The value of a field of a response.
pub(super) fn field<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("(absent)")
}

/// Sends a text, and returns the one that comes back.
pub(super) fn echo(socket: &mut WebSocket<Tls>, text: &str) -> Result<String, Differs> {
    socket.send(Message::text(text)).map_err(Box::new)?;
    let message = socket.read().map_err(Box::new)?;
    match message {
        Message::Text(text) => Ok(text.as_str().into()),
        other => Err(Differs::Value { what: "message", expected: "a text".into(), saw: other.to_string() }),
    }
}

/// Closes with 1000 and waits for the answer.
pub(super) fn close(socket: &mut WebSocket<Tls>) -> Result<(), Differs> {
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    socket.close(Some(normal)).map_err(Box::new)?;
    closing(socket, CloseCode::Normal)
}

/// Waits for a Close frame with this code, and then for an orderly end of the stream, TLS included.
pub(super) fn closing(socket: &mut WebSocket<Tls>, code: CloseCode) -> Result<(), Differs> {
    let saw = match socket.read().map_err(Box::new)? {
        Message::Close(Some(frame)) => frame.code.to_string(),
        other => other.to_string(),
    };
    same("close code", saw, code)?;
    match socket.read() {
        Err(Error::ConnectionClosed) => Ok(()),
        Err(error) => Err(Box::new(error).into()),
        Ok(message) => same("after the Close frame", message, "the end of the stream"),
    }
}

/// The app was told this field.
pub(super) fn told(headers: &str, line: &str) -> Result<(), Differs> {
    if headers.lines().any(|told| told == line) {
        return Ok(());
    }
    Err(Differs::Value { what: "what the app is told", expected: line.into(), saw: headers.into() })
}

/// The app was not told the token, in whatever form it was sent.
pub(super) fn hidden(headers: &str, token: &str) -> Result<(), Differs> {
    let forms = ["authorization: ", token, &as_subprotocol(token)];
    if forms.iter().any(|form| headers.contains(form)) { Err(Differs::TokenTold) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::{Differs, as_subprotocol, hidden, same, told};

    #[test]
    fn a_token_is_found_in_whatever_form_it_is_told() {
        const TOKEN: &str = "eyJh.eyJz.c2ln";
        let headers = format!("GET / HTTP/1.1\nhost: localhost\nsec-websocket-protocol: {}", as_subprotocol(TOKEN));
        assert!(matches!(hidden(&headers, TOKEN), Err(Differs::TokenTold)));
        assert!(matches!(hidden("GET /?access_token=eyJh.eyJz.c2ln", TOKEN), Err(Differs::TokenTold)));
        assert!(matches!(hidden("GET /\nauthorization: Basic YTpi", TOKEN), Err(Differs::TokenTold)));
        hidden("GET /\nhost: localhost", TOKEN).unwrap();
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let told = told("GET /\nx-tenant: acme corp", "x-tenant: acme").unwrap_err().to_string();
        assert_eq!(told, r#"what the app is told: expected "x-tenant: acme", saw "GET /\nx-tenant: acme corp""#);
        assert_eq!(same("status", 200, 401).unwrap_err().to_string(), r#"status: expected "401", saw "200""#);
    }
}
