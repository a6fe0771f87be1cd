//! The timer of one connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

use crate::relay::deadlines::{Deadlines, moment};
use crate::relay::link::Link;

#[derive(Default)]
pub(super) struct Clock {
    deadlines: Deadlines,
    timer: Option<Pin<Box<Sleep>>>,
    /// The deadline for which the timer has yet to fire.
    armed: Option<Instant>,
}

impl Clock {
    /// Lets what is due happen. Ready when the connection must go, whatever is still unwritten.
    pub(super) fn poll(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<()> {
        self.deadlines.note(link);
        while let Some(deadline) = self.deadlines.next(link) {
            if self.timer_by(deadline).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = None;
            if self.deadlines.act(link, Instant::now()) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// The timer, set to fire soon after `deadline`, or for an earlier one.
    fn timer_by(&mut self, deadline: Instant) -> Pin<&mut Sleep> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        if self.armed.is_none_or(|armed| deadline < armed) {
            timer.as_mut().reset(moment(deadline, Instant::now()).into());
            self.armed = Some(deadline);
        }
        timer.as_mut()
    }
}
