//! The environment variables of OpenTelemetry, and how they rank with the keys of the configuration.
//!
//! `<T>` stands for `TRACES` or `METRICS`; a variable with it wins over the one without. An empty variable counts as
//! absent.
//!
//! | variable | what it says | when the file has `[telemetry.traces]` or `[telemetry.metrics]` |
//! |---|---|---|
//! | `OTEL_SDK_DISABLED` | `true`: no spans and no metrics are exported | wins over the table |
//! | `OTEL_TRACES_EXPORTER` | `otlp`: spans are exported; other values: none are | not looked at |
//! | `OTEL_METRICS_EXPORTER` | the same for metrics | not looked at |
//! | `OTEL_EXPORTER_OTLP_[<T>_]ENDPOINT` | base URL; over HTTP, the one with `<T>` is whole, with `/v1/traces` or `/v1/metrics` | for a table without `endpoint` |
//! | `OTEL_EXPORTER_OTLP_[<T>_]PROTOCOL` | `http/protobuf` (also when absent) or `grpc` | not looked at |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | which traces | not looked at |
//! | `OTEL_METRIC_EXPORT_INTERVAL` | milliseconds between exports of metrics, at least 1000 | not looked at |
//! | `OTEL_EXPORTER_OTLP_[<T>_]HEADERS` | fields of each request, `name=value,...`, percent-encoded | holds: no key says it |
//! | `OTEL_EXPORTER_OTLP_[<T>_]TIMEOUT` | milliseconds for a request with all its tries, at most a minute | holds: no key says it |
//! | `OTEL_BSP_MAX_QUEUE_SIZE` | spans that may wait, at most 65536 | holds: no key says it |
//! | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | most spans in a request | holds: no key says it |
//! | `OTEL_BSP_SCHEDULE_DELAY` | milliseconds between requests that are not full, at least 10 | holds: no key says it |
//! | `OTEL_BSP_EXPORT_TIMEOUT` | as `..._TIMEOUT`, for spans; the shorter of both counts | holds: no key says it |
//! | `OTEL_SERVICE_NAME` | `service.name` | `telemetry.service_name` wins |
//! | `OTEL_RESOURCE_ATTRIBUTES` | attributes of the resource, see `resource` | holds: wins over what is detected |
//!
//! Without a table, spans are exported when an endpoint is named or `OTEL_TRACES_EXPORTER` is `otlp`. Metrics are when
//! `OTEL_METRICS_EXPORTER` is `otlp` or an endpoint is named for them: the endpoint for all is not enough, because
//! whoever scrapes `/metrics` has them already. Where nothing names an endpoint, it is `localhost`, at the port of the
//! protocol. A sampler named `parentbased_` is what `trust_client = true` is in the file.
//!
//! Compression (`OTEL_EXPORTER_OTLP_COMPRESSION`) is not built in: for spans it is refused at the start, for metrics it is
//! not looked at.

use std::str::FromStr;
use std::time::Duration;

use opentelemetry_otlp::OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT;

use super::metrics::config as metrics;
use super::{Config, ExportError, Protocol};
use crate::telemetry::trace::{self, Sampler};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";

/// One request to the collector takes at the most this long, whatever the environment says.
const LONGEST: Duration = Duration::from_secs(60);

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
}

/// What concerns one signal.
struct Names {
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
    headers: &'static str,
    timeout: &'static str,
    path: &'static str,
}

const TRACES: Names = Names {
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    headers: "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    path: "/v1/traces",
};

const METRICS: Names = Names {
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    headers: "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    path: "/v1/metrics",
};

impl Config {
    /// What holds: `file` when there is one, else what the environment says, else nothing is exported.
    ///
    /// `variable` gives a variable's value; an empty one counts as absent (OpenTelemetry's rule).
    pub fn resolve(
        file: Option<Self>,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, ExportError> {
        let variable = filled(variable);
        if disabled(&variable) {
            return Ok(None);
        }
        if file.is_some() {
            return Ok(file);
        }
        let Some((endpoint, protocol)) = target(Signal::Traces, &variable)? else { return Ok(None) };
        Ok(Some(Self { endpoint, protocol, traces: traces(&variable)? }))
    }
}

impl metrics::Config {
    /// The same for metrics.
    pub fn resolve(
        file: Option<Self>,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, ExportError> {
        let variable = filled(variable);
        if disabled(&variable) {
            return Ok(None);
        }
        if file.is_some() {
            return Ok(file);
        }
        let Some((endpoint, protocol)) = target(Signal::Metrics, &variable)? else { return Ok(None) };
        let interval = match variable(INTERVAL).map(|millis| millis.parse().map(Duration::from_millis)) {
            None => metrics::INTERVAL,
            Some(Ok(interval)) if interval >= metrics::SHORTEST_INTERVAL => interval,
            Some(_) => {
                let problem = "not a number of milliseconds, at least 1000".into();
                return Err(ExportError::Variable { name: INTERVAL, problem });
            }
        };
        Ok(Some(Self { endpoint, protocol, interval }))
    }
}

/// The base URL that the environment names, if it does. Over HTTP, the variable for the signal names the whole URL, path
/// included.
pub fn endpoint(
    signal: Signal,
    protocol: Protocol,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Option<String>, ExportError> {
    let variable = filled(variable);
    let Names { endpoint: name, path, .. } = signal.names();
    match (variable(name), protocol) {
        (None, _) => Ok(variable(ENDPOINT)),
        (Some(url), Protocol::Grpc) => Ok(Some(url)),
        (Some(url), Protocol::HttpProtobuf) => match url.strip_suffix(path) {
            Some(base) => Ok(Some(base.to_owned())),
            None => Err(ExportError::Variable { name, problem: format!("must end with {path}") }),
        },
    }
}

/// How long a request with all its tries may take.
pub(super) fn timeout(signal: Signal, variable: impl Fn(&'static str) -> Option<String>) -> Duration {
    let millis = |name| number(name, &variable).filter(|millis| *millis > 0).map(Duration::from_millis);
    let timeout = millis(signal.names().timeout).or_else(|| millis(TIMEOUT));
    let batch = if signal == Signal::Traces { millis("OTEL_BSP_EXPORT_TIMEOUT") } else { None };
    timeout.unwrap_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT).min(batch.unwrap_or(LONGEST)).min(LONGEST)
}

/// Fields that each request carries.
pub(super) fn headers(
    signal: Signal,
    variable: impl Fn(&'static str) -> Option<String>,
) -> impl Iterator<Item = (String, String)> {
    let variable = filled(variable);
    let text = variable(signal.names().headers).or_else(|| variable(HEADERS)).unwrap_or_default();
    pairs(&text).collect::<Vec<_>>().into_iter()
}

/// A variable of this process.
pub(super) fn of_process(name: &'static str) -> Option<String> {
    std::env::var(name).ok()
}

/// A number in an environment variable; one that is not a number counts as absent.
pub(super) fn number<T: FromStr>(name: &'static str, variable: impl Fn(&'static str) -> Option<String>) -> Option<T> {
    variable(name)?.trim().parse().ok()
}

/// `key=value,key=value`, the values percent-encoded. What has no `=`, no key or no value is left out.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(key, value)| (key.trim().to_owned(), decoded(value.trim())));
    pairs.filter(|(key, value)| !key.is_empty() && !value.is_empty())
}

/// What is no valid encoding stands for itself.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [byte, after @ ..] = rest {
        let encoded = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let encoded = encoded.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let encoded = encoded.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(encoded.unwrap_or(*byte));
        rest = if encoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| value.to_owned())
}

impl Signal {
    const fn names(self) -> &'static Names {
        match self {
            Self::Traces => &TRACES,
            Self::Metrics => &METRICS,
        }
    }
}

fn filled(variable: impl Fn(&'static str) -> Option<String>) -> impl Fn(&'static str) -> Option<String> {
    move |name| variable(name).filter(|value| !value.is_empty())
}

fn disabled(variable: &impl Fn(&'static str) -> Option<String>) -> bool {
    variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Where the signal goes, if it is to go anywhere.
fn target(
    signal: Signal,
    variable: &impl Fn(&'static str) -> Option<String>,
) -> Result<Option<(String, Protocol)>, ExportError> {
    let names = signal.names();
    let wanted = variable(names.exporter).map(|exporters| exporters.split(',').any(|name| name.trim() == "otlp"));
    let own = match signal {
        Signal::Traces => variable(names.endpoint).or_else(|| variable(ENDPOINT)),
        Signal::Metrics => variable(names.endpoint),
    };
    if !wanted.unwrap_or(own.is_some()) {
        return Ok(None);
    }
    let protocol = protocol(names, variable)?;
    let nearby = match protocol {
        Protocol::HttpProtobuf => "http://localhost:4318",
        Protocol::Grpc => "http://localhost:4317",
    };
    let endpoint = endpoint(signal, protocol, variable)?.unwrap_or_else(|| nearby.to_owned());
    Ok(Some((endpoint, protocol)))
}

fn protocol(names: &Names, variable: &impl Fn(&'static str) -> Option<String>) -> Result<Protocol, ExportError> {
    let name = if variable(names.protocol).is_some() { names.protocol } else { PROTOCOL };
    match variable(name).as_deref() {
        None | Some("http/protobuf") => Ok(Protocol::HttpProtobuf),
        Some("grpc") => Ok(Protocol::Grpc),
        Some(other) => {
            Err(ExportError::Variable { name, problem: format!("{other:?} is neither \"http/protobuf\" nor \"grpc\"") })
        }
    }
}

/// A client's decision is followed only when that was asked for, so without a sampler there is no trust: the default of
/// OpenTelemetry, `parentbased_always_on`, would let strangers decide how much is exported.
fn traces(variable: &impl Fn(&'static str) -> Option<String>) -> Result<trace::Config, ExportError> {
    let sampler = variable(SAMPLER);
    let root = sampler.as_deref().map(|sampler| sampler.strip_prefix("parentbased_").unwrap_or(sampler));
    let trust_client = root != sampler.as_deref();
    let ratio = match root {
        None | Some("always_on") => 1.0,
        Some("always_off") => 0.0,
        Some("traceidratio") => ratio(variable)?,
        Some(_) => {
            let problem = format!("sampler {:?} is not known", sampler.unwrap_or_default());
            return Err(ExportError::Variable { name: SAMPLER, problem });
        }
    };
    Ok(trace::Config { sampler: Sampler::ratio(ratio), trust_client, ..trace::Config::default() })
}

fn ratio(variable: &impl Fn(&'static str) -> Option<String>) -> Result<f64, ExportError> {
    match variable(SAMPLER_ARG).map(|arg| arg.parse::<f64>()) {
        None => Ok(1.0),
        Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        Some(_) => Err(ExportError::Variable { name: SAMPLER_ARG, problem: "not a ratio from 0.0 to 1.0".into() }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Config, ExportError, Protocol, metrics};
    use super::{Sampler, Signal, headers, timeout, trace};

    fn resolve(file: Option<Config>, variables: &[(&str, &str)]) -> Result<Option<Config>, ExportError> {
        Config::resolve(file, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn file() -> Config {
        let traces = trace::Config { sampler: Sampler::ratio(0.5), ..trace::Config::default() };
        Config { endpoint: "http://file:4318".into(), protocol: Protocol::HttpProtobuf, traces }
    }

    #[test]
    fn the_file_wins_over_the_environment_but_not_over_disabled() {
        for sampler in ["always_off", "parentbased_always_on"] {
            let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318"), ("OTEL_TRACES_SAMPLER", sampler)];
            assert_eq!(resolve(Some(file()), &variables).expect("valid"), Some(file()));
        }
        assert_eq!(resolve(Some(file()), &[("OTEL_SDK_DISABLED", "TRUE")]).expect("valid"), None);
        assert_eq!(resolve(Some(file()), &[("OTEL_SDK_DISABLED", "1")]).expect("valid"), Some(file()));
    }

    #[test]
    fn the_environment_alone_is_enough() {
        assert_eq!(resolve(None, &[]).expect("valid"), None);
        assert_eq!(resolve(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).expect("valid"), None);
        let config = resolve(
            None,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4317"),
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/v1/traces"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ],
        );
        let traces = trace::Config { sampler: Sampler::ratio(0.25), trust_client: true, ..trace::Config::default() };
        let expected = Config { endpoint: "http://traces:4318".into(), protocol: Protocol::HttpProtobuf, traces };
        assert_eq!(config.expect("valid"), Some(expected));
    }

    #[test]
    fn only_a_sampler_that_follows_its_parent_trusts_the_client() {
        for (sampler, ratio, trust_client) in [
            ("", 1.0, false),
            ("always_on", 1.0, false),
            ("always_off", 0.0, false),
            ("traceidratio", 1.0, false),
            ("parentbased_always_on", 1.0, true),
            ("parentbased_always_off", 0.0, true),
        ] {
            let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318"), ("OTEL_TRACES_SAMPLER", sampler)];
            let traces = resolve(None, &variables).expect("valid").expect("an endpoint").traces;
            let expected = trace::Config { sampler: Sampler::ratio(ratio), trust_client, ..trace::Config::default() };
            assert_eq!(traces, expected, "{sampler}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318");
        for (name, value) in
            [("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"), ("OTEL_TRACES_SAMPLER", "jaeger_remote")]
        {
            let error = resolve(None, &[endpoint, (name, value)]).expect_err("unusable").to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
        let sampler = ("OTEL_TRACES_SAMPLER", "traceidratio");
        let error = resolve(None, &[endpoint, sampler, ("OTEL_TRACES_SAMPLER_ARG", "2")]).expect_err("unusable");
        assert!(error.to_string().contains("OTEL_TRACES_SAMPLER_ARG"));
    }

    const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all");

    /// Where spans and metrics go by these variables alone.
    fn targets(variables: &[(&str, &str)]) -> [Option<String>; 2] {
        let metrics = metrics::Config::resolve(None, of(variables)).expect("valid").map(|metrics| metrics.endpoint);
        [resolve(None, variables).expect("valid").map(|traces| traces.endpoint), metrics]
    }

    fn of(variables: &[(&str, &str)]) -> impl Fn(&'static str) -> Option<String> {
        |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn an_exporter_that_is_named_decides() {
        let [traces, metrics] = ["OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"];
        let (http, grpc, all) = ("http://localhost:4318", "http://localhost:4317", "http://all");
        let only = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://only/v1/metrics");
        for (variables, expected) in [
            (&[][..], [None, None]),
            (&[ALL], [Some(all), None]),
            (&[only], [None, Some("http://only")]),
            (&[ALL, only], [Some(all), Some("http://only")]),
            (&[ALL, (traces, "none")], [None, None]),
            (&[ALL, (traces, "console"), (metrics, "otlp")], [None, Some(all)]),
            (&[only, (metrics, "prometheus")], [None, None]),
            (&[only, (metrics, "")], [None, Some("http://only")]),
            (&[(traces, "console, otlp"), (metrics, "otlp")], [Some(http), Some(http)]),
            (&[GRPC, (traces, "otlp"), (metrics, "otlp")], [Some(grpc), Some(grpc)]),
            (&[ALL, only, (traces, "otlp"), (metrics, "otlp"), ("OTEL_SDK_DISABLED", "true")], [None, None]),
        ] {
            assert_eq!(targets(variables), expected.map(|url| url.map(str::to_owned)), "{variables:?}");
        }
    }

    #[test]
    fn metrics_have_variables_of_their_own() {
        let wanted = ("OTEL_METRICS_EXPORTER", "otlp");
        let config = |variables: &[(&str, &str)]| metrics::Config::resolve(None, of(variables));
        let general = [wanted, ALL, GRPC, ("OTEL_METRIC_EXPORT_INTERVAL", "1500")];
        let expected = metrics::Config {
            endpoint: "http://all".into(),
            protocol: Protocol::Grpc,
            interval: Duration::from_millis(1500),
        };
        assert_eq!(config(&general).expect("valid"), Some(expected.clone()));
        let own = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf");
        let only = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://only/v1/metrics");
        let one = config(&[wanted, ALL, GRPC, own, only]).expect("valid").expect("wanted");
        assert_eq!(
            (one.endpoint.as_str(), one.protocol, one.interval.as_secs()),
            ("http://only", Protocol::HttpProtobuf, 60)
        );
        assert_eq!(
            metrics::Config::resolve(Some(expected.clone()), of(&[wanted, only])).expect("valid"),
            Some(expected)
        );
        for (name, value) in [
            ("OTEL_METRIC_EXPORT_INTERVAL", "999"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "often"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://only"),
        ] {
            let error = config(&[wanted, (name, value)]).expect_err("unusable").to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_timeout_is_that_of_the_signal() {
        let [all, only, batch] =
            ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_BSP_EXPORT_TIMEOUT"];
        for (variables, expected) in [
            (&[][..], [10_000, 10_000]),
            (&[(all, "300")], [300, 300]),
            (&[(all, "300"), (only, "500")], [500, 300]),
            (&[(all, "300"), (batch, "200")], [200, 300]),
            (&[(only, "300"), (batch, "400")], [300, 10_000]),
            (&[("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "300")], [10_000, 300]),
            (&[(all, "0"), (only, "soon")], [10_000, 10_000]),
            (&[(all, "3600000")], [60_000, 60_000]),
        ] {
            let found = [Signal::Traces, Signal::Metrics].map(|signal| timeout(signal, of(variables)).as_millis());
            assert_eq!(found, expected, "{variables:?}");
        }
    }

    #[test]
    fn headers_are_those_of_the_signal() {
        let all = ("OTEL_EXPORTER_OTLP_HEADERS", "x-a=1, x-b = b%20c");
        let found = |variables: &[(&str, &str)]| {
            headers(Signal::Metrics, of(variables)).map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(found(&[all]), ["x-a: 1", "x-b: b c"]);
        assert_eq!(found(&[all, ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-c=3")]), ["x-c: 3"]);
        assert_eq!(found(&[all, ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "")]).len(), 2);
        assert_eq!(found(&[]), [""; 0]);
    }
}
