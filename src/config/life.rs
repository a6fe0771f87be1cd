//! How a connection lives and ends: `[keepalive]`, `[drain]`, and what other tables say of a session.

use std::num::NonZeroU32;
use std::time::Duration;

use super::bounds::{self, DAY, MILLISECOND};
use super::findings::Findings;
use super::raw;
use crate::lifecycle::drain::Pace;
use crate::session;
use crate::ws::close;

/// What is shorter would end or probe connections that are only slow.
const SHORTEST: Duration = Duration::from_secs(1);

/// Connections may well be open for weeks.
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What bounds a session, and how it ends.
pub(super) fn session(raw: &raw::Raw, findings: &mut Findings<'_>) -> session::Config {
    let raw::Raw { limits, timeouts, .. } = raw;
    unless_off("timeouts.idle", timeouts.idle, DAY, findings);
    unless_off("timeouts.max_age", timeouts.max_age, MONTH, findings);
    bounds::time("app.retry", raw.app.retry, MILLISECOND..=DAY, findings);
    session::Config {
        message: limits.message,
        fragments: limits.fragments.get(),
        control_frames: limits.control_frames,
        validate_utf8: limits.validate_utf8,
        keepalive: keepalive(&raw.keepalive, findings),
        idle: timeouts.idle,
        max_age: timeouts.max_age,
        expiry: expiry(raw.auth.jwt.as_ref(), findings),
        closing: timeouts.closing,
        drain: notice(&raw.drain, findings),
        retry: raw.app.retry,
    }
}

/// How fast connections leave when the process is to stop.
pub(super) fn drain(raw: &raw::Drain, findings: &mut Findings<'_>) -> Pace {
    let raw::Drain { spread, timeout, .. } = *raw;
    // Both are looked at, whatever the first one is.
    let sound = bounds::time("drain.spread", spread, Duration::ZERO..=DAY, findings)
        & bounds::time("drain.timeout", timeout, MILLISECOND..=DAY, findings);
    if sound && timeout < spread {
        let [short, long] = [timeout, spread].map(humantime::format_duration);
        if findings.is_written("drain.timeout") {
            let what = format!("shorter than drain.spread ({long}): some would be cut before they get their Close");
            findings.wrong("drain.timeout", what, format!("write at least \"{long}\", or lower drain.spread"));
        } else {
            let what = format!("longer than drain.timeout ({short}): some would be cut before they get their Close");
            findings.wrong("drain.spread", what, format!("write at most \"{short}\", or raise drain.timeout"));
        }
    }
    Pace { spread, timeout }
}

fn keepalive(raw: &raw::Keepalive, findings: &mut Findings<'_>) -> session::Keepalive {
    const MOST_MISSED: NonZeroU32 = NonZeroU32::new(100).unwrap();
    unless_off("keepalive.client", raw.client, DAY, findings);
    unless_off("keepalive.app", raw.app, DAY, findings);
    if raw.missed > MOST_MISSED {
        let what = format!("more than {MOST_MISSED}: a dead side would hold its connection for too long");
        findings.wrong("keepalive.missed", what, format!("write at most {MOST_MISSED}"));
    }
    session::Keepalive { client: raw.client, app: raw.app, missed: raw.missed }
}

/// The code that ends a connection whose token has expired.
fn expiry(raw: Option<&raw::Jwt>, findings: &mut Findings<'_>) -> Option<u16> {
    let raw = raw?;
    bounds::close_code("auth.jwt.expiry_code", raw.expiry_code, findings);
    match raw.on_expiry {
        raw::OnExpiry::Close => Some(raw.expiry_code),
        raw::OnExpiry::Ignore => {
            let what = "a connection may outlive its token: `exp` is only looked at when it opens";
            let help = "write \"close\", unless the app ends such connections; timeouts.max_age bounds them too";
            findings.unwise("auth.jwt.on_expiry", what, help);
            None
        }
    }
}

fn notice(raw: &raw::Drain, findings: &mut Findings<'_>) -> session::Notice {
    bounds::close_code("drain.code", raw.code, findings);
    let length = raw.reason.len();
    if length > close::REASON {
        let what = format!("{length} bytes; a Close frame has room for {}", close::REASON);
        findings.wrong("drain.reason", what, format!("write at most {} bytes", close::REASON));
    }
    session::Notice { code: raw.code, reason: raw.reason.clone() }
}

fn unless_off(key: &str, time: Option<Duration>, longest: Duration, findings: &mut Findings<'_>) {
    if let Some(time) = time {
        bounds::time(key, time, SHORTEST..=longest, findings);
    }
}
