//! Bounds that sizes, times, ratios and close codes keep in whatever table they stand.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::findings::Findings;
use super::keys::Kind;
use crate::bytesize::ByteSize;
use crate::ws::close;

/// What is shorter leaves no time for anything.
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
/// Longer is a slip nearly everywhere, and far below what the arithmetic of `Instant` can hold.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `size` is `least` or more.
pub(super) fn size(key: &str, size: ByteSize, least: ByteSize, findings: &mut Findings<'_>) {
    if size < least {
        findings.wrong(key, format!("less than {least}"), format!("write at least \"{least}\""));
    }
}

/// `time` lies within `bounds`. Returns whether it does.
pub(super) fn time(key: &str, time: Duration, bounds: RangeInclusive<Duration>, findings: &mut Findings<'_>) -> bool {
    let [least, most] = [*bounds.start(), *bounds.end()].map(humantime::format_duration);
    if time < *bounds.start() {
        findings.wrong(key, format!("shorter than {least}"), format!("write at least \"{least}\""));
    } else if time > *bounds.end() {
        findings.wrong(key, format!("longer than {most}"), format!("write at most \"{most}\""));
    }
    bounds.contains(&time)
}

/// `ratio` lies between 0 and 1.
pub(super) fn ratio(key: &str, ratio: f64, findings: &mut Findings<'_>) {
    if !(0.0..=1.0).contains(&ratio) {
        findings.wrong(key, "not between 0 and 1", format!("write {}", Kind::Ratio.form()));
    }
}

/// A Close frame may say `code`.
pub(super) fn close_code(key: &str, code: u16, findings: &mut Findings<'_>) {
    if !close::may_be_sent(code) {
        let what = format!("{code} may not stand in a Close frame (RFC 6455 section 7.4)");
        findings.wrong(key, what, format!("write {}", Kind::CloseCode.form()));
    }
}
