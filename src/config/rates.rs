//! How fast clients may send: `[limits.connection]` and `[limits.subject]`.

use std::num::NonZeroU64;
use std::time::Duration;

use super::bounds::{self, MILLISECOND};
use super::findings::Findings;
use super::raw;
use crate::bytesize::ByteSize;
use crate::rate::{Limit, Limits, Rate};

/// A longer burst lets so much through at once that its rate means little.
const LONGEST_BURST: Duration = Duration::from_secs(60 * 60);

/// The rates of both scopes; a table that is not there limits nothing.
pub(super) fn resolve(raw: &raw::Raw, findings: &mut Findings<'_>) -> Limits {
    const SUBJECT: &str = "limits.subject";
    if raw.limits.subject.is_some() && raw.auth.jwt.is_none() && !findings.is_struck("auth.jwt") {
        let what = "without [auth.jwt] no client has a subject";
        findings.wrong(SUBJECT, what, "add [auth.jwt], or limit each connection with [limits.connection]");
    }
    Limits {
        connection: limit("limits.connection", raw.limits.connection, findings),
        subject: limit(SUBJECT, raw.limits.subject, findings),
    }
}

fn limit(table: &str, raw: Option<raw::RateLimit>, findings: &mut Findings<'_>) -> Limit {
    let Some(raw) = raw else { return Limit::default() };
    let [messages, bytes, burst] = ["messages", "bytes", "burst"].map(|name| format!("{table}.{name}"));
    let given = raw.messages.is_some() || raw.bytes.is_some();
    if !given && !findings.is_struck(&messages) && !findings.is_struck(&bytes) {
        let help = "write messages or bytes: how many a second may come; or remove the table";
        findings.wrong(table, "limits nothing", help);
    }
    if let Some(size) = raw.bytes {
        bounds::size(&bytes, size, ByteSize::bytes(1), findings);
    }
    bounds::time(&burst, raw.burst, MILLISECOND..=LONGEST_BURST, findings);
    let rate = |per_second| Rate { per_second, burst: raw.burst };
    Limit {
        messages: raw.messages.map(rate),
        // Zero bytes were told above.
        bytes: raw.bytes.and_then(|size| NonZeroU64::new(size.get())).map(rate),
        action: raw.action.into(),
    }
}
