//! What a metric is called in OTLP: its Prometheus name without what OTLP says elsewhere.
//!
//! `_total` goes: the data point says that it is a counter. A unit at the end goes into the unit: `_seconds` is `s`,
//! `_bytes` is `By`, unless it is all there is behind the prefix. The first underscore becomes a dot. So
//! `ringside_handshake_duration_seconds` is `ringside.handshake_duration` in `s`. A collector that writes Prometheus'
//! format turns this back into the name that `/metrics` has.

/// Name and unit.
pub(super) fn of(prometheus: &str) -> (String, &'static str) {
    let name = prometheus.strip_suffix("_total").unwrap_or(prometheus);
    let units = [("_seconds", "s"), ("_bytes", "By")];
    let (name, unit) = match units.into_iter().find(|(suffix, _)| name.ends_with(suffix)) {
        Some((suffix, unit)) => {
            let bare = name.strip_suffix(suffix).filter(|bare| bare.contains('_'));
            (bare.unwrap_or(name), unit)
        }
        None => (name, ""),
    };
    (name.replacen('_', ".", 1), unit)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::of;
    use crate::telemetry::names::{Kind, all};

    #[test]
    fn what_otlp_says_elsewhere_is_left_out() {
        for (prometheus, name, unit) in [
            ("ringside_connections_accepted_total", "ringside.connections_accepted", ""),
            ("ringside_handshake_duration_seconds", "ringside.handshake_duration", "s"),
            ("ringside_backpressure_seconds_total", "ringside.backpressure", "s"),
            ("ringside_message_size_bytes", "ringside.message_size", "By"),
            ("ringside_bytes_total", "ringside.bytes", "By"),
            ("process_cpu_seconds_total", "process.cpu", "s"),
            ("ringside_workers", "ringside.workers", ""),
        ] {
            assert_eq!(of(prometheus), (name.to_owned(), unit));
        }
    }

    /// As the OpenTelemetry specification says (its page on compatibility with Prometheus).
    fn back(name: &str, unit: &str, kind: Kind) -> String {
        let mut back = name.replace('.', "_");
        for suffix in [("s", "_seconds"), ("By", "_bytes")].into_iter().filter(|(known, _)| *known == unit) {
            if !back.ends_with(suffix.1) {
                back += suffix.1;
            }
        }
        if kind == Kind::Counter { back + "_total" } else { back }
    }

    #[test]
    fn every_name_can_be_turned_back_and_stands_once() {
        let mut names = HashSet::new();
        for metric in all() {
            let (name, unit) = of(metric.name);
            assert_eq!(back(&name, unit, metric.kind), metric.name);
            assert!(names.insert(name), "{}", metric.name);
        }
    }
}
