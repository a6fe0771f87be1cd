//! A TOML document that remembers where everything was written.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::raw::Raw;

type Span = Range<usize>;

/// The tables and values of a file, each with its stretch of the text.
#[derive(Clone, Debug)]
pub(super) struct Document<'i> {
    root: DeTable<'i>,
    span: Span,
}

/// A key in a [`Document`] and where it and its value were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: Vec<String>,
    pub(super) key: Span,
    pub(super) value: Span,
}

/// A part of a list or of a table from text to text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'n> {
    At(usize),
    Named(&'n str),
}

impl<'i> Document<'i> {
    /// A document without anything.
    pub(super) fn empty() -> Self {
        Self { root: DeTable::new(), span: 0..0 }
    }

    /// The document `text`, or the topmost thing in it that is not TOML.
    pub(super) fn parse(text: &'i str) -> Result<Self, Error> {
        let (root, errors) = DeTable::parse_recoverable(text);
        // The parser reports in passes, so its first error need not be the topmost.
        match errors.into_iter().min_by_key(|error| error.span().map(|span| span.start)) {
            Some(error) => Err(error),
            None => Ok(Self { span: root.span(), root: root.into_inner() }),
        }
    }

    /// The document as our structs, or the first thing that does not fit them.
    pub(super) fn raw(&self) -> Result<Raw, Error> {
        Raw::deserialize(Deserializer::from(Spanned::new(self.span.clone(), self.root.clone())))
    }

    /// The innermost key to which an error at `span` belongs.
    pub(super) fn locate(&self, span: &Span) -> Option<Found> {
        // A table's own span need not enclose its keys, so what is exactly there goes first.
        locate(&self.root, &|key, value| key == span || value == span)
            .or_else(|| locate(&self.root, &|_, value| value.start <= span.start && span.end <= value.end))
    }

    /// The key at `path`.
    pub(super) fn find(&self, path: &str) -> Option<Found> {
        let mut names = path.split('.');
        let first = self.root.get_key_value(names.next()?)?;
        let (key, value) = names.try_fold(first, |(_, value), name| value.get_ref().as_table()?.get_key_value(name))?;
        Some(Found { path: path.split('.').map(String::from).collect(), key: key.span(), value: value.span() })
    }

    /// Where a part of the value at `path` was written.
    pub(super) fn find_item(&self, path: &str, item: Item<'_>) -> Option<Span> {
        let mut names = path.split('.');
        let first = self.root.get(names.next()?)?;
        let value = names.try_fold(first, |value, name| value.get_ref().get(name))?;
        match item {
            Item::At(index) => value.get_ref().get(index),
            Item::Named(name) => value.get_ref().get(name),
        }
        .map(Spanned::span)
    }

    /// Takes the key at `path` out.
    pub(super) fn strike(&mut self, path: &[String]) {
        let Some((last, tables)) = path.split_last() else { return };
        let mut table = &mut self.root;
        for name in tables {
            match table.get_mut(name.as_str()).map(Spanned::get_mut) {
                Some(DeValue::Table(inner)) => table = inner,
                _ => return,
            }
        }
        table.remove(last.as_str());
    }

    /// Puts `value` at `path`, in place of what is there and of what is in its way.
    pub(super) fn put(&mut self, path: &str, value: DeValue<'i>) {
        let (tables, last) = path.rsplit_once('.').unwrap_or(("", path));
        let mut table = &mut self.root;
        for name in tables.split('.').filter(|name| !name.is_empty()) {
            let slot = table.entry(written(name)).or_insert_with(|| nowhere(DeValue::Table(DeTable::new())));
            if !slot.get_ref().is_table() {
                *slot = nowhere(DeValue::Table(DeTable::new()));
            }
            let DeValue::Table(inner) = slot.get_mut() else { return };
            table = inner;
        }
        table.insert(written(last), nowhere(value));
    }

    /// How many keys and tables there are.
    pub(super) fn size(&self) -> usize {
        fn size(table: &DeTable<'_>) -> usize {
            table.values().map(|value| 1 + value.get_ref().as_table().map_or(0, size)).sum()
        }
        size(&self.root)
    }
}

fn locate(table: &DeTable<'_>, here: &impl Fn(&Span, &Span) -> bool) -> Option<Found> {
    table.iter().find_map(|(key, value)| {
        let inner = value.get_ref().as_table().and_then(|inner| locate(inner, here));
        let outer = || here(&key.span(), &value.span());
        let mut found = match inner {
            Some(found) => found,
            None if outer() => Found { path: Vec::new(), key: key.span(), value: value.span() },
            None => return None,
        };
        found.path.insert(0, key.get_ref().clone().into_owned());
        Some(found)
    })
}

/// A key that stands in no file.
fn written<'i>(name: &str) -> Spanned<toml::de::DeString<'i>> {
    nowhere(name.to_owned().into())
}

fn nowhere<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

#[cfg(test)]
mod tests {
    use super::{Document, Item};

    const TEXT: &str = "[auth.jwt]\nfrom = [\"a\", 3]\n[auth]\nx = 1\n[listen]\naddress = { a = 1 }\n";

    #[test]
    fn finds_the_innermost_key() {
        let document = Document::parse(TEXT).unwrap();
        for (written, path) in
            [("3", "auth.jwt.from"), ("x", "auth.x"), ("{ a", "listen.address"), ("1 }", "listen.address.a")]
        {
            let at = TEXT.find(written).unwrap();
            assert_eq!(document.locate(&(at..at + 1)).unwrap().path.join("."), path);
        }
        assert_eq!(document.locate(&(999..1000)), None);
    }

    #[test]
    fn finds_keys_and_parts_of_values() {
        let document = Document::parse(TEXT).unwrap();
        assert_eq!(&TEXT[document.find("auth.jwt.from").unwrap().value], "[\"a\", 3]");
        assert_eq!(&TEXT[document.find("auth.jwt").unwrap().key], "jwt");
        assert_eq!(document.find("auth.jwt.from.x"), None);
        assert_eq!(&TEXT[document.find_item("auth.jwt.from", Item::At(1)).unwrap()], "3");
        assert_eq!(&TEXT[document.find_item("listen.address", Item::Named("a")).unwrap()], "1");
        assert_eq!(document.find_item("listen.address", Item::At(0)), None);
    }

    #[test]
    fn strikes_and_puts() {
        let mut document = Document::parse(TEXT).unwrap();
        document.strike(&["auth".into(), "jwt".into()]);
        assert!(document.find("auth.jwt").is_none() && document.find("auth.x").is_some());
        document.put("auth.x.y", toml::de::DeValue::Boolean(true));
        assert!(document.find("auth.x.y").is_some());
    }
}
