//! Metrics over OTLP: what a collector gets while connections live, and what a faulty one does to them: nothing. And
//! what the environment says of all that is exported, where it takes a whole process to see it.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};
use rustix::process::Signal;

use crate::collector::{Collector, Manner, Received, attribute};
use crate::support::app::{App, Joined};
use crate::support::binary::Binary;
use crate::support::client::Client;
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, TEXT};
use crate::support::proxy::Setup;

on_both_engines!(figures_come_while_a_connection_lives_and_once_more_at_the_end, a_silent_collector_holds_nobody_up,);

/// `[telemetry.metrics]` for this collector.
fn table(collector: &Collector) -> String {
    format!("endpoint = \"{}\"\ninterval = \"1s\"\n", collector.endpoint)
}

/// A text message arrives.
fn say(client: &mut Client, joined: &mut Joined, text: &str) {
    let sent = frame::from_client(TEXT, text.as_bytes());
    client.send(&sent);
    joined.receive(sent.len());
}

/// The one figure with these labels.
fn figure(metric: &Metric, labels: &[(&str, &str)]) -> i64 {
    let points = match metric.data.as_ref().expect("data") {
        Data::Sum(sum) => {
            assert!(sum.is_monotonic && sum.aggregation_temporality() == AggregationTemporality::Cumulative);
            &sum.data_points
        }
        Data::Gauge(gauge) => &gauge.data_points,
        other => panic!("no numbers: {other:?}"),
    };
    let has = |of: &[KeyValue]| labels.iter().all(|(key, value)| attribute(of, key) == *value);
    let found: Vec<_> = points.iter().filter(|point| has(&point.attributes)).collect();
    let [point] = found[..] else { panic!("not one point: {found:?}") };
    assert!(point.start_time_unix_nano < point.time_unix_nano);
    let Some(Value::AsInt(figure)) = point.value else { panic!("not whole: {point:?}") };
    figure
}

const FROM_CLIENT: [(&str, &str); 2] = [("direction", "from_client"), ("opcode", "text")];

fn messages(received: &Received) -> i64 {
    figure(received.metric("ringside.messages"), &FROM_CLIENT)
}

/// The first export that shows so many messages of the client.
fn export_with(collector: &Collector, wanted: i64) -> Received {
    let exports = std::iter::repeat_with(|| collector.next().expect("an export"));
    exports.take(30).find(|received| messages(received) == wanted).expect("all messages, in one of them")
}

fn figures_come_while_a_connection_lives_and_once_more_at_the_end(engine: Engine) {
    let (collector, app) = (Collector::start(Manner::Takes), App::unix());
    let setup = Setup::new(engine).table("telemetry", "service_name = \"under-test\"");
    let proxy = setup.table("telemetry.metrics", &table(&collector)).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    for text in ["one", "two", "three"] {
        say(&mut client, &mut joined, text);
    }
    let received = export_with(&collector, 3);
    assert_eq!(received.head[0], "POST /v1/metrics HTTP/1.1");
    assert!(received.head.contains(&"content-type: application/x-protobuf".to_owned()), "{:?}", received.head);
    assert_eq!(figure(received.metric("ringside.connections_open"), &[]), 1);
    let bytes = received.metric("ringside.bytes");
    let sent: usize = ["one", "two", "three"].map(|text| frame::from_client(TEXT, text.as_bytes()).len()).iter().sum();
    assert_eq!((bytes.unit.as_str(), figure(bytes, &FROM_CLIENT)), ("By", i64::try_from(sent).expect("few")));
    let sizes = received.metric("ringside.message_size");
    let Some(Data::Histogram(histogram)) = &sizes.data else { panic!("{sizes:?}") };
    assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Cumulative);
    let point = histogram.data_points.iter().find(|point| attribute(&point.attributes, "direction") == "from_client");
    let point = point.expect("that direction");
    assert_eq!((point.count, point.sum, point.bucket_counts[0]), (3, Some(11.0), 3));
    let of = &received.metrics[0].resource.as_ref().expect("a resource").attributes;
    assert_eq!(attribute(of, "service.name"), "under-test");
    let scope = received.metrics[0].scope_metrics[0].scope.as_ref().expect("a scope");
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("ringside", env!("CARGO_PKG_VERSION")));

    say(&mut client, &mut joined, "four");
    let received = export_with(&collector, 4);
    assert!(figure(received.metric("ringside.metric_exports"), &[("outcome", "ok")]) > 0, "the one before");
    drop((client, joined));
    proxy.connection();
    drop(proxy);
    let last = std::iter::from_fn(|| collector.taken()).last().expect("one more");
    assert_eq!((messages(&last), figure(last.metric("ringside.connections_open"), &[])), (4, 0));
}

fn a_silent_collector_holds_nobody_up(engine: Engine) {
    let (metrics, spans, app) = (Collector::start(Manner::Hangs), Collector::start(Manner::Hangs), App::unix());
    let setup = Setup::new(engine)
        .table("telemetry.metrics", &table(&metrics))
        .table("telemetry.traces", &format!("endpoint = \"{}\"", spans.endpoint))
        .variable("OTEL_BSP_SCHEDULE_DELAY", "10")
        .variable("OTEL_EXPORTER_OTLP_TIMEOUT", "30000")
        .variable("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "300");
    let mut binary = Binary::start(&setup, app.address());
    let (mut client, mut joined) = binary.join(&app);
    let began = Instant::now();
    metrics.asked();
    spans.asked();
    say(&mut client, &mut joined, "while both are asked and do not answer");
    // Long before it is by default.
    binary.line("the collector does not take metrics");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    // And again, at the interval.
    metrics.asked();
    say(&mut client, &mut joined, "still");
    drop((client, joined));
    let began = Instant::now();
    binary.signal(Signal::TERM);
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}\n{output}", began.elapsed());
}

#[cfg(feature = "otlp-grpc")]
mod over_grpc {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
        MetricsService, MetricsServiceServer,
    };
    use opentelemetry_proto::tonic::collector::metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
    };
    use rustix::process::Signal;
    use tonic::{Request, Response, Status};

    use super::{messages, say};
    use crate::collector::Received;
    use crate::grpc::serve;
    use crate::support::PATIENCE;
    use crate::support::app::App;
    use crate::support::binary::Binary;
    use crate::support::proxy::Setup;

    struct Service(Sender<Received>);

    #[tonic::async_trait]
    impl MetricsService for Service {
        async fn export(
            &self,
            request: Request<ExportMetricsServiceRequest>,
        ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
            let tenant = request.metadata().get("x-tenant").and_then(|value| value.to_str().ok());
            let head = vec![tenant.unwrap_or_default().to_owned()];
            let metrics = request.into_inner().resource_metrics;
            // The test may be over before the process is.
            let _ = self.0.send(Received { head, spans: Vec::new(), metrics });
            Ok(Response::new(ExportMetricsServiceResponse::default()))
        }
    }

    #[test]
    fn figures_come_while_a_connection_lives() {
        let (to, received) = channel();
        let table = format!(
            "endpoint = \"http://{}\"\nprotocol = \"grpc\"\ninterval = \"1s\"",
            serve(MetricsServiceServer::new(Service(to)))
        );
        let setup = Setup::new("epoll").table("telemetry.metrics", &table);
        let app = App::unix();
        let binary = Binary::start(&setup.variable("OTEL_EXPORTER_OTLP_HEADERS", "X-Tenant=blue"), app.address());
        let (mut client, mut joined) = binary.join(&app);
        say(&mut client, &mut joined, "one");
        let mut exports = std::iter::repeat_with(|| received.recv_timeout(PATIENCE).expect("an export"));
        let seen = exports.by_ref().take(30).find(|export| messages(export) == 1).expect("the message");
        assert_eq!(seen.head, ["blue"]);
        say(&mut client, &mut joined, "two");
        drop((client, joined));
        binary.signal(Signal::TERM);
        assert_eq!(binary.exit().0, Some(0));
        let last = std::iter::from_fn(|| received.recv_timeout(Duration::ZERO).ok()).last().expect("one at the end");
        assert_eq!(messages(&last), 2);
    }
}

#[test]
fn the_environment_is_enough() {
    let (collector, app) = (Collector::start(Manner::Takes), App::unix());
    let only = format!("{}/v1/metrics", collector.endpoint);
    let setup = || Setup::new("epoll").variable("OTEL_METRIC_EXPORT_INTERVAL", "1000");
    let general = setup()
        .variable("OTEL_METRICS_EXPORTER", "otlp")
        .variable("OTEL_TRACES_EXPORTER", "none")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)
        .variable("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=all");
    let own = setup()
        .variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &only)
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .variable("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf")
        .variable("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=all")
        .variable("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-tenant=metrics");
    for (setup, tenant) in [(general, "all"), (own, "metrics")] {
        let setup = setup.variable("OTEL_SERVICE_NAME", "chat").variable("POD_NAME", "chat-5");
        let began = Instant::now();
        let binary = Binary::start(&setup, app.address());
        let received = collector.next().expect("an export");
        assert!(began.elapsed() < Duration::from_secs(15), "the interval: {:?}", began.elapsed());
        assert!(received.head.contains(&format!("x-tenant: {tenant}")), "{:?}", received.head);
        let of = &received.metrics[0].resource.as_ref().expect("a resource").attributes;
        assert_eq!((attribute(of, "service.name"), attribute(of, "k8s.pod.name")), ("chat".into(), "chat-5".into()));
        binary.signal(Signal::TERM);
        assert_eq!(binary.exit().0, Some(0));
        while collector.taken().is_some() {}
    }
}

#[test]
fn nothing_is_sent_where_that_is_said() {
    let (collector, app) = (Collector::start(Manner::Takes), App::unix());
    let only = format!("{}/v1/metrics", collector.endpoint);
    let traces = format!("endpoint = \"{}\"", collector.endpoint);
    let disabled = Setup::new("epoll").table("telemetry.metrics", &table(&collector));
    let disabled = disabled.table("telemetry.traces", &traces).variable("OTEL_SDK_DISABLED", "true");
    let named = || Setup::new("epoll").variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &only);
    let traces = || Setup::new("epoll").variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint);
    let sampled =
        |ratio| traces().variable("OTEL_TRACES_SAMPLER", "traceidratio").variable("OTEL_TRACES_SAMPLER_ARG", ratio);
    for setup in [
        disabled,
        named().variable("OTEL_METRICS_EXPORTER", "none"),
        traces().variable("OTEL_TRACES_EXPORTER", "none"),
        traces().variable("OTEL_TRACES_SAMPLER", "always_off"),
        sampled("0.0"),
    ] {
        let binary = Binary::start(&setup, app.address());
        let (mut client, mut joined) = binary.join(&app);
        say(&mut client, &mut joined, "unseen");
        drop((client, joined));
        // Its end would bring spans and metrics at once.
        binary.signal(Signal::TERM);
        assert_eq!(binary.exit().0, Some(0));
        assert!(collector.is_at_peace(), "it was asked");
    }
    for setup in [named(), traces(), sampled("1.0")] {
        let binary = Binary::start(&setup, app.address());
        drop(binary.join(&app));
        binary.signal(Signal::TERM);
        assert_eq!(binary.exit().0, Some(0));
        assert!(collector.next().is_some(), "without that, it is");
        while collector.taken().is_some() {}
    }
}
