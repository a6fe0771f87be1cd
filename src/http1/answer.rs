//! The app's answer to our upgrade request, judged (RFC 6455 section 4.1, items 1 to 6 after "Once the client's").
//!
//! Only a verified 101 opens a connection. A proxy that relays before it has looked hands a client who is told "no" a
//! raw connection to the app, over which to speak as the proxy.

use std::fmt;

use thiserror::Error;
use tungstenite::handshake::derive_accept_key;

use super::body::{BodyError, Framing};
use super::extension::{self, DEFLATE};
use super::head::{Field, collect, field_lines, values};
use super::syntax::{exactly_one, lists_name, token};

/// Why the app's answer breaks the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// The head breaks the grammar of HTTP/1 (RFC 9112 sections 4 and 5).
    #[error("the answer's head breaks the grammar of HTTP/1.1")]
    Syntax,
    /// There are more field lines than the bound.
    #[error("the answer has too many field lines")]
    TooManyFields,
    /// The status is neither 101 nor a refusal; a 2xx is an app that took our request for an ordinary one.
    #[error("the answer's status is {0}, neither 101 nor a refusal")]
    Status(u16),
    /// `Upgrade` is not `websocket`.
    #[error("the 101 does not upgrade to websocket")]
    Upgrade,
    /// `Connection` does not name `upgrade`.
    #[error("the 101 lacks Connection: Upgrade")]
    Connection,
    /// `Sec-WebSocket-Accept` does not answer our key: this is no WebSocket server, or not its answer to us.
    #[error("Sec-WebSocket-Accept does not answer our key")]
    Accept,
    /// The 101 announces a body.
    #[error("the 101 announces a body")]
    Body,
    /// The app chose a subprotocol that we did not offer, or more than one.
    #[error("the app chose a subprotocol that was not offered")]
    Protocol,
    /// The app chose an extension that we did not offer, or one twice.
    #[error("the app chose an extension that was not offered")]
    Extension,
    /// The body of a refusal has no clear end.
    #[error(transparent)]
    Refusal(#[from] BodyError),
}

/// The parsed head of the app's answer.
#[derive(Clone)]
pub struct Answer<'h> {
    /// The status code.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub phrase: &'h str,
    /// All field lines in order.
    pub fields: Vec<Field<'h>>,
    /// 1 for HTTP/1.1. A refusal may come in HTTP/1.0, a 101 may not.
    minor: u8,
}

/// What we asked for.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// The key that we sent to the app.
    pub key: &'a str,
    /// The subprotocols that the app was offered: the client's without the token.
    pub protocols: &'a [&'a str],
    /// The extensions that the app was offered.
    pub extensions: &'a [extension::Extension<'a>],
}

/// What the app decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'h> {
    /// A verified 101: the connection may be opened.
    Accepted(Accepted<'h>),
    /// The app's own refusal, with the framing of the body that follows.
    Refused(Framing),
}

/// What a verified 101 agreed on. It can only come from [`Answer::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted<'h> {
    protocol: Option<&'h str>,
    extensions: Option<&'h str>,
    deflate: bool,
}

impl<'h> Accepted<'h> {
    /// The subprotocol. `None` when the app chose none: then a client that offered some gets none, as the app said.
    /// (A browser that offered any closes at once if none is chosen. When it offered only the token, that is as much
    /// the client's mistake as before: it has to offer a real one beside it.)
    pub fn protocol(&self) -> Option<&'h str> {
        self.protocol
    }

    /// `Sec-WebSocket-Extensions` as the app wrote it.
    pub fn extensions(&self) -> Option<&'h str> {
        self.extensions
    }

    /// Whether permessage-deflate was agreed on, which gives the bit RSV1 a meaning.
    pub fn deflate(&self) -> bool {
        self.deflate
    }
}

impl<'h> Answer<'h> {
    /// Parses a complete head, from the first byte of the status line to its empty line, of at most `max_fields` fields,
    /// as strictly as [`Request::parse`](super::head::Request::parse).
    pub fn parse(head: &'h [u8], max_fields: usize) -> Result<Self, AnswerError> {
        let count = field_lines(head).ok_or(AnswerError::Syntax)?;
        if count > max_fields {
            return Err(AnswerError::TooManyFields);
        }
        let mut headers = vec![httparse::EMPTY_HEADER; count];
        let mut parsed = httparse::Response::new(&mut headers);
        let status = parsed.parse(head).map_err(|_| AnswerError::Syntax)?;
        let (Some(b'H'), Some(minor), Some(status), Some(phrase), true) = (
            head.first(),
            parsed.version,
            parsed.code,
            parsed.reason,
            status == httparse::Status::Complete(head.len()),
        ) else {
            return Err(AnswerError::Syntax);
        };
        Ok(Self { status, phrase, fields: collect(parsed.headers), minor })
    }

    /// Judges the answer. 1xx other than 101, and 2xx, break the handshake; a 3xx, 4xx or 5xx is the app's own refusal.
    pub fn verify(&self, expected: &Expected<'_>) -> Result<Verdict<'h>, AnswerError> {
        match self.status {
            101 => self.accepted(expected).map(Verdict::Accepted),
            300..=599 => Ok(Verdict::Refused(Framing::of(self.status, &self.fields)?)),
            status => Err(AnswerError::Status(status)),
        }
    }

    fn accepted(&self, expected: &Expected<'_>) -> Result<Accepted<'h>, AnswerError> {
        if self.minor != 1 {
            return Err(AnswerError::Syntax);
        }
        if !exactly_one(self.values("upgrade")).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
            return Err(AnswerError::Upgrade);
        }
        if !lists_name(self.values("connection"), "upgrade") {
            return Err(AnswerError::Connection);
        }
        let accept = derive_accept_key(expected.key.as_bytes());
        if exactly_one(self.values("sec-websocket-accept")) != Some(accept.as_bytes()) {
            return Err(AnswerError::Accept);
        }
        if self.values("content-length").chain(self.values("transfer-encoding")).next().is_some() {
            return Err(AnswerError::Body);
        }
        let protocol = self.protocol(expected.protocols)?;
        let (extensions, deflate) = self.extensions(expected.extensions)?;
        Ok(Accepted { protocol, extensions, deflate })
    }

    /// The subprotocol that the app chose among `offered`.
    fn protocol(&self, offered: &[&str]) -> Result<Option<&'h str>, AnswerError> {
        let mut values = self.values("sec-websocket-protocol");
        let Some(value) = values.next() else { return Ok(None) };
        let chosen = token(value).filter(|chosen| offered.contains(chosen) && values.next().is_none());
        chosen.map(Some).ok_or(AnswerError::Protocol)
    }

    /// The extensions that the app chose among `offered`, and whether permessage-deflate is one. Their parameters are
    /// the client's to judge: we never inflate.
    fn extensions(&self, offered: &[extension::Extension<'_>]) -> Result<(Option<&'h str>, bool), AnswerError> {
        let mut values = self.values("sec-websocket-extensions");
        let Some(value) = values.next() else { return Ok((None, false)) };
        // A response has this field once at most (RFC 6455 section 11.3.2).
        let chosen = extension::parse(value).filter(|_| values.next().is_none()).ok_or(AnswerError::Extension)?;
        for (at, extension) in chosen.iter().enumerate() {
            let is_offered = offered.iter().any(|offer| offer.name == extension.name);
            let is_again = chosen[..at].iter().any(|earlier| earlier.name == extension.name);
            if !is_offered || is_again {
                return Err(AnswerError::Extension);
            }
        }
        let text = str::from_utf8(value).map_err(|_| AnswerError::Extension)?;
        Ok((Some(text), chosen.iter().any(|extension| extension.name == DEFLATE)))
    }

    /// The values of every field line called `name`, in order.
    pub fn values<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'h [u8]> + 'r {
        values(&self.fields, name)
    }
}

impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("fields", &self.fields).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
