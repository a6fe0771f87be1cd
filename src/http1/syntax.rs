//! Pieces of grammar that several fields share (RFC 9110 section 5.6).

/// Whether `byte` may stand in a token (RFC 9110 section 5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether `bytes` is a token: not empty, and token bytes only.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// `bytes` as text when it is a token.
pub fn token(bytes: &[u8]) -> Option<&str> {
    is_token(bytes).then(|| str::from_utf8(bytes).ok()).flatten()
}

/// `bytes` without the spaces and tabs around it (OWS, RFC 9110 section 5.6.3).
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma-separated list, trimmed. An empty element comes out empty. For lists of tokens only: a comma
/// inside a quoted string would divide here.
pub fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trim)
}

/// Whether one of the lists in `values` has `token` as an element, compared without case.
pub fn lists_name<'v>(mut values: impl Iterator<Item = &'v [u8]>, token: &str) -> bool {
    values.any(|list| elements(list).any(|element| element.eq_ignore_ascii_case(token.as_bytes())))
}

/// The only item of `items`; `None` when there is none or more than one.
pub fn exactly_one<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        assert!(is_token(b"permessage-deflate"));
        assert!(is_token(b"base64url.bearer.authorization.k8s.io.eyJhbGciOiJFUzI1NiJ9"));
        for not in [&b""[..], b"a b", b"a,b", b"a/b", b"\"a\"", b"a\r\n", b"a\0", "é".as_bytes()] {
            assert!(!is_token(not), "{not:?}");
        }
    }

    #[test]
    fn elements_are_trimmed_and_keep_their_gaps() {
        assert_eq!(elements(b"a , \tb\t,, c").collect::<Vec<_>>(), [&b"a"[..], b"b", b"", b"c"]);
        assert_eq!(elements(b"").collect::<Vec<_>>(), [&b""[..]]);
    }

    #[test]
    fn a_list_names_a_whole_element_only() {
        let values = || [&b"keep-alive"[..], b"foo, UPGRADE"].into_iter();
        assert!(lists_name(values(), "upgrade"));
        assert!(!lists_name(values(), "keep"));
        assert!(!lists_name([&b"upgrades, up grade"[..]].into_iter(), "upgrade"));
    }

    #[test]
    fn exactly_one_is_neither_none_nor_two() {
        assert_eq!(exactly_one([1].into_iter()), Some(1));
        assert_eq!(exactly_one([1, 1].into_iter()), None);
        assert_eq!(exactly_one(std::iter::empty::<u8>()), None);
    }
}
