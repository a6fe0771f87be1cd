//! Messages that go out at their time, whatever has come back.

use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::Fault;

/// When each of so many messages is due: evenly spread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    began: Instant,
    step: Duration,
    messages: u32,
    sent: u32,
}

impl Pace {
    /// `rate` messages a second for `span`.
    pub(super) fn new(rate: f64, span: Duration, began: Instant) -> Self {
        let step = Duration::from_secs_f64(1.0 / rate.max(0.1));
        let messages = u32::try_from(span.as_nanos() / step.as_nanos().max(1)).unwrap_or(u32::MAX);
        Self { began, step, messages: messages.max(1), sent: 0 }
    }

    /// When the next one is due. `None` when there is none.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.sent < self.messages).then(|| self.began + self.step * self.sent)
    }

    /// The number of the next one and when it was due, if that is over at `now`. It counts as sent.
    pub(super) fn next(&mut self, now: Instant) -> Option<(u32, Instant)> {
        let due = self.due().filter(|due| *due <= now)?;
        self.sent += 1;
        Some((self.sent - 1, due))
    }
}

/// A timer of the kernel, which is readable when its time has come: `epoll` alone knows no less than milliseconds.
pub(super) struct Timer(pub(super) OwnedFd);

impl Timer {
    pub(super) fn new() -> Result<Self, Fault> {
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?))
    }

    /// Makes it readable after `wait`, and not readable before.
    pub(super) fn set(&self, wait: Duration) -> Result<(), Fault> {
        // Zero would switch it off.
        let wait = wait.max(Duration::from_nanos(1));
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = Timespec { tv_sec: wait.as_secs().try_into()?, tv_nsec: wait.subsec_nanos().into() };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: never, it_value })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Pace;

    #[test]
    fn what_is_late_is_still_due_at_its_time() {
        let began = Instant::now();
        let mut pace = Pace::new(100.0, Duration::from_millis(50), began);
        let at = |n: u32| began + Duration::from_millis(10) * n;
        assert_eq!(pace.next(began), Some((0, at(0))));
        assert_eq!(pace.next(began), None);
        // The sender was held up: three are due, and none of them is forgiven.
        let late = at(3);
        let due: Vec<_> = std::iter::from_fn(|| pace.next(late)).collect();
        assert_eq!(due, [(1, at(1)), (2, at(2)), (3, at(3))]);
        assert_eq!(pace.due(), Some(at(4)));
        assert_eq!(pace.next(at(9)), Some((4, at(4))));
        assert_eq!(pace.due(), None);
    }
}
