//! The wish to stop, and knowing when everybody has.
//!
//! Whoever must finish something before the process may exit holds a [`DrainWatch`]. The owner of the [`Drain`]
//! triggers it once and waits until every watch is dropped.

use tokio::sync::watch;

/// Triggers the drain and waits for it.
#[derive(Debug)]
pub struct Drain(watch::Sender<bool>);

/// Sees the drain begin; the drain is not done while one of these is alive.
#[derive(Clone, Debug)]
pub struct DrainWatch(watch::Receiver<bool>);

/// A drain that has not begun, and its first watch.
pub fn channel() -> (Drain, DrainWatch) {
    let (drain, watch) = watch::channel(false);
    (Drain(drain), DrainWatch(watch))
}

impl Drain {
    /// Begins the drain. Once is enough; again does nothing.
    pub fn trigger(&self) {
        self.0.send_replace(true);
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
    /// Completes when the drain begins, at once if it has begun. Safe to cancel, and to call on any runtime.
    ///
    /// A [`Drain`] that is gone can never be triggered, so that is taken as the wish to stop.
    pub async fn triggered(&mut self) {
        let _ = self.0.wait_for(|triggered| *triggered).await;
    }

    /// Whether the drain has begun.
    pub fn is_triggered(&self) -> bool {
        *self.0.borrow()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::channel;

    fn ready(future: impl Future) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn every_watch_sees_it_and_is_waited_for() {
        let (drain, mut first) = channel();
        let mut second = first.clone();
        assert!(!ready(first.triggered()));
        drain.trigger();
        let mut late = drain.watch();
        assert!(ready(first.triggered()) && ready(second.triggered()) && ready(late.triggered()));
        assert!(first.is_triggered());
        drop((first, second));
        assert!(!ready(drain.done()));
        drop(late);
        assert!(ready(drain.done()));
    }

    #[test]
    fn a_drain_that_is_gone_counts_as_triggered() {
        let (drain, mut watch) = channel();
        drop(drain);
        assert!(ready(watch.triggered()));
    }
}
