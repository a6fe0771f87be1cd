//! What a thread asks of the kernel for its sockets, counted.
//!
//! The thread itself writes, with a plain load and store; others read.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Something asked of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A wait for readiness. On epoll the runtime waits for all sockets together, which is not counted.
    Poll,
    /// A receive.
    Recv,
    /// A send.
    Send,
    /// An accept.
    Accept,
    /// A connect.
    Connect,
    /// A cancellation of what is in flight on a socket.
    Cancel,
    /// A turn of the ring for relaying: one system call for all that is to be submitted and all that has come.
    Enter,
}

impl Operation {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 7] =
        [Self::Poll, Self::Recv, Self::Send, Self::Accept, Self::Connect, Self::Cancel, Self::Enter];

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Recv => "recv",
            Self::Send => "send",
            Self::Accept => "accept",
            Self::Connect => "connect",
            Self::Cancel => "cancel",
            Self::Enter => "enter",
        }
    }
}

/// What one thread has asked, and how many buffers it has lent.
#[derive(Debug, Default)]
pub struct Usage {
    operations: [AtomicU64; Operation::ALL.len()],
    lent: AtomicU64,
}

impl Usage {
    /// How often the thread has asked for this.
    pub fn operations(&self, operation: Operation) -> u64 {
        self.operations[operation as usize].load(Ordering::Relaxed)
    }

    /// How many buffers its pools have lent now.
    pub fn lent(&self) -> u64 {
        self.lent.load(Ordering::Relaxed)
    }

    /// One more buffer is lent, or one less.
    pub(super) fn count_lent(&self, taken: bool) {
        let lent = self.lent.load(Ordering::Relaxed);
        self.lent.store(if taken { lent.wrapping_add(1) } else { lent.wrapping_sub(1) }, Ordering::Relaxed);
    }
}

thread_local! {
    static MINE: OnceCell<Arc<Usage>> = const { OnceCell::new() };
}

/// What this thread asks, from its start on.
pub fn of_this_thread() -> Arc<Usage> {
    MINE.with(|mine| Arc::clone(mine.get_or_init(Arc::default)))
}

/// This thread asks once more.
pub(super) fn count(operation: Operation) {
    MINE.with(|mine| {
        let counter = &mine.get_or_init(Arc::default).operations[operation as usize];
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    });
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{Operation, count, of_this_thread};

    #[test]
    fn each_thread_counts_for_itself() {
        let other = thread::spawn(|| {
            Operation::ALL.into_iter().chain([Operation::Send]).for_each(count);
            of_this_thread()
        });
        let other = other.join().expect("no panic");
        let counted = Operation::ALL.map(|operation| other.operations(operation));
        assert_eq!(counted, [1, 1, 2, 1, 1, 1, 1]);
        thread::spawn(|| assert_eq!(of_this_thread().operations(Operation::Send), 0)).join().expect("no panic");
    }
}
