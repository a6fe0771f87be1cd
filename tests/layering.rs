//! Who may import whom, and what may stand where: the architecture, held to the sources.
//!
//! A module imports only modules of a strictly lower rank. So there is no circle, and a reader can start at the
//! bottom. The sources are read as tokens: comments, texts and attributes' arguments cannot fool it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rank of every top-level module.
const RANKS: &[(u8, &[&str])] = &[
    (8, &["main"]),
    (7, &["app"]),
    (6, &["config"]),
    (5, &["worker", "control"]),
    (4, &["opening", "relay"]),
    (3, &["session", "upstream"]),
    (2, &["policy", "tls"]),
    (1, &["http1", "ws", "jwt", "telemetry", "ring", "lifecycle", "rate"]),
    (0, &["time", "peer", "bytesize", "window", "rule", "opcode"]),
];

/// Modules without async, runtime and clock, outside their tests.
const SANS_IO: &[&str] = &["http1", "ws", "jwt", "rate", "policy", "session", "config"];

/// What those modules do not mention.
const IO: &[&[&str]] = &[&["async"], &["tokio"], &["SystemTime", "::", "now"], &["Instant", "::", "now"]];

/// The only module with `unsafe`.
const UNSAFE: &str = "ring";

/// Most lines of a file in front of its tests.
const LONGEST: usize = 400;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    line: usize,
    text: String,
}

/// One source file.
struct Source {
    file: PathBuf,
    /// Below the crate's root: `["ring", "engine"]`; `["main"]` of the binary, nothing of the library's root.
    module: Vec<String>,
    tokens: Vec<Token>,
    /// Whether all of it is tests.
    is_test: bool,
}

fn rank(module: &str) -> Option<u8> {
    RANKS.iter().find(|(_, modules)| modules.contains(&module)).map(|(rank, _)| *rank)
}

// Reading.

/// Identifiers, `::` and single marks of `text`; no comments, literals or lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest).unwrap_or_else(|| {
            let length = if first.is_alphabetic() || first == '_' {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token { line, text: rest[..length].into() });
            length
        });
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The length of what says nothing at the start of `rest`: space, a comment, a literal, a lifetime.
fn skipped(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    if first.is_whitespace() {
        return Some(first.len_utf8());
    }
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if first.is_ascii_digit() {
        return Some(rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()));
    }
    let literal = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).unwrap_or(rest);
    let hashes = literal.len() - literal.trim_start_matches('#').len();
    if literal.len() < rest.len() && literal[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = rest.len() - literal.len() + hashes + 1;
        return Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()));
    }
    let prefix = usize::from(rest.starts_with("b\"") || rest.starts_with("b'") || rest.starts_with("c\""));
    match rest.as_bytes().get(prefix)? {
        b'"' => Some(quoted(rest, prefix, '"')),
        b'\'' => {
            let mut next = rest[prefix + 1..].chars();
            let is_char = next.next() == Some('\\') || next.next() == Some('\'');
            Some(if is_char { quoted(rest, prefix, '\'') } else { 1 })
        }
        _ => None,
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let step = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth += 1, 2).1,
            [b'*', b'/', ..] => (depth -= 1, 2).1,
            _ => 1,
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a literal that begins at `start` with `quote`.
fn quoted(rest: &str, start: usize, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest[start + 1..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return start + 1 + at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() && !path.ends_with("target") {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn source(file: PathBuf, src: &Path) -> Source {
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let below = file.strip_prefix(src).unwrap_or(&file).with_extension("");
    let mut module: Vec<_> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let is_test = module.iter().skip(1).any(|part| part == "tests");
    if module.last().is_some_and(|last| last == "mod" || (last == "lib" && module.len() == 1)) {
        module.pop();
    }
    Source { file, module, tokens: tokens(&text), is_test }
}

/// All of `src`, which must not be empty: a check of nothing would always pass.
fn src() -> Vec<Source> {
    let src = root("src");
    let all: Vec<_> = sources(&src).into_iter().map(|file| source(file, &src)).collect();
    assert!(all.len() > RANKS.len(), "found no sources in {}", src.display());
    all
}

// Judging.

/// The top-level modules that the tokens of `module` mention, with lines: `crate::x`, `super::x`, `ringside::x`, in
/// `use` groups and in-line.
fn mentioned(module: &[String], tokens: &[Token]) -> Vec<(usize, String)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    // For each open brace, whether it opened a `mod`.
    let mut braces: Vec<bool> = Vec::new();
    for at in 0..tokens.len() {
        match text(at) {
            "{" => braces.push(at >= 2 && text(at - 2) == "mod"),
            "}" => drop(braces.pop()),
            "crate" | "ringside" | "super" if text(at + 1) == "::" && (at == 0 || text(at - 1) != "::") => {
                let depth = module.len() + braces.iter().filter(|is_mod| **is_mod).count();
                let mut next = at + 2;
                let mut up = usize::from(text(at) == "super");
                while up > 0 && text(next) == "super" && text(next + 1) == "::" {
                    (up, next) = (up + 1, next + 2);
                }
                // `super` that stays below the root names a part of the same top-level module.
                if up == 0 || up == depth {
                    found.extend(heads(tokens, next));
                }
            }
            _ => {}
        }
    }
    found
}

/// The first name of each path at `at`: one name, or those of a group in braces.
fn heads(tokens: &[Token], at: usize) -> Vec<(usize, String)> {
    let Some(first) = tokens.get(at) else { return Vec::new() };
    if first.text != "{" {
        return vec![(first.line, first.text.clone())];
    }
    let (mut heads, mut depth, mut fresh) = (Vec::new(), 0, false);
    for token in &tokens[at..] {
        match token.text.as_str() {
            "{" => (depth, fresh) = (depth + 1, depth == 0),
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => fresh = depth == 1,
            name if fresh => {
                heads.push((token.line, name.to_owned()));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

/// Imports of `tokens` that do not go strictly down.
fn breaches(module: &[String], tokens: &[Token]) -> Vec<(usize, String)> {
    let Some(own) = module.first() else { return Vec::new() };
    let mine = rank(own);
    let mut found = Vec::new();
    for (line, name) in mentioned(module, tokens) {
        let down = name == "self" || name == *own || rank(&name).is_some_and(|theirs| Some(theirs) < mine);
        if !down {
            let theirs = rank(&name).map_or("unknown".into(), |rank| format!("rank {rank}"));
            found.push((line, format!("{own} (rank {mine:?}) imports {name} ({theirs})")));
        }
    }
    found
}

/// The tokens that are not in a module under `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const MARK: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if matches(&tokens[at..], &MARK) {
            let open = at + tokens[at..].iter().position(|token| token.text == "{" || token.text == ";").unwrap_or(0);
            at = end_of_block(tokens, open);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Behind the block that opens at `open`; behind `open` when none does.
fn end_of_block(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

fn matches(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && words.iter().zip(tokens).all(|(word, token)| token.text == *word)
}

/// The lines where `words` stand in a row.
fn lines_with(tokens: &[Token], words: &[&str]) -> Vec<usize> {
    (0..tokens.len()).filter(|at| matches(&tokens[*at..], words)).map(|at| tokens[at].line).collect()
}

#[track_caller]
fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn imports_go_strictly_down() {
    let mut found = Vec::new();
    for source in src() {
        for (line, breach) in breaches(&source.module, &source.tokens) {
            found.push(format!("{}:{line}: {breach}", source.file.display()));
        }
    }
    none(&found);
}

#[test]
fn every_module_has_a_rank_and_every_rank_a_module() {
    let mut modules: BTreeMap<String, PathBuf> = BTreeMap::new();
    for Source { file, module, .. } in src() {
        if let Some(first) = module.into_iter().next() {
            modules.insert(first, file);
        }
    }
    let unranked = modules.iter().filter(|(module, _)| rank(module).is_none());
    none(&unranked.map(|(module, file)| format!("{}: {module} has no rank", file.display())).collect::<Vec<_>>());
    let ranked = RANKS.iter().flat_map(|(_, modules)| modules.iter());
    let gone = ranked.filter(|module| !modules.contains_key(**module));
    none(&gone.map(|module| format!("{module} has a rank and no source")).collect::<Vec<_>>());
}

#[test]
fn unsafe_stays_in_the_ring() {
    let mut found = Vec::new();
    for source in src().iter().filter(|source| source.module.first().is_none_or(|first| first != UNSAFE)) {
        for line in lines_with(&source.tokens, &["unsafe"]) {
            found.push(format!("{}:{line}: unsafe", source.file.display()));
        }
    }
    none(&found);
}

#[test]
fn protocol_and_policy_know_no_io() {
    let mut found = Vec::new();
    for source in src().iter().filter(|source| !source.is_test) {
        if source.module.first().is_some_and(|first| SANS_IO.contains(&first.as_str())) {
            let tokens = without_tests(&source.tokens);
            for words in IO {
                for line in lines_with(&tokens, words) {
                    found.push(format!("{}:{line}: {}", source.file.display(), words.concat()));
                }
            }
        }
    }
    none(&found);
}

#[test]
fn files_stay_short() {
    let mut found = Vec::new();
    for source in src().iter().filter(|source| !source.is_test) {
        let tests = lines_with(&source.tokens, &["#", "[", "cfg", "(", "test", ")", "]", "mod"]);
        let last = source.tokens.last().map_or(0, |token| token.line);
        let length = tests.first().map_or(last, |tests| tests - 1);
        if length > LONGEST {
            found.push(format!("{}: {length} lines before its tests", source.file.display()));
        }
    }
    none(&found);
}

#[test]
fn tests_wait_for_events_not_for_time() {
    let mut found = Vec::new();
    let tests = sources(&root("tests")).into_iter().map(|file| source(file, &root("tests")));
    for source in tests.chain(src().into_iter().filter(|source| source.is_test)) {
        for line in lines_with(&source.tokens, &["sleep"]) {
            found.push(format!("{}:{line}: sleep", source.file.display()));
        }
    }
    none(&found);
}

#[test]
fn the_injector_knows_only_the_configuration() {
    let mut found = Vec::new();
    for file in sources(&root("sidecar")) {
        let source = source(file, &root("sidecar"));
        for at in 0..source.tokens.len() {
            if matches(&source.tokens[at..], &["ringside", "::"]) {
                let others = heads(&source.tokens, at + 2).into_iter().filter(|(_, name)| name != "config");
                found.extend(others.map(|(line, name)| format!("{}:{line}: {name}", source.file.display())));
            }
        }
    }
    none(&found);
}

// The judges themselves.

/// What a file of `module` with this text is blamed for.
fn blamed(module: &str, text: &str) -> Vec<(usize, String)> {
    let module: Vec<_> = module.split("::").map(String::from).collect();
    let name = |breach: String| breach.split(" imports ").nth(1).unwrap_or_default().to_owned();
    breaches(&module, &tokens(text)).into_iter().map(|(line, breach)| (line, name(breach))).collect()
}

#[test]
fn upward_and_sideways_imports_are_seen() {
    let one = |line: usize, name: &str| vec![(line, name.to_owned())];
    assert_eq!(blamed("ws", "use crate::session::Session;"), one(1, "session (rank 3)"));
    assert_eq!(blamed("ws", "\nuse crate::{\n bytesize, http1::{head, forward},\n};"), one(3, "http1 (rank 1)"));
    assert_eq!(blamed("jwt::verify", "fn f() { crate::ws::close() }"), one(1, "ws (rank 1)"));
    assert_eq!(blamed("jwt::verify", "use super::super::policy::Permit;"), one(1, "policy (rank 2)"));
    assert_eq!(blamed("jwt", "use super::{jwt::keys, ring};"), one(1, "ring (rank 1)"));
    assert_eq!(blamed("jwt", "mod tests { use super::super::tls; }"), one(1, "tls (rank 2)"));
    assert_eq!(blamed("app", "use crate::nowhere::X;"), one(1, "nowhere (unknown)"));
    assert_eq!(blamed("config", "pub(crate) use crate::app::cli;"), one(1, "app (rank 7)"));
}

#[test]
fn downward_imports_and_mere_words_pass() {
    for (module, text) in [
        ("session", "use crate::{bytesize::ByteSize, ws::{self, close::{Code, http1}}};"),
        ("jwt::verify", "use super::keys; use self::ws; use super::super::time;"),
        ("jwt", "mod tests { use super::verify; mod deeper { use super::super::keys; } }"),
        ("ws", "// use crate::session;\n/* crate::session /* nested */ crate::app */ let a = \"crate::app\";"),
        ("ws", "let a = r#\"\" crate::app\"#; let b = '\"'; let c = b'\\''; fn f<'a>(x: &'a str) {} let d = \"\\\"\";"),
        ("main", "use ringside::app;"),
        ("ws", "pub(crate) fn f() { std::ring::x() }"),
    ] {
        assert_eq!(blamed(module, text), [], "{text}");
    }
}

#[test]
fn what_comes_after_a_literal_is_seen() {
    for literal in ["'\"'", "b'\\''", "r#\"\"\"#", "\"\\\\\"", "'a", "/* \" */", "0x1f_u8", "'\\u{1F600}'"] {
        let text = format!("{literal}; crate::session");
        assert_eq!(blamed("ws", &text).len(), 1, "{text}");
    }
}

#[test]
fn tests_are_told_from_the_rest() {
    let text =
        "fn a() {}\n#[cfg(test)]\nmod tests { fn f() { async {} } }\nfn b() { Instant::now() }\n#[cfg(test)]\nmod x;";
    let rest = without_tests(&tokens(text));
    assert!(lines_with(&rest, &["async"]).is_empty());
    assert_eq!(lines_with(&rest, IO[3]), [4]);
    assert_eq!(lines_with(&tokens(text), &["async"]), [3]);
}
