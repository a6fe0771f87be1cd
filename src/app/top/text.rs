//! Figures and strangers' texts as a terminal may show them.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns that `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `text` with everything escaped that is not simply shown: what moves a cursor, changes a colour, hides, joins or turns
/// the direction of writing. Clients choose subjects and subprotocols.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' => escaped.push(c),
            // Joined with what stands before it, or not seen at all.
            _ if c.width() == Some(0) => escaped.extend(c.escape_unicode()),
            _ => escaped.extend(c.escape_debug()),
        }
    }
    escaped
}

/// The beginning of `text` in at most `most` columns, with a mark when there was more.
pub(super) fn clip(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut left = most.saturating_sub(1);
    for c in text.chars() {
        let Some(rest) = left.checked_sub(c.width().unwrap_or(0)) else { break };
        left = rest;
        clipped.push(c);
    }
    if most > 0 {
        clipped.push('…');
    }
    clipped
}

/// `4.2s`, `42s`, `12m 03s`, `5h 07m`, `3d 04h`.
pub(super) fn span(time: Duration) -> String {
    let (seconds, tenths) = (time.as_secs(), time.subsec_millis() / 100);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..10 => format!("{seconds}.{tenths}s"),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

/// A number a second: `0`, `0.05`, `12.3`, `4567`, `45.6k`.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        0.0 => "0".into(),
        _ if rate < 9.995 => format!("{rate:.2}"),
        _ if rate < 99.95 => format!("{rate:.1}"),
        _ if rate < 9999.5 => format!("{rate:.0}"),
        _ if rate < 9_999_500.0 => format!("{:.1}k", rate / 1e3),
        _ => format!("{:.1}M", rate / 1e6),
    }
}

/// A number of bytes, or of bytes a second: `0 B`, `532 B`, `12.3 KiB`, `4.0 MiB`.
pub(super) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 999.5 {
        return format!("{bytes:.0} B");
    }
    let (mut scaled, mut unit) = (bytes / 1024.0, UNITS[0]);
    for larger in &UNITS[1..] {
        if scaled < 999.95 {
            break;
        }
        (scaled, unit) = (scaled / 1024.0, larger);
    }
    format!("{scaled:.1} {unit}")
}

/// Milliseconds: `0.25 ms`, `40.5 ms`, `1234 ms`.
pub(super) fn millis(millis: f64) -> String {
    match millis {
        _ if millis < 9.995 => format!("{millis:.2} ms"),
        _ if millis < 99.95 => format!("{millis:.1} ms"),
        _ => format!("{millis:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bytes, clip, escape, millis, rate, span, width};

    #[test]
    fn nothing_a_stranger_writes_steers_the_terminal() {
        assert_eq!(escape("O'Neill \"é\" 用户"), "O'Neill \"é\" 用户");
        for (text, escaped) in [
            ("\u{1b}[2Jx", "\\u{1b}[2Jx"),
            ("a\r\n\tb", "a\\r\\n\\tb"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}evil", "\\u{202e}evil"),
            ("a\u{200b}\u{feff}b", "a\\u{200b}\\u{feff}b"),
            ("\\", "\\\\"),
        ] {
            assert_eq!(escape(text), escaped);
        }
        // Planes 0 and 1, and the tags of plane 14, which nobody sees.
        for c in (0..0x2_0000).chain(0xe_0000..0xe_1000).filter_map(char::from_u32) {
            let escaped = escape(&c.to_string());
            assert!(!escaped.chars().any(char::is_control) && width(&escaped) > 0, "{c:?}");
        }
    }

    #[test]
    fn a_text_is_clipped_by_the_columns_it_takes() {
        assert_eq!(clip("abcd", 4), "abcd");
        assert_eq!(clip("abcde", 4), "abc…");
        assert_eq!(clip("用户名", 6), "用户名");
        for most in 0..10 {
            assert!(width(&clip("a用户名用户名", most)) <= most, "{most}");
        }
    }

    #[test]
    fn figures_are_short() {
        let seconds = [4.25, 42.9, 723.0, 18_420.0, 273_600.0].map(|time| span(Duration::from_secs_f64(time)));
        assert_eq!(seconds, ["4.2s", "42s", "12m 03s", "5h 07m", "3d 04h"]);
        assert_eq!(
            [0.0, 0.05, 9.996, 99.96, 9999.6, 45_600.0, 2e7].map(rate),
            ["0", "0.05", "10.0", "100", "10.0k", "45.6k", "20.0M"]
        );
        let sizes = [0.0, 532.0, 999.6, 12_595.0, 4_194_304.0, 1_048_500.0, 3e15].map(bytes);
        assert_eq!(sizes, ["0 B", "532 B", "1.0 KiB", "12.3 KiB", "4.0 MiB", "1.0 MiB", "2728.5 TiB"]);
        assert_eq!([0.25, 40.51, 1234.4].map(millis), ["0.25 ms", "40.5 ms", "1234 ms"]);
    }
}
