use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Meter;
use crate::rate::subjects::Subjects;
use crate::rate::{Action, Limit, Limits, Rate};
use crate::rule::Rule;

const SECOND: Duration = Duration::from_secs(1);
const NONE: Limit = Limit { messages: None, bytes: None, action: Action::Close };

fn limit(messages: u64, bytes: u64, action: Action) -> Limit {
    let rate = |per_second| NonZeroU64::new(per_second).map(|per_second| Rate { per_second, burst: SECOND });
    Limit { messages: rate(messages), bytes: rate(bytes), action }
}

fn meter(connection: Limit, subject: Limit, now: Instant) -> Meter {
    *Meter::new(&Arc::new(Limits { connection, subject }), Some("ann"), &Subjects::new(), now).unwrap()
}

#[test]
fn without_limits_there_is_no_meter() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    let some = limit(1, 0, Action::Close);
    let has_meter =
        |connection, subject, who| Meter::new(&Arc::new(Limits { connection, subject }), who, &subjects, now).is_some();
    assert!(!has_meter(NONE, NONE, Some("ann")));
    assert!(!has_meter(NONE, some, None));
    assert!(has_meter(some, NONE, None));
    assert!(has_meter(NONE, some, Some("ann")));
    assert_eq!(size_of::<Option<Box<Meter>>>(), size_of::<usize>());
}

#[test]
fn each_limit_is_its_own_rule() {
    let now = Instant::now();
    for (connection, subject, rule) in [
        (limit(10, 1000, Action::Close), NONE, Rule::MessageRate),
        (limit(1000, 10, Action::Close), NONE, Rule::ByteRate),
        (NONE, limit(10, 1000, Action::Close), Rule::SubjectMessageRate),
        (NONE, limit(1000, 10, Action::Close), Rule::SubjectByteRate),
    ] {
        let mut meter = meter(connection, subject, now);
        assert_eq!(meter.take(10, 10, now), Ok(None));
        assert_eq!(meter.take(1, 1, now), Err(rule));
        assert_eq!(meter.take(1, 1, now + SECOND / 10), Ok(None));
    }
}

#[test]
fn the_longer_wait_counts() {
    let now = Instant::now();
    for (messages, bytes) in [(10, 20), (20, 10)] {
        let limited = limit(messages, bytes, Action::Throttle);
        for (connection, subject) in [(limited, NONE), (NONE, limited)] {
            let mut meter = meter(connection, subject, now);
            assert_eq!(meter.take(10, 10, now), Ok(None));
            assert_eq!(meter.take(20, 20, now), Ok(Some(now + 2 * SECOND)));
            assert_eq!(meter.take(0, 0, now + SECOND), Ok(Some(now + 2 * SECOND)));
            assert_eq!(meter.take(0, 0, now + 2 * SECOND), Ok(None));
        }
    }
}

#[test]
fn both_actions_hold() {
    let now = Instant::now();
    let (slow, strict) = (limit(10, 0, Action::Throttle), limit(20, 0, Action::Close));
    for (connection, subject, rule) in [(slow, strict, Rule::SubjectMessageRate), (strict, slow, Rule::MessageRate)] {
        let mut meter = meter(connection, subject, now);
        assert_eq!(meter.take(20, 0, now), Ok(Some(now + SECOND)));
        assert_eq!(meter.take(1, 0, now), Err(rule));
    }
}

#[test]
fn a_connection_that_is_closed_takes_nothing_from_its_subject() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    let limits = Arc::new(Limits { connection: limit(10, 0, Action::Close), subject: limit(20, 0, Action::Close) });
    let open = || Meter::new(&limits, Some("ann"), &subjects, now).unwrap();
    let (mut first, mut second, mut third) = (open(), open(), open());
    assert_eq!(first.take(10, 0, now), Ok(None));
    assert_eq!(first.take(1, 0, now), Err(Rule::MessageRate));
    assert_eq!(second.take(10, 0, now), Ok(None));
    assert_eq!(third.take(1, 0, now), Err(Rule::SubjectMessageRate));
}

#[test]
fn other_connections_of_the_subject_make_a_wait_longer() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    let limits = Arc::new(Limits { connection: NONE, subject: limit(10, 0, Action::Throttle) });
    let open = || Meter::new(&limits, Some("ann"), &subjects, now).unwrap();
    let (mut first, mut second) = (open(), open());
    assert_eq!(first.take(20, 0, now), Ok(Some(now + SECOND)));
    assert_eq!(second.take(10, 0, now), Ok(Some(now + 2 * SECOND)));
    assert_eq!(first.take(0, 0, now + SECOND), Ok(Some(now + 2 * SECOND)));
}
