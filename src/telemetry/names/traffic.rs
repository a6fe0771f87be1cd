//! What is relayed.

use super::{DIRECTIONS, Kind, Metric, Samples, Seen};
use crate::opcode::Opcode;
use crate::peer::Side;
use crate::telemetry::counter::Counter;
use crate::telemetry::counters::Traffic;

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ringside_frames_total",
        kind: Kind::Counter,
        help: "WebSocket frames relayed, by opcode. Live: counted while connections are open, as all traffic is.",
        read: |seen, samples| by_opcode(seen, samples, &Opcode::ALL, Traffic::frames),
    },
    Metric {
        name: "ringside_messages_total",
        kind: Kind::Counter,
        help: "Data messages whose last frame was relayed, by the opcode of their first. Many more frames than messages: \
               fragments or pings.",
        read: |seen, samples| by_opcode(seen, samples, &[Opcode::Text, Opcode::Binary], Traffic::messages),
    },
    Metric {
        name: "ringside_messages_compressed_total",
        kind: Kind::Counter,
        help: "Of the messages, those compressed by permessage-deflate. Their text is not checked for UTF-8.",
        read: |seen, samples| seen.both_ways(samples, |traffic| &traffic.compressed),
    },
    Metric {
        name: "ringside_bytes_total",
        kind: Kind::Counter,
        help: "Bytes of frames relayed, headers included, before TLS, by the opcode of their frame.",
        read: |seen, samples| by_opcode(seen, samples, &Opcode::ALL, Traffic::bytes),
    },
    Metric {
        name: "ringside_message_size_bytes",
        kind: Kind::Histogram,
        help: "Payload of the messages, their fragments together, as on the wire. Near limits.message: raise it, or ask \
               who sends so much.",
        read: |seen, samples| seen.histogram_both_ways(samples, |traffic| &traffic.sizes),
    },
    Metric {
        name: "ringside_relay_duration_seconds",
        kind: Kind::Histogram,
        help: "Time in the sidecar of what one read brought: from when it was there until the receiver's socket had taken \
               it. Its high end is receivers that do not read, see ringside_backpressure_seconds_total.",
        read: |seen, samples| seen.histogram_both_ways(samples, |traffic| &traffic.delays),
    },
    Metric {
        name: "ringside_keepalive_pings_total",
        kind: Kind::Counter,
        help: "Pings of our own to sides that were silent. Stays 0 where keepalive is off or nobody is silent.",
        read: |seen, samples| seen.both_sides(samples, "to", |worker, side| &worker.to(side).pings),
    },
    Metric {
        name: "ringside_keepalive_pongs_total",
        kind: Kind::Counter,
        help: "Pongs that answered those Pings. Pings minus pongs: on their way, or to peers that are going or gone.",
        read: |seen, samples| seen.both_sides(samples, "from", |worker, side| &worker.from(side).pongs),
    },
    Metric {
        name: "ringside_keepalive_round_trip_seconds",
        kind: Kind::Histogram,
        help: "How long our Pings to a side took to come back: the network, and how busy the peer is. Pings go to silent \
               peers only.",
        read: |seen, samples| {
            for side in [Side::Client, Side::App] {
                if let Some(figure) = seen.histogram(|worker| &worker.from(side).round_trips) {
                    samples(&[("side", side.as_str())], figure);
                }
            }
        },
    },
];

fn by_opcode(seen: &Seen<'_>, samples: &mut Samples<'_>, opcodes: &[Opcode], of: fn(&Traffic, Opcode) -> &Counter) {
    for (side, direction) in DIRECTIONS {
        for &opcode in opcodes {
            let labels = [("direction", direction), ("opcode", opcode.as_str())];
            samples(&labels, seen.sum(|worker| of(worker.from(side), opcode)));
        }
    }
}
