//! What `/connections` answers, as JSON and as who asked reads it.
//!
//! What is not known is absent. A reader lets pass what it does not know: a later sidecar may tell more.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Everything.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Connections {
    /// When it was so.
    pub at: Time,
    /// Version of the sidecar.
    pub version: String,
    /// The engine that runs: `io_uring` or `epoll`.
    pub engine: String,
    /// Why that one.
    pub engine_why: String,
    /// When the process started. Counts and numbers of connections begin anew with it.
    pub started: Time,
    /// Of all connections, whether or not they are listed.
    pub totals: Totals,
    /// How many are listed.
    pub shown: usize,
    /// Workers, by number, that did not answer in time: their connections are not listed.
    pub workers_silent: Vec<usize>,
    /// Those that have relayed most bytes before the others.
    pub connections: Vec<Connection>,
    /// The latest ends and refusals, the newest first.
    pub recent: Vec<Gone>,
}

/// Figures of the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Totals {
    /// Connections that are relayed.
    pub open: u64,
    /// Connections of any kind: those that are opening or leaving, too.
    pub held: u64,
    /// Most that may be.
    pub limit: u64,
    /// Whether this process was told to stop.
    pub draining: bool,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Of these, those that got a 101.
    pub opened: u64,
    /// Of these, those that were refused.
    pub refused: u64,
    /// What clients have sent since the start.
    pub from_client: Sent,
    /// What the app has sent.
    pub from_app: Sent,
}

/// A connection that is relayed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Connection {
    /// Its number, as in the log.
    pub id: u64,
    /// Where the client connected from.
    pub client: String,
    /// The token's subject, in the way that is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The agreed subprotocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<String>,
    /// Its trace, as in the log and at the collector.
    pub trace_id: String,
    /// Seconds since the 101.
    pub age: f64,
    /// Whether its end has begun.
    #[serde(flatten)]
    pub state: State,
    /// What the client has sent.
    pub from_client: Sent,
    /// What the app has sent.
    pub from_app: Sent,
    /// The latest round trip of our Pings to the client, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_rtt_ms: Option<f64>,
    /// The shortest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_rtt_least_ms: Option<f64>,
    /// The latest round trip of our Pings to the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_rtt_ms: Option<f64>,
    /// The shortest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_rtt_least_ms: Option<f64>,
}

/// Where a connection stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// All goes its way.
    Open,
    /// Its end has begun.
    Closing {
        /// Who began it.
        by: String,
        /// Why.
        why: String,
    },
}

/// What one side has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Sent {
    /// Frames of any kind.
    pub frames: u64,
    /// Data messages whose last frame was relayed.
    pub messages: u64,
    /// Bytes of frames, headers included.
    pub bytes: u64,
}

/// Somebody who is gone.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Gone {
    /// When.
    pub at: Time,
    /// Number of the connection.
    pub id: u64,
    /// Where the client connected from.
    pub client: String,
    /// The token's subject, in the way that is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Its trace.
    pub trace_id: String,
    /// Seconds from the 101 to the end, or from accept to the refusal.
    pub age: f64,
    /// How it went.
    #[serde(flatten)]
    pub how: How,
}

/// How somebody went.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum How {
    /// Its connection has ended.
    Ended {
        /// Who ended it.
        by: String,
        /// Why; `telemetry::end::Why` says what each means and what to do.
        why: String,
        /// The rule that was broken: a section, or a key of the configuration.
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// The close code that went to the client.
        #[serde(skip_serializing_if = "Option::is_none")]
        code_sent: Option<u16>,
        /// The close code that the client sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        code_received: Option<u16>,
    },
    /// It got no 101.
    Refused {
        /// Why.
        reason: String,
        /// The HTTP status it got, if it got any.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// What an operator may want to know beyond the reason.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

/// A time, written as RFC 3339 with milliseconds: `2026-01-02T03:04:05.678Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(pub SystemTime);

impl Time {
    /// From `earlier` to this; zero when it is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.duration_since(earlier.0).unwrap_or_default()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        // A clock that is set to before 1970 is shown as 1970.
        humantime::format_rfc3339_millis(time.0.max(SystemTime::UNIX_EPOCH)).to_string()
    }
}

impl TryFrom<String> for Time {
    type Error = humantime::TimestampError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        humantime::parse_rfc3339(&text).map(Self)
    }
}
