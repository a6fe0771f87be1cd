//! The origins that may connect (RFC 6454 section 6.1).
//!
//! A WebSocket is not bound by the same-origin policy: any page can open one, and the browser sends along the cookies
//! of whom it opens it to. Judging `Origin` protects the users of browsers from such pages (RFC 6455 section 10.2). It
//! does not keep anybody else out, since a client that is no browser can send any origin, or none. Hence a request
//! without `Origin` passes here, and who it is from is for the token to say.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An entry of the list: `https://app.example`, `https://*.app.example` (its sub-domains at any depth, not itself) or
/// `null` (sandboxed frames, local files).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Allowed(Pattern);

/// Why a text is not an [`Allowed`] origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an origin such as \"https://app.example\", \"https://app.example:8443\", \"https://*.app.example\" or \
     \"null\": scheme and host in ASCII, no path, no slash at the end"
)]
pub struct ParseOriginError;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Pattern {
    Null,
    Exactly(Origin),
    /// The host is what stands behind `*.`.
    Below(Origin),
}

/// A serialized origin taken apart: in lower case, without the port its scheme has by default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

/// Whether a request with this `Origin` may connect: the list is empty, or there is no `Origin`, or an entry matches.
pub fn allows(list: &[Allowed], origin: Option<&[u8]>) -> bool {
    let Some(origin) = origin.filter(|_| !list.is_empty()) else { return true };
    if origin == b"null" {
        return list.iter().any(|allowed| allowed.0 == Pattern::Null);
    }
    let Some(origin) = str::from_utf8(origin).ok().and_then(Origin::parse) else { return false };
    list.iter().any(|allowed| allowed.matches(&origin))
}

impl Allowed {
    fn matches(&self, origin: &Origin) -> bool {
        match &self.0 {
            Pattern::Null => false,
            Pattern::Exactly(allowed) => allowed == origin,
            Pattern::Below(parent) => {
                parent.scheme == origin.scheme
                    && parent.port == origin.port
                    && origin.host.strip_suffix(&parent.host).is_some_and(|below| below.ends_with('.'))
            }
        }
    }
}

impl FromStr for Allowed {
    type Err = ParseOriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pattern = match text.split_once("://*.") {
            _ if text == "null" => Some(Pattern::Null),
            Some((scheme, parent)) => Origin::parse(&format!("{scheme}://{parent}"))
                .filter(|parent| !parent.host.starts_with('['))
                .map(Pattern::Below),
            None => Origin::parse(text).map(Pattern::Exactly),
        };
        pattern.map(Self).ok_or(ParseOriginError)
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_scheme_byte) {
            return None;
        }
        // The colons of an IPv6 address stand inside its brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(parse_port(port)?)),
            _ => (authority, None),
        };
        if !is_host(host) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let default = match scheme.as_str() {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        };
        Some(Self { scheme, host: host.to_ascii_lowercase(), port: port.filter(|port| Some(*port) != default) })
    }
}

fn parse_port(digits: &str) -> Option<u16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// A name, an IPv4 address, or an IPv6 address in brackets. Browsers write other names in Punycode.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_label_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    host.split('.').all(|label| !label.is_empty() && label.bytes().all(is_label_byte))
}

impl TryFrom<String> for Allowed {
    type Error = ParseOriginError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Allowed> for String {
    fn from(allowed: Allowed) -> Self {
        allowed.to_string()
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wildcard, origin) = match &self.0 {
            Pattern::Null => return f.write_str("null"),
            Pattern::Exactly(origin) => ("", origin),
            Pattern::Below(parent) => ("*.", parent),
        };
        write!(f, "{}://{wildcard}{}", origin.scheme, origin.host)?;
        origin.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Allowed, allows};

    fn allowed(list: &[&str], origin: &str) -> bool {
        let list: Vec<Allowed> = list.iter().map(|entry| entry.parse().unwrap()).collect();
        allows(&list, Some(origin.as_bytes()))
    }

    #[test]
    fn an_origin_is_compared_as_a_whole() {
        let list = ["https://app.example", "http://localhost:3000", "https://[2001:db8::1]", "capacitor://localhost"];
        for origin in ["https://app.example", "HTTPS://App.Example", "https://app.example:443", "http://localhost:3000"]
        {
            assert!(allowed(&list, origin), "{origin}");
        }
        assert!(allowed(&list, "https://[2001:DB8::1]:443"));
        assert!(allowed(&list, "capacitor://localhost"));
        for origin in [
            "http://app.example",
            "https://app.example:444",
            "https://app.example.",
            "https://app.example.evil.example",
            "https://evil-app.example",
            "https://a.app.example",
            "https://app.example/",
            "https://app.example/@evil.example",
            "https://app.example@evil.example",
            "https://evil.example#https://app.example",
            "https://app.example https://evil.example",
            "http://localhost",
            "app.example",
            "null",
            "",
        ] {
            assert!(!allowed(&list, origin), "{origin}");
        }
    }

    #[test]
    fn a_wildcard_is_for_what_stands_below() {
        let list = ["https://*.app.example"];
        for origin in ["https://a.app.example", "https://a.b.app.example", "https://A.app.example:443"] {
            assert!(allowed(&list, origin), "{origin}");
        }
        for origin in [
            "https://app.example",
            "https://.app.example",
            "https://evilapp.example",
            "https://a..app.example",
            "http://a.app.example",
            "https://a.app.example:8443",
            "https://a.app.example.evil.example",
        ] {
            assert!(!allowed(&list, origin), "{origin}");
        }
    }

    #[test]
    fn null_must_be_listed() {
        assert!(allowed(&["null"], "null"));
        assert!(!allowed(&["https://*.example"], "null"));
        assert!(!allowed(&["null"], "NULL"));
    }

    #[test]
    fn no_list_and_no_origin_both_pass() {
        assert!(allows(&[], Some(b"https://any.example")));
        assert!(allows(&[], Some(b"\xff")));
        assert!(allows(&["null".parse().unwrap()], None));
        assert!(!allows(&["null".parse().unwrap()], Some(b"\xff")));
    }

    #[test]
    fn an_entry_that_could_never_match_is_an_error() {
        for entry in [
            "*",
            "app.example",
            "https://",
            "https://app.example/",
            "https://app.example/chat",
            "https://*",
            "https://*.",
            "https://*.*.example",
            "https://a*.example",
            "https://user@app.example",
            "https://app.example:",
            "https://app.example:+1",
            "https://app.example:65536",
            "https://bücher.example",
            "https://[::1",
            "https://[app]",
            "https://*.[::1]",
            "",
        ] {
            assert!(entry.parse::<Allowed>().is_err(), "{entry}");
        }
    }

    #[test]
    fn an_entry_is_shown_as_it_is_compared() {
        for (text, shown) in [
            ("HTTPS://App.Example:443", "https://app.example"),
            ("https://*.app.example:8443", "https://*.app.example:8443"),
            ("null", "null"),
        ] {
            assert_eq!(text.parse::<Allowed>().unwrap().to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(origin: Vec<u8>) {
            let list = ["https://app.example".parse().unwrap(), "null".parse().unwrap()];
            prop_assert_eq!(allows(&list, Some(&origin)), origin == b"null");
        }
    }
}
