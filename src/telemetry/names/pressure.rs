//! Where something waits, or a bound was hit.

use super::{Kind, Metric, Samples, Seen};
use crate::peer::Side;
use crate::rule::Rule;
use crate::telemetry::end::Why;
use crate::telemetry::reason::Reason;

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ringside_queued_bytes",
        kind: Kind::Gauge,
        help: "Bytes handed to sockets toward a side that the kernel has not taken yet. Stays high: that side does not \
               read. One connection queues at most a buffer of 68 KiB each way.",
        read: |seen, samples| seen.both_sides(samples, "to", |worker, side| &worker.to(side).queued),
    },
    Metric {
        name: "ringside_backpressure_seconds_total",
        kind: Kind::Counter,
        help: "Seconds that sends took which the kernel did not take within a millisecond, added up over connections when \
               they end. Its rate is how many connections wait for that side on average.",
        read: |seen, samples| {
            for side in [Side::Client, Side::App] {
                samples(&[("to", side.as_str())], seen.seconds(|worker| &worker.to(side).backpressure));
            }
        },
    },
    Metric {
        name: "ringside_throttled_total",
        kind: Kind::Counter,
        help: "Times reading from a client paused because it was over a rate. Rising: clients send more than they may.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.throttled)),
    },
    Metric {
        name: "ringside_limits_hit_total",
        kind: Kind::Counter,
        help: "Times a bound of the configuration was hit, by its key, and somebody was refused, closed or made to wait \
               for it. The same events as in other metrics, by the key to change.",
        read: limits,
    },
    Metric {
        name: "ringside_lease_waits_total",
        kind: Kind::Counter,
        help: "Times a connection waited for a buffer because the pool was at its bound. Not 0: raise the bound.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.lease_waits)),
    },
    Metric {
        name: "ringside_buffers_lent",
        kind: Kind::Gauge,
        help: "Buffers of 68 KiB in use now, over all workers. Idle connections use none.",
        read: |seen, samples| samples(&[], seen.process.buffers_lent.into()),
    },
    Metric {
        name: "ringside_buffers_limit",
        kind: Kind::Gauge,
        help: "Buffers that may be in use, over all workers: runtime.buffers divided by their size.",
        read: |seen, samples| samples(&[], seen.process.buffers_limit.into()),
    },
    Metric {
        name: "ringside_accept_pauses_total",
        kind: Kind::Counter,
        help: "Times accepting paused at the connection bound or for want of descriptors. Not 0: clients waited.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.accept_pauses)),
    },
    Metric {
        name: "ringside_handovers_total",
        kind: Kind::Counter,
        help: "Connections that a worker accepted and had more than its share of: handed over to the worker with the \
               fewest, or kept because that one's mailbox was full. Many full: that worker is overloaded or hangs.",
        read: |seen, samples| {
            samples(&[("outcome", "over")], seen.sum(|worker| &worker.handed_over));
            samples(&[("outcome", "full")], seen.sum(|worker| &worker.mailbox_full));
        },
    },
    Metric {
        name: "ringside_connections_limit",
        kind: Kind::Gauge,
        help: "Most connections at once, over all workers: listen.connections, or what the limit on open files allows.",
        read: |seen, samples| samples(&[], seen.process.connections_limit.into()),
    },
];

/// Bounds that refuse a handshake.
const REFUSE: [(&str, Reason); 6] = [
    ("limits.head", Reason::HeadTooLarge),
    ("limits.token", Reason::TokenTooLarge),
    ("limits.early", Reason::EarlyDataTooLarge),
    ("timeouts.opening", Reason::Timeout),
    ("timeouts.app", Reason::AppTimeout),
    ("listen.connections", Reason::Overloaded),
];

/// Bounds that end a connection, besides those that are rules.
const END: [(&str, Why); 5] = [
    ("timeouts.write_stall", Why::WriteStalled),
    ("timeouts.closing", Why::CloseTimeout),
    ("timeouts.idle", Why::Idle),
    ("timeouts.max_age", Why::MaxAge),
    ("keepalive.missed", Why::PeerDead),
];

fn limits(seen: &Seen<'_>, samples: &mut Samples<'_>) {
    for (limit, reason) in REFUSE {
        samples(&[("limit", limit)], seen.sum(|worker| worker.refused(reason)));
    }
    let rules = Rule::ALL.into_iter().filter(|rule| rule.source().starts_with("limits."));
    for (limit, why) in rules.map(|rule| (rule.source(), Why::Violation(rule))).chain(END) {
        let by_all = why.by().iter().map(|&by| seen.total(|worker| worker.ended(by, why))).sum::<u64>();
        samples(&[("limit", limit)], by_all.into());
    }
    samples(&[("limit", "runtime.buffers")], seen.sum(|worker| &worker.lease_waits));
}
