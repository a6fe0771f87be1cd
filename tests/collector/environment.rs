//! The variables of OpenTelemetry, each where it changes what a collector gets. A process has one environment, so each
//! test starts [`in_the_environment_given`] as a process of its own.

use std::env;
use std::io::{Write, stdout};
use std::process::Command;
use std::time::{Duration, Instant};

use ringside::control::export::{Config, Export, Lines, Taps};
use ringside::telemetry::report;

use super::collector::{Collector, Manner, Received, attribute};
use super::faults::wait_until;
use super::{PATIENCE, report_many, shutdown};

/// What became of the spans that a child reported.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    exported: u64,
    dropped: u64,
    limit: u64,
}

/// Runs a child with these variables and the collector's endpoint.
fn child(collector: &Collector, variables: &[(&str, &str)]) -> Told {
    let this = env::current_exe().expect("path");
    let child = Command::new(this)
        .args(["--exact", "environment::in_the_environment_given", "--ignored", "--nocapture"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)
        .envs(variables.iter().copied())
        .output()
        .expect("child");
    let output = String::from_utf8(child.stdout).expect("text");
    assert!(child.status.success(), "{output}");
    let told = output.lines().find_map(|line| line.split_once("told: ")).expect("a line").1;
    let figures: Vec<_> = told.split(' ').map(|figure| figure.parse().expect("a figure")).collect();
    Told { exported: figures[0], dropped: figures[1], limit: figures[2] }
}

/// Three spans; what became of them is told after the shutdown, or before it when they may not wait for it.
#[test]
#[ignore = "started by the others"]
fn in_the_environment_given() {
    let config = Config::resolve(None, |name| env::var(name).ok()).expect("valid");
    let (reporter, events) = report::channel();
    let export = Export::start(config, None, Lines::default(), events, Taps::default()).expect("start");
    report_many(&reporter, 3);
    let counts = export.counts();
    if env::var_os("AT_ONCE").is_some() {
        // Sooner than by any default: 5 s until a request goes out, 10 s until it is given up.
        let began = Instant::now();
        wait_until(&counts, "over", |counts| counts.exported() + counts.dropped() == 3);
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
    shutdown(export, PATIENCE);
    let limit = counts.queue().limit;
    writeln!(stdout(), "told: {} {} {limit}", counts.exported(), counts.dropped()).expect("a reader");
}

/// The resource's attribute of this name.
fn resource(received: &Received, key: &str) -> String {
    attribute(&received.spans[0].resource.as_ref().expect("a resource").attributes, key)
}

const ALL: Told = Told { exported: 3, dropped: 0, limit: 2048 };

#[test]
fn who_we_are_and_what_goes_with_each_request() {
    let collector = Collector::start(Manner::Takes);
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue,x-key=a%20b"),
        ("OTEL_SERVICE_NAME", "from-environment"),
        ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=pod-7,service.name=overruled,team=red%2Cblue"),
        ("POD_NAME", "overruled"),
        ("POD_NAMESPACE", "chat"),
    ];
    assert_eq!(child(&collector, &variables), ALL);
    let received = collector.next().expect("a request");
    assert!(received.head.contains(&"x-tenant: blue".to_owned()), "{:?}", received.head);
    assert!(received.head.contains(&"x-key: a b".to_owned()), "{:?}", received.head);
    for (key, value) in [
        ("service.name", "from-environment"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("k8s.pod.name", "pod-7"),
        ("k8s.namespace.name", "chat"),
        ("team", "red,blue"),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert_eq!(resource(&received, key), value, "{key}");
    }
    assert_ne!(resource(&received, "process.pid"), std::process::id().to_string(), "the child's");
    for key in ["service.instance.id", "process.pid", "host.name"] {
        assert!(!resource(&received, key).is_empty(), "{key}");
    }
}

#[test]
fn what_is_said_of_traces_wins() {
    let (collector, other) = (Collector::start(Manner::Takes), Collector::start(Manner::Takes));
    let endpoint = format!("{}/v1/traces", collector.endpoint);
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=all"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-tenant=traces"),
    ];
    assert_eq!(child(&other, &variables), ALL);
    let received = collector.next().expect("a request");
    assert!(received.head.contains(&"x-tenant: traces".to_owned()), "{:?}", received.head);
    assert_eq!(other.spans().len(), 0);
}

#[test]
fn nothing_is_exported_where_that_is_said() {
    let collector = Collector::start(Manner::Takes);
    for variable in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        assert_eq!(child(&collector, &[variable]), Told { exported: 0, dropped: 0, limit: 0 }, "{variable:?}");
    }
    assert_eq!(child(&collector, &[("OTEL_TRACES_EXPORTER", "otlp")]), ALL);
    assert_eq!(collector.spans().len(), 3);
}

#[test]
fn batches_have_the_size_that_is_said() {
    let collector = Collector::start(Manner::Takes);
    assert_eq!(child(&collector, &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")]), ALL);
    let received = collector.next().expect("a request");
    assert_eq!(received.spans[0].scope_spans[0].spans.len(), 2);
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn batches_go_out_as_often_as_is_said() {
    let collector = Collector::start(Manner::Takes);
    assert_eq!(child(&collector, &[("OTEL_BSP_SCHEDULE_DELAY", "50"), ("AT_ONCE", "")]), ALL);
}

#[test]
fn the_queue_has_the_size_that_is_said() {
    let collector = Collector::start(Manner::Takes);
    let told = child(&collector, &[("OTEL_BSP_MAX_QUEUE_SIZE", "2"), ("OTEL_BSP_SCHEDULE_DELAY", "60000")]);
    assert_eq!((told.limit, told.exported + told.dropped), (2, 3));
    let told = child(&collector, &[("OTEL_BSP_MAX_QUEUE_SIZE", "1000000000")]);
    assert_eq!((told.limit, told.exported), (65_536, 3), "a queue of any size would be allocated at once");
}

/// A collector that never answers is given up, and asked again for what comes later.
#[test]
fn a_request_takes_no_longer_than_is_said() {
    const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "10");
    for (name, other) in [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", ("OTEL_BSP_EXPORT_TIMEOUT", "30000")),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", ("OTEL_EXPORTER_OTLP_TIMEOUT", "30000")),
        ("OTEL_BSP_EXPORT_TIMEOUT", ("OTEL_EXPORTER_OTLP_TIMEOUT", "30000")),
    ] {
        let collector = Collector::start(Manner::Hangs);
        let told = child(&collector, &[(name, "200"), other, SOON, ("AT_ONCE", "")]);
        assert_eq!((told.exported, told.dropped), (0, 3), "{name}");
    }
    let collector = Collector::script(&[Manner::Hangs], Manner::Takes);
    let one_each =
        [("OTEL_EXPORTER_OTLP_TIMEOUT", "200"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"), SOON, ("AT_ONCE", "")];
    let told = child(&collector, &one_each);
    assert_eq!((told.exported, told.dropped), (2, 1), "the first of three, each in a request of its own");
}
