//! The deadlines of one connection.
//!
//! One timer serves them all, and it is lazy: a deadline that comes nearer moves it, one that goes away or further
//! off leaves it, and it is set again when it fires for nothing. So sending costs no timer, and a connection without
//! deadlines has none.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::link::Link;

/// How long a side may take none of what we write to it while others wait for the buffer that this holds. Also how often
/// that is looked at, while a write is stuck.
const PRESSED: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Clock {
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the timer has yet to fire.
    armed: bool,
    /// Since when there has been nothing left to do but to write what is due.
    ending: Option<Instant>,
    /// When a write that is stuck was looked at last.
    looked: Option<Instant>,
}

impl Clock {
    /// Lets what is due happen. Ready when the connection must go, whatever is still unwritten.
    pub(super) fn poll(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<()> {
        if link.has_ended() && self.ending.is_none() {
            self.ending = Some(Instant::now());
        }
        while let Some(deadline) = self.next(link) {
            if self.timer_by(deadline).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = false;
            if self.act(link, Instant::now()) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// The timer, set to fire at `deadline` or before.
    fn timer_by(&mut self, deadline: Instant) -> Pin<&mut Sleep> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        if !self.armed || timer.deadline().into_std() > deadline {
            timer.as_mut().reset(deadline.into());
        }
        self.armed = true;
        timer.as_mut()
    }

    fn next(&self, link: &Link) -> Option<Instant> {
        let ending = self.ending.map(|since| link.last_moment(since));
        let stalled = link.stalled().map(|(_, since)| {
            let looked = self.looked.map_or(since, |looked| looked.max(since));
            (since + link.config.write_stall).min(looked + PRESSED)
        });
        [ending, stalled, link.session_deadline()].into_iter().flatten().min()
    }

    /// Whether the connection must go now.
    fn act(&mut self, link: &Link, now: Instant) -> bool {
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
        if pressed || stuck >= link.config.write_stall {
            link.give_up(side, now);
        }
        self.looked = Some(now);
    }
}
