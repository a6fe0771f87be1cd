//! What the kernel accounts to a process as CPU time.

use std::collections::BTreeMap;
use std::fs;
use std::ops::{Add, Sub};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Fault;

/// CPU time of a process, all threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// In its own code.
    pub user: Duration,
    /// In the kernel on its behalf.
    pub system: Duration,
    /// On a core at all: the two together, to the nanosecond. Threads that have ended are missing.
    pub total: Duration,
}

impl Cpu {
    /// Of process `pid` so far, from `/proc/PID/stat` (in steps of a clock tick, usually 10 ms) and, for the total,
    /// `/proc/PID/task/TID/schedstat`.
    pub fn of(pid: u32) -> Result<Self, Fault> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field is the name in parentheses, which may hold anything.
        let (_, fields) = stat.rsplit_once(')').ok_or("no name in stat")?;
        let mut ticks = fields.split_ascii_whitespace().skip(11).map(str::parse::<u32>);
        let mut next = || -> Result<Duration, Fault> {
            let ticks = ticks.next().ok_or("stat is too short")??;
            let per_second = u32::try_from(rustix::param::clock_ticks_per_second())?;
            Ok(Duration::from_secs(1) * ticks / per_second)
        };
        Ok(Self { user: next()?, system: next()?, total: threads_of(pid)?.values().sum() })
    }

    /// Of process `pid` and those it has started, which some proxies do.
    pub fn of_family(pid: u32) -> Result<Self, Fault> {
        family(pid).into_iter().try_fold(Self::default(), |sum, pid| Ok(sum + Self::of(pid)?))
    }
}

/// How long each thread of process `pid`, and of those it has started, has run.
pub fn threads(pid: u32) -> Result<BTreeMap<u32, Duration>, Fault> {
    let mut threads = BTreeMap::new();
    for pid in family(pid) {
        threads.append(&mut threads_of(pid)?);
    }
    Ok(threads)
}

fn threads_of(pid: u32) -> Result<BTreeMap<u32, Duration>, Fault> {
    let mut threads = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?;
        // A thread may end between the listing and the reading.
        let Ok(stat) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        let ran = stat.split_ascii_whitespace().next().ok_or("schedstat is empty")?;
        threads.insert(thread.file_name().to_string_lossy().parse()?, Duration::from_nanos(ran.parse()?));
    }
    Ok(threads)
}

/// Process `pid` and its descendants, itself first.
pub fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            family.extend(children.split_ascii_whitespace().flat_map(str::parse::<u32>));
        }
    }
    family
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            total: self.total.saturating_sub(earlier.total),
        }
    }
}

impl Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system, total: self.total + other.total }
    }
}

/// Keeps the calling thread, and what it starts from now on, on `core`.
pub fn pin(core: usize) -> Result<(), Fault> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None::<Pid>, &cores)?;
    Ok(())
}

/// Raises the bound on open files as far as it goes, for this process and those it starts.
pub fn raise_file_limit() -> Result<(), Fault> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(())
}
