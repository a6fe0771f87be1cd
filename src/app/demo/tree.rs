//! Spans as a tree for people.
//!
//! ```text
//! trace 8f1c09b1f3c0c5a86b1a5a3f2f0f9f53
//! GET                +0.00 ms    4.31 ms  http.response.status_code=101
//! ├─ tls             +0.01 ms    2.10 ms  tls.protocol.version=1.3
//! ├─ dial            +2.45 ms    1.72 ms  network.transport=unix http.response.status_code=101
//! └─ websocket       +4.33 ms      3.0 s  ringside.end.by=client ringside.end.why=text_utf8
//!    │                                    websocket.from_client.messages=0 websocket.from_client.bytes=9
//!    └─ violation      +2.9 s             ringside.by=client ringside.why=text_utf8
//! ```
//!
//! Of a span, what a collector shows of it: when it began, counted from the first, how long it took, and of its
//! attributes those that tell most.

use std::fmt;
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, SpanId};
use opentelemetry_sdk::trace::SpanData;

use super::show;

/// Rows of attributes.
type Rows = &'static [&'static [&'static str]];

/// The attributes that are shown, by the span's name.
const SHOWN: &[(&str, Rows)] = &[
    ("tls", &[&["tls.protocol.version", "tls.cipher", "tls.resumed", "ringside.reason"]]),
    ("token", &[&["ringside.token.found", "ringside.reason"]]),
    ("dial", &[&["network.transport", "http.response.status_code", "ringside.reason"]]),
    (
        "websocket",
        &[
            &["ringside.end.by", "ringside.end.why", "ringside.end.source", "error.type"],
            &["websocket.from_client.messages", "websocket.from_client.bytes"],
            &["websocket.from_app.messages", "websocket.from_app.bytes"],
            &["websocket.client.round_trip", "websocket.app.round_trip"],
        ],
    ),
    (
        "websocket checkpoint",
        &[
            &["websocket.checkpoint", "websocket.age"],
            &["websocket.interval.from_client.messages", "websocket.interval.from_client.bytes"],
            &["websocket.interval.from_app.messages", "websocket.interval.from_app.bytes"],
        ],
    ),
    ("websocket message", &[&["websocket.message.direction", "websocket.message.opcode", "websocket.message.size"]]),
];

/// Those of a handshake, whose name is what was asked for.
const OF_HANDSHAKE: Rows = &[&["http.response.status_code", "websocket.subprotocol", "ringside.reason", "error.type"]];

/// Those of an event.
const OF_EVENT: Rows = &[&["ringside.side", "ringside.by", "ringside.why", "ringside.source"]];

/// Spans as a tree, its lines but the first indented.
pub(super) fn indented(spans: &[SpanData], indent: &str) -> String {
    Tree(spans).to_string().replace('\n', &format!("\n{indent}"))
}

/// Spans, each below the one it names as its parent. What names one that is not there stands for itself.
pub(super) struct Tree<'s>(pub(super) &'s [SpanData]);

/// A line in the making: what stands in each column.
struct Line {
    label: String,
    at: String,
    took: String,
    rest: String,
}

/// What hangs below a span.
enum Leaf<'s> {
    Event(&'s Event),
    Span(&'s SpanData),
}

impl Leaf<'_> {
    fn at(&self) -> SystemTime {
        match self {
            Self::Event(event) => event.timestamp,
            Self::Span(span) => span.start_time,
        }
    }
}

impl<'s> Tree<'s> {
    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let is_here = |id: SpanId| self.0.iter().any(|span| span.span_context.span_id() == id);
        for root in self.0.iter().filter(|span| !is_here(span.parent_span_id)) {
            self.grow(root, root.start_time, [String::new(), String::new()], &mut lines);
        }
        lines
    }

    /// The lines of a span and of all below it. `before` is what stands in front of its first line, and of the others.
    fn grow(&self, span: &SpanData, began: SystemTime, before: [String; 2], lines: &mut Vec<Line>) {
        let [first, others] = before;
        let below = self.below(span);
        let rows = SHOWN.iter().find(|(name, _)| *name == span.name).map_or(OF_HANDSHAKE, |(_, rows)| rows);
        let mut rows = rows.iter().map(|keys| pairs(&span.attributes, keys)).filter(|row| !row.is_empty());
        let (at, took) = (since(span.start_time, began), show::took(since(span.end_time, span.start_time)));
        let at = format!("+{}", show::took(at));
        lines.push(Line { label: format!("{first}{}", span.name), at, took, rest: rows.next().unwrap_or_default() });
        let bar = if below.is_empty() { "" } else { "│" };
        for rest in rows {
            lines.push(Line { label: format!("{others}{bar}"), at: String::new(), took: String::new(), rest });
        }
        for (n, leaf) in (1..).zip(&below) {
            let (branch, under) = if n == below.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let before = [format!("{others}{branch}"), format!("{others}{under}")];
            match leaf {
                Leaf::Span(span) => self.grow(span, began, before, lines),
                Leaf::Event(event) => lines.push(happened(event, began, &before[0])),
            }
        }
    }

    fn below(&self, span: &'s SpanData) -> Vec<Leaf<'s>> {
        let id = span.span_context.span_id();
        let children = self.0.iter().filter(|child| child.parent_span_id == id);
        let mut below: Vec<_> = span.events.iter().map(Leaf::Event).chain(children.map(Leaf::Span)).collect();
        below.sort_by_key(Leaf::at);
        below
    }
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.0.first() else { return Ok(()) };
        write!(f, "trace {}", first.span_context.trace_id())?;
        let lines = self.lines();
        let label = lines.iter().map(|line| line.label.chars().count()).max().unwrap_or_default();
        for Line { label: text, at, took, rest } in &lines {
            let line = format!("{text:label$}  {at:>10} {took:>10}  {rest}");
            write!(f, "\n{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn happened(event: &Event, began: SystemTime, before: &str) -> Line {
    Line {
        label: format!("{before}{}", event.name),
        at: format!("+{}", show::took(since(event.timestamp, began))),
        took: String::new(),
        rest: OF_EVENT.iter().map(|keys| pairs(&event.attributes, keys)).collect(),
    }
}

/// Those of the attributes that are called so, in this order.
fn pairs(attributes: &[KeyValue], keys: &[&str]) -> String {
    let found = keys.iter().filter_map(|key| attributes.iter().find(|attribute| attribute.key.as_str() == *key));
    found.map(|attribute| format!("{}={}", attribute.key, attribute.value)).collect::<Vec<_>>().join(" ")
}

fn since(at: SystemTime, began: SystemTime) -> Duration {
    at.duration_since(began).unwrap_or_default()
}
