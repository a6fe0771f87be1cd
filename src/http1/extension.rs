//! `Sec-WebSocket-Extensions` (RFC 6455 section 9.1), in an offer and in an answer.

use super::syntax::{is_token_byte, token, trim};

/// The compression that most clients offer (RFC 7692).
pub const DEFLATE: &str = "permessage-deflate";

/// One extension of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'h> {
    /// Its name, which is compared with case.
    pub name: &'h str,
    /// Name and parameters as they were written.
    pub raw: &'h str,
}

/// The extensions of one field value; `None` when it breaks the grammar: at least one extension, no empty element, each
/// parameter's value a token, in quotes or not.
pub fn parse(value: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut extensions = Vec::new();
    let mut rest = value;
    loop {
        let start = skip_space(rest);
        let (name, after) = take_token(start)?;
        let after = parameters(after)?;
        let raw = str::from_utf8(trim(&start[..start.len() - after.len()])).ok()?;
        extensions.push(Extension { name, raw });
        rest = match after {
            [] => return Some(extensions),
            [b',', rest @ ..] => rest,
            _ => return None,
        };
    }
}

/// What follows `*( ";" parameter )` and white space.
fn parameters(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = skip_space(rest);
        let [b';', after @ ..] = rest else { return Some(rest) };
        (_, rest) = take_token(skip_space(after))?;
        rest = match rest {
            [b'=', b'"', after @ ..] => quoted_token(after)?,
            [b'=', after @ ..] => take_token(after)?.1,
            _ => rest,
        };
    }
}

/// What follows a quoted string whose content, once unescaped, is a token. `rest` begins behind the opening quote.
fn quoted_token(mut rest: &[u8]) -> Option<&[u8]> {
    let mut is_empty = true;
    loop {
        rest = match rest {
            [b'"', after @ ..] => return (!is_empty).then_some(after),
            [b'\\', byte, after @ ..] | [byte, after @ ..] if is_token_byte(*byte) => after,
            _ => return None,
        };
        is_empty = false;
    }
}

fn take_token(rest: &[u8]) -> Option<(&str, &[u8])> {
    let length = rest.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(length);
    Some((token(name)?, after))
}

fn skip_space(rest: &[u8]) -> &[u8] {
    let length = rest.iter().position(|byte| !b" \t".contains(byte)).unwrap_or(rest.len());
    &rest[length..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raws(value: &str) -> Option<Vec<(&str, &str)>> {
        Some(parse(value.as_bytes())?.into_iter().map(|extension| (extension.name, extension.raw)).collect())
    }

    #[test]
    fn lists_are_taken_apart() {
        // The list of RFC 6455 section 9.1, then what browsers offer.
        assert_eq!(raws("foo, bar; baz=2").unwrap(), [("foo", "foo"), ("bar", "bar; baz=2")]);
        assert_eq!(
            raws("permessage-deflate; client_max_window_bits").unwrap(),
            [(DEFLATE, "permessage-deflate; client_max_window_bits")]
        );
        assert_eq!(
            raws("permessage-deflate; server_max_window_bits=\"1\\0\" ,\tpermessage-deflate").unwrap(),
            [(DEFLATE, "permessage-deflate; server_max_window_bits=\"1\\0\""), (DEFLATE, DEFLATE)]
        );
    }

    #[test]
    fn broken_lists_are_refused() {
        for value in [
            "",
            " ",
            ",",
            "a,",
            ",a",
            "a,,b",
            "a;",
            "a;;b",
            "a; b=",
            "a; b=\"\"",
            "a; b=\"x",
            "a; b=\"x y\"",
            "a; b=\"x,y\"",
            "a; b = 1",
            "a b",
            "a=1",
            "a; =1",
            "a/b",
            "a; b=\"\\\"\"",
            "a; b=\"x\"y",
            "é",
        ] {
            assert_eq!(raws(value), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn any_list_that_parses_parses_again_from_its_parts(value in "[ab;=,\" \\\\]{0,16}") {
            if let Some(parts) = raws(&value) {
                let again = parts.iter().map(|(_, raw)| *raw).collect::<Vec<_>>().join(", ");
                prop_assert_eq!(raws(&again), Some(parts.clone()));
            }
        }
    }
}
