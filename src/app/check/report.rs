//! What a check found, for people: what is wrong, then the platform, one line an item, then the verdict.

use std::fmt;
use std::io::{self, Write};

use super::plan::{Plan, Rounded, Severity, plural};
use super::platform::Platform;
use super::{Report, Verdict, tell};
use crate::app::open_files::{PER_CONNECTION, RESERVED};
use crate::bytesize::ByteSize;
use crate::ring::host::{Host, Seccomp};
use crate::ring::usage::Operation;

/// Writes all of it.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for (severity, problems) in [(Severity::Error, &report.problems), (Severity::Warning, &report.warnings)] {
        tell(severity.as_str(), problems, out)?;
        let mut advice = report.advice.iter().filter(|advice| advice.severity == severity);
        advice.try_for_each(|advice| writeln!(out, "{advice}\n"))?;
    }
    let mut items = platform(&report.platform);
    items.extend(report.plan.iter().flat_map(|plan| plan_items(plan, &report.platform)));
    let widest = items.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, what) in items {
        writeln!(out, "{name:widest$}  {what}")?;
    }
    writeln!(out, "\n{}", summary(report))
}

/// A line of the list: its name, and what is so.
type Item = (&'static str, String);

fn platform(platform: &Platform) -> Vec<Item> {
    let Platform { host, files, cgroup, .. } = platform;
    let operations = Operation::ALL.map(Operation::as_str).join(", ");
    let ring = match &platform.ring {
        Ok(()) => format!("works: a ring, and on it {operations}"),
        Err(refused) => format!("refused: {refused}"),
    };
    let open_files = if files.current == platform.raised {
        Files(files.current).to_string()
    } else {
        format!("{}, raised to {} by a sidecar", Files(files.current), Files(platform.raised))
    };
    let cpus = cgroup.cpus.map_or("no CPU quota".into(), |cpus| format!("CPU quota of {cpus} cores"));
    let cores = platform.cores.map_or("unknown".into(), |cores| cores.to_string());
    let machine = platform.memory.map_or(String::new(), |memory| format!("{} in this machine", Rounded(memory)));
    let memory = match (cgroup.memory, machine.as_str()) {
        (Some(limit), "") => format!("limit of {}", Rounded(limit)),
        (Some(limit), machine) => format!("limit of {}, {machine}", Rounded(limit)),
        (None, "") => "no limit".into(),
        (None, machine) => format!("no limit, {machine}"),
    };
    vec![
        ("kernel", format!("{} {}", host.release, host.machine)),
        ("io_uring", ring),
        ("sysctl", sysctl(host)),
        ("seccomp", seccomp(host)),
        ("memlock", host.memlock.map_or("no limit".into(), |most| Rounded(ByteSize::bytes(most)).to_string())),
        ("open files", open_files),
        ("cores", format!("{cores}, {cpus}")),
        ("memory", memory),
    ]
}

fn sysctl(host: &Host) -> String {
    let Some(disabled) = host.disabled else { return "this kernel has no kernel.io_uring_disabled".into() };
    let level = format!("kernel.io_uring_disabled = {disabled}");
    match (disabled, host.group) {
        (1, Some(group)) => {
            let not = if host.in_group { "" } else { "not " };
            format!("{level}, kernel.io_uring_group = {group}, {not}ours")
        }
        (1, None) => format!("{level}, no kernel.io_uring_group"),
        _ => level,
    }
}

fn seccomp(host: &Host) -> String {
    let filters = host.filters.map_or("a filter".into(), |filters| match filters {
        1 => "1 filter".into(),
        many => format!("{many} filters"),
    });
    let mode = match host.seccomp {
        None => "unknown".into(),
        Some(Seccomp::Off) => "no filter".into(),
        Some(Seccomp::Strict) => "strict".into(),
        Some(Seccomp::Filter) => filters,
    };
    let privileges = match host.no_new_privileges {
        None => "",
        Some(true) => ", no new privileges",
        Some(false) => ", new privileges can be gained",
    };
    let admin = if host.sys_admin == Some(true) { ", CAP_SYS_ADMIN" } else { "" };
    format!("{mode}{privileges}{admin}")
}

/// What would run, as the configuration asks for it.
fn plan_items(plan: &Plan, platform: &Platform) -> Vec<Item> {
    let engine = match &plan.selected {
        Ok(selected) => format!("{}: {}", selected.engine, selected.why),
        Err(refused) => format!("none: {refused}"),
    };
    let capacity = &plan.capacity;
    let (workers, connections) = (capacity.workers, capacity.connections());
    let bound = match capacity.wished {
        Some(wished) if capacity.excess().is_none() => format!("listen.connections = {wished}"),
        _ => format!("{PER_CONNECTION} of {} open files each, {RESERVED} kept back", Files(platform.raised)),
    };
    vec![
        ("engine", format!("{engine} (runtime.engine = \"{}\")", plan.wanted.as_str())),
        ("workers", workers.to_string()),
        ("connections", format!("{connections} at the most: {bound}")),
        (
            "buffers",
            format!("{} at the most, in {workers} worker{}", Rounded(capacity.buffer_memory()), plural(workers)),
        ),
    ]
}

/// The last line.
fn summary(report: &Report) -> String {
    let what = report.source.as_ref().map_or("platform".into(), ToString::to_string);
    let rest = report.summary.as_ref().map_or(String::new(), |summary| format!(": {summary}"));
    match report.verdict() {
        Verdict::Ready(engine) => format!("{what}: ready on {engine}{rest}"),
        Verdict::NotReady => {
            let errors = report.advice.iter().filter(|advice| advice.severity == Severity::Error).count();
            let count = report.problems.len() + errors;
            format!("{what}: not ready: {count} problem{}", plural(count))
        }
    }
}

/// A limit on open files.
struct Files(Option<u64>);

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(files) => write!(f, "{files}"),
            None => f.write_str("any number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Report;
    use super::super::platform::Platform;
    use super::super::platform::tests::{good, refusing};
    use super::{seccomp, sysctl, write};
    use crate::app::check::cgroup::Limits;
    use crate::ring::host::{Host, Seccomp};

    fn told(platform: Platform, env: &[(&str, &str)]) -> String {
        let env: Vec<_> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut out = Vec::new();
        write(&Report::of_platform(&env, platform), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_good_platform_is_told_line_by_line() {
        assert_eq!(
            told(good(), &[]),
            "kernel       6.12.9 x86_64\n\
             io_uring     works: a ring, and on it poll, recv, send, accept, connect, cancel, enter\n\
             sysctl       kernel.io_uring_disabled = 0\n\
             seccomp      1 filter, no new privileges\n\
             memlock      8MiB\n\
             open files   1024, raised to 20000 by a sidecar\n\
             cores        2, no CPU quota\n\
             memory       limit of 512MiB, 8GiB in this machine\n\
             engine       io_uring: probe passed (runtime.engine = \"auto\")\n\
             workers      2\n\
             connections  9872 at the most: 2 of 20000 open files each, 256 kept back\n\
             buffers      127MiB at the most, in 2 workers\n\
             \n\
             platform: ready on io_uring\n"
        );
    }

    #[test]
    fn what_is_wrong_comes_first_and_the_verdict_last() {
        let fallen_back = told(refusing(), &[]);
        let refused = "cannot set up a ring: Operation not permitted (os error 1)";
        assert!(
            fallen_back.starts_with(&format!(
                "warning: runtime.engine: io_uring is refused here, epoll would run: {refused}\n  1. a seccomp filter"
            )),
            "{fallen_back}"
        );
        assert!(fallen_back.contains(&format!("\nio_uring     refused: {refused}\n")), "{fallen_back}");
        assert!(
            fallen_back
                .contains(&format!("\nengine       epoll: io_uring refused: {refused} (runtime.engine = \"auto\")\n")),
            "{fallen_back}"
        );
        assert!(fallen_back.ends_with("\n\nplatform: ready on epoll\n"), "{fallen_back}");

        let none = told(refusing(), &[("RINGSIDE_RUNTIME_ENGINE", "io_uring")]);
        assert!(none.starts_with("error: runtime.engine: \"io_uring\" is wanted"), "{none}");
        assert!(none.contains("\nengine       none: cannot set up"), "{none}");
        assert!(none.ends_with("\n\nplatform: not ready: 1 problem\n"), "{none}");
    }

    #[test]
    fn a_variable_that_is_wrong_leaves_only_the_facts() {
        let wrong = told(good(), &[("RINGSIDE_RUNTIME_WORKERS", "many"), ("RINGSIDE_LISTEN_ADDRESS", "not looked at")]);
        assert!(wrong.starts_with("error: runtime.workers: "), "{wrong}");
        assert!(wrong.contains("\nkernel ") && !wrong.contains("\nengine "), "{wrong}");
        assert!(wrong.ends_with("\n\nplatform: not ready: 1 problem\n"), "{wrong}");
    }

    #[test]
    fn what_the_host_does_not_say_is_not_made_up() {
        let host = good().host;
        let at = |disabled, group, in_group| sysctl(&Host { disabled, group, in_group, ..host.clone() });
        assert_eq!(at(None, None, false), "this kernel has no kernel.io_uring_disabled");
        assert_eq!(at(Some(2), Some(7), true), "kernel.io_uring_disabled = 2");
        assert_eq!(at(Some(1), None, false), "kernel.io_uring_disabled = 1, no kernel.io_uring_group");
        assert_eq!(at(Some(1), Some(7), true), "kernel.io_uring_disabled = 1, kernel.io_uring_group = 7, ours");
        assert_eq!(at(Some(1), Some(7), false), "kernel.io_uring_disabled = 1, kernel.io_uring_group = 7, not ours");
        let silent = Host { seccomp: None, filters: None, no_new_privileges: None, sys_admin: None, ..host.clone() };
        assert_eq!(seccomp(&silent), "unknown");
        let root = Host { seccomp: Some(Seccomp::Off), no_new_privileges: Some(false), sys_admin: Some(true), ..host };
        assert_eq!(seccomp(&root), "no filter, new privileges can be gained, CAP_SYS_ADMIN");
        let bare = Platform { cores: None, memory: None, cgroup: Limits::default(), ..good() };
        let told = told(bare, &[]);
        assert!(told.contains("\ncores        unknown, no CPU quota\nmemory       no limit\n"), "{told}");
    }
}
