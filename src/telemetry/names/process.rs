//! The process as a whole.

use std::time::{Duration, SystemTime};

use super::{Figure, Kind, Metric};

/// Figures and facts of the whole process.
#[derive(Clone, Debug)]
pub struct Process {
    /// When it started.
    pub started: SystemTime,
    /// The engine that runs: `io_uring` or `epoll`.
    pub engine: &'static str,
    /// Why that one.
    pub engine_why: String,
    /// What the workers asked of the kernel for their sockets, by operation.
    pub operations: Vec<(&'static str, u64)>,
    /// Most connections at once, over all workers.
    pub connections_limit: u64,
    /// Buffers in use.
    pub buffers_lent: u64,
    /// Buffers that may be.
    pub buffers_limit: u64,
    /// From workers to the exporter.
    pub events: Queue,
    /// From the exporter to the collector.
    pub spans: Queue,
    /// Spans the collector took.
    pub spans_exported: u64,
    /// Exports of metrics that the collector took, and those that failed.
    pub metric_exports: [u64; 2],
    /// Log lines dropped.
    pub log_lines_dropped: u64,
    /// Log lines past the bound on noise.
    pub log_lines_suppressed: u64,
    /// What it uses of the machine; `None` where the system does not tell.
    pub usage: Option<Usage>,
}

/// A bounded queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// What waits in it.
    pub waiting: u64,
    /// How much may wait.
    pub limit: u64,
    /// What found no room, or was lost behind it.
    pub dropped: u64,
}

/// What a process uses of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Memory that is resident, in bytes.
    pub resident: u64,
    /// Address space, in bytes.
    pub virtual_memory: u64,
    /// File descriptors in use.
    pub open_files: u64,
    /// File descriptors that may be; `None`: any number.
    pub most_files: Option<u64>,
    /// Threads.
    pub threads: u64,
}

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ringside_workers",
        kind: Kind::Gauge,
        help: "Worker threads.",
        read: |seen, samples| samples(&[], Figure::Whole(seen.workers.len() as u64)),
    },
    Metric {
        name: "ringside_engine_info",
        kind: Kind::Gauge,
        help: "Always 1. The labels say which engine runs and why that one.",
        read: |seen, samples| {
            samples(&[("engine", seen.process.engine), ("why", &seen.process.engine_why)], 1.into());
        },
    },
    Metric {
        name: "ringside_socket_operations_total",
        kind: Kind::Counter,
        help: "What the workers asked of the kernel for their sockets: submissions to the ring on io_uring, system calls on \
               epoll. By messages: how well they are batched.",
        read: |seen, samples| {
            for (operation, count) in &seen.process.operations {
                samples(&[("operation", operation)], (*count).into());
            }
        },
    },
    Metric {
        name: "ringside_build_info",
        kind: Kind::Gauge,
        help: "Always 1. The label says which version runs.",
        read: |_, samples| samples(&[("version", env!("CARGO_PKG_VERSION"))], 1.into()),
    },
    Metric {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the process started, in seconds since 1970. A change is a restart, which ended every connection.",
        read: |seen, samples| {
            let since = seen.process.started.duration_since(SystemTime::UNIX_EPOCH);
            samples(&[], Figure::Seconds(since.map_or(0.0, |since| since.as_secs_f64())));
        },
    },
    Metric {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        help: "Processor time used, user and system. Its rate is how many cores are busy.",
        read: |seen, samples| {
            if let Some(usage) = &seen.process.usage {
                samples(&[], Figure::Seconds(usage.cpu.as_secs_f64()));
            }
        },
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        help: "Memory in use that is resident. Grows with connections, and with buffers while peers do not read.",
        read: |seen, samples| whole(seen.process, samples, |usage| Some(usage.resident)),
    },
    Metric {
        name: "process_virtual_memory_bytes",
        kind: Kind::Gauge,
        help: "Address space in use.",
        read: |seen, samples| whole(seen.process, samples, |usage| Some(usage.virtual_memory)),
    },
    Metric {
        name: "process_open_fds",
        kind: Kind::Gauge,
        help: "File descriptors in use: two per connection and a few more.",
        read: |seen, samples| whole(seen.process, samples, |usage| Some(usage.open_files)),
    },
    Metric {
        name: "process_max_fds",
        kind: Kind::Gauge,
        help: "File descriptors that may be in use. Absent when there is no limit.",
        read: |seen, samples| whole(seen.process, samples, |usage| usage.most_files),
    },
    Metric {
        name: "process_threads",
        kind: Kind::Gauge,
        help: "Threads: the workers and a handful more.",
        read: |seen, samples| whole(seen.process, samples, |usage| Some(usage.threads)),
    },
];

fn whole(process: &Process, samples: &mut super::Samples<'_>, of: fn(&Usage) -> Option<u64>) {
    if let Some(figure) = process.usage.as_ref().and_then(of) {
        samples(&[], figure.into());
    }
}
