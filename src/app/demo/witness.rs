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
    Span(Box<SpanData>),
}

/// All that was reported about one connection.
pub(super) struct Reported {
    pub(super) handshake: Handshake,
    pub(super) handshake_span: SpanData,
    /// `None`: the handshake was refused.
    pub(super) connection: Option<(Connection, SpanData)>,
}

/// A witness, and the taps that let it see.
pub(super) fn witness() -> (Taps, Witness) {
    let (events, reports) = sync_channel(QUEUE);
    let spans = events.clone();
    let taps = Taps {
        events: Some(Box::new(move |event: &Event| hand_over(&events, Report::Event(event.clone())))),
        spans: Some(Box::new(move |span: &SpanData| hand_over(&spans, Report::Span(Box::new(span.clone()))))),
    };
    (taps, Witness(reports))
}

/// A report that finds the queue full is missed, and that is a difference.
fn hand_over(to: &SyncSender<Report>, report: Report) {
    let _ = to.try_send(report);
}

impl Witness {
    /// Waits for all that is reported about the next connection: an event and its span for the handshake and, when
    /// that opened, for the connection.
    pub(super) fn next(&self) -> Result<Reported, Differs> {
        let (event, handshake_span) = self.pair()?;
        let Event::Handshake(handshake) = event else { return Err(Differs::Report("a connection without handshake")) };
        let connection = match handshake.outcome {
            Outcome::Refused { .. } => None,
            Outcome::Opened => {
                let (event, span) = self.pair()?;
                let Event::Connection(connection) = event else {
                    return Err(Differs::Report("another handshake before the end of the connection"));
                };
                Some((*connection, span))
            }
        };
        Ok(Reported { handshake: *handshake, handshake_span, connection })
    }

    fn pair(&self) -> Result<(Event, SpanData), Differs> {
        let Report::Event(event) = self.one("no event")? else { return Err(Differs::Report("a span without event")) };
        let Report::Span(span) = self.one("no span")? else { return Err(Differs::Report("an event without span")) };
        Ok((event, *span))
    }

    fn one(&self, missing: &'static str) -> Result<Report, Differs> {
        self.0.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => Differs::Report(missing),
            RecvTimeoutError::Disconnected => Differs::Report("the export has ended"),
        })
    }
}
