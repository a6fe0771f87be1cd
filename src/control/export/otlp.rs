//! The OTLP exporter as configured: over HTTP with our own client, or over gRPC when that is built in.

use std::env;
use std::str::FromStr;
use std::time::Duration;

use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, SpanExporter,
    WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};

use super::{Config, ExportError, Protocol, http};

/// One request to the collector takes at the most this long, whatever the environment says.
const LONGEST: Duration = Duration::from_secs(60);

/// Sends batches of spans.
#[derive(Debug)]
pub(super) enum Otlp {
    Http(Box<SpanExporter>),
    #[cfg(feature = "otlp-grpc")]
    Grpc(super::grpc::Exporter),
}

impl Otlp {
    pub(super) fn new(config: &Config, resource: &Resource) -> Result<Self, ExportError> {
        config.check()?;
        match config.protocol {
            Protocol::HttpProtobuf => {
                // Without TLS nobody is to be trusted, and the bundle need not be read.
                let plain = config.endpoint.starts_with("http://");
                let roots = if plain { Vec::new().into() } else { http::system_roots() };
                let mut exporter = SpanExporter::builder()
                    .with_http()
                    .with_http_client(http::Client::new(timeout(), roots))
                    .with_endpoint(format!("{}/v1/traces", config.endpoint.trim_end_matches('/')))
                    .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                    .with_timeout(timeout())
                    .build()?;
                exporter.set_resource(resource);
                Ok(Self::Http(Box::new(exporter)))
            }
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => Ok(Self::Grpc(super::grpc::Exporter::start(&config.endpoint, timeout(), resource)?)),
            #[cfg(not(feature = "otlp-grpc"))]
            Protocol::Grpc => Err(ExportError::GrpcNotBuilt),
        }
    }

    /// Sends `batch`, again where the collector asks for it, until its timeout.
    pub(super) async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        match self {
            Self::Http(exporter) => exporter.export(batch).await,
            #[cfg(feature = "otlp-grpc")]
            Self::Grpc(exporter) => exporter.export(batch).await,
        }
    }
}

/// A number in an environment variable; one that is not a number counts as absent.
pub(super) fn variable<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

fn timeout() -> Duration {
    variable(OTEL_EXPORTER_OTLP_TRACES_TIMEOUT)
        .or_else(|| variable(OTEL_EXPORTER_OTLP_TIMEOUT))
        .filter(|millis| *millis > 0)
        .map_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, Duration::from_millis)
        .min(LONGEST)
}
