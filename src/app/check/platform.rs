//! What Ringside would run on: the kernel, what is allowed to this process, and how much there is.

use std::num::NonZeroUsize;

use procfs::{Current as _, Meminfo};
use rustix::process::Rlimit;
use rustix::thread::sched_getaffinity;

use super::cgroup::{self, Limits};
use crate::app::{capacity, open_files};
use crate::bytesize::ByteSize;
use crate::ring::host::Host;
use crate::ring::probe::{self, Refused};

/// The platform, as far as it matters.
#[derive(Clone, Debug)]
pub(in crate::app) struct Platform {
    /// Kernel, sysctls, seccomp, memlock.
    pub(super) host: Host,
    /// What became of a ring with every operation of a worker.
    pub(super) ring: Result<(), Refused>,
    /// `RLIMIT_NOFILE` as this process got it; `None`: no limit.
    pub(super) files: Rlimit,
    /// What it is when a sidecar has raised it, by doing.
    pub(super) raised: Option<u64>,
    /// The cores that this process may run on, whatever its quota.
    pub(super) cores: Option<u32>,
    /// How many of them its quota lets it use: the usual number of workers.
    pub(super) parallelism: NonZeroUsize,
    /// What the control groups allow.
    pub(super) cgroup: Limits,
    /// Memory of the machine.
    pub(super) memory: Option<ByteSize>,
}

impl Platform {
    /// Looks at this machine and this process. Raises this process's limit on open files, as a sidecar does.
    pub(super) fn look() -> Self {
        let files = open_files::limits();
        Self {
            host: Host::look(),
            ring: probe::io_uring(),
            files,
            raised: open_files::raise(),
            cores: sched_getaffinity(None).ok().map(|set| set.count()),
            parallelism: capacity::cores(),
            cgroup: cgroup::limits(),
            memory: Meminfo::current().ok().map(|memory| ByteSize::bytes(memory.mem_total)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;
    use std::num::NonZeroUsize;

    use rustix::process::Rlimit;

    use super::{Limits, Platform};
    use crate::bytesize::ByteSize;
    use crate::ring::host::{Host, Seccomp};
    use crate::ring::probe::Refused;

    /// A machine on which everything is as one would wish.
    pub(in crate::app::check) fn good() -> Platform {
        Platform {
            host: Host {
                release: "6.12.9".into(),
                machine: "x86_64".into(),
                disabled: Some(0),
                group: None,
                in_group: false,
                sys_admin: Some(false),
                seccomp: Some(Seccomp::Filter),
                filters: Some(1),
                no_new_privileges: Some(true),
                memlock: Some(8 << 20),
            },
            ring: Ok(()),
            files: Rlimit { current: Some(1024), maximum: Some(20_000) },
            raised: Some(20_000),
            cores: Some(2),
            parallelism: NonZeroUsize::new(2).unwrap(),
            cgroup: Limits { cpus: None, memory: Some(ByteSize::mib(512)) },
            memory: Some(ByteSize::mib(8192)),
        }
    }

    /// The same where a seccomp filter refuses rings.
    pub(in crate::app::check) fn refusing() -> Platform {
        let good = good();
        let error = io::Error::from_raw_os_error(libc::EPERM);
        Platform { ring: Err(Refused::new("set up a ring", error, &good.host)), ..good }
    }

    #[test]
    fn this_machine_has_cores_memory_and_files() {
        let here = Platform::look();
        assert!(here.cores.is_some_and(|cores| cores > 0), "{here:?}");
        assert!(here.memory.is_some_and(|memory| memory > ByteSize::mib(64)), "{here:?}");
        assert!(here.raised.is_none_or(|raised| here.files.maximum.is_some_and(|most| raised <= most)), "{here:?}");
    }
}
