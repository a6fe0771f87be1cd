//! The deadlines of one connection.
//!
//! One timer serves them all, and it is lazy: a deadline that comes nearer moves it, one that goes away or further
//! off leaves it, and it is set again when it fires for nothing. So sending costs no timer, and a connection without
//! deadlines has none.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

use super::link::Link;
use crate::session::Ending;

#[derive(Default)]
pub(super) struct Clock {
    timer: Option<Pin<Box<Sleep>>>,
    /// Since when there has been nothing left to do but to write what is due.
    ending: Option<Instant>,
}

impl Clock {
    /// Lets what is due happen. Ready when the connection must go, whatever is still unwritten.
    pub(super) fn poll(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<()> {
        if link.has_ended() && self.ending.is_none() {
            self.ending = Some(Instant::now());
        }
        while let Some(deadline) = self.next(link) {
            let timer = match &mut self.timer {
                Some(timer) if timer.deadline().into_std() <= deadline => timer,
                Some(timer) => {
                    timer.as_mut().reset(deadline.into());
                    timer
                }
                None => self.timer.insert(Box::pin(tokio::time::sleep_until(deadline.into()))),
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            if self.act(link, Instant::now()) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    fn next(&self, link: &Link) -> Option<Instant> {
        let ending = self.ending.map(|since| since + link.config.closing);
        let stalled = link.stalled().map(|(_, since)| since + link.config.write_stall);
        [ending, stalled, link.session_deadline()].into_iter().flatten().min()
    }

    /// Whether the connection must go now.
    fn act(&self, link: &Link, now: Instant) -> bool {
        if self.ending.is_some_and(|since| since + link.config.closing <= now) {
            return true;
        }
        if let Some((side, since)) = link.stalled()
            && since + link.config.write_stall <= now
        {
            link.tell(|session| session.handle_end(side, Ending::WriteStalled, now));
        }
        if link.session_deadline().is_some_and(|deadline| deadline <= now) {
            link.tell(|session| session.handle_timeout(now));
        }
        false
    }
}
