//! From a value to YAML text that means the same to readers of YAML 1.1 and 1.2.

use std::fmt::Write as _;

use serde_json::Value;

use super::scalar;

/// `value` as one document, without marks, in the manner of `kubectl get -o yaml`.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(&mut text, value, 0),
        Value::Array(list) if !list.is_empty() => block(&mut text, value, 0),
        _ => inline(&mut text, value, 0),
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A collection with something in it, from the beginning of a line, or behind the `- ` of the list it is in.
fn block(text: &mut String, value: &Value, indent: usize) {
    let begins = text.len();
    let margin = |text: &mut String| {
        if text.len() > begins {
            text.extend(std::iter::repeat_n(' ', indent));
        }
    };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                margin(text);
                scalar(text, key, indent, false);
                text.push(':');
                // A list stands as far in as the key that it belongs to.
                member(text, value, indent + if value.is_array() { 0 } else { 2 });
            }
        }
        Value::Array(list) => {
            for value in list {
                margin(text);
                text.push('-');
                if is_block(value) {
                    text.push(' ');
                    block(text, value, indent + 2);
                } else {
                    member(text, value, indent + 2);
                }
            }
        }
        _ => {}
    }
}

/// What stands behind `key:` or `-`, and the end of its last line.
fn member(text: &mut String, value: &Value, indent: usize) {
    if is_block(value) {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', indent));
        block(text, value, indent);
    } else {
        text.push(' ');
        inline(text, value, indent);
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
}

fn is_block(value: &Value) -> bool {
    value.as_object().is_some_and(|map| !map.is_empty()) || value.as_array().is_some_and(|list| !list.is_empty())
}

fn inline(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&float(&number.to_string())),
        Value::String(string) => scalar(text, string, indent, true),
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
    }
}

/// A number for readers of YAML 1.1, to whom one with an exponent needs a point and a sign: `1e21` is `1.0e+21`.
fn float(number: &str) -> String {
    let Some((mantissa, exponent)) = number.split_once('e') else { return number.into() };
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['+', '-']) { "" } else { "+" };
    format!("{mantissa}{point}e{sign}{exponent}")
}

/// A text: plain where nobody can take it for something else, in lines where it has some, else in quotes.
fn scalar(text: &mut String, string: &str, indent: usize, may_be_lines: bool) {
    if is_plain(string) {
        text.push_str(string);
    } else if may_be_lines && let Some(chomping) = lines(string) {
        text.push_str(chomping);
        for line in string.lines() {
            text.push('\n');
            if !line.is_empty() {
                text.extend(std::iter::repeat_n(' ', indent.max(2)));
                text.push_str(line);
            }
        }
        text.push('\n');
    } else if string.contains('"') && string.chars().all(|c| c != '\'' && !c.is_control() && !is_odd(c)) {
        let _ = write!(text, "'{string}'");
    } else {
        quoted(text, string);
    }
}

/// Whether every reader takes it for the text that it is.
fn is_plain(string: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_./:@+=,() ".contains(c);
    let Some(first) = string.chars().next() else { return false };
    let begins = if first.is_ascii_digit() {
        // Numbers with colons are times of day to some, with dashes and a `T` dates.
        string.contains(|c: char| c.is_ascii_alphabetic()) && !string.contains(':') && !string.contains('-')
    } else {
        // An option such as `--wait` is no list.
        let is_option = || string.trim_start_matches('-').starts_with(|c: char| c.is_ascii_alphabetic());
        first.is_ascii_alphabetic() || first == '/' || first == '_' || (first == '-' && is_option())
    };
    begins
        && string.chars().all(inner)
        && !string.ends_with([' ', ':'])
        && !string.contains(": ")
        && scalar::resolve(string).is_string()
}

/// The mark of a literal block for `string`, if it can stand in one.
fn lines(string: &str) -> Option<&'static str> {
    let is_printable = |c: char| c == '\n' || c == '\t' || (!c.is_control() && !is_odd(c));
    let ends = string.strip_suffix('\n');
    let body = ends.unwrap_or(string);
    let fits = body.contains('\n') || ends.is_some_and(|body| !body.is_empty());
    // A block's first line sets its indent, and empty lines at its ends are a matter of chomping.
    let clear = !body.starts_with([' ', '\t', '\n']) && !body.ends_with('\n') && !body.is_empty();
    (fits && clear && string.chars().all(is_printable)).then(|| if ends.is_some() { "|" } else { "|-" })
}

/// Breaks lines, marks byte order, or is no character to YAML.
const fn is_odd(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn quoted(text: &mut String, string: &str) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            c if c.is_control() || is_odd(c) => _ = write!(text, "\\u{:04x}", u32::from(c)),
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::write;
    use crate::yaml::documents;

    #[test]
    fn looks_like_kubectl() {
        let value = json!({
            "kind": "Pod",
            "metadata": {"name": "chat", "labels": {"on": "yes"}, "annotations": {}},
            "list": [{"name": "a", "args": ["-v", "x: y", ""]}, [1, [2]], {}],
            "script": "set -e\n\nexec app\n",
            "mode": 420,
            "text": "0644",
            "image": "chat:1.0",
        });
        assert_eq!(
            write(&value),
            "kind: Pod\nmetadata:\n  name: chat\n  labels:\n    \"on\": \"yes\"\n  annotations: {}\n\
             list:\n- name: a\n  args:\n  - -v\n  - \"x: y\"\n  - \"\"\n- - 1\n  - - 2\n- {}\n\
             script: |\n  set -e\n\n  exec app\nmode: 420\ntext: \"0644\"\nimage: chat:1.0\n"
        );
    }

    #[test]
    fn numbers_with_exponents_are_numbers_to_all() {
        assert_eq!(write(&json!([1e21, 1e-7, -2.5e300, 1.5])), "- 1.0e+21\n- 1.0e-7\n- -2.5e+300\n- 1.5\n");
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "[ -~\n\t]{0,12}",
            ".{0,6}",
            prop::sample::select(vec![
                "on",
                "0644",
                "1e3",
                "~",
                "1:20",
                "2001-12-14",
                "- a",
                "a: b",
                "a\n",
                "\n",
                " a\nb",
                "<<",
                "a #b"
            ])
            .prop_map(String::from),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("whole ones are read as such", |number| number.is_finite()
                    && (number.fract() != 0.0 || number.abs() > 1e17))
                .prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(text.clone(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn is_read_back_as_it_was(value in values()) {
            let text = write(&value);
            let read = documents(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            let read = read.into_iter().next().map_or(Value::Null, |document| document.value);
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
