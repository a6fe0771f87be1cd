//! What Ringside reports, connection by connection.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;

use super::steps::Differs;
use crate::control::export::Taps;
use crate::telemetry::record::{Connection, Event, Handshake, Outcome};

/// Reports that may wait to be looked at. A scene makes four.
const QUEUE: usize = 64;

/// How long a report may take. It comes in milliseconds; this is for what would never come.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the reports of one connection after the other.
pub(super) struct Witness(Receiver<Report>);

enum Report {
    Event(Event),
    /// All that the event before makes.
    Spans(Vec<SpanData>),
}

/// All that was reported about one connection.
pub(super) struct Reported {
    pub(super) handshake: Handshake,
    /// `None`: the handshake was refused.
    pub(super) connection: Option<Connection>,
    /// Those of all its events, in their order.
    pub(super) spans: Vec<SpanData>,
}

/// A witness, and the taps that let it see.
pub(super) fn witness() -> (Taps, Witness) {
    let (events, reports) = sync_channel(QUEUE);
    let spans = events.clone();
    let taps = Taps {
        events: Some(Box::new(move |event: &Event| hand_over(&events, Report::Event(event.clone())))),
        spans: Some(Box::new(move |made: &[SpanData]| hand_over(&spans, Report::Spans(made.into())))),
    };
    (taps, Witness(reports))
}

/// A report that finds the queue full is missed, and that is a difference.
fn hand_over(to: &SyncSender<Report>, report: Report) {
    let _ = to.try_send(report);
}

impl Witness {
    /// Waits for all that is reported about the next connection: its handshake and, when that opened, all up to its end.
    pub(super) fn next(&self) -> Result<Reported, Differs> {
        let (event, mut spans) = self.event()?;
        let Event::Handshake(handshake) = event else { return Err(Differs::Report("something before a handshake")) };
        let connection = match handshake.outcome {
            Outcome::Refused { .. } => None,
            Outcome::Opened => Some(self.end(&mut spans)?),
        };
        Ok(Reported { handshake: *handshake, connection, spans })
    }

    /// Waits for the end of a connection. What is told of it before that only adds to its spans.
    fn end(&self, spans: &mut Vec<SpanData>) -> Result<Connection, Differs> {
        loop {
            let (event, made) = self.event()?;
            spans.extend(made);
            match event {
                Event::Connection(connection) => return Ok(*connection),
                Event::Checkpoint(_) | Event::Message(_) => {}
                Event::Handshake(_) => {
                    return Err(Differs::Report("another handshake before the end of the connection"));
                }
            }
        }
    }

    /// The next event and its spans.
    fn event(&self) -> Result<(Event, Vec<SpanData>), Differs> {
        let Report::Event(event) = self.one("no event")? else { return Err(Differs::Report("spans without event")) };
        let Report::Spans(spans) = self.one("no spans")? else {
            return Err(Differs::Report("an event without spans"));
        };
        Ok((event, spans))
    }

    fn one(&self, missing: &'static str) -> Result<Report, Differs> {
        self.0.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => Differs::Report(missing),
            RecvTimeoutError::Disconnected => Differs::Report("the export has ended"),
        })
    }
}
