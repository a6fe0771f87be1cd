//! The OpenTelemetry environment variables that decide whether, where and how much is exported.
//!
//! Read here: `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT`,
//! `OTEL_EXPORTER_OTLP_[TRACES_]PROTOCOL`, `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`. The SDK reads
//! `OTEL_EXPORTER_OTLP_[TRACES_]HEADERS`, `..._TIMEOUT`, `OTEL_BSP_*`, `OTEL_SERVICE_NAME` and
//! `OTEL_RESOURCE_ATTRIBUTES` itself.
//!
//! The configuration file wins: where it has `[telemetry.traces]`, only `OTEL_SDK_DISABLED` is looked at, and the variables
//! for the endpoint when that table has none. So a sampler named `parentbased_` is what `trust_client = true` is in the
//! file, and counts only without that table.

use super::{Config, ExportError, Protocol};
use crate::telemetry::trace::{self, Sampler};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

impl Config {
    /// What holds: `file` when there is one, else what the environment says, else nothing is exported.
    ///
    /// `variable` gives a variable's value; an empty one counts as absent (OpenTelemetry's rule).
    pub fn resolve(
        file: Option<Self>,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, ExportError> {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        if file.is_some() {
            return Ok(file);
        }
        if variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none") {
            return Ok(None);
        }
        let protocol = protocol(&variable)?;
        let Some(endpoint) = endpoint(protocol, variable)? else {
            return Ok(None);
        };
        Ok(Some(Self { endpoint, protocol, traces: traces(&variable)? }))
    }
}

/// The base URL that the environment names, if it does. Over HTTP, the variable for traces names the whole URL, path
/// included.
pub fn endpoint(
    protocol: Protocol,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Option<String>, ExportError> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    match (variable(TRACES_ENDPOINT), protocol) {
        (None, _) => Ok(variable(ENDPOINT)),
        (Some(url), Protocol::Grpc) => Ok(Some(url)),
        (Some(url), Protocol::HttpProtobuf) => match url.strip_suffix("/v1/traces") {
            Some(base) => Ok(Some(base.to_owned())),
            None => Err(ExportError::Variable { name: TRACES_ENDPOINT, problem: "must end with /v1/traces".into() }),
        },
    }
}

fn protocol(variable: &impl Fn(&'static str) -> Option<String>) -> Result<Protocol, ExportError> {
    let name = if variable(TRACES_PROTOCOL).is_some() { TRACES_PROTOCOL } else { PROTOCOL };
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
    use super::super::{Config, ExportError, Protocol};
    use super::{Sampler, trace};

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
}
