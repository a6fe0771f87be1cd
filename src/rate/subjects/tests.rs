use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Census, FORGOTTEN_AT_ONCE, IDLE, Membership, Subjects};
use crate::rate::bucket::Exceeded;
use crate::rate::{Action, Rate};

const SECOND: Duration = Duration::from_secs(1);
const TEN: Rate = Rate { per_second: NonZeroU64::new(10).unwrap(), burst: SECOND };

fn take(membership: &Membership, n: u64, now: Instant) -> Result<Duration, Exceeded> {
    membership.messages().take(&TEN, Action::Close, n, now)
}

fn census(subjects: &Subjects) -> (usize, usize) {
    let Census { in_use, idle, .. } = subjects.census();
    (in_use, idle)
}

#[test]
fn connections_of_a_subject_share_and_others_do_not() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    let [first, second, other] = ["ann", "ann", "bob"].map(|subject| subjects.join(subject, now));
    assert!(take(&first, 6, now).is_ok());
    assert_eq!(take(&second, 5, now), Err(Exceeded));
    assert!(take(&second, 4, now).is_ok());
    assert!(take(&other, 10, now).is_ok());
    assert!(first.bytes().take(&TEN, Action::Close, 10, now).is_ok());
    assert_eq!(census(&subjects), (2, 0));
}

#[test]
fn opening_again_does_not_refill() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    assert!(take(&subjects.join("ann", now), 10, now).is_ok());
    for tenths in 0..10 {
        let later = now + SECOND * tenths / 10;
        assert_eq!(take(&subjects.join("ann", later), u64::from(tenths) + 1, later), Err(Exceeded));
        assert_eq!(census(&subjects), (0, 1));
    }
    assert!(take(&subjects.join("ann", now + SECOND), 10, now + SECOND).is_ok());
}

#[test]
fn the_unused_are_forgotten_when_full() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    drop((subjects.join("ann", now), subjects.join("bob", now)));
    assert!(take(&subjects.join("cyd", now), 10, now).is_ok());
    assert_eq!(census(&subjects), (0, 1));
    // The bytes keep a subject as the messages do.
    assert_eq!(subjects.join("dan", now).bytes().take(&TEN, Action::Throttle, 20, now), Ok(SECOND));
    let eve = subjects.join("eve", now + SECOND * 999 / 1000);
    assert_eq!(census(&subjects), (1, 2));
    drop(subjects.join("eve", now + SECOND));
    assert_eq!(census(&subjects), (1, 1));
    drop(subjects.join("eve", now + 2 * SECOND));
    assert_eq!(census(&subjects), (1, 0));
    assert!(take(&eve, 10, now + 2 * SECOND).is_ok());
}

#[test]
fn a_crowd_is_forgotten_a_few_at_a_time() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    for subject in 0..100 {
        assert!(take(&subjects.join(&subject.to_string(), now), 1, now).is_ok());
    }
    let ann = subjects.join("ann", now);
    assert_eq!(census(&subjects), (1, 100));
    for forgotten in (1..=50).map(|joins| joins * FORGOTTEN_AT_ONCE) {
        let _second = subjects.join("ann", now + SECOND);
        assert_eq!(census(&subjects), (1, 100 - forgotten));
    }
    assert!(take(&ann, 10, now + SECOND).is_ok());
}

#[test]
fn the_idle_are_bounded_and_the_least_debt_is_forgiven_first() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    let open = subjects.join("open", now);
    assert!(take(&open, 1, now).is_ok());
    assert!(take(&subjects.join("small", now), 1, now).is_ok());
    assert!(take(&subjects.join("large", now), 10, now).is_ok());
    for subject in 0..IDLE - 2 {
        assert!(take(&subjects.join(&subject.to_string(), now), 5, now).is_ok());
    }
    assert_eq!(subjects.census(), Census { in_use: 1, idle: IDLE, crowded_out: 0 });
    assert!(take(&subjects.join("one more", now), 5, now).is_ok());
    assert_eq!(subjects.census(), Census { in_use: 1, idle: IDLE, crowded_out: 1 });

    assert_eq!(take(&subjects.join("large", now), 1, now), Err(Exceeded));
    assert_eq!(take(&subjects.join("open", now), 10, now), Err(Exceeded));
    assert!(take(&subjects.join("small", now), 10, now).is_ok());
}

#[test]
fn subjects_in_use_are_kept_however_many() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    let open: Vec<_> = (0..IDLE + 10).map(|subject| subjects.join(&subject.to_string(), now)).collect();
    assert_eq!(census(&subjects), (IDLE + 10, 0));
    drop(open);
    assert_eq!(subjects.census(), Census { in_use: 0, idle: IDLE, crowded_out: 10 });
}

#[test]
fn threads_open_and_end() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    let passed: usize = thread::scope(|scope| {
        let run = || (0..2000).filter(|_| take(&subjects.join("ann", now), 1, now).is_ok()).count();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 10);
    assert_eq!(census(&subjects), (0, 1));
}

#[test]
fn a_panic_under_the_lock_is_survived() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    let ann = subjects.join("ann", now);
    let poisoner = Arc::clone(&subjects);
    thread::spawn(move || {
        let _known = poisoner.known();
        panic!("poisons the lock");
    })
    .join()
    .unwrap_err();
    drop((ann, subjects.join("bob", now)));
    assert_eq!(census(&subjects), (0, 2));
}

#[test]
fn no_subject_is_shown() {
    let (subjects, now) = (Subjects::new(), Instant::now());
    let ann = subjects.join("ann@example", now);
    assert!(!format!("{subjects:?} {ann:?}").contains("ann"));
}
