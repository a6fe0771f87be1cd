//! What reading a configuration finds: its problems, each at its place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::document::{Document, Item};
use super::keys::{self, KEYS};
use super::problem::{Place, Position, Problem};

/// Collects problems and knows where every key was written.
#[derive(Debug)]
pub(super) struct Findings<'i> {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// Files that must be there, each with its key.
    pub(super) files: Vec<(&'static str, PathBuf)>,
    /// `None`: the environment is all there is.
    file: Option<&'i Path>,
    text: &'i str,
    document: Document<'i>,
    /// Keys that the environment gives: the variable and its value.
    overridden: BTreeMap<&'static str, (String, String)>,
    /// Keys that were there but wrong: not to be called missing as well.
    struck: BTreeSet<String>,
}

/// Where each key was written and what, for problems that come to light when the text is gone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Places {
    keys: BTreeMap<&'static str, (Place, Option<String>)>,
    file: Option<PathBuf>,
}

impl Places {
    /// Where `key` was written, and what.
    pub(super) fn of(&self, key: &str) -> (Place, Option<String>) {
        self.keys.get(key).cloned().unwrap_or_else(|| (place_for(key, self.file.as_deref(), None), None))
    }
}

/// The place for `key`: in the file, or in its variable when there is no file.
fn place_for(key: &str, file: Option<&Path>, at: Option<Position>) -> Place {
    match file {
        Some(file) => Place::File { file: file.to_owned(), at },
        None => Place::Variable(keys::variable_in(key)),
    }
}

impl<'i> Findings<'i> {
    /// Nothing found yet in `text`, which is the contents of `file` and reads as `document`.
    pub(super) fn new(file: Option<&'i Path>, text: &'i str, document: Document<'i>) -> Self {
        Self {
            problems: Vec::new(),
            warnings: Vec::new(),
            files: Vec::new(),
            file,
            text,
            document,
            overridden: BTreeMap::new(),
            struck: BTreeSet::new(),
        }
    }

    /// The value at `key` is wrong.
    pub(super) fn wrong(&mut self, key: &str, what: impl Into<String>, help: impl Into<String>) {
        let problem = self.at_key(key, what.into(), help.into());
        self.problems.push(problem);
    }

    /// The value at `key` is allowed but unwise, or its absence is.
    pub(super) fn unwise(&mut self, key: &str, what: impl Into<String>, help: impl Into<String>) {
        let warning = self.at_key(key, what.into(), help.into());
        self.warnings.push(warning);
    }

    /// A part of the value at `key` is wrong.
    pub(super) fn wrong_item(&mut self, key: &str, item: Item<'_>, what: impl Into<String>, help: impl Into<String>) {
        let mut problem = self.at_key(key, what.into(), help.into());
        if let Place::File { at, .. } = &mut problem.place
            && let Some(span) = self.document.find_item(key, item)
        {
            problem.value = self.text.get(span.clone()).map(String::from);
            *at = Some(Position::of(self.text, span));
        }
        self.problems.push(problem);
    }

    /// `path` seen from `base`, noted as a file that must be there for `key`.
    pub(super) fn file(&mut self, key: &'static str, path: Option<PathBuf>, base: &Path) -> Option<PathBuf> {
        let path = path?;
        if path.as_os_str().is_empty() {
            self.wrong(key, "names no file", "write its path, or remove the key");
            return Some(path);
        }
        let path = base.join(path);
        self.files.push((key, path.clone()));
        Some(path)
    }

    /// `value`, given for `key`; its absence is a problem.
    pub(super) fn required<T>(&mut self, key: &str, value: Option<T>, help: impl Into<String>) -> Option<T> {
        if value.is_none() && !self.is_struck(key) {
            self.wrong(key, "is missing", help);
        }
        value
    }

    /// `key` was there but wrong, or something was there that was meant to be it.
    pub(super) fn strike(&mut self, key: String) {
        self.struck.insert(key);
    }

    /// Whether `key` was there but wrong, which is told already.
    pub(super) fn is_struck(&self, key: &str) -> bool {
        self.struck.contains(key)
    }

    /// `key` comes from `variable`, which holds `value`.
    pub(super) fn overridden(&mut self, key: &'static str, variable: String, value: String) {
        self.overridden.insert(key, (variable, value));
    }

    /// Where each key was written.
    pub(super) fn places(&self) -> Places {
        let keys = KEYS.iter().map(|key| (key.path, self.place(key.path)));
        Places { keys: keys.collect(), file: self.file.map(Path::to_owned) }
    }

    /// Whether file or environment say anything about `key`.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.overridden.contains_key(key) || self.document.find(key).is_some()
    }

    fn at_key(&self, key: &str, what: String, help: String) -> Problem {
        let (place, value) = self.place(key);
        Problem { key: key.to_owned(), place, value, what, help }
    }

    /// Where `key` was written and what; when it was not, the table or the variable where it would stand.
    fn place(&self, key: &str) -> (Place, Option<String>) {
        if let Some((variable, value)) = self.overridden.get(key) {
            return (Place::Variable(variable.clone()), Some(value.clone()));
        }
        let found = |path: &str| self.document.find(path);
        if let Some(found) = found(key) {
            let value = self.text.get(found.value.clone()).map(String::from);
            return (place_for(key, self.file, Some(Position::of(self.text, found.value))), value);
        }
        // A table that only the environment makes stands in the variables of its keys.
        let inside = |path: &str| path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        if let Some((_, (variable, value))) = self.overridden.iter().find(|(path, _)| inside(path)) {
            return (Place::Variable(variable.clone()), Some(value.clone()));
        }
        let table = key.rsplit_once('.').and_then(|(table, _)| found(table));
        (place_for(key, self.file, table.map(|table| Position::of(self.text, table.key))), None)
    }
}
