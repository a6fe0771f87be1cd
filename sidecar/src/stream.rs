//! A stream of documents: `inject` and `uninject` without a cluster.

mod service;

use std::fmt::Write as _;

use serde_json::Value;
use similar::TextDiff;

use self::service::Target;
use crate::problem::Problem;
use crate::render::Injected;
use crate::workload::{self, Done, Outcome, Task};
use crate::yaml::{self, Document, SyntaxError};

/// What became of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// The stream as it is now; documents that stay as they were keep their text.
    pub text: String,
    /// What was done, a paragraph a document.
    pub report: String,
    /// Documents that are different: number, before, after.
    changed: Vec<(usize, Value, String)>,
}

impl Stream {
    /// Whether anything is different.
    pub fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Lines that are different, with some around them.
    pub fn diff(&self) -> String {
        self.changed.iter().map(|(number, before, after)| difference(*number, before, after)).collect()
    }
}

/// A stream that cannot be done as a whole, so that nothing of it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It is not YAML.
    #[error("{0}; mend the line, nothing was written")]
    Syntax(#[from] SyntaxError),
    /// Objects are wrong: all of them, a line each.
    #[error("{0}")]
    Objects(String),
}

/// Does `task` to every document of `text`.
pub fn apply(text: &str, task: Task<'_>) -> Result<Stream, StreamError> {
    let documents = yaml::documents(text)?;
    let (mut told, mut moved) = (Told::default(), Vec::new());
    let mut stream = Stream { text: String::new(), report: String::new(), changed: Vec::new() };
    for (n, document) in documents.iter().enumerate() {
        let mut object = document.value.clone();
        let outcomes = workload::apply(&mut object, task);
        told.take(document, &outcomes);
        let injected = outcomes.into_iter().filter_map(|outcome| outcome.result.ok());
        moved.extend(injected.filter_map(|done| match done {
            Done::Injected(Injected { port: Some(port), labels, .. }) => {
                Some(Target { namespace: namespace(&object), labels, port })
            }
            _ => None,
        }));
        if n > 0 {
            stream.text.push_str("---\n");
        }
        if object == document.value {
            stream.text.push_str(document.text);
            stream.text.push('\n');
        } else {
            let after = yaml::write(&object);
            stream.text.push_str(&after);
            stream.changed.push((document.number, document.value.clone(), after));
        }
    }
    for document in &documents {
        for warning in service::past(&document.value, &moved) {
            told.line(&format!("document {}: warning: {warning}", document.number));
        }
    }
    stream.report = told.report()?;
    Ok(stream)
}

fn namespace(object: &Value) -> Option<String> {
    object["metadata"]["namespace"].as_str().map(String::from)
}

/// What is told of a stream.
#[derive(Default)]
struct Told {
    paragraphs: String,
    problems: Vec<String>,
    injected: usize,
    removed: usize,
    skipped: usize,
}

impl Told {
    fn take(&mut self, document: &Document<'_>, outcomes: &[Outcome]) {
        for Outcome { who, result } in outcomes {
            let at = format!("document {} ({who})", document.number);
            match result {
                Ok(Done::Injected(injected)) => {
                    self.injected += 1;
                    self.line(&format!("{at}: injected"));
                    injected.done.iter().for_each(|done| self.line(&format!("  {done}")));
                    injected.warnings.iter().for_each(|warning| self.line(&format!("  warning: {warning}")));
                }
                Ok(Done::Removed) => {
                    self.removed += 1;
                    self.line(&format!("{at}: the sidecar is taken out"));
                }
                Ok(Done::Skipped(why)) => {
                    self.skipped += 1;
                    self.line(&format!("{at}: left alone: {why}"));
                }
                Err(problems) => {
                    let line = document.line;
                    self.problems.extend(problems.iter().map(|problem| wrong(&at, line, problem)));
                }
            }
        }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.paragraphs, "{line}");
    }

    fn report(self) -> Result<String, StreamError> {
        if !self.problems.is_empty() {
            let plural = if self.problems.len() == 1 { "" } else { "s" };
            let count = self.problems.len();
            return Err(StreamError::Objects(format!(
                "{}\n{count} problem{plural}; nothing was written",
                self.problems.join("\n")
            )));
        }
        let counts = [(self.injected, "injected"), (self.removed, "taken out"), (self.skipped, "left alone")];
        let counts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let sum = if counts.is_empty() { "no documents".into() } else { counts.join(", ") };
        Ok(format!("{}{sum}\n", self.paragraphs))
    }
}

/// What is different in a document, with some lines around it.
fn difference(number: usize, before: &Value, after: &str) -> String {
    let (name, before) = (format!("document {number}"), yaml::write(before));
    TextDiff::from_lines(&*before, after).unified_diff().header(&name, &name).to_string()
}

fn wrong(at: &str, line: usize, problem: &Problem) -> String {
    format!("{at}, from line {line}: {problem}")
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
