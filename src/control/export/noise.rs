//! A bound on the lines that anybody on the network can cause as many of as they like. What is past it is counted by
//! its reason, and summed up in one line.
//!
//! ```text
//!  lines       | | | |   |  |  |  |  |  |  |                |
//!  past it          .....................
//!  summed up            ^      ^       ^     ^
//!                       a second after the first that was not told
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::rate::bucket::Bucket;
use crate::rate::{Action, Rate};

/// How long what is suppressed gathers before it is summed up; also, how long unused room is kept.
const SECOND: Duration = Duration::from_secs(1);

/// Reasons that a summary names.
const NAMED: usize = 3;

/// Lines past the bound are suppressed.
#[derive(Debug)]
pub(super) struct Noise {
    rate: Rate,
    room: Bucket,
    /// What was suppressed and is not summed up yet. Reasons are from closed lists, so it has a bound.
    untold: BTreeMap<&'static str, u64>,
    /// When that began; `None` exactly when there is nothing.
    since: Option<Instant>,
}

/// What was suppressed in about a second.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// How many lines.
    pub(super) lines: u64,
    /// The reasons of most of them.
    pub(super) reasons: Reasons,
}

/// Reasons, each with its number of lines, the most frequent one first; at most [`NAMED`] of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reasons(Vec<(&'static str, u64)>);

impl Noise {
    /// So many lines a second pass, and after a second without any, so many at once.
    pub(super) fn new(per_second: NonZeroU32, now: Instant) -> Self {
        let rate = Rate { per_second: per_second.into(), burst: SECOND };
        Self { rate, room: Bucket::new(now), untold: BTreeMap::new(), since: None }
    }

    /// Whether there is room for a line. If not, it is counted under `reason`.
    pub(super) fn admits(&mut self, reason: &'static str, now: Instant) -> bool {
        let admitted = self.room.take(&self.rate, Action::Close, 1, now).is_ok();
        if !admitted {
            *self.untold.entry(reason).or_default() += 1;
            self.since.get_or_insert(now);
        }
        admitted
    }

    /// What was suppressed, when that has gathered for a second.
    pub(super) fn sum_up(&mut self, now: Instant) -> Option<Summary> {
        let due = self.since.is_some_and(|since| now.saturating_duration_since(since) >= SECOND);
        if due { self.rest() } else { None }
    }

    /// What was suppressed and is not summed up yet, if anything.
    pub(super) fn rest(&mut self) -> Option<Summary> {
        self.since.take()?;
        let mut reasons: Vec<_> = std::mem::take(&mut self.untold).into_iter().collect();
        let lines = reasons.iter().map(|(_, lines)| lines).sum();
        // Stable: of two that are as frequent, the order of their names decides.
        reasons.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
        reasons.truncate(NAMED);
        Some(Summary { lines, reasons: Reasons(reasons) })
    }
}

impl fmt::Display for Reasons {
    /// `token_missing 812, timeout 3`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(n, (reason, lines))| {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{reason} {lines}")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Noise, Reasons, SECOND, Summary};

    const MS: Duration = Duration::from_millis(1);

    fn noise(per_second: u32) -> (Noise, Instant) {
        let start = Instant::now();
        (Noise::new(per_second.try_into().unwrap(), start), start)
    }

    #[test]
    fn a_flood_passes_in_part_and_the_rest_is_summed_up_each_second() {
        let (mut noise, start) = noise(100);
        let (mut written, mut told) = (0, Vec::new());
        // A thousand a second, for three seconds.
        for n in 0..3000 {
            let now = start + MS * n;
            told.extend(noise.sum_up(now));
            written += u64::from(noise.admits("token_missing", now));
        }
        // The room of the second before, and what grew in three.
        assert_eq!(written, 100 + 299);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[1].reasons.to_string(), format!("token_missing {}", told[1].lines));
        let rest = noise.rest().unwrap();
        assert_eq!(told.iter().map(|summary| summary.lines).sum::<u64>() + rest.lines + written, 3000);
    }

    #[test]
    fn a_few_lines_pass_and_nothing_is_summed_up() {
        let (mut noise, start) = noise(3);
        for n in 0..10 {
            assert!((0..3).all(|_| noise.admits("timeout", start + SECOND * n)), "{n}");
            assert_eq!(noise.sum_up(start + SECOND * n), None);
        }
        assert_eq!(noise.rest(), None);
    }

    #[test]
    fn a_summary_comes_once_a_second_after_its_first_line_even_when_nothing_follows() {
        let (mut noise, start) = noise(1);
        assert!(noise.admits("timeout", start));
        assert!(!noise.admits("timeout", start + MS * 500));
        assert_eq!(noise.sum_up(start + MS * 1499), None);
        let one = Summary { lines: 1, reasons: Reasons(vec![("timeout", 1)]) };
        assert_eq!(noise.sum_up(start + MS * 1500), Some(one));
        assert_eq!(noise.sum_up(start + MS * 9999), None, "it is told once");
        assert!(noise.admits("timeout", start + MS * 9999), "there is room again");
    }

    #[test]
    fn the_most_frequent_reasons_are_named() {
        let (mut noise, start) = noise(1);
        assert!(noise.admits("x", start));
        for (reason, lines) in [("few", 1), ("most", 5), ("b", 2), ("a", 2)] {
            assert!((0..lines).all(|_| !noise.admits(reason, start)));
        }
        let summary = noise.sum_up(start + SECOND).unwrap();
        assert_eq!((summary.lines, summary.reasons.to_string().as_str()), (10, "most 5, a 2, b 2"));
    }

    proptest! {
        #[test]
        fn every_line_is_written_or_summed_up_once(
            per_second in 1_u32..50,
            steps in proptest::collection::vec((0_u64..400, 0_usize..4), 0..300),
        ) {
            let (mut noise, start) = noise(per_second);
            let (mut now, mut written, mut summed_up) = (start, 0, 0);
            let mut last: Option<Instant> = None;
            for (after, reason) in &steps {
                now += MS * u32::try_from(*after).unwrap();
                if let Some(summary) = noise.sum_up(now) {
                    summed_up += summary.lines;
                    prop_assert!(last.is_none_or(|last| now - last >= SECOND));
                    last = Some(now);
                }
                written += u64::from(noise.admits(["a", "b", "c", "d"][*reason], now));
            }
            summed_up += noise.rest().map_or(0, |summary| summary.lines);
            prop_assert_eq!(written + summed_up, steps.len() as u64);
            // The room of a second at the start, what grew, and one for the rounding of an instant.
            let grown = u64::from(per_second) * u64::try_from((now - start).as_millis()).unwrap() / 1000;
            prop_assert!(written <= u64::from(per_second) + grown + 1);
        }
    }
}
