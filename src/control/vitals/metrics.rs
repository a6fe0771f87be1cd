//! The metrics' table as Prometheus' text exposition format 0.0.4.

use std::fmt::{self, Write};

use crate::telemetry::histogram::Snapshot;
use crate::telemetry::names::{Figure, Kind, Metric, Seen, all};

/// Every metric with what `seen` holds for it.
pub(super) fn render(seen: &Seen<'_>) -> String {
    let mut text = String::with_capacity(64 * 1024);
    for metric in all() {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        line(&mut text, format_args!("# HELP {} {}", metric.name, metric.help.replace('\\', r"\\")));
        line(&mut text, format_args!("# TYPE {} {kind}", metric.name));
        metric.read(seen, &mut |labels, figure| sample(&mut text, metric, labels, &figure));
    }
    text
}

fn sample(text: &mut String, metric: &Metric, labels: &[(&'static str, &str)], figure: &Figure) {
    let name = metric.name;
    match figure {
        Figure::Whole(whole) => line(text, format_args!("{name}{} {whole}", Labels(labels))),
        Figure::Seconds(seconds) => line(text, format_args!("{name}{} {seconds}", Labels(labels))),
        Figure::Histogram(snapshot) => histogram(text, name, labels, snapshot),
    }
}

/// Buckets are cumulative: each counts everything up to its bound.
fn histogram(text: &mut String, name: &str, labels: &[(&'static str, &str)], snapshot: &Snapshot) {
    let bounds = snapshot.bounds().map(|bound| bound.to_string()).chain(["+Inf".to_owned()]);
    let mut so_far = 0;
    for (bound, count) in bounds.zip(&snapshot.counts) {
        so_far += count;
        let labels = [labels, &[("le", &bound)]].concat();
        line(text, format_args!("{name}_bucket{} {so_far}", Labels(&labels)));
    }
    line(text, format_args!("{name}_sum{} {}", Labels(labels), snapshot.sum()));
    line(text, format_args!("{name}_count{} {so_far}", Labels(labels)));
}

/// `{name="value",...}`, or nothing.
struct Labels<'l>(&'l [(&'static str, &'l str)]);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name}=\"{}\"", if place == 0 { '{' } else { ',' }, escape(value))?;
        }
        if self.0.is_empty() { Ok(()) } else { f.write_char('}') }
    }
}

fn line(text: &mut String, line: fmt::Arguments<'_>) {
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
    use std::time::Duration;

    use super::render;
    use crate::opcode::Opcode;
    use crate::peer::Side;
    use crate::telemetry::counters::{Counters, Phase};
    use crate::telemetry::end::{By, Why};
    use crate::telemetry::names::tests::process;
    use crate::telemetry::names::{Seen, all};

    fn text(workers: &[Arc<Counters>]) -> String {
        render(&Seen { workers, process: &process() })
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let workers = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        workers[0].from_client.messages(Opcode::Text).add(3);
        workers[1].from_client.messages(Opcode::Text).add(4);
        let text = text(&workers);
        for expected in [
            "# TYPE ringside_messages_total counter",
            "ringside_messages_total{direction=\"from_client\",opcode=\"text\"} 7",
            "ringside_messages_total{direction=\"from_app\",opcode=\"binary\"} 0",
            "ringside_handshakes_total{outcome=\"refused\",reason=\"token_expired\"} 0",
            "ringside_spans_dropped_total 5",
            "ringside_log_lines_suppressed_total 8",
            "ringside_workers 2",
            r#"ringside_engine_info{engine="epoll",why="io_uring_setup: \"EPERM\"\nseccomp \\ sysctl"} 1"#,
            "process_start_time_seconds 1700000000",
        ] {
            assert!(text.lines().any(|line| line == expected), "no line {expected} in\n{text}");
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("# HELP ")).count(), all().count());
        for sample in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, figure) = sample.rsplit_once(' ').expect("a figure");
            assert!(figure.parse::<f64>().is_ok() && !series.is_empty(), "{sample}");
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
        counters.to(Side::Client).pings.add(4);
        counters.to(Side::App).pings.add(3);
        counters.from(Side::Client).pongs.add(2);
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

    #[test]
    fn buckets_of_a_histogram_add_up() {
        let counters = Counters::default();
        for millis in [1, 1, 2, 60_000] {
            counters.phase(Phase::App, true).record_time(Duration::from_millis(millis));
        }
        let text = text(&[Arc::new(counters)]);
        let series = |suffix: &str, le: &str, figure: &str| {
            format!("ringside_handshake_duration_seconds_{suffix}{{outcome=\"opened\",phase=\"app\"{le}}} {figure}")
        };
        for expected in [
            series("bucket", ",le=\"0.0005\"", "0"),
            series("bucket", ",le=\"0.001\"", "2"),
            series("bucket", ",le=\"0.0025\"", "3"),
            series("bucket", ",le=\"30\"", "3"),
            series("bucket", ",le=\"+Inf\"", "4"),
            series("sum", "", "60.004"),
            series("count", "", "4"),
        ] {
            assert!(text.lines().any(|line| line == expected), "no line {expected} in\n{text}");
        }
    }
}
