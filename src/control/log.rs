//! Log lines: to standard error, as text or JSON, written by a thread of their own.
//!
//! Both formats go to standard error, so that standard output stays what a command prints. A full queue, behind a
//! terminal or a pipe that nobody reads, drops lines and counts them: logging blocks no thread.

use std::io::{IsTerminal, Write};
use std::{env, io};

use thiserror::Error;
use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Lines that may wait to be written; a line is a few hundred bytes.
const QUEUE: usize = 8192;

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
    /// Something else in this process logs already.
    #[error("logging was already set up")]
    Twice(#[from] SetGlobalDefaultError),
}

/// Keeps the log's thread; dropping it writes out what waits, for at most about a second.
#[derive(Debug)]
#[must_use = "dropping it ends the log"]
pub struct Guard {
    drops: Drops,
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
}

/// Starts logging for the whole process. Once: a second call is an error.
pub fn init(config: &Config) -> Result<Guard, LogError> {
    let filter = parse_filter(&config.filter)?;
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (writer, guard) = queue(io::stderr());
    tracing::subscriber::set_global_default(subscriber(config.format, filter, colours, writer))?;
    Ok(guard)
}

/// Whether `filter` is one that [`init`] takes.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse_filter(filter).map(drop)
}

fn parse_filter(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

fn queue(to: impl Write + Send + 'static) -> (NonBlocking, Guard) {
    let builder = NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true).thread_name("log");
    let (writer, guard) = builder.finish(to);
    let drops = Drops(writer.error_counter());
    (writer, Guard { drops, _writer: guard })
}

fn subscriber(
    format: Format,
    filter: EnvFilter,
    colours: bool,
    writer: NonBlocking,
) -> Box<dyn Subscriber + Send + Sync> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        Format::Text => Box::new(builder.with_ansi(colours).finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).with_current_span(false).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::{Format, QUEUE, check_filter, parse_filter, queue, subscriber};

    /// Hands each line to the test, and writes only as fast as the test takes them when `gate` is there.
    struct Lines {
        to: Sender<Vec<u8>>,
        gate: Option<Receiver<()>>,
    }

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if let Some(gate) = &self.gate {
                let _ = gate.recv();
            }
            let _ = self.to.send(line.to_vec());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str, log: impl FnOnce()) -> String {
        let (to, lines) = channel();
        let (writer, guard) = queue(Lines { to, gate: None });
        let subscriber = subscriber(format, parse_filter(filter).expect("filter"), false, writer);
        tracing::subscriber::with_default(subscriber, log);
        drop(guard);
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
    fn a_writer_that_hangs_blocks_nobody_and_drops_are_counted() {
        let (to, lines) = channel();
        let (open, gate) = channel();
        let (writer, guard) = queue(Lines { to, gate: Some(gate) });
        let drops = guard.drops();
        let subscriber = subscriber(Format::Text, parse_filter("info").expect("filter"), false, writer);
        let written = QUEUE as u64 + 1000;
        tracing::subscriber::with_default(subscriber, || (0..written).for_each(|n| tracing::info!(n, "line")));
        let dropped = drops.count();
        drop(open);
        drop(guard);
        assert!(dropped >= 900, "{dropped}");
        assert_eq!(lines.into_iter().count() as u64 + dropped, written);
    }
}
