//! The way to the collector: `[telemetry.traces]` and `[telemetry.metrics]`.

use std::ffi::OsString;

use super::bounds::{self, DAY};
use super::findings::Findings;
use super::{keys, raw, traces};
use crate::control::export::{self, Protocol, Signal};

/// Which spans there are, and where they go.
pub(super) fn traces(raw: raw::Traces, env: &[(OsString, OsString)], findings: &mut Findings<'_>) -> export::Config {
    let (traces, protocol) = (traces::resolve(&raw, findings), raw.protocol.into());
    let endpoint = endpoint(Signal::Traces, raw.endpoint, protocol, env, findings);
    export::Config { endpoint, protocol, traces }
}

/// Where metrics go, and how often.
pub(super) fn metrics(
    raw: raw::Metrics,
    env: &[(OsString, OsString)],
    findings: &mut Findings<'_>,
) -> export::metrics::Config {
    let raw::Metrics { endpoint, protocol, interval } = raw;
    let protocol = protocol.into();
    let endpoint = self::endpoint(Signal::Metrics, endpoint, protocol, env, findings);
    bounds::time("telemetry.metrics.interval", interval, export::metrics::SHORTEST_INTERVAL..=DAY, findings);
    export::metrics::Config { endpoint, protocol, interval }
}

fn endpoint(
    signal: Signal,
    written: Option<String>,
    protocol: Protocol,
    env: &[(OsString, OsString)],
    findings: &mut Findings<'_>,
) -> String {
    let (key, table) = match signal {
        Signal::Traces => ("telemetry.traces.endpoint", "[telemetry.traces]"),
        Signal::Metrics => ("telemetry.metrics.endpoint", "[telemetry.metrics]"),
    };
    let help = format!("write {}, or remove {table}", keys::Kind::Url.form());
    let variable = |name: &str| env.iter().find(|(known, _)| known == name)?.1.to_str().map(String::from);
    let inherited = || export::endpoint(signal, protocol, variable);
    let endpoint = match written.map_or_else(inherited, |url| Ok(Some(url))) {
        Ok(endpoint) => findings.required(key, endpoint, help.clone()).unwrap_or_default(),
        Err(error) => {
            findings.wrong(key, error.to_string(), "mend the variable, or write the endpoint here");
            String::new()
        }
    };
    if !endpoint.is_empty() && !is_base_url(&endpoint) {
        let what = format!("{endpoint:?} is not a base URL: a scheme, a host, perhaps a port and a path");
        findings.wrong(key, what, help);
    }
    endpoint
}

fn is_base_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let visible = url.bytes().all(|b| b.is_ascii_graphic());
    visible
        && rest.is_some_and(|rest| !rest.starts_with(['/', ':']) && !rest.is_empty() && !rest.contains(['?', '#', '@']))
}
