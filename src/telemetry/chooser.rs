//! Which messages are told of one by one, each with a span of its own.
//!
//! The choice falls when a message begins: a share of them by chance, and no more than so many a second. One per worker;
//! what it is asked costs a few instructions per message, and nothing where such spans are off.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::trace::{Ids, Messages};
use crate::opcode::Opcode;

const SECOND: Duration = Duration::from_secs(1);

/// Chooses messages, and keeps those that have ended until they are taken.
#[derive(Debug)]
pub struct Chooser {
    config: Messages,
    ids: Rc<RefCell<Ids>>,
    /// When the present second began, and how many were chosen in it.
    second: Cell<(Instant, u32)>,
    done: RefCell<Vec<Chosen>>,
}

/// A message that was chosen and has passed, to its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// [`Opcode::Text`] or [`Opcode::Binary`].
    pub opcode: Opcode,
    /// Bytes of payload, as on the wire.
    pub size: u64,
    /// Frames it came in.
    pub frames: u32,
    /// Whether permessage-deflate compressed it.
    pub compressed: bool,
    /// When its first frame was judged.
    pub began: Instant,
}

impl Chooser {
    /// One that chooses as `config` says, by chance drawn from `ids`.
    pub fn new(config: Messages, ids: Rc<RefCell<Ids>>, now: Instant) -> Self {
        Self { config, ids, second: Cell::new((now, 0)), done: RefCell::default() }
    }

    /// Whether the message that begins `now` is to be told of.
    pub fn chooses(&self, now: Instant) -> bool {
        let (mut began, mut chosen) = self.second.get();
        if now.saturating_duration_since(began) >= SECOND {
            (began, chosen) = (now, 0);
        }
        let is_chosen = chosen < self.config.per_second.get() && {
            let random = u64::from_ne_bytes(self.ids.borrow_mut().unpredictable());
            self.config.sampler.chooses(random)
        };
        self.second.set((began, chosen + u32::from(is_chosen)));
        is_chosen
    }

    /// A chosen message has passed.
    pub fn pass(&self, message: Chosen) {
        self.done.borrow_mut().push(message);
    }

    /// Those that have passed since the last call. Call it behind each read: nothing says whose they are.
    pub fn take(&self) -> Vec<Chosen> {
        self.done.take()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::num::NonZeroU32;
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use super::Chooser;
    use crate::telemetry::trace::{Ids, Messages, Sampler};

    fn chooser(ratio: f64, per_second: u32, now: Instant) -> Chooser {
        let config =
            Messages { sampler: Sampler::ratio(ratio), per_second: NonZeroU32::new(per_second).expect("some") };
        Chooser::new(config, Rc::new(RefCell::new(Ids::from_seed(1))), now)
    }

    #[test]
    fn no_more_than_so_many_a_second() {
        let start = Instant::now();
        let chooser = chooser(1.0, 10, start);
        let chosen = |at: Duration| (0..1000).filter(|_| chooser.chooses(start + at)).count();
        let [none, half, one, two] = [0, 500, 1000, 2500].map(Duration::from_millis);
        assert_eq!([chosen(none), chosen(half), chosen(one), chosen(two)], [10, 0, 10, 10]);
    }

    #[test]
    fn a_share_of_them() {
        let start = Instant::now();
        let chooser = chooser(0.1, u32::MAX, start);
        let chosen = (0..10_000).filter(|_| chooser.chooses(start)).count();
        assert!((900..1100).contains(&chosen), "{chosen}");
    }
}
