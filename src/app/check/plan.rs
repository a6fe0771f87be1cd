//! What would run here, and what is to be said about that: a function of the configuration and the platform.

use std::fmt;

use super::platform::Platform;
use crate::app::capacity::Capacity;
use crate::bytesize::ByteSize;
use crate::ring::engine::{Choice, Engine};
use crate::ring::probe::{Cause, Refused};
use crate::ring::select::{self, Selected};
use crate::worker;

/// What would run here.
#[derive(Clone, Debug)]
pub(in crate::app) struct Plan {
    /// The engine that the configuration asks for.
    pub(super) wanted: Choice,
    /// The engine that would run and why, or why there is none.
    pub(super) selected: Result<Selected, Refused>,
    /// How much it may take.
    pub(super) capacity: Capacity,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Severity {
    /// A sidecar would not run.
    Error,
    /// It would, but perhaps not as it should.
    Warning,
}

/// Where configuration and platform do not go together. Shown over several lines, without one at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app) struct Advice {
    pub(super) severity: Severity,
    /// The key that the platform does not fit.
    pub(super) key: &'static str,
    /// What does not fit.
    pub(super) what: String,
    /// What may be the cause, the likeliest first.
    pub(super) causes: Vec<Cause>,
    /// What to do about it; with causes, what else.
    pub(super) help: String,
}

impl Plan {
    /// What would run on `platform`.
    pub(super) fn of(config: &worker::Config, platform: &Platform) -> Self {
        Self {
            wanted: config.engine,
            selected: select::select_by(config.engine, || platform.ring.clone()),
            capacity: Capacity::of(config, platform.parallelism, platform.raised),
        }
    }

    /// The engine that would run.
    pub(super) fn engine(&self) -> Option<Engine> {
        self.selected.as_ref().ok().map(|selected| selected.engine)
    }

    /// What does not fit, the worst first.
    pub(super) fn advice(&self, platform: &Platform) -> Vec<Advice> {
        let refused = platform.ring.as_ref().err();
        let engine = match self.wanted {
            Choice::Auto => refused.map(fallen_back),
            Choice::IoUring => refused.map(demanded),
            Choice::Epoll => None,
        };
        [engine, self.files(), self.memory(platform), self.cpu(platform)].into_iter().flatten().collect()
    }

    fn files(&self) -> Option<Advice> {
        let Capacity { allowed, .. } = self.capacity;
        self.capacity.excess().map(|wished| Advice {
            severity: Severity::Warning,
            key: "listen.connections",
            what: format!("{wished} are more than the limit on open files allows, which is {allowed}"),
            causes: Vec::new(),
            help: "raise the hard limit (LimitNOFILE, ulimit -Hn), or write fewer".into(),
        })
    }

    /// Buffers share the memory with what each connection holds; half of it is a good part.
    fn memory(&self, platform: &Platform) -> Option<Advice> {
        let limit = platform.cgroup.memory.into_iter().chain(platform.memory).min()?;
        let most = self.capacity.buffer_memory();
        let ample = ByteSize::bytes(most.get().saturating_mul(2));
        let Capacity { workers, .. } = self.capacity;
        (ample > limit).then(|| Advice {
            severity: Severity::Warning,
            key: "runtime.buffers",
            what: format!(
                "the buffers of {workers} worker{} may take {} of {} memory: clients that do not read could have this \
                 process killed",
                plural(workers),
                Rounded(most),
                Rounded(limit),
            ),
            causes: Vec::new(),
            help: format!(
                "lower it, or runtime.workers, or allow {} of memory: half of it should be left for connections",
                Rounded(ample)
            ),
        })
    }

    fn cpu(&self, platform: &Platform) -> Option<Advice> {
        let Capacity { workers, .. } = self.capacity;
        let advice = |what, help: &str| {
            let (severity, causes) = (Severity::Warning, Vec::new());
            Some(Advice { severity, key: "runtime.workers", what, causes, help: help.into() })
        };
        let threads = u32::try_from(workers).unwrap_or(u32::MAX);
        match (platform.cgroup.cpus, platform.cores) {
            (Some(quota), _) if f64::from(threads) > quota => advice(
                format!(
                    "{workers} worker{} may use up the CPU quota, which is {quota} cores: then all stand still for the \
                     rest of each period",
                    plural(workers)
                ),
                "have no more workers than cores of quota, or remove the CPU limit and keep the request",
            ),
            (_, Some(cores)) if threads > cores => advice(
                format!("{workers} workers, but this process may run on {cores} cores"),
                "write at most one per core, or remove the key",
            ),
            _ => None,
        }
    }
}

/// `auto` runs on epoll.
fn fallen_back(refused: &Refused) -> Advice {
    Advice {
        severity: Severity::Warning,
        key: "runtime.engine",
        what: format!("io_uring is refused here, epoll would run: {refused}"),
        causes: refused.causes().to_vec(),
        help: "or write runtime.engine = \"epoll\" if that is meant".into(),
    }
}

/// `io_uring` is wanted or nothing, and nothing is what there is.
pub(in crate::app) fn demanded(refused: &Refused) -> Advice {
    Advice {
        severity: Severity::Error,
        key: "runtime.engine",
        what: format!("\"io_uring\" is wanted, but this kernel refuses it: {refused}"),
        causes: refused.causes().to_vec(),
        help: "or write runtime.engine = \"auto\", which falls back on epoll".into(),
    }
}

pub(super) const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A number of bytes that nobody wrote, to three digits: `1.46GiB`.
pub(super) struct Rounded(pub(super) ByteSize);

impl Severity {
    /// Its name before what it is about.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}: {}", self.severity.as_str(), self.key, self.what)?;
        for (rank, cause) in self.causes.iter().enumerate() {
            writeln!(f, "  {}. {}\n     help: {}", rank + 1, cause.what, cause.remedy)?;
        }
        write!(f, "help: {}", self.help)
    }
}

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.get();
        let Some((unit, shift)) =
            [("GiB", 30), ("MiB", 20), ("KiB", 10)].into_iter().find(|(_, shift)| bytes >> shift > 0)
        else {
            return write!(f, "{bytes}B");
        };
        let whole = bytes >> shift;
        let hundredths = ((bytes - (whole << shift)) * 100) >> shift;
        match (whole, hundredths) {
            (_, 0) | (100.., _) => write!(f, "{whole}{unit}"),
            (10.., _) => write!(f, "{whole}.{}{unit}", hundredths / 10),
            _ => write!(f, "{whole}.{hundredths:02}{unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::path::Path;

    use super::super::platform::Platform;
    use super::super::platform::tests::{good, refusing};
    use super::{Advice, Plan, Rounded, Severity};
    use crate::app::check::cgroup::Limits;
    use crate::bytesize::ByteSize;
    use crate::config::Config;
    use crate::ring::engine::Engine;

    /// What would run with this `[runtime]`, and what is said about it.
    fn planned(runtime: &str, platform: &Platform) -> (Plan, Vec<Advice>) {
        let text = format!("[app]\naddress = \"127.0.0.1:3000\"\n[runtime]\n{runtime}");
        let config = Config::parse(&text, Path::new(""), [("", ""); 0]).unwrap().config;
        let plan = Plan::of(&config.worker, platform);
        let advice = plan.advice(platform);
        (plan, advice)
    }

    fn engine(choice: &str, platform: &Platform) -> (Option<Engine>, Vec<Advice>) {
        let (plan, advice) = planned(&format!("engine = \"{choice}\"\n"), platform);
        (plan.engine(), advice)
    }

    #[test]
    fn auto_falls_back_with_a_word_and_io_uring_does_not() {
        for choice in ["auto", "io_uring"] {
            assert_eq!(engine(choice, &good()), (Some(Engine::IoUring), Vec::new()));
        }
        let (runs, advice) = engine("auto", &refusing());
        assert_eq!((runs, advice.len(), advice[0].severity), (Some(Engine::Epoll), 1, Severity::Warning));
        let (runs, advice) = engine("io_uring", &refusing());
        assert_eq!((runs, advice.len(), advice[0].severity), (None, 1, Severity::Error));
        let told = advice[0].to_string();
        assert!(
            told.starts_with(
                "error: runtime.engine: \"io_uring\" is wanted, but this kernel refuses it: cannot set up a"
            ),
            "{told}"
        );
        let order =
            ["  1. a seccomp filter", "     help: run with a profile", "  2. kernel 6.12.9", "\nhelp: or write"];
        let at = order.map(|part| told.find(part).unwrap_or_else(|| panic!("no {part:?} in {told}")));
        assert!(at.is_sorted(), "{told}");
    }

    #[test]
    fn epoll_that_was_asked_for_needs_no_ring() {
        for platform in [good(), refusing()] {
            assert_eq!(engine("epoll", &platform), (Some(Engine::Epoll), Vec::new()));
        }
    }

    #[test]
    fn buffers_leave_half_of_the_memory() {
        let with = |limit: Option<u64>, machine: u64| {
            let cgroup = Limits { cpus: None, memory: limit.map(ByteSize::mib) };
            Platform { cgroup, memory: Some(ByteSize::mib(machine)), ..good() }
        };
        assert_eq!(planned("", &with(Some(256), 8192)).1, []);
        assert_eq!(planned("", &with(None, 256)).1, []);
        for platform in [with(Some(200), 8192), with(None, 200), with(Some(8192), 200)] {
            let (_, advice) = planned("", &platform);
            assert_eq!(advice.len(), 1, "{advice:?}");
            let told = advice[0].to_string();
            assert!(
                told.starts_with("warning: runtime.buffers: the buffers of 2 workers may take 127MiB of 200MiB memory"),
                "{told}"
            );
        }
        assert_eq!(planned("workers = 1\nbuffers = \"8MiB\"\n", &with(Some(20), 8192)).1, []);
    }

    #[test]
    fn workers_fit_the_quota_and_the_cores() {
        let with = |quota| Platform { cgroup: Limits { cpus: quota, memory: None }, ..good() };
        let told = |runtime: &str, quota| {
            let (_, advice) = planned(runtime, &with(quota));
            advice.iter().map(Advice::to_string).collect::<String>()
        };
        assert_eq!(told("", None), "");
        assert_eq!(told("workers = 2\n", Some(2.0)), "");
        assert!(told("workers = 2\n", Some(1.5)).contains("2 workers may use up the CPU quota, which is 1.5 cores"));
        assert!(told("workers = 1\n", Some(0.5)).contains("1 worker may use up the CPU quota, which is 0.5 cores"));
        let many = told("workers = 3\nbuffers = \"1MiB\"\n", None);
        assert!(
            many.starts_with("warning: runtime.workers: 3 workers, but this process may run on 2 cores\n"),
            "{many}"
        );
    }

    #[test]
    fn a_wish_for_too_many_connections_is_told() {
        let text = "[app]\naddress = \"127.0.0.1:3000\"\n[listen]\nconnections = 10000\n";
        let config = Config::parse(text, Path::new(""), [("", ""); 0]).unwrap().config;
        let few = Platform { raised: Some(1024), parallelism: NonZeroUsize::MIN, ..good() };
        let plan = Plan::of(&config.worker, &few);
        assert_eq!(plan.capacity.connections(), 384);
        let advice = plan.advice(&few);
        assert!(advice.len() == 1 && advice[0].key == "listen.connections", "{advice:?}");
        assert!(advice[0].what.contains("10000 are more") && advice[0].what.contains("384"), "{advice:?}");
    }

    #[test]
    fn sizes_are_rounded_down_to_three_digits() {
        let shown = |bytes| Rounded(ByteSize::bytes(bytes)).to_string();
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1 << 20, "1MiB"),
            (1_572_864, "1.50MiB"),
            (133_169_152, "127MiB"),
            (25_219_084_288, "23.4GiB"),
            (1_073_741_824 + 10_737_419, "1.01GiB"),
            (u64::MAX, "17179869183GiB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }
}
