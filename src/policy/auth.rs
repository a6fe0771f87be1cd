//! Where a token may stand, and the one that stands there.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::http1::forward::Strip;
use crate::http1::head::Request;
use crate::http1::{cookie, syntax, target};

/// What comes before the token in Kubernetes' convention for browsers, which can set no header but this one.
const KUBERNETES: &str = "base64url.bearer.authorization.k8s.io.";
/// What comes in the entry before the token in the other convention.
const BEARER: &str = "bearer";

/// A place to look for the token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum TokenSource {
    /// `Authorization: Bearer`.
    Header,
    /// An entry of `Sec-WebSocket-Protocol`.
    Subprotocol,
    /// This query parameter.
    Query(String),
    /// This cookie.
    Cookie(String),
}

/// Why a text is not a [`TokenSource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseTokenSourceError {
    /// No such place.
    #[error("expected \"header\", \"subprotocol\", \"query:NAME\" or \"cookie:NAME\"")]
    Form,
    /// Nothing behind `query:` or `cookie:`.
    #[error("a name must follow the colon, such as \"query:access_token\"")]
    NameMissing,
    /// RFC 6265 section 4.1.1.
    #[error("a cookie's name is letters, digits and a few marks, without white space, \"=\" or \";\"")]
    CookieName,
}

/// The token of a request. Nothing about it was verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Found<'h> {
    /// The token.
    pub token: Cow<'h, str>,
    /// How to take it out of what the app sees.
    pub strip: Strip,
}

/// Why a request has no token to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// None of the configured places has one.
    #[error("there is no token where one is looked for")]
    Missing,
    /// Two of the configured places have one, or one of them has two: which would be meant?
    #[error("there is more than one token")]
    Twice,
    /// It is longer than the bound.
    #[error("the token is too large")]
    TooLarge,
    /// It is not text, or not in base64url where it must be.
    #[error("the token is malformed")]
    Malformed,
    /// Kubernetes' convention wants a real subprotocol beside the token: a browser drops a connection whose 101 picks
    /// nothing it offered, and the token is never picked.
    #[error("the token in Sec-WebSocket-Protocol needs a real subprotocol beside it")]
    SubprotocolMissing,
}

/// The token in `request`, which must stand in exactly one of `sources`, exactly once.
///
/// Places that are not configured are not looked at: an `Authorization: Basic`, or a cookie of another name, is the
/// app's business. `max` bounds the token in the form in which it is verified.
pub fn find<'h>(sources: &'h [TokenSource], max: usize, request: &Request<'h>) -> Result<Found<'h>, FindError> {
    let mut all = sources.iter().flat_map(|source| source.look(request));
    match (all.next(), all.next()) {
        (None, _) => Err(FindError::Missing),
        (_, Some(_)) => Err(FindError::Twice),
        (Some(found), None) => {
            found.and_then(|found| if found.token.len() > max { Err(FindError::TooLarge) } else { Ok(found) })
        }
    }
}

impl TokenSource {
    /// Every token in this place, good or not.
    fn look<'h>(&'h self, request: &Request<'h>) -> Vec<Result<Found<'h>, FindError>> {
        match self {
            Self::Header => authorization(request),
            Self::Subprotocol => subprotocols(request),
            Self::Query(name) => target::query_values(request.target, name)
                .map(|value| Ok(Found { token: text(value)?, strip: Strip::Query(name.clone()) }))
                .collect(),
            Self::Cookie(name) => request
                .values("cookie")
                .flat_map(|cookies| cookie::values(cookies, name))
                .map(|value| Ok(Found { token: text(Cow::Borrowed(value))?, strip: Strip::Cookie(name.clone()) }))
                .collect(),
        }
    }
}

/// `Authorization: Bearer token` (RFC 6750 section 2.1). Another scheme is no token; a second field beside a token is
/// one too many, whatever it is, because the app might read that one.
fn authorization<'h>(request: &Request<'h>) -> Vec<Result<Found<'h>, FindError>> {
    let fields: Vec<_> = request.values("authorization").collect();
    let mut tokens = fields.iter().filter_map(|value| bearer(value));
    match (tokens.next(), fields.len()) {
        (None, _) => Vec::new(),
        (Some(_), 2..) => vec![Err(FindError::Twice)],
        (Some(token), _) => vec![text(Cow::Borrowed(token)).map(|token| Found { token, strip: Strip::Authorization })],
    }
}

/// What follows the scheme, if that is `Bearer` in any case (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(value.len());
    let (scheme, token) = value.split_at(end);
    scheme.eq_ignore_ascii_case(b"bearer").then(|| syntax::trim(token))
}

/// Tokens among the offered subprotocols, in either convention:
/// - `base64url.bearer.authorization.k8s.io.<token in base64url>, chat`
/// - `bearer, <token>, chat`
fn subprotocols<'h>(request: &Request<'h>) -> Vec<Result<Found<'h>, FindError>> {
    let offered: Vec<_> =
        request.values("sec-websocket-protocol").flat_map(syntax::elements).filter_map(syntax::token).collect();
    let mut found = Vec::new();
    let mut entries = offered.iter();
    while let Some(entry) = entries.next() {
        if let Some(encoded) = entry.strip_prefix(KUBERNETES) {
            found.push(kubernetes(entry, encoded, offered.len()));
        } else if *entry == BEARER
            && let Some(token) = entries.as_slice().first().filter(|next| !next.starts_with(KUBERNETES))
        {
            entries.next();
            let strip = Strip::Protocols(vec![BEARER.to_owned(), (*token).to_owned()]);
            found.push(Ok(Found { token: Cow::Borrowed(token), strip }));
        }
    }
    found
}

fn kubernetes<'h>(entry: &str, encoded: &str, offered: usize) -> Result<Found<'h>, FindError> {
    if offered < 2 {
        return Err(FindError::SubprotocolMissing);
    }
    let token = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| FindError::Malformed)?;
    Ok(Found { token: text(Cow::Owned(token))?, strip: Strip::Protocols(vec![entry.to_owned()]) })
}

fn text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, FindError> {
    match bytes {
        Cow::Borrowed(bytes) => str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| FindError::Malformed),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| FindError::Malformed),
    }
}

impl fmt::Debug for Found<'_> {
    /// Shows neither the token nor the subprotocols it is hidden in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("token", &format_args!("({} bytes)", self.token.len())).finish_non_exhaustive()
    }
}

impl FromStr for TokenSource {
    type Err = ParseTokenSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "header" => Ok(Self::Header),
            None if text == "subprotocol" => Ok(Self::Subprotocol),
            Some(("query" | "cookie", "")) => Err(ParseTokenSourceError::NameMissing),
            Some(("query", name)) => Ok(Self::Query(name.to_owned())),
            Some(("cookie", name)) if syntax::is_token(name.as_bytes()) => Ok(Self::Cookie(name.to_owned())),
            Some(("cookie", _)) => Err(ParseTokenSourceError::CookieName),
            _ => Err(ParseTokenSourceError::Form),
        }
    }
}

impl TryFrom<String> for TokenSource {
    type Error = ParseTokenSourceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TokenSource> for String {
    fn from(source: TokenSource) -> Self {
        source.to_string()
    }
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::Subprotocol => f.write_str("subprotocol"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
