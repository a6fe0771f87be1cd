//! What the kernel accounts to a process: CPU time and memory.

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
        Ok(Self { user: next()?, system: next()?, total: on_a_core(pid)? })
    }
}

/// How long the threads of process `pid` have run.
fn on_a_core(pid: u32) -> Result<Duration, Fault> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(stat) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let ran = stat.split_ascii_whitespace().next().ok_or("schedstat is empty")?;
        total += Duration::from_nanos(ran.parse()?);
    }
    Ok(total)
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

/// Anonymous resident memory of process `pid` in bytes, from `/proc/PID/smaps_rollup`.
pub fn anonymous(pid: u32) -> Result<u64, Fault> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).ok_or("no Anonymous in smaps_rollup")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
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
