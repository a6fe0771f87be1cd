//! The client's handshake, judged (RFC 6455 section 4.2.1).

use std::collections::HashSet;
use std::fmt;
use std::net::Ipv6Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::extension::{self, Extension};
use super::head::Request;
use super::syntax::{elements, exactly_one, lists_name, token};

/// Why a request is not a handshake that we relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UpgradeError {
    /// `Upgrade` and `Connection` do not ask for a WebSocket: some other HTTP request, of whatever method.
    #[error("the request does not ask for a WebSocket")]
    NotUpgrade,
    /// A handshake is a GET (RFC 6455 section 4.1).
    #[error("a WebSocket handshake is a GET")]
    MethodNotGet,
    /// There is not exactly one Host that names a host (RFC 9112 section 3.2).
    #[error("the request needs exactly one valid Host")]
    HostInvalid,
    /// There is more than one Origin: which one would be judged?
    #[error("the request has more than one Origin")]
    OriginTwice,
    /// The request announces a body, behind which a second request could hide.
    #[error("a WebSocket handshake has no body")]
    BodyPresent,
    /// `Sec-WebSocket-Version` is not 13, once (RFC 6455 section 4.4).
    #[error("the WebSocket version is not 13")]
    VersionUnsupported,
    /// There is not exactly one `Sec-WebSocket-Key` of 16 bytes in base64.
    #[error("the request needs exactly one Sec-WebSocket-Key of 16 bytes")]
    KeyInvalid,
    /// `Sec-WebSocket-Protocol` or `Sec-WebSocket-Extensions` breaks its grammar, or offers a subprotocol twice.
    #[error("the offered subprotocols or extensions break their grammar")]
    NegotiationInvalid,
}

/// A valid handshake: what was asked, taken apart.
#[derive(Clone)]
pub struct Upgrade<'h> {
    /// `Sec-WebSocket-Key` as it was written, for the answer to this client; the app gets one of ours.
    pub key: &'h str,
    /// `Host`: a name or an address, perhaps with a port.
    pub host: &'h str,
    /// `Origin`, when there is one; browsers always send it.
    pub origin: Option<&'h [u8]>,
    /// The offered subprotocols in order, each once. A token may stand among them: never log these.
    pub protocols: Vec<&'h str>,
    /// The offered extensions in order; the same name may stand there again with other parameters.
    pub extensions: Vec<Extension<'h>>,
}

impl<'h> Upgrade<'h> {
    /// Judges `request`.
    ///
    /// The order of the checks is part of the answer: what never meant to be a WebSocket (a probe, a browser's page
    /// load, a form with a body) is told so, not that some detail of a handshake is wrong.
    pub fn check(request: &Request<'h>) -> Result<Self, UpgradeError> {
        if !lists_name(request.values("upgrade"), "websocket") || !lists_name(request.values("connection"), "upgrade") {
            return Err(UpgradeError::NotUpgrade);
        }
        if request.method != "GET" {
            return Err(UpgradeError::MethodNotGet);
        }
        let host = exactly_one(request.values("host")).and_then(valid_host).ok_or(UpgradeError::HostInvalid)?;
        let mut origins = request.values("origin");
        let origin = origins.next();
        if origins.next().is_some() {
            return Err(UpgradeError::OriginTwice);
        }
        if announces_body(request) {
            return Err(UpgradeError::BodyPresent);
        }
        if exactly_one(request.values("sec-websocket-version")) != Some(b"13") {
            return Err(UpgradeError::VersionUnsupported);
        }
        let key =
            exactly_one(request.values("sec-websocket-key")).and_then(valid_key).ok_or(UpgradeError::KeyInvalid)?;
        let protocols = protocols(request).ok_or(UpgradeError::NegotiationInvalid)?;
        let extensions = extensions(request).ok_or(UpgradeError::NegotiationInvalid)?;
        Ok(Self { key, host, origin, protocols, extensions })
    }
}

/// Whether a body follows the head, or the client waits to send one. `Content-Length: 0` says that there is none; any
/// other spelling, two lengths that differ, and any transfer coding are ways to make two parsers disagree.
fn announces_body(request: &Request<'_>) -> bool {
    request.values("content-length").any(|length| length != b"0")
        || request.values("transfer-encoding").next().is_some()
        || request.values("expect").next().is_some()
}

/// The part of the grammar of RFC 3986 that real hosts use: letters, digits and `-._~`, or an IPv6 address in brackets,
/// perhaps with a port. User information, commas and percent-encoding are refused: apps disagree on what they mean.
fn valid_host(value: &[u8]) -> Option<&str> {
    let host = str::from_utf8(value).ok()?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let name_is_valid = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
    };
    let port_is_valid =
        port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok());
    (name_is_valid && port_is_valid).then_some(host)
}

fn valid_key(value: &[u8]) -> Option<&str> {
    let mut decoded = [0; 18];
    let length = STANDARD.decode_slice(value, &mut decoded).ok()?;
    (length == 16).then(|| str::from_utf8(value).ok()).flatten()
}

/// The subprotocols of all field lines; `None` when one is not a token or stands there twice (RFC 6455 section 4.1).
fn protocols<'h>(request: &Request<'h>) -> Option<Vec<&'h str>> {
    let protocols: Vec<_> =
        request.values("sec-websocket-protocol").flat_map(elements).map(token).collect::<Option<_>>()?;
    // A set, because a head has room for thousands and nobody has been authenticated yet.
    let distinct: HashSet<_> = protocols.iter().collect();
    (distinct.len() == protocols.len()).then_some(protocols)
}

fn extensions<'h>(request: &Request<'h>) -> Option<Vec<Extension<'h>>> {
    let lists: Vec<_> = request.values("sec-websocket-extensions").map(extension::parse).collect::<Option<_>>()?;
    Some(lists.concat())
}

/// Only how many subprotocols there are: one of them may be a token.
impl fmt::Debug for Upgrade<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("host", &self.host)
            .field("protocols", &self.protocols.len())
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
