//! From YAML text to documents.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Value};

use super::scalar;

/// Most values in a stream, with aliases written out: a small file can stand for an endless one.
const MOST_VALUES: usize = 5_000_000;

/// Deepest nesting.
const DEEPEST: usize = 100;

/// One document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<'t> {
    /// From 1; documents without contents count, too.
    pub number: usize,
    /// The line its contents begin on, from 1.
    pub line: usize,
    /// What stands between its marks, byte for byte.
    pub text: &'t str,
    /// What it means.
    pub value: Value,
}

/// A stream that is not YAML, or not YAML that can be JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("document {document}, line {line}, column {column}: {what}")]
pub struct SyntaxError {
    /// From 1.
    pub document: usize,
    /// Line of the stream, from 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

/// The documents of `text` that have contents.
pub fn documents(text: &str) -> Result<Vec<Document<'_>>, SyntaxError> {
    let mut reader = Reader { text, at: Cursor::default(), documents: Vec::new(), number: 0, values: 0, ended: 0 };
    let mut build = Build::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| reader.wrong(*error.marker(), error.info()))?;
        reader.take(&mut build, event, span)?;
    }
    Ok(reader.documents)
}

struct Reader<'t> {
    text: &'t str,
    at: Cursor,
    documents: Vec<Document<'t>>,
    number: usize,
    values: usize,
    /// Where the last document's end was, in bytes.
    ended: usize,
}

/// A place in the text by characters and by bytes: the parser counts the former, slices need the latter.
#[derive(Clone, Copy, Default)]
struct Cursor {
    characters: usize,
    bytes: usize,
}

/// A document in the making.
#[derive(Default)]
struct Build {
    open: Vec<Open>,
    root: Option<Value>,
    /// Where its contents begin.
    line: Option<usize>,
    anchors: HashMap<usize, (Value, usize)>,
    begins: usize,
}

/// A collection whose end has not come.
struct Open {
    anchor: usize,
    values: usize,
    what: Collection,
}

enum Collection {
    List(Vec<Value>),
    /// With the key whose value has not come, and the names that `<<` brought and nothing else has named.
    Map {
        map: Map<String, Value>,
        key: Option<Key>,
        merged: HashSet<String>,
    },
}

enum Key {
    Name(String),
    /// A plain `<<`.
    Merge,
}

impl Reader<'_> {
    fn wrong(&self, at: Marker, what: impl Into<String>) -> SyntaxError {
        SyntaxError { document: self.number.max(1), line: at.line(), column: at.col() + 1, what: what.into() }
    }

    fn take(&mut self, build: &mut Build, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
            Event::DocumentStart(is_marked) => {
                self.number += 1;
                // Without a mark the text goes on from the end of the document before, comments and all.
                let begins = if is_marked { self.bytes(span.end.index()) } else { self.ended };
                *build = Build { begins, ..Build::default() };
            }
            Event::DocumentEnd => self.finish(build, span),
            Event::Alias(anchor) => {
                let known = build.anchors.get(&anchor).cloned();
                let (value, values) = known.ok_or_else(|| self.wrong(span.start, "an alias of what contains it"))?;
                self.put(build, value, values, 0, span.start)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(Open { what: Collection::Map { key: key @ None, map, merged }, .. }) = build.open.last_mut()
                {
                    let next = name(&text, style).map_err(|what| self.wrong(span.start, what))?;
                    if let Key::Name(name) = &next
                        && map.contains_key(name)
                        && !merged.remove(name)
                    {
                        return Err(self.wrong(span.start, format!("key {name:?} is there twice")));
                    }
                    *key = Some(next);
                    return Ok(());
                }
                let value = value(&text, style, tag.as_deref()).map_err(|what| self.wrong(span.start, what))?;
                self.put(build, value, 1, anchor, span.start)?;
            }
            Event::SequenceStart(anchor, _) => self.open(build, anchor, Collection::List(Vec::new()), span.start)?,
            Event::MappingStart(anchor, _) => {
                let (map, merged) = (Map::new(), HashSet::new());
                self.open(build, anchor, Collection::Map { map, key: None, merged }, span.start)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { anchor, values, what }) = build.open.pop() {
                    self.put(build, what.into(), values + 1, anchor, span.start)?;
                }
            }
        }
        Ok(())
    }

    fn open(&self, build: &mut Build, anchor: usize, what: Collection, at: Marker) -> Result<(), SyntaxError> {
        if let Some(Open { what: Collection::Map { key: None, .. }, .. }) = build.open.last() {
            return Err(self.wrong(at, "a key that is no text"));
        }
        if build.open.len() == DEEPEST {
            return Err(self.wrong(at, format!("nested deeper than {DEEPEST} levels")));
        }
        build.line.get_or_insert(at.line());
        build.open.push(Open { anchor, values: 0, what });
        Ok(())
    }

    /// Puts a value where it belongs; it is so many `values` with all inside.
    fn put(
        &mut self,
        build: &mut Build,
        value: Value,
        values: usize,
        anchor: usize,
        at: Marker,
    ) -> Result<(), SyntaxError> {
        self.values += 1;
        if anchor != 0 {
            build.anchors.insert(anchor, (value.clone(), values));
        }
        let Some(open) = build.open.last_mut() else {
            build.line.get_or_insert(at.line());
            build.root = Some(value);
            return Ok(());
        };
        open.values += values;
        if open.values > MOST_VALUES || self.values > MOST_VALUES {
            return Err(self.wrong(at, format!("more than {MOST_VALUES} values")));
        }
        open.what.add(value).map_err(|what| self.wrong(at, what))
    }

    fn finish(&mut self, build: &mut Build, span: Span) {
        let (Some(value), Some(line)) = (build.root.take(), build.line) else { return };
        let ends = self.bytes(span.start.index()).max(build.begins);
        self.ended = self.bytes(span.end.index());
        if !value.is_null() {
            let text = self.text.get(build.begins..ends).unwrap_or_default().trim_start_matches('\n');
            // Of the end only its own line break: further ones may be part of a text.
            let text = text.strip_suffix('\n').unwrap_or(text);
            self.documents.push(Document { number: self.number, line, text, value });
        }
    }

    /// The place of the character with number `index`, which is not before one asked for earlier.
    fn bytes(&mut self, index: usize) -> usize {
        let rest = self.text.get(self.at.bytes..).unwrap_or_default();
        let ahead = index.saturating_sub(self.at.characters);
        let bytes = rest.char_indices().nth(ahead).map_or(rest.len(), |(at, _)| at);
        self.at = Cursor { characters: index.max(self.at.characters), bytes: self.at.bytes + bytes };
        self.at.bytes
    }
}

impl Collection {
    fn add(&mut self, value: Value) -> Result<(), &'static str> {
        match self {
            Self::List(list) => list.push(value),
            Self::Map { map, key, merged } => match key.take() {
                None => return Err("a key that is no text"),
                Some(Key::Merge) => return merge(map, merged, value),
                Some(Key::Name(key)) => _ = map.insert(key, value),
            },
        }
        Ok(())
    }
}

impl From<Collection> for Value {
    fn from(collection: Collection) -> Self {
        match collection {
            Collection::List(list) => Self::Array(list),
            Collection::Map { map, .. } => Self::Object(map),
        }
    }
}

/// Takes in what `<<` names: a map, or a list of maps of which the first counts most. As in Kubernetes' tools, and not as in
/// the specification, what is named before it gives way, too.
fn merge(map: &mut Map<String, Value>, merged: &mut HashSet<String>, value: Value) -> Result<(), &'static str> {
    let maps = match value {
        Value::Array(list) => list,
        value => vec![value],
    };
    for value in maps.into_iter().rev() {
        let Value::Object(other) = value else { return Err("<< needs a map, or a list of maps") };
        for (key, value) in other {
            merged.insert(key.clone());
            map.insert(key, value);
        }
    }
    Ok(())
}

/// The key that `text` is. JSON's keys are texts: `8080: x` has the key `"8080"`.
fn name(text: &str, style: ScalarStyle) -> Result<Key, String> {
    if style != ScalarStyle::Plain {
        return Ok(Key::Name(text.into()));
    }
    match scalar::resolve(text) {
        _ if text == "<<" => Ok(Key::Merge),
        Value::Null => Err("a key that is null".into()),
        Value::Bool(flag) => Ok(Key::Name(flag.to_string())),
        Value::Number(number) => Ok(Key::Name(number.to_string())),
        _ => Ok(Key::Name(text.into())),
    }
}

fn value(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let plain = || scalar::resolve(text);
    let fits =
        |value: Value, fits: bool| fits.then_some(value).ok_or_else(|| format!("{text:?} is not what its tag says"));
    match tag {
        None if style == ScalarStyle::Plain && scalar::is_endless(text) => Err(format!("JSON has no number {text}")),
        None if style == ScalarStyle::Plain => Ok(plain()),
        None => Ok(text.into()),
        Some(tag) if tag.is_yaml_core_schema() => match (tag.suffix.as_str(), plain()) {
            ("str", _) => Ok(text.into()),
            ("null", value) => fits(value.clone(), value.is_null()),
            ("bool", value) => fits(value.clone(), value.is_boolean()),
            ("int", value) => fits(value.clone(), value.is_i64() || value.is_u64()),
            ("float", value) => fits(value.clone(), value.is_number()),
            _ => Err(format!("the tag !!{} has no meaning in JSON", tag.suffix)),
        },
        Some(tag) => Err(format!("the tag {}{} has no meaning in JSON", tag.handle, tag.suffix)),
    }
}

#[cfg(test)]
mod tests;
