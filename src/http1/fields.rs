//! Which field lines travel on, and how one is written.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::head::{Field, values};
use super::syntax::elements;

/// Fields about one connection only, which end here (RFC 9110 section 7.6.1), and the framing of a body, which is
/// always written anew (`Content-Length`, `Transfer-Encoding`, `Trailer`).
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The fields of one head that end here: the known hop-by-hop ones and those that its `Connection` names.
pub(super) struct HopByHop<'h> {
    named: Vec<&'h [u8]>,
}

impl<'h> HopByHop<'h> {
    /// What the `Connection` lines in `fields` name.
    pub(super) fn of(fields: &[Field<'h>]) -> Self {
        Self { named: values(fields, "connection").flat_map(elements).collect() }
    }

    /// Whether the head's `Connection` names this field.
    pub(super) fn names(&self, name: &str) -> bool {
        self.named.iter().any(|named| named.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Whether this field ends here.
    pub(super) fn holds(&self, name: &str) -> bool {
        is_hop_by_hop(&folded(name)) || self.names(name)
    }
}

/// Whether a field is hop-by-hop whatever `Connection` says. `folded` comes from [`folded`].
pub fn is_hop_by_hop(folded: &str) -> bool {
    HOP_BY_HOP.contains(&folded)
}

/// A field name as CGI-style apps see it: without case, every byte but letters and digits alike. `X_Forwarded.For` is
/// `HTTP_X_FORWARDED_FOR` to them, and so is `X-Forwarded-For`; who strips one must strip the other.
pub fn folded(name: &str) -> Cow<'_, str> {
    let is_folded = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.bytes().all(is_folded) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(
        name.chars().map(|char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '-' }).collect(),
    )
}

/// Appends one field line. A byte that could end the line becomes a space (RFC 9110 section 5.5): whatever a value holds,
/// it stays one value.
pub(super) fn write(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.iter().map(|&byte| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

/// `text` as a field value that no two texts share: what is not visible ASCII is percent-encoded as UTF-8, and so are `%`
/// itself and a space at either end, which a parser would trim away. Without this, the subjects `é` and `%C3%A9`, or
/// `eve` and ` eve`, would be one and the same to the app. To read it back, percent-decode it.
pub fn header_value(text: &str) -> Cow<'_, str> {
    let last = text.len().saturating_sub(1);
    let is_plain = |at: usize, byte: u8| match byte {
        b'%' => false,
        b' ' => at != 0 && at != last,
        _ => byte.is_ascii_graphic(),
    };
    if text.bytes().enumerate().all(|(at, byte)| is_plain(at, byte)) {
        return Cow::Borrowed(text);
    }
    let mut value = String::with_capacity(text.len() + 16);
    for (at, byte) in text.bytes().enumerate() {
        if is_plain(at, byte) {
            value.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(value, "%{byte:02X}");
        }
    }
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_fold_as_cgi_folds_them() {
        for name in ["x-forwarded-for", "X_Forwarded_For", "x.forwarded~FOR", "X-FORWARDED_FOR"] {
            assert_eq!(folded(name), "x-forwarded-for");
        }
        assert_ne!(folded("xforwardedfor"), "x-forwarded-for");
    }

    #[test]
    fn a_value_cannot_begin_a_new_line() {
        let mut out = Vec::new();
        write("X", b"a\r\nSet-Cookie: stolen\0", &mut out);
        assert_eq!(out, b"X: a  Set-Cookie: stolen \r\n");
    }

    #[test]
    fn identities_are_written_plainly_where_they_can_be() {
        for plain in ["alice", "auth0|5f7c8ec7", "Alice B", "alice@example.com", "a,b", ""] {
            assert_eq!(header_value(plain), plain);
        }
        for (text, value) in [
            ("é", "%C3%A9"),
            ("%C3%A9", "%25C3%25A9"),
            (" eve", "%20eve"),
            ("eve ", "eve%20"),
            (" ", "%20"),
            ("a\r\nX-Admin: 1", "a%0D%0AX-Admin: 1"),
            ("a\tb\0\u{7f}", "a%09b%00%7F"),
        ] {
            assert_eq!(header_value(text), value);
        }
    }

    proptest! {
        #[test]
        fn no_two_identities_share_a_value(a in "[ %C3é\r\n]{0,4}", b in "[ %C3é\r\n]{0,4}") {
            prop_assert_eq!(header_value(&a) == header_value(&b), a == b);
        }

        #[test]
        fn every_identity_is_a_safe_value(text: String) {
            let value = header_value(&text);
            prop_assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert_eq!(value.trim(), &*value);
        }
    }
}
