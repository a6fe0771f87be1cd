//! The `Cookie` field (RFC 6265 section 4.2.1). What reads a cookie stands beside what removes it, so that both agree.

use super::syntax::trim;

/// The values of every cookie called `name` in one `Cookie` field, in order, without the quotes a value may stand in.
pub fn values<'v>(cookies: &'v [u8], name: &'v str) -> impl Iterator<Item = &'v [u8]> {
    pairs(cookies).filter_map(split).filter(move |(written, _)| *written == name.as_bytes()).map(|(_, value)| {
        match value {
            [b'"', inner @ .., b'"'] => inner,
            _ => value,
        }
    })
}

/// One `Cookie` field without the cookies called `name`, the others with their bytes and in their places; `None` when
/// no cookie is left.
pub fn without(cookies: &[u8], name: &str) -> Option<Vec<u8>> {
    let is_called = |pair: &[u8]| split(pair).is_some_and(|(written, _)| written == name.as_bytes());
    let kept: Vec<_> = pairs(cookies).filter(|pair| !pair.is_empty() && !is_called(pair)).collect();
    (!kept.is_empty()).then(|| kept.join(&b"; "[..]))
}

fn pairs(cookies: &[u8]) -> impl Iterator<Item = &[u8]> {
    cookies.split(|&byte| byte == b';').map(trim)
}

/// Name and value, each trimmed as most readers of cookies do; `None` for a value without a name.
fn split(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = memchr::memchr(b'=', pair)?;
    Some((trim(&pair[..equals]), trim(&pair[equals + 1..])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_found_by_exact_name() {
        let cookies = b"a=1; session=tok; Session=no; xsession=no; session = \"second\"";
        assert_eq!(values(cookies, "session").collect::<Vec<_>>(), [&b"tok"[..], b"second"]);
        assert_eq!(values(b"session", "session").count(), 0);
    }

    #[test]
    fn one_cookie_is_removed_and_the_others_stay() {
        for (cookies, left) in [
            ("a=1; session=tok; b=2", Some("a=1; b=2")),
            ("session=tok; b=\"2 3\"", Some("b=\"2 3\"")),
            ("a=x=y; session =tok", Some("a=x=y")),
            ("session=tok", None),
            ("session=a; session=b;", None),
            ("xsession=1; session2=2", Some("xsession=1; session2=2")),
        ] {
            assert_eq!(without(cookies.as_bytes(), "session").as_deref(), left.map(str::as_bytes), "{cookies}");
        }
    }

    proptest! {
        #[test]
        fn what_is_removed_is_not_found_again(cookies in "[as=; \t\"]{0,24}") {
            if let Some(left) = without(cookies.as_bytes(), "s") {
                prop_assert_eq!(values(&left, "s").count(), 0);
                prop_assert_eq!(values(&left, "a").collect::<Vec<_>>(), values(cookies.as_bytes(), "a").collect::<Vec<_>>());
            }
        }
    }
}
