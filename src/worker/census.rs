//! The connections that a worker relays, one by one: for whoever asks who is here, and for checkpoints.
//!
//! ```text
//! control thread --Ask, at most 4--> worker: Vec<Row> back      only when somebody looks
//! once a second: whose checkpoint is due? --> Reporter          only when there are checkpoints
//! ```

use std::cell::RefCell;
use std::cmp::Reverse;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::telemetry::live::{Live, Row};
use crate::telemetry::record::Event;
use crate::telemetry::report::Reporter;
use crate::telemetry::trace::Ids;

/// Questions that may wait for a worker.
const QUESTIONS: usize = 4;

/// How often it is looked whose checkpoint is due.
const LOOK: Duration = Duration::from_secs(1);

/// The way to ask a worker who is here.
#[derive(Clone, Debug)]
pub struct Door(mpsc::Sender<Ask>);

/// A question: at most how many, and where the answer goes.
#[derive(Debug)]
pub(super) struct Ask {
    most: usize,
    answer: oneshot::Sender<Vec<Row>>,
}

/// A door, and where its questions come out.
pub(super) fn door() -> (Door, mpsc::Receiver<Ask>) {
    let (door, questions) = mpsc::channel(QUESTIONS);
    (Door(door), questions)
}

impl Door {
    /// At most `most` of the worker's connections, those that have relayed most before the others. `None` when the worker
    /// is gone, or has too many questions already. Bound the wait: a worker that hangs does not answer.
    pub async fn ask(&self, most: usize) -> Option<Vec<Row>> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Ask { most, answer }).ok()?;
        answered.await.ok()
    }
}

/// Every connection that is relayed.
#[derive(Default)]
pub(super) struct Census(RefCell<Vec<Rc<Live>>>);

impl Census {
    /// One more is relayed.
    #[expect(clippy::cast_possible_truncation, reason = "each connection takes descriptors, of which there are fewer")]
    pub(super) fn enter(&self, live: &Rc<Live>) {
        let mut all = self.0.borrow_mut();
        live.seat.set(all.len() as u32);
        all.push(Rc::clone(live));
    }

    /// It is relayed no more. The last takes its seat.
    pub(super) fn leave(&self, live: &Live) {
        let mut all = self.0.borrow_mut();
        let seat = live.seat.get();
        all.swap_remove(seat as usize);
        if let Some(moved) = all.get(seat as usize) {
            moved.seat.set(seat);
        }
        // What a crowd took is given back when it has gone.
        if all.len() < all.capacity() / 4 {
            let room = all.len() * 2;
            all.shrink_to(room);
        }
    }

    /// What can be told of at most `most` of them, those that have relayed most before the others.
    fn rows(&self, most: usize, now: Instant) -> Vec<Row> {
        let mut all: Vec<_> = self.0.borrow().iter().map(|live| (live.bytes(), Rc::clone(live))).collect();
        if most < all.len() {
            all.select_nth_unstable_by_key(most, |(bytes, _)| Reverse(*bytes));
            all.truncate(most);
        }
        all.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        all.iter().map(|(_, live)| live.row(now)).collect()
    }

    /// Reports each checkpoint that is due.
    fn check(&self, every: Duration, reporter: &Reporter, ids: &RefCell<Ids>, now: Instant) {
        for live in self.0.borrow().iter() {
            if live.span().sampled && live.age(now) >= live.due(every) {
                let checkpoint = live.checkpoint(now, &mut ids.borrow_mut());
                reporter.report(Event::Checkpoint(Box::new(checkpoint)));
            }
        }
    }
}

/// Answers questions until the last door is gone.
pub(super) async fn answer(census: Rc<Census>, mut questions: mpsc::Receiver<Ask>) {
    while let Some(Ask { most, answer }) = questions.recv().await {
        // A worker that hung finds questions of those who have given up.
        if answer.is_closed() {
            continue;
        }
        let _ = answer.send(census.rows(most, Instant::now()));
    }
}

/// Has a checkpoint of each connection that is sampled reported `every` so often, for ever.
pub(super) async fn checkpoints(census: Rc<Census>, every: Duration, reporter: Reporter, ids: Rc<RefCell<Ids>>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        census.check(every, &reporter, &ids, Instant::now());
    }
}

#[cfg(test)]
mod tests;
