//! The deadlines of one connection.
//!
//! One timer serves them all, and it is lazy: a deadline that comes nearer moves it, one that goes away or further
//! off leaves it, and it is set again when it fires for nothing. So sending costs no timer, and a connection without
//! deadlines has none.
//!
//! It fires a little late, at a moment that other connections share: a worker that is woken for each of thousands of idle
//! connections by itself does hardly anything but wake.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::link::Link;

/// How long a side may take none of what we write to it while others wait for the buffer that this holds. Also how often
/// that is looked at, while a write is stuck.
const PRESSED: Duration = Duration::from_secs(1);

/// A timer is late by less than this part of the time it was set for.
const LATE: u32 = 64;

/// And by less than this. Longer steps would save little more, and what is due at one moment takes its buffers all at
/// once.
const LATEST: Duration = Duration::from_millis(32);

/// What the shared moments are counted from: the same for all connections of this process.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// Since when there has been nothing left to do but to write what is due.
    ending: Option<Instant>,
    /// When a write that is stuck was looked at last.
    looked: Option<Instant>,
}

impl Deadlines {
    /// Notes the end of the session.
    pub(super) fn note(&mut self, link: &Link) {
        if link.has_ended() && self.ending.is_none() {
            self.ending = Some(Instant::now());
        }
    }

    /// When to [`act`](Self::act).
    pub(super) fn next(&self, link: &Link) -> Option<Instant> {
        let ending = self.ending.map(|since| link.last_moment(since));
        let stalled = link.stalled().map(|(_, since)| {
            let looked = self.looked.map_or(since, |looked| looked.max(since));
            (since + link.means.config.write_stall).min(looked + PRESSED)
        });
        [ending, stalled, link.session_deadline()].into_iter().flatten().min()
    }

    /// Lets what is due happen. Whether the connection must go now, whatever is still unwritten.
    pub(super) fn act(&mut self, link: &Link, now: Instant) -> bool {
        if self.ending.is_some_and(|since| link.last_moment(since) <= now) {
            return true;
        }
        self.look(link, now);
        if link.session_deadline().is_some_and(|deadline| deadline <= now) {
            link.time_out(now);
        }
        false
    }

    /// Gives up a side that has taken nothing for too long. While others wait for buffers, that is soon: or a crowd that
    /// does not read would hold all of them, and stop everybody on this worker.
    fn look(&mut self, link: &Link, now: Instant) {
        let Some((side, since)) = link.stalled() else { return };
        let stuck = now.saturating_duration_since(since);
        let pressed = stuck >= PRESSED && link.means.pool.is_waited_for();
        if pressed || stuck >= link.means.config.write_stall {
            link.give_up(side, now);
        }
        self.looked = Some(now);
    }
}

/// The moment to fire at for `deadline`: soon after it, and shared with others.
pub(super) fn moment(deadline: Instant, now: Instant) -> Instant {
    shared(deadline, now, *EPOCH)
}

/// The first moment from `deadline` on that connections share whose deadlines are about as far from `now`: a multiple, since
/// `epoch`, of a step that is the longer the further away they are.
fn shared(deadline: Instant, now: Instant, epoch: Instant) -> Instant {
    let slack = (deadline.saturating_duration_since(now) / LATE).min(LATEST);
    let Some(power) = slack.as_millis().checked_ilog2() else { return deadline };
    let step = Duration::from_millis(1 << power);
    let over = deadline.saturating_duration_since(epoch).as_nanos() % step.as_nanos();
    let rest = if over == 0 { 0 } else { step.as_nanos() - over };
    deadline + Duration::from_nanos(u64::try_from(rest).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use super::{LATE, LATEST, shared};

    #[test]
    fn is_never_early_and_a_little_late() {
        let epoch = Instant::now();
        let now = epoch + Duration::from_nanos(1_234_567_891);
        for millis in [0, 1, 63, 64, 100, 1_000, 5_000, 30_000, 86_400_000] {
            let deadline = now + Duration::from_millis(millis);
            let late = shared(deadline, now, epoch).duration_since(deadline);
            assert!(late <= Duration::from_millis(millis) / LATE && late < LATEST, "{late:?}");
            assert!(millis >= 64 || late.is_zero(), "a near deadline is exact");
        }
    }

    #[test]
    fn is_shared_by_those_that_are_due_together() {
        let epoch = Instant::now();
        let moments: BTreeSet<_> = (0..1_000)
            .map(|n| epoch + Duration::from_micros(n * 1_003))
            .map(|now| shared(now + Duration::from_secs(30), now, epoch))
            .collect();
        assert_eq!(moments.len(), 32);
    }

    #[test]
    fn a_deadline_before_the_epoch_is_kept() {
        let now = Instant::now();
        assert_eq!(shared(now, now + Duration::from_secs(1), now + Duration::from_secs(2)), now);
    }
}
