//! What a Close frame of ours says: a function of the cause and of whom it goes to.

use std::borrow::Cow;

use super::config::Config;
use super::life::Chance;
use super::{Cause, Violation};
use crate::peer::Side;
use crate::telemetry::end::{By, Why};
use crate::ws::close::{GOING_AWAY, INTERNAL_ERROR, NORMAL, SERVICE_RESTART};

/// Code and reason.
pub(super) type Farewell<'c> = (u16, Cow<'c, str>);

/// What `to` is told when the session ends because of `cause`.
///
/// Who broke a rule is told which. An app learns of its client's faults only that the client went away. A client that
/// lost its app gets a hint when to come back, so that not all come back at once.
pub(super) fn farewell(config: &Config, (by, why): Cause, to: Side, chance: Chance) -> Farewell<'_> {
    let theirs = By::from(to) == by;
    match why {
        Why::Violation(rule) if theirs => (rule.close_code(), Violation { by: to, rule }.to_string().into()),
        Why::Drain => (config.drain.code, config.drain.reason.as_str().into()),
        Why::Expired => (config.expiry.unwrap_or(GOING_AWAY), "the token has expired".into()),
        Why::MaxAge => (GOING_AWAY, "the connection has reached its maximum age".into()),
        Why::Idle => (NORMAL, "no data for too long".into()),
        _ if to == Side::App => (GOING_AWAY, "".into()),
        Why::Eof | Why::Truncated | Why::Reset => (SERVICE_RESTART, retry(config, chance)),
        Why::WriteStalled | Why::PeerDead => (INTERNAL_ERROR, retry(config, chance)),
        Why::Violation(_) | Why::Closed | Why::TlsBroken | Why::CloseTimeout | Why::Internal => {
            (INTERNAL_ERROR, "".into())
        }
    }
}

/// A client reads the number of milliseconds behind `retry-after-ms=`.
fn retry(config: &Config, chance: Chance) -> Cow<'static, str> {
    format!("the app is gone; retry-after-ms={}", chance.of(config.retry).as_millis()).into()
}
