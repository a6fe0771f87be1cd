//! The wish to stop, since when, and knowing when everybody has.
//!
//! Whoever must finish something before the process may exit holds a [`DrainWatch`]. Whoever may wish the end holds
//! a [`Drain`]: the first who triggers it sets the one instant that all deadlines count from.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Triggers the drain and waits for it. Each clone is the same drain.
#[derive(Clone, Debug)]
pub struct Drain(watch::Sender<Option<Instant>>);

/// Sees the drain begin; the drain is not done while one of these is alive.
#[derive(Clone, Debug)]
pub struct DrainWatch(watch::Receiver<Option<Instant>>);

/// How a drain goes on, from its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Each connection is told to leave at a random time within this. Not longer than `timeout`.
    pub spread: Duration,
    /// Who is still here after this is cut.
    pub timeout: Duration,
}

/// A drain that has not begun, and its first watch.
pub fn channel() -> (Drain, DrainWatch) {
    let (drain, watch) = watch::channel(None);
    (Drain(drain), DrainWatch(watch))
}

impl Drain {
    /// Begins the drain, unless it has begun. Returns when it began.
    pub fn trigger(&self) -> Instant {
        let now = Instant::now();
        self.0.send_if_modified(|began| {
            let first = began.is_none();
            began.get_or_insert(now);
            first
        });
        self.began().unwrap_or(now)
    }

    /// When the drain began; `None` before.
    pub fn began(&self) -> Option<Instant> {
        *self.0.borrow()
    }

    /// One more watch.
    pub fn watch(&self) -> DrainWatch {
        DrainWatch(self.0.subscribe())
    }

    /// Completes when every watch is dropped. Safe to cancel.
    pub async fn done(&self) {
        self.0.closed().await;
    }
}

impl DrainWatch {
    /// Completes when the drain begins, at once if it has begun, with when that was. Safe to cancel, and to call on
    /// any runtime.
    ///
    /// When every [`Drain`] is gone, it can never be triggered: that is taken as the wish to stop now.
    pub async fn triggered(&mut self) -> Instant {
        let began = self.0.wait_for(Option::is_some).await;
        began.ok().and_then(|began| *began).unwrap_or_else(Instant::now)
    }

    /// Whether the drain has begun.
    pub fn is_triggered(&self) -> bool {
        self.0.borrow().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::channel;

    fn poll<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn every_watch_sees_it_and_is_waited_for() {
        let (drain, mut first) = channel();
        let mut second = first.clone();
        assert!(poll(first.triggered()).is_pending());
        drain.trigger();
        let mut late = drain.watch();
        assert!([&mut first, &mut second, &mut late].into_iter().all(|watch| poll(watch.triggered()).is_ready()));
        assert!(first.is_triggered());
        drop((first, second));
        assert!(poll(drain.done()).is_pending());
        drop(late);
        assert!(poll(drain.done()).is_ready());
    }

    #[test]
    fn the_first_wish_sets_the_time_for_all() {
        let (drain, mut watch) = channel();
        let other = drain.clone();
        assert_eq!(drain.began(), None);
        let began = other.trigger();
        assert_eq!(drain.trigger(), began);
        assert_eq!((drain.began(), other.began()), (Some(began), Some(began)));
        assert_eq!(poll(watch.triggered()), Poll::Ready(began));
        assert_eq!(poll(drain.watch().triggered()), Poll::Ready(began));
    }

    #[test]
    fn a_drain_that_is_gone_counts_as_triggered() {
        let (drain, mut watch) = channel();
        let other = drain.clone();
        drop(drain);
        assert!(poll(watch.triggered()).is_pending());
        drop(other);
        assert!(poll(watch.triggered()).is_ready());
    }
}
