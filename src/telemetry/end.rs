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

/// Why a connection ended. Beside it stands who: `by`.
///
/// The first fault is the cause. Without a fault it is what began the closing: a Close frame, the end of a byte
/// stream, our shutdown.
///
/// | name | what you see | what it means | what to do |
/// |---|---|---|---|
/// | `closed` | a Close frame on both sides | `by` closed, the other side answered | nothing; the codes say more |
/// | `eof` | 1006 at the other side | `by` ended its stream in order, but without a Close frame | let `by` close with a code |
/// | `truncated` | 1006 at the other side | the stream of `by` ended inside a frame, or inside TLS (no `close_notify`): the network, a proxy or a crash cut it | look for what stands between us and `by`, and for crashes |
/// | `reset` | 1006 at the other side | `by` aborted its connection: a crash, a kill, a firewall, or a close with unread data | as for `truncated` |
/// | `violation` | 1002, 1007, 1008 or 1009 at `by`; 1001 (app) or 1011 (client) at the other side | `by` sent a frame that breaks the rule named beside it | fix `by`, or raise the bound if the rule is one of `limits` |
/// | `tls_broken` | 1006 at both sides | `by` sent what is no TLS, or what does not decrypt | suspect the network path or the client's TLS library |
/// | `write_stalled` | 1006 at `by` | `by` took nothing of what we wrote for `write_stall` | find out why `by` does not read; see `limits` |
/// | `close_timeout` | 1006 at the side that closed first | `by` did not answer a Close frame within `closing` | let `by` answer Close frames |
/// | `shutdown` | the configured code (1001) at both sides | this process was told to stop | nothing; clients reconnect |
/// | `internal` | 1006 at both sides | a fault of ours | read the log line and report it |
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
    /// The closing handshake that `by` owed an answer to took too long.
    CloseTimeout,
    /// This process is shutting down.
    Shutdown,
    /// A fault of ours; the log says more.
    Internal,
}

impl Why {
    /// Whether something went wrong. What is no fault is an orderly way to begin a closing.
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Closed | Self::Eof | Self::Shutdown)
    }

    /// Its name in logs, spans and metrics. A violation has the name of its rule beside it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Eof => "eof",
            Self::Truncated => "truncated",
            Self::Reset => "reset",
            Self::Violation(_) => "violation",
            Self::TlsBroken => "tls_broken",
            Self::WriteStalled => "write_stalled",
            Self::CloseTimeout => "close_timeout",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
        }
    }
}

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
        if let Why::Violation(rule) = self.why {
            write!(f, " ({rule}, {})", rule.source())?;
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
