//! When a request that failed is tried again, and when it is given up. Sans IO: times and chance are arguments.
//!
//! By the OTLP specification ("Retryable Response Codes", "OTLP/HTTP Throttling"): what may pass is tried again, after
//! the time that the collector names in `Retry-After`, else after a backoff that doubles and is jittered. All of it
//! within the one deadline of the request. A collector that wants quiet for longer than that is left alone meanwhile:
//! requests are given up without being sent.

use std::time::{Duration, Instant, SystemTime};

/// Most tries of one request.
const TRIES: u32 = 5;

/// The backoff after the first try.
const FIRST: Duration = Duration::from_millis(200);

/// No backoff is longer.
const LONGEST: Duration = Duration::from_secs(5);

/// A collector is left alone no longer than this, whatever it asks for: one with a broken clock comes back, too.
const QUIET: Duration = Duration::from_secs(60);

/// The tries of a request.
#[derive(Debug)]
pub(super) struct Retry {
    tries: u32,
    due: Option<Instant>,
    quiet: Option<Instant>,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send it.
    Try,
    /// Look again at that time, or when the deadline has changed.
    Wait(Instant),
    /// It cannot succeed within its deadline, or was tried often enough.
    GiveUp,
}

impl Retry {
    /// A request to a collector that wants `quiet` until then.
    pub(super) fn new(quiet: Option<Instant>) -> Self {
        Self { tries: 0, due: quiet, quiet }
    }

    /// What to do at `now`, when all must be over at `deadline`.
    pub(super) fn step(&self, now: Instant, deadline: Instant) -> Step {
        match self.due {
            _ if self.tries >= TRIES || now >= deadline => Step::GiveUp,
            Some(due) if due >= deadline => Step::GiveUp,
            Some(due) if due > now => Step::Wait(due),
            _ => Step::Try,
        }
    }

    /// A try failed at `now` for a cause that may pass. The collector `asked` for that much time; if it did not,
    /// `chance`, from 0.0 to 1.0, makes the backoff as long as it may be, or half of that, or anything between.
    pub(super) fn failed(&mut self, now: Instant, asked: Option<Duration>, chance: f64) {
        let backoff = FIRST.saturating_mul(1 << self.tries.min(TRIES)).min(LONGEST);
        self.tries += 1;
        let asked = asked.map(|asked| asked.min(QUIET));
        self.quiet = asked.map(|asked| now + asked);
        self.due = Some(now + asked.unwrap_or_else(|| backoff.mul_f64(f64::midpoint(1.0, chance.clamp(0.0, 1.0)))));
    }

    /// Until when the collector wants to be left alone, by its latest answer.
    pub(super) fn quiet(&self) -> Option<Instant> {
        self.quiet
    }
}

/// Whether an answer with this status means that the same request may be taken later.
pub(super) fn may_pass(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// The time in a `Retry-After` field (RFC 9110 section 10.2.3): seconds, or a date, which is compared with `now`.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(value).ok().map(|date| date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::{FIRST, LONGEST, QUIET, Retry, Step, TRIES, may_pass, retry_after};

    const DEADLINE: Duration = Duration::from_secs(10);

    #[test]
    fn a_request_is_tried_a_few_times_at_growing_distances() {
        let start = Instant::now();
        let (mut retry, mut now, mut waits) = (Retry::new(None), start, Vec::new());
        for _ in 1..TRIES {
            assert_eq!(retry.step(now, start + DEADLINE), Step::Try);
            retry.failed(now, None, 1.0);
            let Step::Wait(due) = retry.step(now, start + DEADLINE) else { panic!("{retry:?}") };
            waits.push(due - now);
            now = due;
        }
        assert_eq!(waits, [1, 2, 4, 8].map(|times| FIRST * times));
        assert_eq!(retry.step(now, start + DEADLINE), Step::Try);
        retry.failed(now, None, 1.0);
        assert_eq!(retry.step(now, start + DEADLINE), Step::GiveUp);
    }

    #[test]
    fn a_backoff_is_jittered_and_bounded() {
        let (now, long) = (Instant::now(), Duration::from_secs(3600));
        let wait = |tries, chance| {
            let mut retry = Retry { tries, due: None, quiet: None };
            retry.failed(now, None, chance);
            retry.due.expect("a time") - now
        };
        assert_eq!([wait(0, 0.0), wait(0, 0.5), wait(0, 1.0)], [FIRST / 2, FIRST * 3 / 4, FIRST]);
        assert_eq!(wait(u32::MAX - 1, 1.0), LONGEST);
        assert_eq!(Retry { tries: TRIES, due: None, quiet: None }.step(now, now + long), Step::GiveUp);
    }

    #[test]
    fn the_time_that_the_collector_names_is_kept() {
        let (start, asked) = (Instant::now(), Duration::from_secs(9));
        let mut retry = Retry::new(None);
        retry.failed(start, Some(asked), 0.0);
        assert_eq!(retry.step(start, start + DEADLINE), Step::Wait(start + asked));
        assert_eq!(retry.step(start + asked, start + DEADLINE), Step::Try);
        retry.failed(start + asked, Some(Duration::ZERO), 0.0);
        assert_eq!(retry.step(start + asked, start + DEADLINE), Step::Try, "at once is a time, too");
    }

    #[test]
    fn what_does_not_fit_before_the_deadline_is_given_up_without_waiting() {
        let start = Instant::now();
        let mut retry = Retry::new(None);
        retry.failed(start, Some(DEADLINE), 0.0);
        assert_eq!(retry.step(start, start + DEADLINE), Step::GiveUp);
        let (mut retry, sooner) = (Retry::new(None), start + Duration::from_secs(1));
        retry.failed(start, Some(Duration::from_secs(2)), 0.0);
        assert!(matches!(retry.step(start, start + DEADLINE), Step::Wait(_)));
        assert_eq!(retry.step(start, sooner), Step::GiveUp, "the process ends sooner");
        assert_eq!(Retry::new(None).step(sooner, sooner), Step::GiveUp, "too late for the first try");
    }

    #[test]
    fn quiet_lasts_from_one_request_to_the_next_but_not_for_ever() {
        let start = Instant::now();
        let mut first = Retry::new(None);
        first.failed(start, Some(Duration::from_secs(86_400)), 0.0);
        assert_eq!(first.quiet(), Some(start + QUIET));
        let later = start + Duration::from_secs(5);
        assert_eq!(Retry::new(first.quiet()).step(later, later + DEADLINE), Step::GiveUp);
        let later = start + QUIET.saturating_sub(DEADLINE / 2);
        let mut second = Retry::new(first.quiet());
        assert_eq!(second.step(later, later + DEADLINE), Step::Wait(start + QUIET));
        assert_eq!(second.step(start + QUIET, later + DEADLINE), Step::Try);
        second.failed(start + QUIET, None, 0.0);
        assert_eq!(second.quiet(), None, "it did not ask again");
    }

    #[test]
    fn only_what_the_specification_names_may_pass() {
        let passing: Vec<u16> = (200..600).filter(|status| may_pass(*status)).collect();
        assert_eq!(passing, [429, 502, 503, 504]);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 3);
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
        for odd in ["", "-1", "1.5", "soon"] {
            assert_eq!(retry_after(odd, now), None, "{odd}");
        }
    }
}
