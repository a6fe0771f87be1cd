//! From what workers and the export thread know to what `/connections` tells.

use std::time::Duration;

use super::shape::{Connection, Gone, How, Sent, State, Time};
use crate::control::recent;
use crate::control::subject::Subjects;
use crate::telemetry::live::Row;
use crate::telemetry::record::{Counts, RoundTrip};

/// Most characters of a text that a stranger chose.
const LONGEST: usize = 256;

pub(super) fn connection(row: &Row, subjects: &Subjects) -> Connection {
    let millis = |trip: Option<RoundTrip>, of: fn(RoundTrip) -> Duration| trip.map(|trip| round(of(trip), 1e3));
    let (client, app) = (row.client_round_trip, row.app_round_trip);
    Connection {
        id: row.id.0,
        client: row.client.to_string(),
        subject: row.subject.as_deref().and_then(|subject| subjects.show(subject)).as_deref().map(shorten),
        subprotocol: row.protocol.as_deref().map(shorten),
        trace_id: row.trace.to_string(),
        age: round(row.age, 1.0),
        state: row.closing.map_or(State::Open, |(by, why)| State::Closing {
            by: by.as_str().to_owned(),
            why: why.as_str().to_owned(),
        }),
        from_client: row.from_client.into(),
        from_app: row.from_app.into(),
        client_rtt_ms: millis(client, |trip| trip.last),
        client_rtt_least_ms: millis(client, |trip| trip.least),
        app_rtt_ms: millis(app, |trip| trip.last),
        app_rtt_least_ms: millis(app, |trip| trip.least),
    }
}

pub(super) fn gone(gone: recent::Gone, subjects: &Subjects) -> Gone {
    Gone {
        at: Time(gone.at),
        id: gone.id.0,
        client: gone.client.to_string(),
        subject: gone.subject.as_deref().and_then(|subject| subjects.show(subject)).as_deref().map(shorten),
        trace_id: gone.trace.to_string(),
        age: round(gone.took, 1.0),
        how: match gone.how {
            recent::How::Ended(end) => How::Ended {
                by: end.by.as_str().to_owned(),
                why: end.why.as_str().to_owned(),
                source: end.why.source().map(str::to_owned),
                code_sent: end.code_sent,
                code_received: end.code_received,
            },
            recent::How::Refused { reason, status, detail } => {
                How::Refused { reason: reason.as_str().to_owned(), status, detail: detail.as_deref().map(shorten) }
            }
        },
    }
}

impl From<Counts> for Sent {
    fn from(Counts { frames, messages, bytes, .. }: Counts) -> Self {
        Self { frames, messages, bytes }
    }
}

/// In units of which `per_second` are a second, to the microsecond.
fn round(time: Duration, per_second: f64) -> f64 {
    (time.as_secs_f64() * 1e6).round() / (1e6 / per_second)
}

/// The beginning of a text that is too long, and a mark that there was more.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST, round, shorten};

    #[test]
    fn times_are_exact_to_the_microsecond() {
        let time = Duration::from_nanos(12_345_678_499);
        assert_eq!((round(time, 1.0), round(time, 1e3)), (12.345_678, 12_345.678));
    }

    #[test]
    fn a_text_of_a_stranger_is_bounded() {
        let fits = "é".repeat(LONGEST);
        assert_eq!(shorten(&fits), fits);
        assert_eq!(shorten(&format!("{fits}é")), format!("{fits}…"));
    }
}
