//! The request target: a path and a query (RFC 3986). What reads a query parameter stands beside what removes it, so
//! that both agree on what a parameter is.

use std::borrow::Cow;

/// Whether `target` is in origin form: visible ASCII that begins with `/`, without a fragment (RFC 9112 section 3.2.1).
pub fn is_origin_form(target: &str) -> bool {
    target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// The path alone, for logs and spans: a query may hold a token.
pub fn redacted_path(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// The decoded values of every query parameter called `name`, in order. A parameter without `=` has an empty value.
pub fn query_values<'t>(target: &'t str, name: &'t str) -> impl Iterator<Item = Cow<'t, [u8]>> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .filter(move |pair| is_called(pair, name))
        .map(|pair| decode(pair.split_once('=').map_or("", |(_, value)| value)))
}

/// Appends `target` without its query parameters called `name`; every other one keeps its bytes and its place. Empty
/// pairs go too, so that no `?` or `&` is left dangling.
pub fn write_without(target: &str, name: &str, out: &mut Vec<u8>) {
    let Some((path, query)) = target.split_once('?') else {
        return out.extend_from_slice(target.as_bytes());
    };
    out.extend_from_slice(path.as_bytes());
    let mut separator = b'?';
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !is_called(pair, name)) {
        out.push(separator);
        out.extend_from_slice(pair.as_bytes());
        separator = b'&';
    }
}

/// Whether a `name=value` pair is called `name` once it is decoded: `acc%65ss_token` is `access_token` to the app.
fn is_called(pair: &str, name: &str) -> bool {
    let written = pair.split_once('=').map_or(pair, |(written, _)| written);
    !pair.is_empty() && *decode(written) == *name.as_bytes()
}

/// Undoes `application/x-www-form-urlencoded` (WHATWG URL, section 5.1): `%HH` and `+`. A `%` without two digits stands
/// for itself.
fn decode(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
    }
    Cow::Owned(decoded)
}

/// The value of a hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn without(target: &str, name: &str) -> String {
        let mut out = Vec::new();
        write_without(target, name, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_parameter_is_removed_and_the_rest_keeps_its_bytes() {
        for (target, expected) in [
            ("/c?access_token=s", "/c"),
            ("/c?access_token=s&a=%7e+1", "/c?a=%7e+1"),
            ("/c?a=1&access_token=s&b=2", "/c?a=1&b=2"),
            ("/c?a=1&access_token=s", "/c?a=1"),
            ("/c?access_token=s&a&access_token=t", "/c?a"),
            ("/c?acc%65ss%5Ftoken=s&a=1", "/c?a=1"),
            ("/c?access_token", "/c"),
            ("/c?&access_token=s&", "/c"),
            ("/c?xaccess_token=s&access_token2=t", "/c?xaccess_token=s&access_token2=t"),
            ("/c?a=access_token=s", "/c?a=access_token=s"),
            ("/access_token=s", "/access_token=s"),
            ("/c?a=1?access_token=s", "/c?a=1?access_token=s"),
        ] {
            assert_eq!(without(target, "access_token"), expected, "{target}");
        }
    }

    #[test]
    fn values_are_decoded() {
        let values: Vec<_> = query_values("/c?t=a%2Eb&x=1&%74=+&t&t=%zz%4", "t").collect();
        assert_eq!(values, [&b"a.b"[..], b" ", b"", b"%zz%4"]);
        assert_eq!(query_values("/t=1", "t").count(), 0);
    }

    #[test]
    fn a_path_shows_no_query() {
        assert_eq!(redacted_path("/chat?access_token=s3cret"), "/chat");
        assert_eq!(redacted_path("/chat"), "/chat");
    }

    proptest! {
        #[test]
        fn what_is_removed_is_not_found_again(query in "[at%67=&?+]{0,24}") {
            let target = format!("/p?{query}");
            let left = without(&target, "t");
            prop_assert_eq!(query_values(&left, "t").count(), 0);
            prop_assert_eq!(query_values(&left, "a").collect::<Vec<_>>(), query_values(&target, "a").collect::<Vec<_>>());
            prop_assert!(is_origin_form(&left) && !left.ends_with('&') && !left.ends_with("/p?"));
        }
    }
}
