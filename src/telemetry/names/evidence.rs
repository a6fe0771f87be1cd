//! What becomes of logs and spans themselves.

use super::{Kind, Metric};

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ringside_events_dropped_total",
        kind: Kind::Counter,
        help: "Handshakes and connections that got neither log line nor span because the export thread was behind.",
        read: |seen, samples| samples(&[], seen.process.events.dropped.into()),
    },
    Metric {
        name: "ringside_spans_exported_total",
        kind: Kind::Counter,
        help: "Spans the collector took.",
        read: |seen, samples| samples(&[], seen.process.spans_exported.into()),
    },
    Metric {
        name: "ringside_spans_dropped_total",
        kind: Kind::Counter,
        help: "Spans lost because the collector was slow, absent or refused them. Rising: look at the collector.",
        read: |seen, samples| samples(&[], seen.process.spans.dropped.into()),
    },
    Metric {
        name: "ringside_export_queue_length",
        kind: Kind::Gauge,
        help: "What waits for the export thread (events) and for the collector (spans). At its limit, what comes is dropped.",
        read: |seen, samples| {
            for (queue, figures) in [("events", &seen.process.events), ("spans", &seen.process.spans)] {
                samples(&[("queue", queue)], figures.waiting.into());
            }
        },
    },
    Metric {
        name: "ringside_export_queue_limit",
        kind: Kind::Gauge,
        help: "How many may wait there. 0 spans: nothing is exported.",
        read: |seen, samples| {
            for (queue, figures) in [("events", &seen.process.events), ("spans", &seen.process.spans)] {
                samples(&[("queue", queue)], figures.limit.into());
            }
        },
    },
    Metric {
        name: "ringside_metric_exports_total",
        kind: Kind::Counter,
        help: "Exports of metrics over OTLP, by what came of them. One that failed loses nothing: the next has it all.",
        read: |seen, samples| {
            let [taken, failed] = seen.process.metric_exports;
            samples(&[("outcome", "ok")], taken.into());
            samples(&[("outcome", "failed")], failed.into());
        },
    },
    Metric {
        name: "ringside_log_lines_dropped_total",
        kind: Kind::Counter,
        help: "Log lines lost because standard error was not read fast enough.",
        read: |seen, samples| samples(&[], seen.process.log_lines_dropped.into()),
    },
    Metric {
        name: "ringside_log_lines_suppressed_total",
        kind: Kind::Counter,
        help: "Log lines of refusals and clients' faults past log.noise; the log sums them up. Rising: somebody is \
               hostile, or the app is down.",
        read: |seen, samples| samples(&[], seen.process.log_lines_suppressed.into()),
    },
];
