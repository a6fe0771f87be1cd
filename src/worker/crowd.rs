//! The connections of one worker: how many there are, when one leaves, and the wish that all leave.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::telemetry::counters::Counters;
use crate::telemetry::record::ConnectionId;

/// Bits of a connection's number that count; the bits above name the worker.
const COUNT_BITS: u32 = 48;

/// The connections of a worker.
pub(super) struct Crowd(Rc<Inner>);

struct Inner {
    counters: Arc<Counters>,
    here: Cell<usize>,
    ever: Cell<u64>,
    left: Notify,
    dispersed: Rc<Cell<bool>>,
    disperse: Notify,
}

/// One connection's place; it leaves when dropped.
pub(super) struct Place {
    crowd: Rc<Inner>,
    number: u64,
}

impl Crowd {
    /// Nobody is here yet. `dispersed` will say when all should leave.
    pub(super) fn new(counters: Arc<Counters>, dispersed: Rc<Cell<bool>>) -> Self {
        Self(Rc::new(Inner {
            counters,
            here: Cell::new(0),
            ever: Cell::new(0),
            left: Notify::new(),
            dispersed,
            disperse: Notify::new(),
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

    /// Tells all that they should leave.
    pub(super) fn disperse(&self) {
        self.0.dispersed.set(true);
        self.0.disperse.notify_waiters();
    }

    /// Waits until all have left.
    pub(super) async fn gone(&self) {
        while self.len() > 0 {
            self.one_left().await;
        }
    }
}

impl Place {
    /// The connection's number, unique within this process.
    pub(super) fn id(&self, worker: usize) -> ConnectionId {
        ConnectionId(((worker as u64) << COUNT_BITS) | self.number)
    }

    /// Waits until all should leave.
    pub(super) fn dispersed(&self) -> impl Future<Output = ()> + use<> {
        let crowd = Rc::clone(&self.crowd);
        async move {
            let told = crowd.disperse.notified();
            if !crowd.dispersed.get() {
                told.await;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.here.set(self.crowd.here.get() - 1);
        self.crowd.counters.held.sub(1);
        self.crowd.left.notify_one();
    }
}
