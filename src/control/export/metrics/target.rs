//! Where metrics go: a collector over HTTP, or over gRPC when that is built in.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_http::Request;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use prost::Message;

use super::super::closing::Closing;
use super::super::env::{self, Signal};
use super::super::http::Client;
use super::super::{ExportError, Protocol};
use super::config::Config;

pub(super) enum Target {
    Http(Client, Request<()>),
    #[cfg(feature = "otlp-grpc")]
    Grpc(super::super::grpc::Metrics),
}

impl Target {
    pub(super) fn new(config: &Config, closing: Arc<Closing>) -> Result<Self, ExportError> {
        config.check()?;
        let timeout = env::timeout(Signal::Metrics, env::of_process);
        let headers = env::headers(Signal::Metrics, env::of_process);
        match config.protocol {
            Protocol::HttpProtobuf => {
                let url = format!("{}/v1/metrics", config.endpoint.trim_end_matches('/'));
                let mut request = Request::post(&url).header("content-type", "application/x-protobuf");
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                let request = request.body(()).map_err(|error| ExportError::target(&url, &error))?;
                Ok(Self::Http(Client::for_url(&url, timeout, closing), request))
            }
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => {
                Ok(Self::Grpc(super::super::grpc::Metrics::start(&config.endpoint, timeout, headers, closing)?))
            }
            #[cfg(not(feature = "otlp-grpc"))]
            Protocol::Grpc => Err(ExportError::GrpcNotBuilt),
        }
    }

    /// Sends `request`. Returns how many data points the collector did not take though it took the request.
    pub(super) fn send(&self, request: &ExportMetricsServiceRequest) -> Result<u64, String> {
        let answer = match self {
            Self::Http(client, head) => {
                let request = head.clone().map(|()| Bytes::from(request.encode_to_vec()));
                let answer = client.send(&request).map_err(|failure| failure.to_string())?;
                // What cannot be read says nothing against it: it came with a 2xx.
                ExportMetricsServiceResponse::decode(answer).unwrap_or_default()
            }
            #[cfg(feature = "otlp-grpc")]
            Self::Grpc(client) => client.send(request.clone())?,
        };
        let partial = answer.partial_success.unwrap_or_default();
        Ok(u64::try_from(partial.rejected_data_points).unwrap_or(0))
    }
}
