//! Rates of any size, taken from at any time: no panic, one answer for one thread and many, and never more than the rate
//! allows.
//!
//! The input: per second, burst, action, then how much is taken after how long.

#![no_main]

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use ringside::rate::bucket::{Bucket, SharedBucket};
use ringside::rate::{Action, Rate};

/// Most takes of a run, so that what is taken can be added up.
const TAKES: usize = 64;
/// The longest of all times: a few of it are fewer than the 584 years that a shared bucket counts.
const LONGEST: Duration = Duration::from_secs(1 << 31);

fuzz_target!(|input: &[u8]| {
    let mut input = input.iter().copied();
    let (Some(per_second), Some(burst), Some(action)) = (number(&mut input), number(&mut input), input.next()) else {
        return;
    };
    let Some(per_second) = NonZeroU64::new(per_second) else { return };
    let rate = Rate { per_second, burst: Duration::from_nanos(burst).min(LONGEST) };
    let action = if action & 1 == 1 { Action::Close } else { Action::Throttle };
    let start = Instant::now();
    let (mut own, shared) = (Bucket::new(start), SharedBucket::new(start));
    let (mut at, mut until, mut taken, mut largest) = (Duration::ZERO, Duration::ZERO, 0_u128, 0);
    for _ in 0..TAKES {
        let (Some(after), Some(n)) = (number(&mut input), number(&mut input)) else { return };
        let n = n.min(per_second.get().saturating_mul(LONGEST.as_secs()));
        // Who is throttled waits.
        at = (at + Duration::from_nanos(after)).min(LONGEST).max(until);
        let answer = own.take(&rate, action, n, start + at);
        assert_eq!(shared.take(&rate, action, n, start + at), answer);
        let Ok(wait) = answer else {
            assert!(action == Action::Close && n > 0, "refused what may be taken");
            continue;
        };
        assert!(wait.is_zero() || action == Action::Throttle);
        until = at + wait;
        if until > LONGEST {
            return;
        }
        taken += u128::from(n);
        largest = largest.max(n);
        let nanos = (rate.burst + at).as_nanos();
        // Times are rounded down to a nanosecond with every take, in favour of who takes.
        let rounded = TAKES as u128 * u128::from(per_second.get()) / 1_000_000_000 + 1;
        let allowed = nanos * u128::from(per_second.get()) / 1_000_000_000 + u128::from(largest) + rounded;
        assert!(taken <= allowed, "{taken} taken, {allowed} allowed");
        let is_paid = shared.full_at() <= start + until + rate.burst;
        assert!(is_paid || action == Action::Close, "the debt is paid after the wait");
    }
});

/// A number of any size: its bits in the first byte, then its bytes.
fn number(input: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let bits = input.next()? % 65;
    let bytes = input.take(usize::from(bits.div_ceil(8)));
    Some(bytes.fold(0, |number, byte| number << 8 | u64::from(byte)))
}
