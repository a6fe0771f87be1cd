//! The connections of one worker: how many there are, when one leaves, and the wish that all leave.
//!
//! ```text
//!   began                     began + spread                    until = began + timeout
//!   |--- each at its own time: leave, please ---|--- last words ---|  cut
//! ```

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::balance::Load;
use crate::lifecycle::drain::Pace;
use crate::relay::event_loop::Leave;
use crate::telemetry::counters::Counters;
use crate::telemetry::record::ConnectionId;
use crate::telemetry::trace::Ids;

/// Bits of a connection's number that count; the bits above name the worker.
const COUNT_BITS: u32 = 48;

/// The connections of a worker.
pub(super) struct Crowd(Rc<Inner>);

struct Inner {
    counters: Arc<Counters>,
    load: Load,
    here: Cell<usize>,
    ever: Cell<u64>,
    left: Notify,
    pace: Pace,
    /// When the drain began.
    began: Cell<Option<Instant>>,
    begin: Notify,
    /// What chance is drawn from.
    ids: Rc<RefCell<Ids>>,
}

/// One connection's place; it leaves when dropped.
pub(super) struct Place {
    crowd: Rc<Inner>,
    number: u64,
}

impl Crowd {
    /// Nobody is here yet. Other workers see by `load` how many there are. `pace` says how they will leave, and `ids` in
    /// which order.
    pub(super) fn new(counters: Arc<Counters>, load: Load, pace: Pace, ids: Rc<RefCell<Ids>>) -> Self {
        Self(Rc::new(Inner {
            counters,
            load,
            here: Cell::new(0),
            ever: Cell::new(0),
            left: Notify::new(),
            pace,
            began: Cell::new(None),
            begin: Notify::new(),
            ids,
        }))
    }

    /// How many are here.
    pub(super) fn len(&self) -> usize {
        self.0.here.get()
    }

    /// One more comes.
    pub(super) fn enter(&self) -> Place {
        let inner = &self.0;
        inner.here.set(inner.here.get() + 1);
        inner.ever.set(inner.ever.get() + 1);
        inner.counters.accepted.add(1);
        inner.counters.held.add(1);
        inner.load.add();
        Place { crowd: Rc::clone(inner), number: inner.ever.get() }
    }

    /// Counts that accepting paused.
    pub(super) fn count_pause(&self) {
        self.0.counters.accept_pauses.add(1);
    }

    /// Waits until one has left.
    pub(super) async fn one_left(&self) {
        self.0.left.notified().await;
    }

    /// All should leave: the drain began at this time. Returns when the last must be gone.
    pub(super) fn disperse(&self, began: Instant) -> Instant {
        self.0.began.set(Some(began));
        self.0.begin.notify_waiters();
        self.0.until(began)
    }

    /// When somebody who is here should leave, if the drain has begun.
    pub(super) fn leave(&self) -> Option<Leave> {
        self.0.leave()
    }

    /// Waits until all have left.
    pub(super) async fn gone(&self) {
        while self.len() > 0 {
            self.one_left().await;
        }
    }
}

impl Inner {
    /// When the last must be gone.
    fn until(&self, began: Instant) -> Instant {
        began + self.pace.timeout
    }

    /// When somebody who is here should leave, if the drain has begun.
    fn leave(&self) -> Option<Leave> {
        self.began.get().map(|began| Leave { at: began + self.delay(), until: self.until(began) })
    }

    /// How long after the drain's begin a connection should leave: any time within the spread is as likely, so that
    /// neither the app nor who takes these clients next gets them all at once.
    fn delay(&self) -> Duration {
        let drawn = u32::from_ne_bytes(self.ids.borrow_mut().unpredictable());
        self.pace.spread.mul_f64(f64::from(drawn) / (f64::from(u32::MAX) + 1.0))
    }
}

impl Place {
    /// The connection's number, unique within this process.
    pub(super) fn id(&self, worker: usize) -> ConnectionId {
        ConnectionId(((worker as u64) << COUNT_BITS) | self.number)
    }

    /// When this connection should leave, if the drain has begun.
    pub(super) fn leave(&self) -> Option<Leave> {
        self.crowd.leave()
    }

    /// Waits until this connection should leave. Returns when it must be gone.
    pub(super) fn dispersed(&self) -> impl Future<Output = Instant> + use<> {
        let crowd = Rc::clone(&self.crowd);
        async move {
            if crowd.began.get().is_none() {
                crowd.begin.notified().await;
            }
            let now = Instant::now();
            let Leave { at, until } = crowd.leave().unwrap_or(Leave { at: now, until: now });
            // On the heap, and only now: this future lives as long as the connection.
            Box::pin(sleep_until(at.into())).await;
            until
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.here.set(self.crowd.here.get() - 1);
        self.crowd.counters.held.sub(1);
        self.crowd.load.sub();
        self.crowd.left.notify_one();
    }
}

#[cfg(test)]
mod tests;
