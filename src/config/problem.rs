//! What is wrong with a configuration, told so that it can be mended without a manual.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// One thing that is wrong, or (as a warning) unwise.
///
/// Shown on one line by `{}`, and with the line it stands on by `{:#}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the key: `listen.address`. Empty when no key can be named.
    pub key: String,
    /// Where it was written, or would have to be.
    pub place: Place,
    /// What was written, as it was written. `None` for what is missing, and for what may be a secret.
    pub value: Option<String>,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    File {
        /// Its name, as it was given to us.
        file: PathBuf,
        /// Where in it; `None`: nowhere in particular.
        at: Option<Position>,
    },
    /// In this environment variable.
    Variable(String),
}

/// A stretch of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters, at least 1.
    pub width: usize,
    /// The line.
    pub text: String,
}

/// Everything that is wrong, in the order of the file, then the environment. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Position {
    /// The part of `span` (bytes of `text`) that lies on its first line.
    pub(super) fn of(text: &str, span: Range<usize>) -> Self {
        let start = floor(text, span.start);
        let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let stop = floor(text, span.end).clamp(start, end);
        Self {
            line: text[..begin].matches('\n').count() + 1,
            column: text[begin..start].chars().count() + 1,
            width: text[start..stop].chars().count().max(1),
            text: text[begin..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        }
    }

    /// The same without what follows the marked stretch, which may be a secret.
    pub(super) fn without_rest(mut self) -> Self {
        let kept = self.column - 1 + self.width;
        if self.text.chars().count() > kept {
            self.text = self.text.chars().take(kept).chain(" ...".chars()).collect();
        }
        self
    }
}

/// The nearest place not behind `at` where `text` can be cut.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

impl Problem {
    /// Problems sort by where they stand: the file as a whole, its lines, the environment.
    pub(super) fn order(&self) -> (bool, usize, usize) {
        match &self.place {
            Place::File { at: None, .. } => (false, 0, 0),
            Place::File { at: Some(at), .. } => (false, at.line, at.column),
            Place::Variable(_) => (true, 0, 0),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        if !f.alternate() {
            return write!(f, "{}: {key}{} ({})", self.place, self.what, self.help);
        }
        writeln!(f, "{key}{}", self.what)?;
        match (&self.place, &self.value) {
            (Place::Variable(name), Some(value)) => writeln!(f, " --> {name}={value:?}")?,
            (place, _) => writeln!(f, " --> {place}")?,
        }
        if let Place::File { at: Some(at), .. } = &self.place {
            let number = at.line.to_string();
            let gutter = " ".repeat(number.len());
            writeln!(f, "{gutter} |\n{number} | {}", at.text)?;
            writeln!(f, "{gutter} | {}{}", " ".repeat(at.column - 1), "^".repeat(at.width))?;
        }
        write!(f, "help: {}", self.help)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, at: Some(at) } => write!(f, "{}:{}:{}", file.display(), at.line, at.column),
            Self::File { file, at: None } => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            let newline = if n == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Position, Problem};

    #[test]
    fn points_at_the_first_line_of_a_span() {
        let text = "[a]\nü = \"x\"\r\nlist = [\n 1,\n]\n";
        let at = text.find("\"x\"").unwrap();
        assert_eq!(
            Position::of(text, at..at + 3),
            Position { line: 2, column: 5, width: 3, text: "ü = \"x\" ".into() }
        );
        let at = text.find("[\n").unwrap();
        assert_eq!(Position::of(text, at..text.len()).width, 1);
        let end = Position::of(text, text.len() + 9..text.len() + 12);
        assert_eq!((end.line, end.column, end.width), (6, 1, 1));
    }

    #[test]
    fn shows_the_line() {
        let at = Position::of("[listen]\nadress = 1\n", 9..15).without_rest();
        let place = Place::File { file: "ringside.toml".into(), at: Some(at) };
        let [what, help] = ["unknown key".to_owned(), "did you mean \"address\"?".to_owned()];
        let problem = Problem { key: "listen.adress".into(), place, value: None, what, help };
        assert_eq!(problem.to_string(), "ringside.toml:2:1: listen.adress: unknown key (did you mean \"address\"?)");
        assert_eq!(
            format!("{problem:#}"),
            "listen.adress: unknown key\n --> ringside.toml:2:1\n  |\n2 | adress ...\n  | ^^^^^^\n\
             help: did you mean \"address\"?"
        );
    }
}
