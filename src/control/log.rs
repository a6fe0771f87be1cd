//! Log lines: to standard error, as text or JSON, written by a thread of their own.
//!
//! Both formats go to standard error, so that standard output stays what a command prints. A full queue, behind a
//! terminal or a pipe that nobody reads, drops lines and counts them: logging blocks no thread.
//!
//! What is logged may change while the log runs, see [`Filter`]. Where a filter leaves a line out, that costs no more
//! than looking at a flag: `tracing` asks the filter once for each place in the code, and again only when it changes.

use std::io::{BufWriter, IsTerminal, Write};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::{env, io};

use thiserror::Error;
use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, registry, reload};

use super::subject;
use crate::telemetry::trace::Sampler;

mod filter;

pub use filter::Filter;

/// Lines that may wait to be written; a line is a few hundred bytes.
const QUEUE: usize = 8192;

/// Bytes of lines that are written together at the most: `PIPE_BUF`, which a pipe takes in one piece even if others write
/// to it, too (`pipe(7)`). No line is cut but one that is longer.
const TOGETHER: usize = 4096;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: coloured on a terminal unless `NO_COLOR` is set.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Look.
    pub format: Format,
    /// A filter such as `info` or `ringside=debug`.
    pub filter: String,
    /// How the lines of connections show subjects.
    pub subject: subject::Choice,
    /// The key that subjects are hashed with; `None`: a random one.
    pub subject_key: Option<PathBuf>,
    /// Chooses the connections whose lines are written although all went well.
    pub sampler: Sampler,
    /// At most so many lines a second that anybody can cause: refusals, and ends by a client's fault.
    pub noise: NonZeroU32,
}

/// Why logging did not start.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter breaks its grammar.
    #[error("log filter {filter:?}: {source}")]
    Filter {
        /// As configured.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// There is no filter.
    #[error("log filter: empty")]
    Empty,
    /// The log has ended, or broke.
    #[error("the log cannot change its filter: {0}")]
    Gone(#[from] reload::Error),
    /// Something else in this process logs already.
    #[error("logging was already set up")]
    Twice(#[from] SetGlobalDefaultError),
}

/// Keeps the log's thread; dropping it writes out what waits, for at most about a second.
#[derive(Debug)]
#[must_use = "dropping it ends the log"]
pub struct Guard {
    drops: Drops,
    filter: Filter,
    _writer: WorkerGuard,
}

/// How many lines were dropped. All clones show the same figure.
#[derive(Clone, Debug)]
pub struct Drops(ErrorCounter);

impl Drops {
    /// Lines dropped so far because the queue was full.
    pub fn count(&self) -> u64 {
        self.0.dropped_lines() as u64
    }
}

impl Guard {
    /// Lines dropped, to look at while the log runs.
    pub fn drops(&self) -> Drops {
        self.drops.clone()
    }

    /// What is logged, to look at and to change while the log runs.
    pub fn filter(&self) -> Filter {
        self.filter.clone()
    }
}

/// Starts logging for the whole process. Once: a second call is an error.
pub fn init(config: &Config) -> Result<Guard, LogError> {
    let (filter, layer) = Filter::new(&config.filter)?;
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (queue, drops, writer) = queue(io::stderr());
    tracing::subscriber::set_global_default(subscriber(config.format, layer, colours, queue))?;
    Ok(Guard { drops, filter, _writer: writer })
}

/// Whether `filter` is one that [`init`] takes.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    filter::parse(filter).map(drop)
}

fn queue(to: impl Write + Send + 'static) -> (NonBlocking, Drops, WorkerGuard) {
    let builder = NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true).thread_name("log");
    // The thread flushes when it has taken all lines there are.
    let (queue, writer) = builder.finish(BufWriter::with_capacity(TOGETHER, to));
    let drops = Drops(queue.error_counter());
    (queue, drops, writer)
}

fn subscriber(
    format: Format,
    filter: reload::Layer<EnvFilter, Registry>,
    colours: bool,
    queue: NonBlocking,
) -> impl Subscriber + Send + Sync {
    let lines = fmt::layer().with_writer(queue);
    let lines = match format {
        Format::Text => lines.with_ansi(colours).boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    registry().with(filter).with(lines)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::{Filter, Format, LogError, QUEUE, check_filter, queue, subscriber};

    /// Hands what is written to the test, and writes only as fast as the test takes them when `gate` is there.
    struct Lines {
        to: Sender<Vec<u8>>,
        gate: Option<Receiver<()>>,
    }

    impl Write for Lines {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            if let Some(gate) = &self.gate {
                let _ = gate.recv();
            }
            let _ = self.to.send(lines.to_vec());
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str, log: impl FnOnce()) -> String {
        logged_with(format, filter, |_| log())
    }

    fn logged_with(format: Format, filter: &str, log: impl FnOnce(&Filter)) -> String {
        let (to, lines) = channel();
        let (queue, _, writer) = queue(Lines { to, gate: None });
        let (filter, layer) = Filter::new(filter).expect("filter");
        tracing::subscriber::with_default(subscriber(format, layer, false, queue), || log(&filter));
        drop(writer);
        String::from_utf8(lines.into_iter().flatten().collect()).expect("UTF-8")
    }

    #[test]
    fn json_is_one_flat_object_a_line() {
        let line = logged(Format::Json, "info", || tracing::info!(id = 7, subject = "a\n\"b", "opened"));
        let json: serde_json::Value = serde_json::from_str(line.trim_end()).expect("JSON");
        assert_eq!(line.lines().count(), 1);
        assert_eq!((&json["message"], &json["level"]), (&"opened".into(), &"INFO".into()));
        assert_eq!((&json["id"], &json["subject"]), (&7.into(), &"a\n\"b".into()));
    }

    #[test]
    fn text_keeps_a_hostile_value_on_its_line() {
        let text = logged(Format::Text, "info", || tracing::info!(subject = "a\nfake INFO line", "opened"));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(r"a\nfake INFO line"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn the_filter_decides_by_target_and_level() {
        let text = logged(Format::Text, "warn,ringside=debug", || {
            tracing::debug!(target: "ringside::ring", "kept");
            tracing::info!(target: "hyper", "left out");
        });
        assert!(text.contains("kept") && !text.contains("left out"), "{text}");
        assert!(check_filter("ringside=loud").is_err());
    }

    #[test]
    fn a_filter_that_changes_decides_from_then_on() {
        let text = logged_with(Format::Text, "warn", |filter| {
            let log = |n: u32| {
                tracing::debug!(target: "ringside::ring", "debug {n}");
                tracing::info!(target: "hyper", "info {n}");
            };
            log(1);
            assert_eq!(filter.set("ringside=debug").expect("a filter"), "warn");
            log(2);
            assert_eq!(filter.clone().set("info").expect("a filter"), "ringside=debug");
            log(3);
            assert_eq!(filter.present(), "info");
        });
        let told: Vec<_> = text.lines().map(|line| line.split_once(": ").expect("a target").1).collect();
        let expected = [
            r#"the filter changes from="warn" to="ringside=debug""#,
            "debug 2",
            r#"the filter changes from="ringside=debug" to="info""#,
            "info 3",
        ];
        assert_eq!(told, expected, "{text}");
    }

    #[test]
    fn a_change_is_told_when_the_filter_before_lets_it() {
        let text = logged_with(Format::Text, "info", |filter| {
            filter.set("error").expect("a filter");
            filter.set("warn").expect("a filter");
        });
        assert!(text.ends_with("the filter changes from=\"info\" to=\"error\"\n"), "{text}");
        assert_eq!(text.lines().count(), 1, "between two that do not let it, nothing is told: {text}");
    }

    #[test]
    fn what_is_no_filter_changes_nothing() {
        logged_with(Format::Text, "info", |filter| {
            assert!(matches!(filter.set("ringside=loud"), Err(LogError::Filter { .. })));
            assert!(matches!(filter.set(" \n"), Err(LogError::Empty)));
            assert_eq!(filter.present(), "info");
        });
        let (filter, layer) = Filter::new("info").expect("a filter");
        drop(layer);
        assert!(matches!(filter.set("debug"), Err(LogError::Gone(_))));
        assert_eq!(filter.present(), "info");
    }

    #[test]
    fn a_writer_that_hangs_blocks_nobody_and_drops_are_counted() {
        let (to, lines) = channel();
        let (open, gate) = channel();
        let (queue, drops, writer) = queue(Lines { to, gate: Some(gate) });
        let (_, layer) = Filter::new("info").expect("filter");
        let subscriber = subscriber(Format::Text, layer, false, queue);
        let written = QUEUE as u64 + 1000;
        tracing::subscriber::with_default(subscriber, || (0..written).for_each(|n| tracing::info!(n, "line")));
        let dropped = drops.count();
        drop(open);
        drop(writer);
        assert!(dropped >= 900, "{dropped}");
        let kept = lines.into_iter().flatten().filter(|byte| *byte == b'\n').count();
        assert_eq!(kept as u64 + dropped, written);
    }
}
