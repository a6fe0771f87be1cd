//! What single claims say (RFC 7519 sections 2 and 4.1).

use serde_json::{Map, Value};

use super::error::TokenError;
use crate::time::UnixTime;

/// The last second of the year 9999. A larger `NumericDate` is a mistake (milliseconds, say), not a date.
const LAST_DATE: u64 = 253_402_300_799;

/// Where the fraction of a second goes, so that a token is never good for longer than it says.
#[derive(Clone, Copy)]
pub(super) enum Fraction {
    /// For an end.
    Down,
    /// For a beginning.
    Up,
}

/// A claim that is a `NumericDate`: a number of seconds, perhaps with a fraction.
pub(super) fn date(
    claims: &Map<String, Value>,
    name: &str,
    fraction: Fraction,
) -> Result<Option<UnixTime>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let secs = match (value.as_u64(), value.as_f64()) {
        (Some(secs), _) => secs,
        (None, Some(secs)) => whole(secs, fraction).ok_or(TokenError::Claims)?,
        (None, None) => return Err(TokenError::Claims),
    };
    if secs > LAST_DATE { Err(TokenError::Claims) } else { Ok(Some(UnixTime::from_secs(secs))) }
}

fn whole(secs: f64, fraction: Fraction) -> Option<u64> {
    let secs = match fraction {
        Fraction::Down => secs.floor(),
        Fraction::Up => secs.ceil(),
    };
    // 2^53: up to there every whole number is an f64, and it is far behind the last date.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within the range of a u64")]
    (0.0..=9_007_199_254_740_992.0).contains(&secs).then_some(secs as u64)
}

/// A claim that is a string.
pub(super) fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<Option<&'c str>, TokenError> {
    claims.get(name).map(|value| value.as_str().ok_or(TokenError::Claims)).transpose()
}

/// Whether `aud`, a string or an array of strings, names one of `accepted`.
pub(super) fn audience_is_one_of(claims: &Map<String, Value>, accepted: &[String]) -> Result<bool, TokenError> {
    let given = match claims.get("aud") {
        None => return Ok(false),
        Some(Value::Array(audiences)) => audiences.as_slice(),
        Some(audience) => std::slice::from_ref(audience),
    };
    let given = given.iter().map(|audience| audience.as_str().ok_or(TokenError::Claims));
    let given = given.collect::<Result<Vec<_>, _>>()?;
    Ok(given.iter().any(|audience| accepted.iter().any(|accepted| accepted == audience)))
}
