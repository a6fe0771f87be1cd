//! The runtime of a worker, on its engine.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;

use tokio::task::{JoinHandle, LocalSet};

use super::engine::Engine;

/// Submissions that wait for the next turn of the loop; when it is full, they go to the kernel at once.
const SUBMISSIONS: u32 = 1024;

/// Operations a connection has in flight at the most: per socket one wait or receive, one send, one cancel.
const PER_CONNECTION: usize = 6;

/// Bounds of the completion queue. Past its size the kernel keeps completions aside, slowly but without loss.
const COMPLETIONS: std::ops::RangeInclusive<usize> = 4096..=65536;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside [`Runtime::block_on`].
pub(super) fn inside_runtime() -> bool {
    INSIDE.get()
}

/// The runtime of one worker thread, on one engine.
pub struct Runtime(Kind);

enum Kind {
    IoUring(tokio_uring::Runtime),
    Epoll(tokio::runtime::Runtime, LocalSet),
}

impl Runtime {
    /// A runtime on the calling thread, sized for `connections` at a time. It stays on this thread: the ring takes
    /// submissions from nowhere else.
    pub fn new(engine: Engine, connections: usize) -> io::Result<Self> {
        Ok(Self(match engine {
            Engine::IoUring => Kind::IoUring(tokio_uring::Runtime::new(&ring(connections))?),
            Engine::Epoll => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                Kind::Epoll(runtime, LocalSet::new())
            }
        }))
    }

    /// Runs `future`, and what it spawns, until it is done.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _inside = Inside::enter();
        match &self.0 {
            Kind::IoUring(runtime) => runtime.block_on(future),
            Kind::Epoll(runtime, tasks) => runtime.block_on(tasks.run_until(future)),
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

/// Starts a task on the runtime of this thread.
pub fn spawn<F: Future + 'static>(task: F) -> JoinHandle<F::Output> {
    tokio::task::spawn_local(task)
}

fn ring(connections: usize) -> tokio_uring::Builder {
    let completions =
        connections.saturating_mul(PER_CONNECTION).clamp(*COMPLETIONS.start(), *COMPLETIONS.end()).next_power_of_two();
    let mut setup = tokio_uring::uring_builder();
    // COOP_TASKRUN: completions wait for our next system call instead of interrupting us.
    // SINGLE_ISSUER: the kernel may skip locks, since only this thread submits.
    setup.setup_coop_taskrun().setup_single_issuer().setup_cqsize(u32::try_from(completions).unwrap_or(u32::MAX));
    let mut builder = tokio_uring::builder();
    builder.entries(SUBMISSIONS).uring_builder(&setup);
    builder
}

/// Marks this thread as inside a runtime until dropped.
struct Inside(bool);

impl Inside {
    fn enter() -> Self {
        Self(INSIDE.replace(true))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}
