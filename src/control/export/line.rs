//! One log line when a handshake is over and one when a connection is.
//!
//! All under the target `ringside::connection`: `ringside::connection=off` in the filter silences them. Durations are in
//! milliseconds. `opened` shows the span of the handshake, `ended` that of the connection; `trace_id` and `id` are the
//! same on both.
//!
//! | what is told | level | left out |
//! |---|---|---|
//! | a 101; an end that is no fault | INFO | by `log.sample_ratio`, both lines of a connection or neither |
//! | a refusal or an end for which the client is to blame; what the app refused; a drain's refusals | INFO | past `log.noise` |
//! | a refusal because the app failed, or because there is no room | WARN | past `log.noise` |
//! | an end that is the app's fault | WARN | never |
//! | `internal` | ERROR | never |
//!
//! So the noise bounds what anybody on the network can cause as often as they like. Each level has an allowance of its
//! own: no client's noise hides a dead app. What is past it is counted, and summed up in lines `suppressed`, each at the
//! level of what it sums up.
//!
//! The connections of the ratio are chosen by trace id, as traces are: with the same ratio for both, the log shows those
//! that the collector has, unless clients decide on traces. A client that names its trace can choose whether its
//! connection is among them; its faults are told in any case.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::{Level, enabled};

use super::matter::Matter;
use super::noise::{Noise, Summary};
use crate::control::log;
use crate::control::subject::Subjects;
use crate::telemetry::record::{Connection, Event, Handshake, Outcome, RoundTrip};
use crate::telemetry::trace::{Sampler, Span};

const TARGET: &str = "ringside::connection";

/// Which lines are written, and how they show subjects.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Shows subjects.
    pub subjects: Subjects,
    /// Chooses the connections whose lines are written although all went well.
    pub sampler: Sampler,
    /// At most so many lines a second that anybody can cause, of each level.
    pub noise: NonZeroU32,
}

/// How many lines the noise bound has suppressed. All clones show the same figure.
#[derive(Clone, Debug, Default)]
pub struct Suppressed(Arc<AtomicU64>);

/// Writes the lines. Only one thread does, so that what is bounded is bounded in one place.
#[derive(Debug)]
pub(super) struct Writer {
    subjects: Subjects,
    sampler: Sampler,
    /// Of clients.
    noise: Noise,
    /// While the app is down, or there is no room.
    outage: Noise,
    suppressed: Suppressed,
}

impl Lines {
    /// As configured, with what shows subjects.
    pub fn new(config: &log::Config, subjects: Subjects) -> Self {
        Self { subjects, sampler: config.sampler, noise: config.noise }
    }
}

impl Default for Lines {
    /// All lines, with subjects as they are, and the noise that is the default of the configuration.
    fn default() -> Self {
        const NOISE: NonZeroU32 = NonZeroU32::new(100).unwrap();
        Self { subjects: Subjects::PLAIN, sampler: Sampler::ratio(1.0), noise: NOISE }
    }
}

impl Suppressed {
    /// Lines suppressed so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// `tracing` must know a level when it is compiled.
macro_rules! event {
    ($level:expr, $($fields:tt)+) => {
        match $level {
            Level::ERROR => tracing::error!(target: TARGET, $($fields)+),
            Level::WARN => tracing::warn!(target: TARGET, $($fields)+),
            _ => tracing::info!(target: TARGET, $($fields)+),
        }
    };
}

impl Writer {
    pub(super) fn new(lines: Lines, suppressed: Suppressed, now: Instant) -> Self {
        let Lines { subjects, sampler, noise } = lines;
        let [noise, outage] = [(); 2].map(|()| Noise::new(noise, now));
        Self { subjects, sampler, noise, outage, suppressed }
    }

    /// Writes the event's line, unless it is left out. What is told while a connection goes on is for spans alone.
    pub(super) fn write(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Handshake(handshake) => {
                let (matter, reason) = match handshake.outcome {
                    Outcome::Opened => (Matter::Order, ""),
                    Outcome::Refused { reason, .. } => (Matter::of_refusal(reason), reason.as_str()),
                };
                if self.admits(matter, reason, handshake.span, now) {
                    self.write_handshake(handshake, matter.level());
                }
            }
            Event::Connection(connection) => {
                let matter = Matter::of_end(&connection.end);
                if self.admits(matter, connection.end.why.as_str(), connection.span, now) {
                    self.write_connection(connection, matter.level());
                }
            }
            Event::Checkpoint(_) | Event::Message(_) => {}
        }
    }

    /// Sums up what was suppressed, when it is time. Call it now and then, whether or not anything comes.
    pub(super) fn sum_up(&mut self, now: Instant) {
        let (noise, outage) = (self.noise.sum_up(now), self.outage.sum_up(now));
        write_summaries(noise, outage);
    }

    /// Sums up the rest.
    pub(super) fn finish(&mut self) {
        write_summaries(self.noise.rest(), self.outage.rest());
    }

    fn admits(&mut self, matter: Matter, reason: &'static str, span: Span, now: Instant) -> bool {
        let bound = match matter {
            Matter::Order => return self.sampler.samples(span.trace),
            Matter::Fault | Matter::Internal => return true,
            // What the filter leaves out takes no room and is not missed.
            Matter::Noise if !enabled!(target: TARGET, Level::INFO) => return true,
            Matter::Outage if !enabled!(target: TARGET, Level::WARN) => return true,
            Matter::Noise => &mut self.noise,
            Matter::Outage => &mut self.outage,
        };
        let admitted = bound.admits(reason, now);
        if !admitted {
            self.suppressed.0.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    fn write_handshake(&self, handshake: &Handshake, level: Level) {
        let Handshake { id, client, span, took, tls, subject, protocol, outcome, detail, .. } = handshake;
        let (message, status, reason) = match outcome {
            Outcome::Opened => ("opened", Some(101), None),
            Outcome::Refused { reason, status } => ("refused", *status, Some(reason.as_str())),
        };
        let subject = subject.as_deref().and_then(|subject| self.subjects.show(subject));
        event!(
            level,
            id = id.0,
            %client,
            status,
            reason,
            detail,
            subject = subject.as_deref(),
            subprotocol = protocol,
            took_ms = millis(*took),
            tls_ms = handshake.tls_took().map(millis),
            app_ms = handshake.app_took().map(millis),
            tls = tls.as_ref().map(|tls| tls.version),
            cipher = tls.as_ref().map(|tls| tls.cipher),
            resumed = tls.as_ref().map(|tls| tls.resumed),
            trace_id = %span.trace,
            span_id = %span.id,
            "{message}",
        );
    }

    fn write_connection(&self, connection: &Connection, level: Level) {
        let Connection { id, client, span, took, subject, protocol, from_client, from_app, end, .. } = connection;
        let rtt = |trip: Option<RoundTrip>| trip.map(|trip| millis(trip.last));
        let rtt_least = |trip: Option<RoundTrip>| trip.map(|trip| millis(trip.least));
        let subject = subject.as_deref().and_then(|subject| self.subjects.show(subject));
        event!(
            level,
            id = id.0,
            %client,
            by = end.by.as_str(),
            why = end.why.as_str(),
            source = end.why.source(),
            code_sent = end.code_sent,
            code_received = end.code_received,
            subject = subject.as_deref(),
            subprotocol = protocol,
            took_ms = millis(*took),
            from_client.frames,
            from_client.messages,
            from_client.bytes,
            from_client.compressed,
            from_app.frames,
            from_app.messages,
            from_app.bytes,
            from_app.compressed,
            client_rtt_ms = rtt(connection.client_round_trip),
            client_rtt_least_ms = rtt_least(connection.client_round_trip),
            app_rtt_ms = rtt(connection.app_round_trip),
            app_rtt_least_ms = rtt_least(connection.app_round_trip),
            trace_id = %span.trace,
            span_id = %span.id,
            "ended",
        );
    }
}

fn write_summaries(noise: Option<Summary>, outage: Option<Summary>) {
    let summaries = [(Matter::Noise, noise), (Matter::Outage, outage)];
    for (matter, summary) in summaries {
        if let Some(Summary { lines, reasons }) = summary {
            event!(matter.level(), lines, %reasons, "suppressed");
        }
    }
}

/// To the microsecond.
fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests;
