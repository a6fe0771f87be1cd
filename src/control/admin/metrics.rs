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
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::render;
    use crate::telemetry::counters::Counters;
    use crate::telemetry::names::{ALL, Process, Seen};

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let workers = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        workers[0].from_client.messages.add(3);
        workers[1].from_client.messages.add(4);
        let process = Process {
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            engine: "epoll",
            engine_why: "io_uring_setup: \"EPERM\"\nseccomp \\ sysctl".into(),
            events_dropped: 0,
            spans_dropped: 5,
            spans_exported: 6,
            log_lines_dropped: 7,
        };
        let text = render(&Seen { workers: &workers, process: &process });
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
}
