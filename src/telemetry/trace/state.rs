//! What tracing systems on a client's way say to each other (W3C Trace Context section 3.3).

use std::fmt::Write as _;

/// Most bytes that are passed on: as many as everybody should propagate at least (section 3.3.1.5).
const LONGEST: usize = 512;

/// Most members of the list (section 3.3.1.1).
const MOST: usize = 32;

/// Most bytes of a key or a value (section 3.3.1.3).
const LONGEST_PART: usize = 256;

/// A `tracestate` that keeps to the grammar, as one line. It is not ours to read: it is passed on, and stands in spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceState(Box<str>);

impl TraceState {
    /// The list of all `fields`, in their order, without empty members and white space around members.
    ///
    /// `None` when nothing is left, and for what breaks the grammar, has a key twice, or is longer than 512 bytes: a
    /// receiver may then drop it all (section 4.3), and a part would say what nobody said.
    pub fn combine<'f>(fields: impl IntoIterator<Item = &'f [u8]>) -> Option<Self> {
        let mut list = String::new();
        let mut keys = Vec::new();
        let members = fields.into_iter().flat_map(|field| field.split(|&byte| byte == b','));
        for member in members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
            let member = str::from_utf8(member).ok()?;
            let (key, value) = member.split_once('=')?;
            if keys.len() == MOST || keys.contains(&key) || !is_key(key) || !is_value(value) {
                return None;
            }
            keys.push(key);
            let separator = if list.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(list, "{separator}{member}");
            if list.len() > LONGEST {
                return None;
            }
        }
        (!list.is_empty()).then(|| Self(list.into()))
    }

    /// As it is written in a field.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

/// `simple-key`, or `tenant@system` where the system has at most 14 bytes (section 3.3.1.3). A simple key may begin with
/// a digit, as level 2 of the specification has it.
fn is_key(key: &str) -> bool {
    let is_part = |part: &str, longest: usize| {
        let first = part.bytes().next();
        first.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && part.len() <= longest
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte))
    };
    match key.split_once('@') {
        None => is_part(key, LONGEST_PART),
        Some((tenant, system)) => is_part(tenant, 241) && is_part(system, 14),
    }
}

/// Visible ASCII and spaces, but no `=` and no space at its end (section 3.3.1.3); a comma has divided members already.
fn is_value(value: &str) -> bool {
    (1..=LONGEST_PART).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
        && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use opentelemetry::trace::TraceState as OfSdk;
    use proptest::prelude::*;

    use super::{LONGEST, TraceState};

    fn combined(fields: &[&str]) -> Option<String> {
        TraceState::combine(fields.iter().map(|field| field.as_bytes())).map(|state| state.as_str().to_owned())
    }

    #[test]
    fn fields_are_one_list_in_their_order() {
        for (fields, list) in [
            (&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"][..], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
            (&["rojo=1", "congo=2"], "rojo=1,congo=2"),
            (&["rojo=1 ,\t congo=2,", "", ","], "rojo=1,congo=2"),
            (&["fw529a3039@dt=FfAK;a b:c", "1a-2f@foo=x"], "fw529a3039@dt=FfAK;a b:c,1a-2f@foo=x"),
        ] {
            assert_eq!(combined(fields).as_deref(), Some(list), "{fields:?}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_dropped_with_all_the_rest() {
        let key = |n| format!("{}=1", "k".repeat(n));
        let value = |n| format!("k={}", "v".repeat(n));
        let members = |n| (0..n).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
        for good in [key(256), value(256), members(32), format!("{}@{}=1", "t".repeat(241), "s".repeat(14))] {
            assert_eq!(combined(&[&good]).as_ref(), Some(&good));
        }
        for bad in [
            "",
            " , ,",
            "a",
            "a=",
            "=a",
            "a=b=c",
            "A=1",
            "_a=1",
            "a b=1",
            "a=\u{e9}",
            "a=\u{1}",
            "a@=1",
            "@a=1",
            "a@b@c=1",
            "a=1,a=2",
            &key(257),
            &value(257),
            &members(33),
            &format!("a@{}=1", "s".repeat(15)),
        ] {
            assert_eq!(combined(&["ok=1", bad]).filter(|list| list != "ok=1"), None, "{bad:?}");
        }
        assert_eq!(TraceState::combine([&b"a=\xff"[..]]), None);
    }

    #[test]
    fn it_has_a_bound() {
        let value = "v".repeat(200);
        let longest = format!("a={value},b={value},c={}", "v".repeat(LONGEST - 2 * (value.len() + 3) - 2));
        assert_eq!((longest.len(), combined(&[&longest]).as_ref()), (LONGEST, Some(&longest)));
        assert_eq!(combined(&[&format!("{longest}v")]), None);
    }

    proptest! {
        #[test]
        fn what_passes_is_what_opentelemetry_reads(fields in proptest::collection::vec("[ab1@= ,\t;A]{0,12}", 0..4)) {
            let fields: Vec<_> = fields.iter().map(String::as_str).collect();
            if let Some(list) = combined(&fields) {
                prop_assert_eq!(OfSdk::from_str(&list).unwrap().header(), list.clone());
                prop_assert_eq!(combined(&[&list]), Some(list));
            }
        }
    }
}
