use std::num::NonZeroU64;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Bucket, Exceeded, SharedBucket};
use crate::rate::{Action, Rate};

const SECOND: Duration = Duration::from_secs(1);
const FREE: Result<Duration, Exceeded> = Ok(Duration::ZERO);
const MIB: u64 = 1 << 20;

fn rate(per_second: u64, burst: Duration) -> Rate {
    Rate { per_second: NonZeroU64::new(per_second).unwrap(), burst }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Two buckets with the same past, held to the same answers.
struct Pair {
    start: Instant,
    own: Bucket,
    shared: SharedBucket,
    rate: Rate,
    action: Action,
}

impl Pair {
    fn new(rate: Rate, action: Action) -> Self {
        let start = Instant::now();
        Self { start, own: Bucket::new(start), shared: SharedBucket::new(start), rate, action }
    }

    fn take(&mut self, n: u64, at: Duration) -> Result<Duration, Exceeded> {
        let now = self.start + at;
        let answer = self.own.take(&self.rate, self.action, n, now);
        assert_eq!(self.shared.take(&self.rate, self.action, n, now), answer);
        answer
    }
}

#[test]
fn a_steady_rate_passes_for_ever() {
    for (per_second, action) in
        [(3, Action::Close), (3, Action::Throttle), (1000, Action::Close), (7919, Action::Close)]
    {
        let mut pair = Pair::new(rate(per_second, Duration::ZERO), action);
        for n in 0..100_000 {
            let at = Duration::from_nanos((n * 1_000_000_000_u64).div_ceil(per_second));
            let wait = pair.take(1, at).unwrap();
            assert!(at + wait <= Duration::from_nanos(((n + 1) * 1_000_000_000).div_ceil(per_second)), "{n}");
        }
    }
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    let mut pair = Pair::new(rate(10, SECOND), Action::Close);
    for _ in 0..10 {
        assert_eq!(pair.take(1, Duration::ZERO), FREE);
    }
    assert_eq!(pair.take(1, Duration::ZERO), Err(Exceeded));
    for n in 1..100 {
        assert_eq!(pair.take(1, ms(100 * n - 1)), Err(Exceeded), "{n}");
        assert_eq!(pair.take(1, ms(100 * n)), FREE, "{n}");
    }
    // What is not used is kept for the burst and no longer.
    assert_eq!(pair.take(10, ms(60_000)), FREE);
    assert_eq!(pair.take(1, ms(60_000)), Err(Exceeded));
}

#[test]
fn a_burst_holds_whole_units_when_their_time_is_no_whole_number() {
    let mut pair = Pair::new(rate(3, SECOND), Action::Close);
    assert_eq!([(); 4].map(|()| pair.take(1, Duration::ZERO)), [FREE, FREE, FREE, Err(Exceeded)]);
}

#[test]
fn without_a_burst_units_pass_one_at_a_time() {
    let mut pair = Pair::new(rate(10, Duration::ZERO), Action::Close);
    assert_eq!([0, 99, 100, 199, 200].map(|at| pair.take(1, ms(at)).is_ok()), [true, false, true, false, true]);
}

#[test]
fn a_frame_larger_than_the_burst_passes_from_full() {
    let mut pair = Pair::new(rate(MIB, SECOND), Action::Close);
    assert_eq!(pair.take(16 * MIB, ms(0)), FREE);
    assert_eq!(pair.take(1, ms(15_000)), Err(Exceeded));
    assert_eq!(pair.take(16 * MIB, ms(15_999)), Err(Exceeded));
    assert_eq!(pair.take(16 * MIB, ms(16_000)), FREE);
}

#[test]
fn what_is_refused_is_not_taken() {
    let mut pair = Pair::new(rate(10, SECOND), Action::Close);
    assert_eq!(pair.take(6, Duration::ZERO), FREE);
    for _ in 0..100 {
        assert_eq!(pair.take(5, Duration::ZERO), Err(Exceeded));
    }
    assert_eq!(pair.take(4, Duration::ZERO), FREE);
}

#[test]
fn throttling_takes_always_and_tells_when_the_debt_is_paid() {
    let mut pair = Pair::new(rate(10, SECOND), Action::Throttle);
    assert_eq!(pair.take(10, ms(0)), FREE);
    assert_eq!(pair.take(1, ms(0)), Ok(ms(100)));
    assert_eq!(pair.take(20, ms(0)), Ok(ms(2100)));
    assert_eq!(pair.take(0, ms(2000)), Ok(ms(100)));
    assert_eq!(pair.take(0, ms(2100)), FREE);
    assert_eq!(pair.take(1, ms(2100)), Ok(ms(100)));
}

#[test]
fn nothing_taken_is_never_refused() {
    let mut pair = Pair::new(rate(1, Duration::ZERO), Action::Close);
    assert_eq!(pair.take(100, Duration::ZERO), FREE);
    assert_eq!(pair.take(0, Duration::ZERO), FREE);
    assert_eq!(pair.take(1, ms(99_999)), Err(Exceeded));
}

#[test]
fn nothing_is_free_at_any_rate() {
    let mut pair = Pair::new(rate(u64::MAX, Duration::from_nanos(2)), Action::Close);
    assert_eq!([(); 3].map(|()| pair.take(1, Duration::ZERO).is_ok()), [true, true, false]);
}

#[test]
fn a_time_before_the_last_one_gives_nothing() {
    let earlier = Instant::now();
    let later = earlier + SECOND;
    let rate = rate(10, Duration::ZERO);
    let shared = SharedBucket::new(later);
    assert_eq!(shared.take(&rate, Action::Close, 1, earlier), FREE);
    assert_eq!(shared.take(&rate, Action::Close, 1, earlier), Err(Exceeded));
    assert_eq!(shared.take(&rate, Action::Close, 1, later), Err(Exceeded));
    assert_eq!(shared.full_at(), later + ms(100));
}

#[test]
fn a_bucket_is_small() {
    assert_eq!((size_of::<Bucket>(), size_of::<SharedBucket>()), (16, 24));
}

/// Takes `each` units `times` on each of eight threads that start together; returns how many takes passed.
fn race(shared: &SharedBucket, rate: &Rate, action: Action, times: u64, each: u64, now: Instant) -> usize {
    const THREADS: usize = 8;
    let start = Barrier::new(THREADS);
    let run = || {
        start.wait();
        (0..times).filter(|_| shared.take(rate, action, each, now).is_ok()).count()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn threads_together_get_what_one_would() {
    let now = Instant::now();
    let shared = SharedBucket::new(now);
    let rate = rate(10_000, SECOND);
    assert_eq!(race(&shared, &rate, Action::Close, 10_000, 1, now), 10_000);
    assert_eq!(race(&shared, &rate, Action::Close, 10_000, 1, now + ms(500)), 5_000);
}

#[test]
fn no_debt_of_a_thread_is_lost() {
    let now = Instant::now();
    let shared = SharedBucket::new(now);
    let rate = rate(1000, SECOND);
    assert_eq!(race(&shared, &rate, Action::Throttle, 10_000, 3, now), 80_000);
    assert_eq!(shared.full_at(), now + ms(240_000));
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![Just(Action::Close), Just(Action::Throttle)]
}

proptest! {
    /// In every stretch of every schedule.
    #[test]
    fn no_more_passes_than_the_rate_the_burst_and_one_take(
        per_second in 1..10_000_000_000_u64,
        burst in 0..10_000_u64,
        action in action(),
        schedule in prop::collection::vec((0..3_000_000_000_u64, 1..50_000_000_u64), 1..40),
    ) {
        let rate = rate(per_second, ms(burst));
        let mut pair = Pair::new(rate, action);
        let mut now = Duration::ZERO;
        let mut passed = Vec::new();
        for (gap, n) in schedule {
            now += Duration::from_nanos(gap);
            if let Ok(wait) = pair.take(n, now) {
                passed.push((now, u128::from(n)));
                now += wait;
            }
        }
        for first in 0..passed.len() {
            for last in first..passed.len() {
                let units = passed[first..=last].iter().map(|(_, n)| n).sum::<u128>();
                let largest = passed[first..=last].iter().map(|(_, n)| *n).max().unwrap();
                // A take is rounded by less than a nanosecond.
                let rounding = (last - first + 1) as u128;
                let time = passed[last].0.abs_diff(passed[first].0) + rate.burst;
                prop_assert!((units - largest) * 1_000_000_000 <= (time.as_nanos() + rounding) * u128::from(per_second));
            }
        }
    }

    /// What the allowance covers passes: it is not stricter than it says.
    #[test]
    fn what_is_saved_up_passes(
        per_second in 1..1_000_000_000_u64,
        burst in 1..10_000_u64,
        spent in 0..1_000_000_000_u64,
        saved in 0..20_000_u64,
    ) {
        let mut pair = Pair::new(rate(per_second, ms(burst)), Action::Close);
        let capacity = per_second * burst / 1000;
        let spent = spent.min(capacity);
        prop_assert_eq!(pair.take(spent, Duration::ZERO), FREE);
        let left = (capacity - spent + per_second * saved / 1000).min(capacity);
        prop_assert_eq!(pair.take(left, ms(saved)), FREE);
    }

    #[test]
    fn no_input_panics(
        per_second in prop_oneof![Just(1), Just(u64::MAX), 1..u64::MAX],
        burst in prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), any::<u64>().prop_map(Duration::from_nanos)],
        takes in prop::collection::vec(
            (prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], any::<u64>(), any::<bool>(), action()), 1..20),
    ) {
        let rate = rate(per_second, burst);
        let start = Instant::now();
        let (mut own, shared) = (Bucket::new(start), SharedBucket::new(start));
        for (n, secs, before, action) in takes {
            let by = Duration::from_secs(secs);
            let now = if before { start.checked_sub(by) } else { start.checked_add(by) }.unwrap_or(start);
            for answer in [own.take(&rate, action, n, now), shared.take(&rate, action, n, now)] {
                prop_assert!(answer.is_ok() || action == Action::Close && n > 0);
            }
            let _ = shared.full_at();
        }
    }
}
