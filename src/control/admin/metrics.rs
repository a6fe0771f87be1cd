//! The metrics' table as Prometheus' text exposition format 0.0.4.

use std::fmt::Write;

use crate::telemetry::names::{ALL, Kind, Seen};

/// Every metric with what `seen` holds for it.
pub(super) fn render(seen: &Seen<'_>) -> String {
    let mut text = String::with_capacity(16 * 1024);
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        line(&mut text, format_args!("# HELP {} {}", metric.name, metric.help));
        line(&mut text, format_args!("# TYPE {} {kind}", metric.name));
        metric.read(seen, &mut |labels, figure| {
            let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
            match labels.as_slice() {
                [] => line(&mut text, format_args!("{} {figure}", metric.name)),
                labels => line(&mut text, format_args!("{}{{{}}} {figure}", metric.name, labels.join(","))),
            }
        });
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{line}");
}

/// A label's value may hold anything but these three bare.
fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::render;
    use crate::peer::Side;
    use crate::telemetry::counters::Counters;
    use crate::telemetry::end::{By, Why};
    use crate::telemetry::names::{ALL, Process, Seen};

    fn text(workers: &[Arc<Counters>]) -> String {
        let process = Process {
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            engine: "epoll",
            engine_why: "io_uring_setup: \"EPERM\"\nseccomp \\ sysctl".into(),
            events_dropped: 0,
            spans_dropped: 5,
            spans_exported: 6,
            log_lines_dropped: 7,
        };
        render(&Seen { workers, process: &process })
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let workers = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        workers[0].from_client.messages.add(3);
        workers[1].from_client.messages.add(4);
        let text = text(&workers);
        for expected in [
            "# TYPE ringside_messages_total counter",
            "ringside_messages_total{direction=\"from_client\"} 7",
            "ringside_messages_total{direction=\"from_app\"} 0",
            "ringside_handshakes_total{outcome=\"refused\",reason=\"token_expired\"} 0",
            "ringside_spans_dropped_total 5",
            "ringside_workers 2",
            r#"ringside_engine_info{engine="epoll",why="io_uring_setup: \"EPERM\"\nseccomp \\ sysctl"} 1"#,
            "process_start_time_seconds 1700000000",
        ] {
            assert!(text.lines().any(|line| line == expected), "no line {expected} in\n{text}");
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("# HELP ")).count(), ALL.len());
        for sample in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, figure) = sample.rsplit_once(' ').expect("a figure");
            assert!(figure.parse::<u64>().is_ok() && !series.is_empty(), "{sample}");
        }
    }

    #[test]
    fn each_end_that_can_be_has_its_one_series_from_the_start() {
        let workers = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        let series = |text: &str| -> Vec<String> {
            let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
            samples.map(|(series, _)| series.to_owned()).filter(|series| series.contains("_ended_total{")).collect()
        };
        let at_the_start = series(&text(&workers));
        for why in Why::ALL {
            for by in By::ALL {
                let (by_name, why_name) = (by.as_str(), why.as_str());
                let one = format!("ringside_connections_ended_total{{by=\"{by_name}\",why=\"{why_name}\"}}");
                let times = at_the_start.iter().filter(|series| **series == one).count();
                assert_eq!(times, usize::from(why.by().contains(&by)), "{one}");
            }
        }
        for (n, why) in (1..).zip(Why::ALL) {
            let by = why.by()[0];
            workers[0].ended(by, why).add(n);
            workers[1].ended(by, why).add(100);
            let one = format!("ended_total{{by=\"{}\",why=\"{}\"}} {}\n", by.as_str(), why.as_str(), n + 100);
            assert!(text(&workers).contains(&one), "{one}");
        }
        assert_eq!(series(&text(&workers)), at_the_start);
    }

    #[test]
    fn no_series_stands_twice() {
        let text = text(&[Arc::default()]);
        let mut seen = HashSet::new();
        for (series, _) in text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' ')) {
            assert!(seen.insert(series), "{series}");
        }
    }

    #[test]
    fn keepalive_rates_and_compression_are_shown_by_side() {
        let counters = Counters::default();
        counters.pings(Side::Client).add(4);
        counters.pings(Side::App).add(3);
        counters.pongs(Side::Client).add(2);
        counters.throttled.add(5);
        counters.from_app.compressed.add(6);
        let text = text(&[Arc::new(counters)]);
        for expected in [
            "ringside_keepalive_pings_total{to=\"client\"} 4",
            "ringside_keepalive_pings_total{to=\"app\"} 3",
            "ringside_keepalive_pongs_total{from=\"client\"} 2",
            "ringside_keepalive_pongs_total{from=\"app\"} 0",
            "ringside_throttled_total 5",
            "ringside_messages_compressed_total{direction=\"from_client\"} 0",
            "ringside_messages_compressed_total{direction=\"from_app\"} 6",
        ] {
            assert!(text.lines().any(|line| line == expected), "no line {expected} in\n{text}");
        }
    }
}
