//! `tests/rules.md`, held to the sources: every rule and every cause stands there, and every test it names is one.

use std::fs;
use std::path::{Path, PathBuf};

use ringside::telemetry::end::Why;

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn page() -> String {
    read(&tests().join("rules.md"))
}

/// The tests that `text` names as ``[`name`](file)``, each with its file.
fn named(text: &str) -> Vec<(&str, &str)> {
    let link = |link| {
        let (name, rest): (&str, &str) = str::split_once(link, "`](")?;
        Some((name, rest.split_once(')')?.0))
    };
    text.split("[`").skip(1).map(|rest| link(rest).unwrap_or_else(|| panic!("no link to a test: {rest:.60}"))).collect()
}

/// The cells of the line about `name`.
fn line<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let start = format!("| `{name}` | ");
    let mut lines = page.lines().filter(|line| line.starts_with(&start));
    let line = lines.next().unwrap_or_else(|| panic!("{name} has no line"));
    assert!(lines.next().is_none(), "{name} has two lines");
    line.trim_matches('|').split(" | ").map(str::trim).collect()
}

/// Whether `source` has a test of this name: behind an attribute, on both engines, or in a script.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let heads = [format!("fn {name}("), format!("def {name}(")];
    let is_head = |line: &str| heads.iter().any(|head| line.trim_start_matches("async ").starts_with(head));
    let Some(head) = lines.iter().position(|line| is_head(line)) else { return false };
    let attributes = lines[..head].iter().rev().take_while(|line| line.starts_with("#["));
    let on_both_engines = source.split_once("on_both_engines!(").and_then(|(_, rest)| rest.split_once(')'));
    name.starts_with("test_")
        || attributes.copied().any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
        || on_both_engines.is_some_and(|(list, _)| list.split(',').any(|test| test.trim() == name))
}

#[test]
fn every_rule_has_its_line_and_its_tests() {
    let page = page();
    for why in Why::ALL {
        let cells = line(&page, why.as_str());
        let (alone, sockets) = match cells[..] {
            [_, source, alone, sockets, _] if Some(source) == why.source() => (named(alone), named(sockets)),
            [_, alone, sockets] if why.source().is_none() => (named(alone), named(sockets)),
            _ => panic!("not the cells of {why:?}: {cells:?}"),
        };
        assert!(alone.iter().all(|(_, file)| file.starts_with("../src/")), "{why:?}: {alone:?}");
        assert!(sockets.iter().all(|(_, file)| file.starts_with("proxy/")), "{why:?}: {sockets:?}");
        // Nothing that a peer does brings a fault of ours about.
        assert!(!alone.is_empty() && sockets.is_empty() == (why == Why::Internal), "{why:?}");
    }
}

#[test]
fn every_line_is_about_something() {
    let page = page();
    let names = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name);
    let strangers: Vec<_> = names.filter(|name| Why::ALL.iter().all(|why| why.as_str() != *name)).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn every_test_that_is_named_is_one() {
    let page = page();
    let named = named(&page);
    let missing: Vec<_> = named.iter().filter(|(name, file)| !has_test(&read(&tests().join(file)), name)).collect();
    assert!(!named.is_empty() && missing.is_empty(), "{missing:#?}");
}

#[test]
fn tests_are_told_from_what_helps_them() {
    let source = "on_both_engines!(\n    one,\n    two,\n);\nfn one(engine: Engine) {}\nfn helper() {}\n\
                  #[tokio::test(start_paused = true)]\n#[ignore]\nasync fn three() {}\nasync def test_four(self):\n";
    for (name, is_test) in [("one", true), ("two", false), ("helper", false), ("three", true), ("test_four", true)] {
        assert_eq!(has_test(source, name), is_test, "{name}");
    }
}
