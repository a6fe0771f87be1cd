//! From text and environment to [`Raw`], with everything that does not fit told at once.
//!
//! serde stops at the first error. So the key it stumbled over is taken out of the document and the rest is tried
//! again, until it fits: each round costs a key, so there are at most as many rounds as keys.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::Path;

use serde::de::Error as _;
use toml::Spanned;
use toml::de::{DeArray, DeValue, Error};

use super::document::Document;
use super::findings::Findings;
use super::keys::{self, Key, Kind, PREFIX};
use super::problem::{Place, Position, Problem, Problems};
use super::raw::Raw;
use super::suggest;

/// Reads the file, where there is one (its text, and its name), and lets `env` override it.
///
/// # Errors
/// The one problem of a text that is not TOML. All others are in the findings.
pub(super) fn read<'i>(
    file: Option<(&'i str, &'i Path)>,
    env: &'i [(OsString, OsString)],
) -> Result<(Raw, Findings<'i>), Problems> {
    let (mut document, mut findings) = match file {
        Some((text, file)) => self::file(text, file)?,
        None => (Document::empty(), Findings::new(None, "", Document::empty())),
    };
    for (name, value) in env {
        if let Some(name) = name.to_str().filter(|name| is_ours(name)) {
            variable(name, value, &mut document, &mut findings);
        }
    }
    let raw = document.raw().unwrap_or_default();
    Ok((raw, findings))
}

/// What fits of `text`, the contents of `file`.
fn file<'i>(text: &'i str, file: &'i Path) -> Result<(Document<'i>, Findings<'i>), Problems> {
    let mut document = Document::parse(text).map_err(|error| Problems(vec![syntax(&error, text, file)]))?;
    let mut findings = Findings::new(Some(file), text, document.clone());
    for _ in 0..=document.size() {
        let Err(error) = document.raw() else { break };
        let (path, problem) = misfit(&error, text, file, &document, &mut findings);
        findings.problems.push(problem);
        document.strike(&path);
    }
    Ok((document, findings))
}

fn syntax(error: &Error, text: &str, file: &Path) -> Problem {
    let at = error.span().map(|span| Position::of(text, span));
    Problem {
        key: String::new(),
        place: Place::File { file: file.to_owned(), at },
        value: None,
        what: format!("not TOML: {}", one_line(error.message())),
        help: "mend this line; texts stand in quotes, tables in [brackets], and nothing may be given twice".into(),
    }
}

/// The key that serde stumbled over, and what is wrong with it.
fn misfit(
    error: &Error,
    text: &str,
    file: &Path,
    document: &Document<'_>,
    findings: &mut Findings<'_>,
) -> (Vec<String>, Problem) {
    let span = error.span().unwrap_or(0..0);
    let found = document.locate(&span);
    let path = found.as_ref().map(|found| found.path.clone()).unwrap_or_default();
    let key = path.join(".");
    let place = |span: Range<usize>| Place::File {
        file: file.to_owned(),
        at: found.is_some().then(|| Position::of(text, span)),
    };
    findings.strike(key.clone());
    let known = (1..=path.len()).rev().find_map(|n| keys::find(&path[..n].join(".")));
    let problem = match (known, path.split_last()) {
        (Some(known), _) => Problem {
            place: place(span.clone()),
            value: text.get(span).map(String::from),
            what: one_line(error.message()),
            help: remedy(known, found.as_ref().and_then(|found| text.get(found.value.clone()))),
            key,
        },
        (None, Some((name, tables))) if !keys::is_table(&key) => {
            let (help, meant) = suggest::for_key(&tables.join("."), name);
            if let Some(meant) = meant {
                findings.strike(meant);
            }
            let at = found.as_ref().map(|found| Position::of(text, found.key.clone()).without_rest());
            let place = Place::File { file: file.to_owned(), at };
            // What was written under an unknown key may be a secret: it is not shown.
            Problem { key, place, value: None, what: "unknown key".into(), help }
        }
        _ => Problem {
            place: place(span),
            value: None,
            what: format!("not a table: {}", one_line(error.message())),
            help: format!("write [{key}] on a line of its own, and its keys below"),
            key,
        },
    };
    (path, problem)
}

/// What to write for `key` instead of `written`.
fn remedy(key: &Key, written: Option<&str>) -> String {
    if let (Kind::Choice(words), Some(written)) = (key.kind, written)
        && let Some(near) = suggest::nearest(written.trim_matches(['"', '\'']), words.iter().copied())
    {
        return format!("did you mean \"{near}\"?");
    }
    format!("write {}", key.kind.form())
}

/// Lets one environment variable override its key.
fn variable<'i>(name: &str, value: &'i OsStr, document: &mut Document<'i>, findings: &mut Findings<'i>) {
    let problem = |key: &str, value: Option<&str>, what: &str, help: String| Problem {
        key: key.to_owned(),
        place: Place::Variable(name.to_owned()),
        value: value.map(String::from),
        what: one_line(what),
        help,
    };
    let Some(key) = keys::KEYS.iter().find(|key| key.variable() == name) else {
        let problem = problem("", None, "unknown variable", suggest::for_variable(name));
        findings.problems.push(problem);
        return;
    };
    let Some(value) = value.to_str() else {
        findings.problems.push(problem(key.path, None, "not UTF-8", format!("write {}", key.kind.form())));
        findings.strike(key.path.into());
        return;
    };
    // Tried alone first, so that an error can only be this variable's.
    let parsed = parse(key.kind, value).and_then(|parsed| {
        let mut alone = Document::empty();
        alone.put(key.path, parsed.clone());
        alone.raw().map(|_| parsed)
    });
    match parsed {
        Ok(parsed) => {
            document.put(key.path, parsed);
            findings.overridden(key.path, name.to_owned(), value.to_owned());
        }
        Err(error) => {
            let help = format!("set it to {}", remedy(key, Some(value)).trim_start_matches("write "));
            findings.problems.push(problem(key.path, Some(value), error.message(), help));
            findings.strike(key.path.into());
        }
    }
}

/// The value of an environment variable: a text as it is, anything else as TOML, a list also with commas.
fn parse(kind: Kind, value: &str) -> Result<DeValue<'_>, Error> {
    if kind.is_text() {
        return Ok(DeValue::String(value.into()));
    }
    if kind.is_list() && !value.trim_start().starts_with('[') {
        let mut list = DeArray::new();
        for element in value.split(',').map(str::trim).filter(|element| !element.is_empty()) {
            list.push(Spanned::new(0..0, DeValue::String(element.into())));
        }
        return Ok(DeValue::Array(list));
    }
    let parsed = DeValue::parse(value).map(Spanned::into_inner);
    // What the parser says of a bare word speaks of quotes, which a number does not need.
    parsed.map_err(|error| if kind.is_list() || kind == Kind::Map { error } else { Error::custom("cannot be read") })
}

/// Whether a variable of this name is meant for us.
fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && name != keys::FILE && !is_service_link(name)
}

/// Kubernetes sets such variables for every Service of a namespace; one may well be called `ringside`.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || ["_TCP", "_UDP", "_SCTP"]
            .iter()
            .any(|protocol| name.split_once("_PORT_").is_some_and(|(_, rest)| rest.contains(protocol)))
}

/// A message without line breaks and other control characters.
fn one_line(message: &str) -> String {
    message.split(|c: char| c.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{is_ours, is_service_link};
    use crate::config::keys::{KEYS, Key};

    #[test]
    fn service_links_are_not_ours() {
        let links = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTPS", "PORT", "PORT_443_TCP", "PORT_443_TCP_ADDR"];
        for link in links {
            assert!(is_service_link(&format!("RINGSIDE_INJECTOR_{link}")), "{link}");
        }
        assert!(KEYS.iter().map(Key::variable).all(|variable| is_ours(&variable)));
    }
}
