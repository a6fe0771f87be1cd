//! As much of `PromQL` as it takes to see which metrics, labels and values a query names.

/// A query, by what it names.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Query {
    /// What it reads.
    pub(crate) selectors: Vec<Selector>,
    /// Labels that it groups or matches by.
    pub(crate) grouping: Vec<String>,
}

/// A metric and which of its series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Selector {
    /// The metric's name.
    pub(crate) metric: String,
    /// What its labels have to be.
    pub(crate) matchers: Vec<Matcher>,
    /// The function that takes it over a range of time; `None` when it is read as it is.
    pub(crate) over_time: Option<String>,
}

/// What a label has to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matcher {
    /// Which label.
    pub(crate) label: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub(crate) operator: String,
    /// A value, or a pattern.
    pub(crate) value: String,
}

/// In front of a list of labels.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// What is neither a metric nor a function.
const WORDS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];

impl Matcher {
    /// Whether a label of this value is meant.
    pub(crate) fn takes(&self, value: &str) -> bool {
        let is_one =
            self.alternatives().any(|pattern| if self.is_pattern() { fits(pattern, value) } else { pattern == value });
        is_one != self.operator.starts_with('!')
    }

    /// The values or patterns that it names.
    pub(crate) fn alternatives(&self) -> impl Iterator<Item = &str> {
        self.value.split(move |mark| self.is_pattern() && mark == '|')
    }

    /// Whether the value of a label fits one of the alternatives.
    pub(crate) fn fits(&self, alternative: &str, value: &str) -> bool {
        if self.is_pattern() { fits(alternative, value) } else { alternative == value }
    }

    fn is_pattern(&self) -> bool {
        self.operator.ends_with('~')
    }
}

/// Whether `value` is of the form `pattern`: letters, digits and `_`, and `.+` or `.*` at its end. Nothing else is used.
fn fits(pattern: &str, value: &str) -> bool {
    let (start, open, least) = match (pattern.strip_suffix(".+"), pattern.strip_suffix(".*")) {
        (Some(start), _) => (start, true, 1),
        (None, Some(start)) => (start, true, 0),
        (None, None) => (pattern, false, 0),
    };
    let is_plain = start.chars().all(|mark| mark.is_ascii_alphanumeric() || mark == '_');
    let rest = value.strip_prefix(start).filter(|_| is_plain);
    rest.is_some_and(|rest| if open { rest.len() >= least } else { rest.is_empty() })
}

impl Query {
    /// Reads a query.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let tokens = tokens(text).map_err(|problem| format!("{problem}: {text}"))?;
        let mut reader = Reader { tokens: &tokens, at: 0 };
        let mut query = Self::default();
        let mut calls: Vec<&str> = Vec::new();
        while let Some(token) = reader.next() {
            match token.as_str() {
                "(" => calls.push(""),
                ")" => drop(calls.pop().ok_or(format!("one ) too many: {text}"))?),
                word if GROUPING.contains(&word) => {
                    if reader.take("(") {
                        query.grouping.extend(reader.names_until(")"));
                    }
                }
                word if WORDS.contains(&word) || !is_name(word) => {}
                function if reader.take("(") => calls.push(function),
                _ if reader.peek().is_some_and(|next| GROUPING.contains(&next)) => {}
                metric => {
                    let matchers = if reader.take("{") { reader.matchers()? } else { Vec::new() };
                    let is_range = reader.take("[") && reader.skip_until("]");
                    let over_time = is_range.then(|| calls.last().copied().unwrap_or_default().to_owned());
                    query.selectors.push(Selector { metric: metric.to_owned(), matchers, over_time });
                }
            }
        }
        if query.selectors.is_empty() || !calls.is_empty() {
            return Err(format!("no whole query: {text}"));
        }
        Ok(query)
    }
}

/// Names, numbers with their units, texts with their quotes, and marks.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => rest[1..].find('"').ok_or("a text without end")? + 2,
            '=' | '!' | '<' | '>' => rest.chars().take_while(|mark| "=!<>~".contains(*mark)).count(),
            _ if is_word(first) => rest.find(|mark| !is_word(mark)).unwrap_or(rest.len()),
            _ if first.is_ascii() => 1,
            _ => return Err(format!("{first} is not known")),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn is_word(mark: char) -> bool {
    mark.is_ascii_alphanumeric() || "_:.$".contains(mark)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

struct Reader<'t> {
    tokens: &'t [String],
    at: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Option<&'t String> {
        self.at += 1;
        self.tokens.get(self.at - 1)
    }

    fn peek(&self) -> Option<&'t str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    /// Whether this comes next; then it is taken.
    fn take(&mut self, token: &str) -> bool {
        let is_next = self.peek() == Some(token);
        self.at += usize::from(is_next);
        is_next
    }

    fn skip_until(&mut self, end: &str) -> bool {
        self.names_until(end);
        true
    }

    fn names_until(&mut self, end: &str) -> Vec<String> {
        let tokens = self.tokens[self.at..].iter().take_while(|token| *token != end);
        let names: Vec<_> = tokens.filter(|token| is_name(token)).cloned().collect();
        self.at += self.tokens[self.at..].iter().take_while(|token| *token != end).count() + 1;
        names
    }

    /// Behind `{`, up to and with `}`.
    fn matchers(&mut self) -> Result<Vec<Matcher>, String> {
        let mut matchers = Vec::new();
        while !self.take("}") {
            let [label, operator, value] = [self.next(), self.next(), self.next()];
            let (Some(label), Some(operator), Some(value)) = (label, operator, value) else {
                return Err("a list of labels without end".to_owned());
            };
            let value = value.trim_matches('"').to_owned();
            matchers.push(Matcher { label: label.clone(), operator: operator.clone(), value });
            self.take(",");
        }
        Ok(matchers)
    }
}
