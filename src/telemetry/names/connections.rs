//! How connections come, and how they end.

use super::{Kind, Metric};
use crate::telemetry::code::CodeClass;
use crate::telemetry::counters::Phase;
use crate::telemetry::end::Why;
use crate::telemetry::reason::Reason;
use crate::telemetry::suite::Suite;

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ringside_connections_accepted_total",
        kind: Kind::Counter,
        help: "TCP connections accepted, whatever came of them. Its rate is the load of handshakes.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.accepted)),
    },
    Metric {
        name: "ringside_connections_held",
        kind: Kind::Gauge,
        help: "Client sockets held now, those still in their handshake included. Compare with ringside_connections_limit.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.held)),
    },
    Metric {
        name: "ringside_connections_open",
        kind: Kind::Gauge,
        help: "WebSockets relayed now. Held minus open is the number of handshakes in progress.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.open)),
    },
    Metric {
        name: "ringside_connections_ended_total",
        kind: Kind::Counter,
        help: "WebSockets ended, by who ended them and why, as in log lines and spans. All: sum without (by, why). A \
               why that is the name of a rule is a violation; all of those: sum over these names.",
        read: |seen, samples| {
            for why in Why::ALL {
                for &by in why.by() {
                    let labels = [("by", by.as_str()), ("why", why.as_str())];
                    samples(&labels, seen.sum(|worker| worker.ended(by, why)));
                }
            }
        },
    },
    Metric {
        name: "ringside_close_codes_total",
        kind: Kind::Counter,
        help: "WebSockets ended, by the close code that the client got (to_client) or sent (from_client): 1005 is a \
               Close without a code, none is no Close. Many none to_client: clients see 1006.",
        read: |seen, samples| {
            for (sent_to_client, direction) in [(true, "to_client"), (false, "from_client")] {
                for class in CodeClass::all() {
                    let labels = [("direction", direction), ("code", class.as_str())];
                    samples(&labels, seen.sum(|worker| worker.codes(class, sent_to_client)));
                }
            }
        },
    },
    Metric {
        name: "ringside_handshakes_total",
        kind: Kind::Counter,
        help: "Handshakes by outcome and, when refused, by the reason that the client got in ringside-reason. Refused \
               tokens: reason=~\"token_.*\".",
        read: |seen, samples| {
            samples(&[("outcome", "opened"), ("reason", "")], seen.sum(|worker| &worker.opened));
            for &reason in Reason::ALL {
                let labels = [("outcome", "refused"), ("reason", reason.as_str())];
                samples(&labels, seen.sum(|worker| worker.refused(reason)));
            }
        },
    },
    Metric {
        name: "ringside_handshake_duration_seconds",
        kind: Kind::Histogram,
        help: "How long handshakes took, by outcome and phase: total from accept to our answer; tls; request until its \
               head was there; token with all that decides who comes in; app from the dial to its answer. A phase that a \
               handshake did not end is not counted for it.",
        read: |seen, samples| {
            for (opened, outcome) in [(true, "opened"), (false, "refused")] {
                for phase in Phase::ALL {
                    if let Some(figure) = seen.histogram(|worker| worker.phase(phase, opened)) {
                        samples(&[("outcome", outcome), ("phase", phase.as_str())], figure);
                    }
                }
            }
        },
    },
    Metric {
        name: "ringside_tls_handshakes_total",
        kind: Kind::Counter,
        help: "TLS handshakes that came to an agreement, by version, cipher suite and whether a session was resumed. Few \
               resumed among many: clients that come back pay for a whole handshake.",
        read: |seen, samples| {
            for suite in Suite::all() {
                for (resumed, name) in [(false, "no"), (true, "yes")] {
                    let labels = [("version", suite.version()), ("cipher", suite.cipher()), ("resumed", name)];
                    samples(&labels, seen.sum(|worker| worker.tls(suite, resumed)));
                }
            }
        },
    },
    Metric {
        name: "ringside_app_dials_total",
        kind: Kind::Counter,
        help: "Connections to the app that were made, or failed. Failed: the app is down, or its backlog is full.",
        read: |seen, samples| {
            for (connected, outcome) in [(true, "connected"), (false, "failed")] {
                samples(&[("outcome", outcome)], seen.sum(|worker| worker.dials(connected)));
            }
        },
    },
];
