use std::fmt::Write as _;

use serde_json::{Value, json};

use super::documents;

fn one(text: &str) -> Value {
    let mut documents = documents(text).unwrap();
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0).value
}

fn wrong(text: &str) -> String {
    documents(text).unwrap_err().to_string()
}

#[test]
fn scalars_mean_what_kubernetes_takes_them_for() {
    assert_eq!(
        one("mode: 0644\nquoted: \"0644\"\nflag: on\n8080: port\nempty:\nfold: >-\n  a\n  b\ntag: !!str 7\n"),
        json!({"mode": 420, "quoted": "0644", "flag": true, "8080": "port", "empty": null, "fold": "a b", "tag": "7"})
    );
}

#[test]
fn anchors_and_merges_are_written_out() {
    let text = "base: &base {a: 1, b: 2}\nmore: {<<: *base, b: 3}\nboth:\n  <<: [*base, {b: 4, c: 5}]\n";
    let expected = json!({"base": {"a": 1, "b": 2}, "more": {"b": 3, "a": 1}, "both": {"a": 1, "b": 2, "c": 5}});
    assert_eq!(one(text), expected);
    // Who comes last counts, as with kubectl; the specification has it otherwise.
    let late = one("base: &base {a: 1}\nmore: {a: 2, <<: *base}\nquoted: {\"<<\": 1}\n");
    assert_eq!((&late["more"], &late["quoted"]), (&json!({"a": 1}), &json!({"<<": 1})));
}

#[test]
fn documents_keep_their_text_and_place() {
    let text = "# ü first\nkind: A # why\n---\n---\n# second\nkind: B\n...\n---\nkind: C\n";
    let documents = documents(text).unwrap();
    let seen: Vec<_> = documents.iter().map(|document| (document.number, document.line, document.text)).collect();
    assert_eq!(seen, [(1, 2, "# ü first\nkind: A # why"), (3, 6, "# second\nkind: B"), (4, 9, "kind: C")]);
}

#[test]
fn a_texts_own_line_breaks_stay_in_the_document() {
    let text = "kind: A\ntext: |+\n  a\n\n\n---\nkind: B\n";
    let read = documents(text).unwrap();
    assert_eq!(documents(&format!("{}\n", read[0].text)).unwrap()[0].value, read[0].value);
    assert_eq!(read[0].value["text"], "a\n\n\n");
}

#[test]
fn json_is_yaml() {
    assert_eq!(one(r#"{"kind": "Pod", "spec": {"n": 1.5}}"#), json!({"kind": "Pod", "spec": {"n": 1.5}}));
}

#[test]
fn what_is_wrong_has_a_place() {
    assert!(wrong("a: 1\n---\nb: [1\n").starts_with("document 2, line "), "{}", wrong("a: 1\n---\nb: [1\n"));
    assert_eq!(wrong("a: 1\nb: 2\na: 3\n"), "document 1, line 3, column 1: key \"a\" is there twice");
    assert_eq!(wrong("? [a]\n: 1\n"), "document 1, line 1, column 3: a key that is no text");
    assert_eq!(wrong("a: !!binary aGk=\n"), "document 1, line 1, column 4: the tag !!binary has no meaning in JSON");
    assert_eq!(wrong("a: !!int x\n"), "document 1, line 1, column 4: \"x\" is not what its tag says");
    assert_eq!(wrong("a: -.inf\n"), "document 1, line 1, column 4: JSON has no number -.inf");
    assert_eq!(wrong("~: 1\n"), "document 1, line 1, column 1: a key that is null");
    assert_eq!(wrong("a: &a [*a]\n"), "document 1, line 1, column 8: an alias of what contains it");
}

#[test]
fn a_small_text_cannot_stand_for_an_endless_one() {
    let mut bomb = String::from("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for n in 1..12 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{n}: &a{n} [{aliases}]");
    }
    assert!(wrong(&bomb).ends_with("more than 5000000 values"), "{}", wrong(&bomb));
    let deep = |levels| wrong(&"[".repeat(levels));
    assert!(deep(150).ends_with("nested deeper than 100 levels"), "{}", deep(150));
    // The parser has a bound of its own.
    assert!(deep(100_000).ends_with("recursion limit exceeded"), "{}", deep(100_000));
}
