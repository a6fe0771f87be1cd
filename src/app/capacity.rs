//! How much the proxy may take: workers, connections, memory for buffers. `run` starts with it, `check` shows it.

use std::num::NonZeroUsize;
use std::thread;

use super::open_files;
use crate::bytesize::ByteSize;
use crate::ring::{lease, pool};
use crate::worker;

/// The bounds that a configuration gets on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    /// Threads, at least one.
    pub(super) workers: usize,
    /// Most connections of one worker: its share, rounded up.
    pub(super) per_worker: usize,
    /// What `listen.connections` asks for.
    pub(super) wished: Option<usize>,
    /// What the limit on open files allows.
    pub(super) allowed: usize,
    /// Most buffers of one worker that may be lent at a time.
    pub(super) buffers: usize,
}

impl Capacity {
    /// Of a process with so many `cores` and open `files`, where `None` is no limit.
    pub(super) fn of(config: &worker::Config, cores: NonZeroUsize, files: Option<u64>) -> Self {
        let workers = config.workers.unwrap_or(cores).get();
        let allowed = open_files::connections(files);
        let wished = config.connections.map(NonZeroUsize::get);
        Self {
            workers,
            per_worker: wished.unwrap_or(allowed).min(allowed).div_ceil(workers),
            wished,
            allowed,
            buffers: pool::bound(config.buffers),
        }
    }

    /// Most connections of all workers.
    pub(super) const fn connections(&self) -> usize {
        self.per_worker * self.workers
    }

    /// Most memory for buffers of all workers.
    pub(super) fn buffer_memory(&self) -> ByteSize {
        ByteSize::bytes(self.buffers.saturating_mul(lease::CAPACITY).saturating_mul(self.workers) as u64)
    }

    /// What `listen.connections` asks for, when that is more than the limit on open files allows.
    pub(super) fn excess(&self) -> Option<usize> {
        self.wished.filter(|wished| *wished > self.allowed)
    }
}

/// The cores that this process may use: std reads the CPU affinity and the quota of the cgroup.
pub(super) fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::path::Path;

    use super::Capacity;
    use crate::bytesize::ByteSize;
    use crate::config::Config;
    use crate::ring::lease;

    fn capacity(more: &str, cores: usize, files: u64) -> Capacity {
        let text = format!("[app]\naddress = \"127.0.0.1:3000\"\n{more}");
        let config = Config::parse(&text, Path::new(""), [("", ""); 0]).unwrap().config;
        Capacity::of(&config.worker, NonZeroUsize::new(cores).unwrap(), Some(files))
    }

    #[test]
    fn a_worker_per_core_shares_what_open_files_allow() {
        let usual = capacity("", 3, 20_000);
        assert_eq!((usual.workers, usual.allowed, usual.per_worker, usual.connections()), (3, 9872, 3291, 9873));
        assert_eq!(usual.excess(), None);
        let memory = usual.buffer_memory();
        assert!(memory <= ByteSize::mib(3 * 64) && memory > ByteSize::mib(3 * 63), "{memory}");
    }

    #[test]
    fn a_wish_counts_as_far_as_it_is_allowed() {
        let few = capacity("[listen]\nconnections = 100\n[runtime]\nworkers = 1\nbuffers = \"1MiB\"\n", 8, 20_000);
        assert_eq!((few.workers, few.connections(), few.excess()), (1, 100, None));
        assert_eq!(few.buffer_memory().len(), few.buffers * lease::CAPACITY);
        let many = capacity("[listen]\nconnections = 10000\n", 2, 1024);
        assert_eq!((many.connections(), many.excess()), (384, Some(10_000)));
        // Nobody has so much, and it is no fault to say so.
        let boundless = capacity("[runtime]\nworkers = 1024\nbuffers = \"9999999999GiB\"\n", 2, 1024);
        assert_eq!(boundless.buffer_memory().len(), usize::MAX);
    }
}
