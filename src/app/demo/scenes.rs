//! The scenes: what the client does, what it must see, and what Ringside must report of it.

use std::io;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

use super::client::Credentials;
use super::echo as app;
use super::steps::{Cast, Differs, Played, close, closing, echo, field, hidden, open, refused, same, told};
use super::tokens::{SUBJECT, TENANT};
use super::witness::Reported;
use crate::bytesize::ByteSize;
use crate::rule::Rule;
use crate::telemetry::end::{By, End, Why};
use crate::telemetry::reason::Reason;
use crate::telemetry::record::Outcome;

/// One connection, from its handshake to its end.
pub(super) struct Scene {
    /// What happens.
    pub(super) name: &'static str,
    /// Plays it, and says what the client saw.
    pub(super) play: fn(&Cast<'_>) -> Played,
    /// What Ringside must report.
    report: Told,
}

/// What Ringside must report.
enum Told {
    Refused(Reason, u16),
    Ended(End),
}

/// The client closes with 1000, and the app agrees.
const CLOSED: Told = closed(By::Client);

/// An unmasked frame is answered with 1002; what the client sends after it counts no more.
const VIOLATED: Told = Told::Ended(End {
    by: By::Client,
    why: Why::Violation(Rule::ClientUnmasked),
    code_sent: Some(1002),
    code_received: None,
});

const SUBPROTOCOL: &str = "chat.v1";
const LARGE: ByteSize = ByteSize::mib(1);

/// The story.
pub(super) const SCENES: &[Scene] = &[
    Scene { name: "a token in Authorization", play: token_in_header, report: CLOSED },
    Scene { name: "a token as a subprotocol", play: token_as_subprotocol, report: CLOSED },
    Scene { name: "no token", play: no_token, report: Told::Refused(Reason::TokenMissing, 401) },
    Scene { name: "an expired token", play: expired, report: Told::Refused(Reason::TokenExpired, 401) },
    Scene { name: "a token for another app", play: other_audience, report: Told::Refused(Reason::TokenAudience, 401) },
    Scene { name: "a token signed by another key", play: forged, report: Told::Refused(Reason::TokenSignature, 401) },
    Scene { name: "a page instead of a WebSocket", play: page, report: Told::Refused(Reason::NotUpgrade, 426) },
    Scene { name: "a text, back and forth", play: text, report: CLOSED },
    Scene { name: "a large binary message", play: binary, report: CLOSED },
    Scene { name: "what the app is told", play: app_is_told, report: CLOSED },
    Scene { name: "the client closes", play: client_closes, report: CLOSED },
    Scene { name: "the app closes", play: app_closes, report: closed(By::App) },
    Scene { name: "a frame that breaks the protocol", play: unmasked, report: VIOLATED },
];

const fn closed(by: By) -> Told {
    Told::Ended(End { by, why: Why::Closed, code_sent: Some(1000), code_received: Some(1000) })
}

impl Scene {
    /// Holds what Ringside reported against what it must report.
    pub(super) fn check(&self, reported: &Reported) -> Result<(), Differs> {
        let expected = match self.report {
            Told::Refused(reason, status) => format!("refused: {reason}, {status}"),
            Told::Ended(end) => format!("opened, {end}"),
        };
        let saw = match (reported.handshake.outcome, &reported.connection) {
            (Outcome::Refused { reason, status }, _) => format!("refused: {reason}, {}", status.unwrap_or_default()),
            (Outcome::Opened, Some(connection)) => format!("opened, {}", connection.end),
            (Outcome::Opened, None) => "opened".into(),
        };
        same("Ringside's report", saw, expected)
    }
}

fn token_in_header(cast: &Cast<'_>) -> Played {
    let (mut socket, response) = open(cast, Credentials::Header(&cast.tokens.good))?;
    same("echo", echo(&mut socket, "hello")?, "hello")?;
    close(&mut socket)?;
    Ok(format!("{}, \"hello\" came back", response.status().as_u16()))
}

fn token_as_subprotocol(cast: &Cast<'_>) -> Played {
    let credentials = Credentials::Subprotocol { token: &cast.tokens.good, protocol: SUBPROTOCOL };
    let (mut socket, response) = open(cast, credentials)?;
    same("agreed subprotocol", field(&response, "sec-websocket-protocol"), SUBPROTOCOL)?;
    let headers = echo(&mut socket, app::HEADERS)?;
    told(&headers, "sec-websocket-protocol: chat.v1")?;
    hidden(&headers, &cast.tokens.good)?;
    close(&mut socket)?;
    Ok(format!("{}, agreed on {SUBPROTOCOL}, which is all the app was offered", response.status().as_u16()))
}

fn no_token(cast: &Cast<'_>) -> Played {
    refused(cast, Credentials::None, Reason::TokenMissing)
}

fn expired(cast: &Cast<'_>) -> Played {
    refused(cast, Credentials::Header(&cast.tokens.expired), Reason::TokenExpired)
}

fn other_audience(cast: &Cast<'_>) -> Played {
    refused(cast, Credentials::Header(&cast.tokens.other_audience), Reason::TokenAudience)
}

fn forged(cast: &Cast<'_>) -> Played {
    refused(cast, Credentials::Header(&cast.tokens.forged), Reason::TokenSignature)
}

fn page(cast: &Cast<'_>) -> Played {
    let answer = cast.client.get().map_err(Error::from).map_err(Box::new)?;
    same("status line", answer.lines().next().unwrap_or_default(), "HTTP/1.1 426 Upgrade Required")?;
    let upgrade = answer.lines().find_map(|line| line.strip_prefix("Upgrade: "));
    same("Upgrade", upgrade.unwrap_or_default(), "websocket")?;
    Ok("426, Upgrade: websocket".into())
}

fn text(cast: &Cast<'_>) -> Played {
    const TEXT: &str = "Grüße aus dem Ring: 你好, 👋";
    let (mut socket, _) = open(cast, Credentials::Header(&cast.tokens.good))?;
    same("echo", echo(&mut socket, TEXT)?, TEXT)?;
    close(&mut socket)?;
    Ok(format!("\"{TEXT}\" came back"))
}

fn binary(cast: &Cast<'_>) -> Played {
    let (mut socket, _) = open(cast, Credentials::Header(&cast.tokens.good))?;
    let sent: Vec<u8> = (0..=250).cycle().take(LARGE.len()).collect();
    socket.send(Message::binary(sent.clone())).map_err(Box::new)?;
    let got = socket.read().map_err(Box::new)?;
    same("the same message", got == Message::binary(sent), true)?;
    close(&mut socket)?;
    Ok(format!("{LARGE} came back, every byte the same"))
}

fn app_is_told(cast: &Cast<'_>) -> Played {
    let (mut socket, _) = open(cast, Credentials::Header(&cast.tokens.good))?;
    let headers = echo(&mut socket, app::HEADERS)?;
    let who = format!("x-ringside-subject: {SUBJECT}");
    told(&headers, &who)?;
    told(&headers, &format!("x-tenant: {TENANT}"))?;
    told(&headers, "x-forwarded-proto: https")?;
    same("a traceparent for the app", headers.contains("\ntraceparent: 00-"), true)?;
    hidden(&headers, &cast.tokens.good)?;
    close(&mut socket)?;
    Ok(format!("{who}, x-tenant: {TENANT}, a traceparent, and no token"))
}

fn client_closes(cast: &Cast<'_>) -> Played {
    let (mut socket, _) = open(cast, Credentials::Header(&cast.tokens.good))?;
    close(&mut socket)?;
    Ok("1000 sent, 1000 came back, then the end of the stream".into())
}

fn app_closes(cast: &Cast<'_>) -> Played {
    let (mut socket, _) = open(cast, Credentials::Header(&cast.tokens.good))?;
    socket.send(Message::text(app::CLOSE)).map_err(Box::new)?;
    closing(&mut socket, CloseCode::Normal)?;
    Ok("1000 came, 1000 answered, then the end of the stream".into())
}

fn unmasked(cast: &Cast<'_>) -> Played {
    /// FIN, text, no mask: what only a server may send (RFC 6455 section 5.1).
    const FRAME: &[u8] = b"\x81\x02hi";
    let (mut socket, _) = open(cast, Credentials::Header(&cast.tokens.good))?;
    io::Write::write_all(socket.get_mut(), FRAME).map_err(Error::from).map_err(Box::new)?;
    closing(&mut socket, CloseCode::Protocol)?;
    Ok("an unmasked frame was answered with Close 1002".into())
}
