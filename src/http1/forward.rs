//! Our upgrade request to the app.
//!
//! It says what the client said, end to end and in order, except for what ends here: fields about the client's
//! connection, claims that only we may make (who the client is, where it came from), and the token.

use std::fmt;
use std::net::IpAddr;

use super::fields::{self, HopByHop, folded, header_value};
use super::head::{Field, Request};
use super::syntax::elements;
use super::{cookie, target};

/// Where the token was found, so that it can be taken out of what the app sees.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Strip {
    /// Nothing to take out: no token, or it is to be forwarded.
    #[default]
    Nothing,
    /// The `Authorization` field.
    Authorization,
    /// These entries of `Sec-WebSocket-Protocol`, exactly as they were written.
    Protocols(Vec<String>),
    /// This parameter of the query.
    Query(String),
    /// This cookie.
    Cookie(String),
}

/// What we add to a client's request, and take from it, when we ask the app.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// Our own `Sec-WebSocket-Key`, fresh for this request.
    pub key: &'a str,
    /// The token's place.
    pub strip: &'a Strip,
    /// Who connected to us, for `X-Forwarded-For`.
    pub client: IpAddr,
    /// Whether the client came over TLS. `X-Forwarded-Proto` says `https` or `http`, not `wss` or `ws`: that is what app
    /// frameworks compare with.
    pub secure: bool,
    /// The client's Host, for `X-Forwarded-Host`.
    pub host: &'a str,
    /// Our W3C trace context; the client's own is dropped.
    pub traceparent: &'a str,
    /// What goes with it: the client's own, once it was judged. Its fields are dropped in any case.
    pub tracestate: Option<&'a str>,
    /// Names and values that say who the client is. The names are tokens; a value is written as [`header_value`] says.
    pub identity: &'a [(String, String)],
    /// Names that only `identity` may set. None of them ever comes from the client, whether `identity` sets it or not.
    pub reserved: &'a [String],
}

/// What we say ourselves, or what only a trusted hop may say. In the form that [`folded`] gives.
const OURS: [&str; 6] =
    ["forwarded", "sec-websocket-key", "sec-websocket-version", "traceparent", "tracestate", "x-real-ip"];

/// Every field of this family tells an app what a proxy saw; no client may speak for one.
const OURS_PREFIX: &str = "x-forwarded-";

/// A client's `Connection` cannot take these from the app: the request was judged with them, so it is relayed with them.
/// A sender must not name fields that are meant for the app (RFC 9110 section 7.6.1), so nobody honest is affected.
const JUDGED: [&str; 6] =
    ["authorization", "cookie", "host", "origin", "sec-websocket-extensions", "sec-websocket-protocol"];

impl Forward<'_> {
    /// Appends the whole request head to `out`. `request` has passed [`Upgrade::check`](super::upgrade::Upgrade::check).
    pub fn write(&self, request: &Request<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"GET ");
        match self.strip {
            Strip::Query(name) => target::write_without(request.target, name, out),
            _ => out.extend_from_slice(request.target.as_bytes()),
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");

        let reserved = Reserved::new(self);
        let hop_by_hop = HopByHop::of(&request.fields);
        for field in &request.fields {
            if !ends_here(field.name, &hop_by_hop) && !reserved.holds(field.name) {
                self.write_client_field(field, out);
            }
        }
        self.write_own_fields(out);
        out.extend_from_slice(b"\r\n");
    }

    /// One of the client's fields, without the token.
    fn write_client_field(&self, field: &Field<'_>, out: &mut Vec<u8>) {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        let rest = match self.strip {
            Strip::Authorization if is("authorization") => None,
            Strip::Cookie(name) if is("cookie") => cookie::without(field.value, name),
            Strip::Protocols(entries) if is("sec-websocket-protocol") => protocols_without(field.value, entries),
            _ => return fields::write(field.name, field.value, out),
        };
        if let Some(rest) = rest {
            fields::write(field.name, &rest, out);
        }
    }

    fn write_own_fields(&self, out: &mut Vec<u8>) {
        let client = self.client.to_string();
        let own = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", self.key),
            ("X-Forwarded-For", &client),
            ("X-Forwarded-Proto", if self.secure { "https" } else { "http" }),
            ("X-Forwarded-Host", self.host),
            ("traceparent", self.traceparent),
        ];
        for (name, value) in own.into_iter().chain(self.tracestate.map(|state| ("tracestate", state))) {
            fields::write(name, value.as_bytes(), out);
        }
        for (name, value) in self.identity {
            fields::write(name, header_value(value).as_bytes(), out);
        }
    }
}

/// The names that only `identity` may set, folded.
struct Reserved(Vec<String>);

impl Reserved {
    fn new(forward: &Forward<'_>) -> Self {
        let set = forward.identity.iter().map(|(name, _)| name);
        Self(forward.reserved.iter().chain(set).map(|name| folded(name).into_owned()).collect())
    }

    fn holds(&self, name: &str) -> bool {
        let name = folded(name);
        self.0.iter().any(|reserved| *reserved == name)
    }
}

/// Whether a client's field is not for the app, or would pass for one that is ours.
fn ends_here(name: &str, hop_by_hop: &HopByHop<'_>) -> bool {
    let folded = folded(name);
    let is_judged = JUDGED.contains(&&*folded);
    fields::is_hop_by_hop(&folded)
        || OURS.contains(&&*folded)
        || folded.starts_with(OURS_PREFIX)
        // `Sec_WebSocket_Protocol` was not judged, but an app that folds names would read it.
        || is_judged && !name.eq_ignore_ascii_case(&folded)
        || !is_judged && hop_by_hop.names(name)
}

/// One `Sec-WebSocket-Protocol` field without `entries`; `None` when none is left.
fn protocols_without(list: &[u8], entries: &[String]) -> Option<Vec<u8>> {
    let is_stripped = |element: &[u8]| entries.iter().any(|entry| entry.as_bytes() == element);
    let kept: Vec<_> = elements(list).filter(|element| !is_stripped(element)).collect();
    (!kept.is_empty()).then(|| kept.join(&b", "[..]))
}

/// Without the entries of `Protocols`: one of them is the token.
impl fmt::Debug for Strip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Authorization => f.write_str("Authorization"),
            Self::Protocols(entries) => write!(f, "Protocols({} entries)", entries.len()),
            Self::Query(name) => write!(f, "Query({name:?})"),
            Self::Cookie(name) => write!(f, "Cookie({name:?})"),
        }
    }
}

#[cfg(test)]
mod tests;
