//! The table of metrics as an OTLP request.

use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;

use super::name;
use crate::telemetry::histogram::Snapshot;
use crate::telemetry::names::{self, Figure, Kind, Seen};

/// Who sends.
pub(super) type Attributes = Vec<KeyValue>;

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// The attributes of the resource, as each request carries them.
pub(super) fn resource(resource: &opentelemetry_sdk::Resource) -> Attributes {
    ResourceAttributesWithSchema::from(resource).attributes.0
}

/// Every metric with what `seen` holds for it `now`.
pub(super) fn request(seen: &Seen<'_>, resource: &Attributes, now: SystemTime) -> ExportMetricsServiceRequest {
    let times = Times { start: nanoseconds(seen.process.started), now: nanoseconds(now) };
    let scope = InstrumentationScope {
        name: "ringside".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    };
    let metrics = names::all().map(|metric| self::metric(metric, seen, times)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
    let resource = Some(Resource { attributes: resource.clone(), ..Resource::default() });
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, schema_url: String::new() }];
    ExportMetricsServiceRequest { resource_metrics }
}

/// From when counters count, and when they were read.
#[derive(Clone, Copy)]
struct Times {
    start: u64,
    now: u64,
}

fn metric(metric: &names::Metric, seen: &Seen<'_>, times: Times) -> Metric {
    let (mut numbers, mut histograms) = (Vec::new(), Vec::new());
    metric.read(seen, &mut |labels, figure| {
        let attributes = attributes(labels);
        match figure {
            // OTLP knows signed integers only.
            Figure::Whole(whole) => {
                let value = Number::AsInt(i64::try_from(whole).unwrap_or(i64::MAX));
                numbers.push(number(attributes, value, metric.kind, times));
            }
            Figure::Seconds(seconds) => {
                numbers.push(number(attributes, Number::AsDouble(seconds), metric.kind, times));
            }
            Figure::Histogram(snapshot) => histograms.push(histogram(attributes, &snapshot, times)),
        }
    });
    let data = match metric.kind {
        Kind::Counter => {
            Data::Sum(Sum { data_points: numbers, aggregation_temporality: CUMULATIVE, is_monotonic: true })
        }
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers }),
        Kind::Histogram => Data::Histogram(Histogram { data_points: histograms, aggregation_temporality: CUMULATIVE }),
    };
    let (name, unit) = name::of(metric.name);
    Metric { name, description: metric.help.into(), unit: unit.into(), metadata: Vec::new(), data: Some(data) }
}

fn number(attributes: Attributes, value: Number, kind: Kind, Times { start, now }: Times) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        // A gauge has no beginning.
        start_time_unix_nano: if kind == Kind::Gauge { 0 } else { start },
        time_unix_nano: now,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn histogram(attributes: Attributes, snapshot: &Snapshot, Times { start, now }: Times) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: snapshot.count(),
        sum: Some(snapshot.sum()),
        bucket_counts: snapshot.counts.clone(),
        explicit_bounds: snapshot.bounds().collect(),
        ..HistogramDataPoint::default()
    }
}

/// A label without a value is, as in Prometheus, none.
fn attributes(labels: &[(&'static str, &str)]) -> Attributes {
    let labels = labels.iter().filter(|(_, value)| !value.is_empty());
    labels
        .map(|(key, value)| KeyValue {
            key: (*key).into(),
            value: Some(AnyValue { value: Some(Value::StringValue((*value).into())) }),
            ..KeyValue::default()
        })
        .collect()
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
    use opentelemetry_proto::tonic::metrics::v1::{Histogram, Metric, NumberDataPoint};

    use super::{Seen, request};
    use crate::telemetry::counters::Counters;
    use crate::telemetry::histogram::Snapshot;
    use crate::telemetry::names::{self, Figure, Kind, tests::process};
    use crate::telemetry::reason::Reason;

    const NOW: Duration = Duration::from_secs(1_700_000_060);

    fn metrics(workers: &[Arc<Counters>]) -> Vec<Metric> {
        let seen = Seen { workers, process: &process() };
        let request = request(&seen, &Vec::new(), SystemTime::UNIX_EPOCH + NOW);
        let [resource] = request.resource_metrics.try_into().expect("one resource");
        let [scope] = resource.scope_metrics.try_into().expect("one scope");
        scope.metrics
    }

    fn find<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
        metrics.iter().find(|metric| metric.name == name).expect("in the table")
    }

    fn labels(point: &NumberDataPoint) -> Vec<String> {
        point.attributes.iter().map(|attribute| attribute.key.clone()).collect()
    }

    #[test]
    fn a_counter_is_a_sum_since_the_start() {
        let workers = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        workers[0].refused(Reason::TokenExpired).add(2);
        workers[1].refused(Reason::TokenExpired).add(3);
        workers[1].opened.add(7);
        let metrics = metrics(&workers);
        let handshakes = find(&metrics, "ringside.handshakes");
        let Some(Data::Sum(sum)) = &handshakes.data else { panic!("{handshakes:?}") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == super::CUMULATIVE);
        assert_eq!(sum.data_points.len(), 1 + Reason::ALL.len());
        let opened = &sum.data_points[0];
        assert_eq!((opened.value, labels(opened)), (Some(Number::AsInt(7)), vec!["outcome".to_owned()]));
        assert_eq!(opened.start_time_unix_nano, 1_700_000_000_000_000_000);
        assert_eq!(opened.time_unix_nano, 1_700_000_060_000_000_000);
        assert!(sum.data_points.iter().any(|point| point.value == Some(Number::AsInt(5))));
        assert!(handshakes.description.starts_with("Handshakes by outcome"), "{}", handshakes.description);
    }

    #[test]
    fn a_gauge_is_a_number_of_now() {
        let metrics = metrics(&[Arc::default()]);
        let queue = find(&metrics, "ringside.export_queue_length");
        let Some(Data::Gauge(gauge)) = &queue.data else { panic!("{queue:?}") };
        let values: Vec<_> = gauge.data_points.iter().map(|point| point.value).collect();
        assert_eq!(values, [Some(Number::AsInt(2)), Some(Number::AsInt(3))]);
        assert_eq!(gauge.data_points[0].start_time_unix_nano, 0);
        let cpu = find(&metrics, "process.cpu");
        let Some(Data::Sum(sum)) = &cpu.data else { panic!("{cpu:?}") };
        assert_eq!((sum.data_points[0].value, cpu.unit.as_str()), (Some(Number::AsDouble(1.5)), "s"));
    }

    /// Each histogram of the table, beside what it was made of.
    #[test]
    fn a_histogram_has_the_buckets_of_the_table() {
        let workers = [Arc::new(Counters::default())];
        let seen = Seen { workers: &workers, process: &process() };
        let metrics = metrics(&workers);
        let mut seen_any = false;
        for metric in names::all().filter(|metric| metric.kind == Kind::Histogram) {
            let message = find(&metrics, &super::name::of(metric.name).0);
            let Some(Data::Histogram(Histogram { data_points, .. })) = &message.data else { panic!("{message:?}") };
            let mut points = data_points.iter();
            metric.read(&seen, &mut |_, figure| {
                let Figure::Histogram(snapshot) = figure else { panic!("{figure:?}") };
                let point = points.next().expect("one for each");
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                assert_eq!(point.explicit_bounds, snapshot.bounds().collect::<Vec<_>>());
                assert_eq!(point.start_time_unix_nano, 1_700_000_000_000_000_000);
                seen_any = true;
            });
            assert_eq!(points.next(), None);
        }
        assert!(seen_any);
        let scale = &crate::telemetry::histogram::SIZE;
        let mut counts = vec![0; scale.bounds.len() + 1];
        (counts[0], counts[2]) = (2, 1);
        let snapshot = Snapshot { scale, counts, sum: 100 };
        let times = super::Times { start: 1, now: 2 };
        let point = super::histogram(Vec::new(), &snapshot, times);
        assert_eq!((point.count, point.sum), (3, Some(100.0)));
        assert_eq!((point.bucket_counts[2], point.explicit_bounds[2]), (1, 256.0));
    }

    #[test]
    fn every_metric_of_the_table_is_there() {
        assert_eq!(metrics(&[Arc::default()]).len(), names::all().count());
    }
}
