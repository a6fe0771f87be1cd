//! What a check found, for machines: one JSON object. Names stay as they are; new ones may be added.
//!
//! | name | holds |
//! |---|---|
//! | `version` | of Ringside |
//! | `verdict` | `ready_on_io_uring`, `ready_on_epoll` or `not_ready` |
//! | `exit_code` | of this command |
//! | `source` | the configuration: a file's name, or `environment`; null with `--platform` |
//! | `summary` | what would run, in one line; null when nothing would, and with `--platform` |
//! | `problems`, `warnings` | what is wrong, what is unwise; see below |
//! | `engine` | `wanted`: `auto`, `io_uring` or `epoll`; `runs`: one of the latter two, null for none; `why`. Null when the configuration is wrong |
//! | `capacity` | `workers`; `connections`, the bound; `buffers_bytes`, the bound of all workers. Null when the configuration is wrong |
//! | `platform` | see below; what cannot be known is null |
//!
//! A problem or warning has `key` (null: none in particular), `file` with `line` and `column`, or `variable`, where it
//! was written (null where it was not), `value` as it was written (null: not, or it may be a secret), `what` is wrong, and
//! what may `help`.
//!
//! | name in `platform` | holds |
//! |---|---|
//! | `kernel`, `machine` | release and architecture |
//! | `io_uring` | `works`; `operations` that were tried on a ring; when it does not work, `step` and `error`, and `causes`, the likeliest first, with `what` and `remedy` |
//! | `sysctl` | `io_uring_disabled`; `io_uring_group`, null for none; `in_group`, whether this process is |
//! | `seccomp` | `mode`: `off`, `strict` or `filter`; `filters`, their number |
//! | `no_new_privileges`, `cap_sys_admin` | of this process |
//! | `memlock_bytes` | soft limit; null for none |
//! | `open_files` | `soft` and `hard` limit, and what a sidecar has `raised` the soft one to; null for none |
//! | `cores` | that this process may run on |
//! | `cpu_quota` | of its control groups, in cores; null for none |
//! | `memory_limit_bytes` | of its control groups; null for none |
//! | `memory_bytes` | of the machine |

use std::io::{self, Write};

use serde::Serialize;

use super::plan::{Advice, Plan, Severity};
use super::{Report, Verdict};
use crate::bytesize::ByteSize;
use crate::config::{Place, Problem};
use crate::ring::engine::Engine;
use crate::ring::host::Seccomp;
use crate::ring::probe::{Cause, Refused};
use crate::ring::usage::Operation;

/// Writes all of it, and a newline.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Object::of(report))?;
    writeln!(out)
}

#[derive(Serialize)]
struct Object<'r> {
    version: &'static str,
    verdict: &'static str,
    exit_code: u8,
    source: Option<String>,
    summary: Option<&'r str>,
    problems: Vec<Finding<'r>>,
    warnings: Vec<Finding<'r>>,
    engine: Option<EngineShown>,
    capacity: Option<Capacity>,
    platform: Platform<'r>,
}

#[derive(Serialize)]
struct Finding<'r> {
    key: Option<&'r str>,
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    variable: Option<&'r str>,
    value: Option<&'r str>,
    what: &'r str,
    help: &'r str,
}

#[derive(Serialize)]
struct EngineShown {
    wanted: &'static str,
    runs: Option<&'static str>,
    why: String,
}

#[derive(Serialize)]
struct Capacity {
    workers: usize,
    connections: usize,
    buffers_bytes: u64,
}

#[derive(Serialize)]
struct Platform<'r> {
    kernel: &'r str,
    machine: &'r str,
    io_uring: Ring<'r>,
    sysctl: Sysctl,
    seccomp: Filters,
    no_new_privileges: Option<bool>,
    cap_sys_admin: Option<bool>,
    memlock_bytes: Option<u64>,
    open_files: Files,
    cores: Option<u32>,
    cpu_quota: Option<f64>,
    memory_limit_bytes: Option<u64>,
    memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Ring<'r> {
    works: bool,
    operations: [&'static str; Operation::ALL.len()],
    step: Option<&'static str>,
    error: Option<String>,
    causes: Vec<CauseShown<'r>>,
}

#[derive(Serialize)]
struct CauseShown<'r> {
    what: &'r str,
    remedy: &'static str,
}

#[derive(Serialize)]
struct Sysctl {
    io_uring_disabled: Option<u8>,
    io_uring_group: Option<u32>,
    in_group: bool,
}

#[derive(Serialize)]
struct Filters {
    mode: Option<&'static str>,
    filters: Option<u32>,
}

#[derive(Serialize)]
struct Files {
    soft: Option<u64>,
    hard: Option<u64>,
    raised: Option<u64>,
}

impl<'r> Object<'r> {
    fn of(report: &'r Report) -> Self {
        let findings = |problems: &'r [Problem], severity| {
            let advice = report.advice.iter().filter(move |advice| advice.severity == severity);
            problems.iter().map(Finding::from).chain(advice.map(Finding::from)).collect()
        };
        let verdict = report.verdict();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            verdict: match verdict {
                Verdict::Ready(Engine::IoUring) => "ready_on_io_uring",
                Verdict::Ready(Engine::Epoll) => "ready_on_epoll",
                Verdict::NotReady => "not_ready",
            },
            exit_code: verdict.exit_code(),
            source: report.source.as_ref().map(ToString::to_string),
            summary: report.summary.as_deref(),
            problems: findings(&report.problems, Severity::Error),
            warnings: findings(&report.warnings, Severity::Warning),
            engine: report.plan.as_ref().map(EngineShown::from),
            capacity: report.plan.as_ref().map(Capacity::from),
            platform: Platform::from(&report.platform),
        }
    }
}

impl<'r> From<&'r Problem> for Finding<'r> {
    fn from(problem: &'r Problem) -> Self {
        let (file, at, variable) = match &problem.place {
            Place::File { file, at } => (Some(file.display().to_string()), at.as_ref(), None),
            Place::Variable(name) => (None, None, Some(name.as_str())),
        };
        Self {
            key: Some(problem.key.as_str()).filter(|key| !key.is_empty()),
            file,
            line: at.map(|at| at.line),
            column: at.map(|at| at.column),
            variable,
            value: problem.value.as_deref(),
            what: &problem.what,
            help: &problem.help,
        }
    }
}

impl<'r> From<&'r Advice> for Finding<'r> {
    fn from(advice: &'r Advice) -> Self {
        let help = advice.causes.first().map_or(advice.help.as_str(), |likeliest| likeliest.remedy);
        Self {
            key: Some(advice.key),
            file: None,
            line: None,
            column: None,
            variable: None,
            value: None,
            what: &advice.what,
            help,
        }
    }
}

impl From<&Plan> for EngineShown {
    fn from(plan: &Plan) -> Self {
        Self {
            wanted: plan.wanted.as_str(),
            runs: plan.engine().map(Engine::as_str),
            why: match &plan.selected {
                Ok(selected) => selected.why.to_string(),
                Err(refused) => refused.to_string(),
            },
        }
    }
}

impl From<&Plan> for Capacity {
    fn from(Plan { capacity, .. }: &Plan) -> Self {
        Self {
            workers: capacity.workers,
            connections: capacity.connections(),
            buffers_bytes: capacity.buffer_memory().get(),
        }
    }
}

impl<'r> From<&'r super::platform::Platform> for Platform<'r> {
    fn from(platform: &'r super::platform::Platform) -> Self {
        let host = &platform.host;
        let refused = platform.ring.as_ref().err();
        let cause = |cause: &'r Cause| CauseShown { what: &cause.what, remedy: cause.remedy };
        Self {
            kernel: &host.release,
            machine: &host.machine,
            io_uring: Ring {
                works: refused.is_none(),
                operations: Operation::ALL.map(Operation::as_str),
                step: refused.map(Refused::step),
                error: refused.map(|refused| refused.error().to_string()),
                causes: refused.into_iter().flat_map(|refused| refused.causes().iter().map(cause)).collect(),
            },
            sysctl: Sysctl { io_uring_disabled: host.disabled, io_uring_group: host.group, in_group: host.in_group },
            seccomp: Filters {
                mode: host.seccomp.map(|seccomp| match seccomp {
                    Seccomp::Off => "off",
                    Seccomp::Strict => "strict",
                    Seccomp::Filter => "filter",
                }),
                filters: host.filters,
            },
            no_new_privileges: host.no_new_privileges,
            cap_sys_admin: host.sys_admin,
            memlock_bytes: host.memlock,
            open_files: Files { soft: platform.files.current, hard: platform.files.maximum, raised: platform.raised },
            cores: platform.cores,
            cpu_quota: platform.cgroup.cpus,
            memory_limit_bytes: platform.cgroup.memory.map(ByteSize::get),
            memory_bytes: platform.memory.map(ByteSize::get),
        }
    }
}

#[cfg(test)]
mod tests;
