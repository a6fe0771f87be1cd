//! The end of the export, as those see it who wait for a collector.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// By when all must be over, once that is known. Whoever waits is woken when it becomes known.
#[derive(Debug, Default)]
pub(super) struct Closing {
    by: Mutex<Option<Instant>>,
    told: Condvar,
    #[cfg(feature = "otlp-grpc")]
    notify: tokio::sync::Notify,
}

impl Closing {
    /// All must be over by then. Said again, the first time holds.
    pub(super) fn end_by(&self, deadline: Instant) {
        self.lock().get_or_insert(deadline);
        self.told.notify_all();
        #[cfg(feature = "otlp-grpc")]
        self.notify.notify_waiters();
    }

    /// By when all must be over, if that is known.
    pub(super) fn deadline(&self) -> Option<Instant> {
        *self.lock()
    }

    /// Waits until `due`, or until the deadline is another than the one that the caller has `seen`.
    pub(super) fn wait_until(&self, due: Instant, seen: Option<Instant>) {
        let left = due.saturating_duration_since(Instant::now());
        let woken = self.told.wait_timeout_while(self.lock(), left, |by| *by == seen);
        drop(woken.unwrap_or_else(PoisonError::into_inner));
    }

    /// Completes when all must be over.
    #[cfg(feature = "otlp-grpc")]
    pub(super) async fn over(&self) {
        loop {
            let mut told = std::pin::pin!(self.notify.notified());
            // From here on nothing is missed.
            told.as_mut().enable();
            if let Some(deadline) = self.deadline() {
                return tokio::time::sleep_until(deadline.into()).await;
            }
            told.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.by.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::Closing;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_wait_ends_when_the_end_becomes_known() {
        let closing = Arc::new(Closing::default());
        let (began, ours) = (Instant::now(), Arc::clone(&closing));
        let waiting = thread::spawn(move || ours.wait_until(began + LONG, None));
        closing.end_by(began + LONG / 2);
        closing.end_by(began);
        waiting.join().expect("no panic");
        assert!(began.elapsed() < LONG / 4);
        assert_eq!(closing.deadline(), Some(began + LONG / 2), "the first time holds");
    }

    #[test]
    fn a_wait_whose_end_is_known_lasts_as_long_as_it_should() {
        let closing = Closing::default();
        let (began, wait) = (Instant::now(), Duration::from_millis(20));
        closing.end_by(began + LONG);
        closing.wait_until(began + wait, closing.deadline());
        assert!((wait..LONG / 4).contains(&began.elapsed()));
        closing.wait_until(began, closing.deadline());
    }

    #[cfg(feature = "otlp-grpc")]
    #[tokio::test(start_paused = true)]
    async fn the_end_comes_at_its_time() {
        let closing = Arc::new(Closing::default());
        let (began, ours) = (tokio::time::Instant::now(), Arc::clone(&closing));
        let over = tokio::spawn(async move { ours.over().await });
        tokio::task::yield_now().await;
        assert!(!over.is_finished());
        closing.end_by((began + LONG).into_std());
        over.await.expect("no panic");
        assert!(began.elapsed() >= LONG);
    }
}
