//! What is wrong with an object, told so that it can be mended without a manual.

use std::fmt;

/// One thing that is wrong, or (as a warning) unwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the object: `spec.template.spec.containers[0].ports`.
    pub path: String,
    /// What is wrong there.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

impl Problem {
    /// `what` is wrong at `path`; `help` mends it.
    pub fn new(path: impl Into<String>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into(), help: help.into() }
    }

    /// The same inside something that stands at `base`.
    #[must_use]
    pub fn below(mut self, base: &str) -> Self {
        self.path = join(base, &self.path);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.what, self.help)
    }
}

/// The path of what stands at `path` inside of what stands at `base`.
pub fn join(base: &str, path: &str) -> String {
    if base.is_empty() || path.is_empty() { format!("{base}{path}") } else { format!("{base}.{path}") }
}
