//! How a relayed connection ended: one value that log, span and metric all show.

use std::fmt;

use crate::peer::Side;
use crate::rule::Rule;

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The client.
    Client,
    /// The app.
    App,
    /// Ringside itself.
    Ringside,
}

impl By {
    /// All of them, for tables and tests.
    pub const ALL: [Self; 3] = [Self::Client, Self::App, Self::Ringside];

    /// Its place in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        match self {
            Self::Client => 0,
            Self::App => 1,
            Self::Ringside => 2,
        }
    }

    /// Its name in logs, spans and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::App => "app",
            Self::Ringside => "ringside",
        }
    }
}

impl From<Side> for By {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::App => Self::App,
        }
    }
}

/// Why a connection ended. Beside it stands who: `by`, one of those that [`Why::by`] names.
///
/// The first fault is the cause. Without a fault it is what began the closing: a Close frame, the end of a byte
/// stream, a decision of ours.
///
/// | name | `by` | what you see | what it means | what to do |
/// |---|---|---|---|---|
/// | `closed` | client, app | a Close frame on both sides | `by` closed, the other side answered | nothing; the codes say more |
/// | `eof` | client, app | 1006 at the app; 1012 with a retry hint at the client | `by` ended its stream in order, but without a Close frame | let `by` close with a code; an app that stops should close its sockets first |
/// | `truncated` | client, app | as for `eof`; 1006 also at a client that was in the middle of a frame | the stream of `by` ended inside a frame, or inside TLS (no `close_notify`): the network, a proxy or a crash cut it | look for what stands between us and `by`, and for crashes |
/// | `reset` | client, app | as for `truncated` | `by` aborted its connection: a crash, a kill, a firewall, or a close with unread data | as for `truncated` |
/// | a rule's name, such as `text_utf8` | client, app | 1002, 1007, 1008 or 1009 at `by`; 1001 (app) or 1011 (client) at the other side | `by` sent a frame that breaks this [rule](Rule), whose source stands beside it. Rates and `client_unmasked` are about clients alone, `app_masked` is about apps | fix `by`, or raise the bound if the source is a key of `limits` |
/// | `tls_broken` | client | 1006 at both sides | `by` sent what is no TLS, or what does not decrypt | suspect the network path or the client's TLS library |
/// | `write_stalled` | client, app | 1006 at `by`; 1001 (app) or 1011 (client) at the other side | `by` took nothing of what we wrote for `timeouts.write_stall`, or for a second while others waited for buffers | find out why `by` does not read; many at once: an attack, or an app that sends more than its clients can take |
/// | `peer_dead` | client, app | as for `write_stalled` | nothing came from `by` for an interval of `keepalive`, nor an answer to `keepalive.missed` Pings | usual for clients that lose their network; many at once: look at the path. Raise the interval if it hits the living |
/// | `close_timeout` | client, app | 1006 at the side that closed first | `by` did not answer a Close frame within `timeouts.closing` | let `by` answer Close frames |
/// | `idle` | ringside | 1000 at both sides | no data in either direction for `timeouts.idle` | nothing, or raise it |
/// | `expired` | ringside | 4401 (`auth.jwt.expiry_code`) at both sides | the token of the connection has expired | clients fetch a new token and reconnect |
/// | `max_age` | ringside | 1001 at both sides | the connection was open for `timeouts.max_age` | nothing; clients reconnect |
/// | `drain` | ringside | 1001 (`drain.code`) at both sides | this process was told to stop | nothing; clients reconnect |
/// | `internal` | ringside | 1006 at both sides | a fault of ours | read the log line and report it |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// A closing handshake: `by` sent the first Close frame.
    Closed,
    /// `by` ended its byte stream in order (FIN, over TLS behind a `close_notify`) without a Close frame.
    Eof,
    /// `by` ended its byte stream inside a frame, or its TLS stream without `close_notify`: what came last is
    /// missing, or may be.
    Truncated,
    /// `by` reset its connection.
    Reset,
    /// `by` broke a rule of the frame protocol or a bound.
    Violation(Rule),
    /// `by` broke the TLS protocol after the handshake.
    TlsBroken,
    /// `by` did not take what we wrote for too long.
    WriteStalled,
    /// `by` was silent and did not answer our Pings.
    PeerDead,
    /// The closing handshake that `by` owed an answer to took too long.
    CloseTimeout,
    /// No data came from either side for too long.
    Idle,
    /// The token has expired.
    Expired,
    /// The connection has reached its maximum age.
    MaxAge,
    /// This process is to stop.
    Drain,
    /// A fault of ours; the log says more.
    Internal,
}

impl Why {
    /// Every cause, for tables and tests.
    pub const ALL: [Self; OTHERS.len() + Rule::ALL.len()] = {
        let mut all = [Self::Internal; OTHERS.len() + Rule::ALL.len()];
        let mut n = 0;
        while n < all.len() {
            all[n] = if n < OTHERS.len() { OTHERS[n] } else { Self::Violation(Rule::ALL[n - OTHERS.len()]) };
            n += 1;
        }
        all
    };

    /// Its place in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Eof => 1,
            Self::Truncated => 2,
            Self::Reset => 3,
            Self::TlsBroken => 4,
            Self::WriteStalled => 5,
            Self::PeerDead => 6,
            Self::CloseTimeout => 7,
            Self::Idle => 8,
            Self::Expired => 9,
            Self::MaxAge => 10,
            Self::Drain => 11,
            Self::Internal => 12,
            Self::Violation(rule) => OTHERS.len() + rule as usize,
        }
    }

    /// Who can end a connection for this cause. Metrics have a series for each of these and for no other.
    pub const fn by(self) -> &'static [By] {
        match self {
            Self::Idle | Self::Expired | Self::MaxAge | Self::Drain | Self::Internal => &[By::Ringside],
            Self::TlsBroken
            | Self::Violation(
                Rule::ClientUnmasked
                | Rule::MessageRate
                | Rule::ByteRate
                | Rule::SubjectMessageRate
                | Rule::SubjectByteRate,
            ) => &[By::Client],
            Self::Violation(Rule::AppMasked) => &[By::App],
            Self::Closed
            | Self::Eof
            | Self::Truncated
            | Self::Reset
            | Self::WriteStalled
            | Self::PeerDead
            | Self::CloseTimeout
            | Self::Violation(_) => &[By::Client, By::App],
        }
    }

    /// Whether something went wrong. What is no fault is an orderly way to begin a closing.
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Closed | Self::Eof | Self::Idle | Self::Expired | Self::MaxAge | Self::Drain)
    }

    /// Where the rule stands that was broken: a section, or a key of the configuration. `None` without a violation.
    pub const fn source(self) -> Option<&'static str> {
        match self {
            Self::Violation(rule) => Some(rule.source()),
            _ => None,
        }
    }

    /// Its name in logs, spans and metrics. A violation goes by the name of its rule.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Eof => "eof",
            Self::Truncated => "truncated",
            Self::Reset => "reset",
            Self::Violation(rule) => rule.as_str(),
            Self::TlsBroken => "tls_broken",
            Self::WriteStalled => "write_stalled",
            Self::PeerDead => "peer_dead",
            Self::CloseTimeout => "close_timeout",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::MaxAge => "max_age",
            Self::Drain => "drain",
            Self::Internal => "internal",
        }
    }
}

/// The causes that are no violations.
const OTHERS: [Why; 13] = [
    Why::Closed,
    Why::Eof,
    Why::Truncated,
    Why::Reset,
    Why::TlsBroken,
    Why::WriteStalled,
    Why::PeerDead,
    Why::CloseTimeout,
    Why::Idle,
    Why::Expired,
    Why::MaxAge,
    Why::Drain,
    Why::Internal,
];

/// How a connection ended. Each connection ends with exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Who ended it.
    pub by: By,
    /// Why.
    pub why: Why,
    /// The close code that went to the client: relayed from the app or our own. `None` when no Close frame went
    /// to it; 1005 for one without a code.
    pub code_sent: Option<u16>,
    /// The close code the client sent. `None` without a Close frame; 1005 for one without a code.
    pub code_received: Option<u16>,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.why.as_str(), self.by.as_str())?;
        if let Some(source) = self.why.source() {
            write!(f, " ({source})")?;
        }
        if let Some(code) = self.code_received {
            write!(f, ", client sent {code}")?;
        }
        if let Some(code) = self.code_sent {
            write!(f, ", client got {code}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{By, Why};

    #[test]
    fn each_who_has_its_place() {
        for (place, by) in By::ALL.into_iter().enumerate() {
            assert_eq!(by.index(), place, "{by:?}");
        }
    }

    #[test]
    fn each_cause_has_its_place_and_its_name() {
        for (place, why) in Why::ALL.into_iter().enumerate() {
            assert_eq!(why.index(), place, "{why:?}");
            assert_eq!(Why::ALL.iter().filter(|other| other.as_str() == why.as_str()).count(), 1, "{why:?}");
        }
    }

    #[test]
    fn the_table_above_names_each_cause_and_who_can_be_behind_it() {
        let rows: Vec<_> = include_str!("end.rs").lines().filter_map(|line| line.strip_prefix("/// | `")).collect();
        let mut documented = 0;
        for why in Why::ALL.into_iter().filter(|why| why.source().is_none()) {
            let by: Vec<_> = why.by().iter().map(|by| by.as_str()).collect();
            let row = format!("{}` | {} |", why.as_str(), by.join(", "));
            assert_eq!(rows.iter().filter(|line| line.starts_with(&row)).count(), 1, "{row}");
            documented += 1;
        }
        assert_eq!(rows.len(), documented, "nothing else stands there");
    }

    #[test]
    fn the_readme_names_each_cause() {
        let readme = include_str!("../../README.md");
        for why in Why::ALL {
            assert!(readme.contains(&format!("`{}`", why.as_str())), "{why:?}");
        }
    }

    #[test]
    fn faults_of_clients_and_apps_are_not_ours() {
        for why in Why::ALL {
            assert_eq!(why.is_fault() && why.by() == [By::Ringside], why == Why::Internal, "{why:?}");
        }
    }
}
