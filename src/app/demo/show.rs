//! Reports as lines for people.

use std::time::Duration;

use crate::config::Problems;
use crate::telemetry::record::{Checkpoint, Connection, Counts, Event, Handshake, Outcome};

/// What became of a handshake or a connection, or how one goes on, in one line. Single messages are for spans alone.
pub(super) fn event(event: &Event) -> Option<String> {
    match event {
        Event::Handshake(handshake) => Some(self::handshake(handshake)),
        Event::Connection(connection) => Some(self::connection(connection)),
        Event::Checkpoint(checkpoint) => Some(self::checkpoint(checkpoint)),
        Event::Message(_) => None,
    }
}

/// `opened` or `refused`, and what there is to know about it.
pub(super) fn handshake(handshake: &Handshake) -> String {
    let Handshake { client, took, tls, subject, protocol, outcome, detail, .. } = handshake;
    let took = self::took(*took);
    match outcome {
        Outcome::Opened => {
            let subject = subject.as_deref().unwrap_or("nobody");
            let tls = tls.as_ref().map_or(String::new(), |tls| format!(", TLS {}", tls.version));
            let protocol = protocol.as_ref().map_or(String::new(), |protocol| format!(", subprotocol {protocol}"));
            format!("opened   {client}  for {subject}{tls}{protocol}, in {took}")
        }
        Outcome::Refused { reason, status } => {
            let status = status.map_or("no answer".into(), |status| status.to_string());
            let detail = detail.as_ref().map_or(String::new(), |detail| format!(" ({detail})"));
            format!("refused  {client}  {status} {reason}{detail}, in {took}")
        }
    }
}

/// `ended`, how, and what was relayed.
pub(super) fn connection(connection: &Connection) -> String {
    let Connection { client, took, from_client, from_app, end, .. } = connection;
    let (took, from_client, from_app) = (self::took(*took), counts(from_client), counts(from_app));
    format!("ended    {client}  {end}; from the client {from_client}; from the app {from_app}; after {took}")
}

/// `lives`, for how long, and what was relayed.
fn checkpoint(checkpoint: &Checkpoint) -> String {
    let Checkpoint { client, age, from_client: [_, from_client], from_app: [_, from_app], .. } = checkpoint;
    let (age, from_client, from_app) = (took(*age), counts(from_client), counts(from_app));
    format!("lives    {client}  since {age}; from the client {from_client}; from the app {from_app}")
}

/// `0.42 ms` or, from a second on, `3.1 s`.
pub(super) fn took(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 1.0 { format!("{:.2} ms", seconds * 1e3) } else { format!("{seconds:.1} s") }
}

/// Every problem of a configuration.
pub(super) fn problems(problems: &Problems) -> String {
    let problems: Vec<_> = problems.0.iter().map(|problem| format!("{problem:#}")).collect();
    problems.join("\n")
}

fn counts(counts: &Counts) -> String {
    let Counts { messages, bytes, .. } = counts;
    format!("{messages} message{}, {bytes} bytes", if *messages == 1 { "" } else { "s" })
}
