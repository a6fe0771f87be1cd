//! The OTLP exporter of spans as configured: over HTTP with our own client, or over gRPC when that is built in.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prost::Message;

use super::closing::Closing;
use super::env::{self, Signal};
use super::http::{Client, Failure};
use super::{Config, ExportError, Protocol};

/// Sends batches of spans.
#[derive(Debug)]
pub(super) enum Otlp {
    Http(Box<SpanExporter>, Arc<Carrier>),
    #[cfg(feature = "otlp-grpc")]
    Grpc(super::grpc::Exporter),
}

impl Otlp {
    pub(super) fn new(config: &Config, resource: &Resource, closing: Arc<Closing>) -> Result<Self, ExportError> {
        config.check()?;
        let timeout = env::timeout(Signal::Traces, env::of_process);
        match config.protocol {
            Protocol::HttpProtobuf => {
                let client = Client::for_url(&config.endpoint, timeout, closing);
                let carrier = Arc::new(Carrier { client, latest: Mutex::default() });
                let mut exporter = SpanExporter::builder()
                    .with_http()
                    .with_http_client(Handle(Arc::clone(&carrier)))
                    .with_endpoint(format!("{}/v1/traces", config.endpoint.trim_end_matches('/')))
                    .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                    .with_timeout(timeout)
                    .with_retry_policy(RetryPolicy::disabled())
                    .build()?;
                exporter.set_resource(resource);
                Ok(Self::Http(Box::new(exporter), carrier))
            }
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => {
                Ok(Self::Grpc(super::grpc::Exporter::start(&config.endpoint, timeout, resource, closing)?))
            }
            #[cfg(not(feature = "otlp-grpc"))]
            Protocol::Grpc => Err(ExportError::GrpcNotBuilt),
        }
    }

    /// Sends `batch`, again where the collector asks for it, until its timeout. Returns how many of its spans the
    /// collector did not take though it took the batch.
    pub(super) async fn export(&self, batch: Vec<SpanData>) -> Result<u64, String> {
        match self {
            Self::Http(exporter, carrier) => {
                let result = exporter.export(batch).await;
                let latest = carrier.latest.lock().unwrap_or_else(PoisonError::into_inner).take();
                match (result, latest) {
                    (Ok(()), latest) => Ok(latest.and_then(Result::ok).unwrap_or(0)),
                    (Err(_), Some(Err(failure))) => Err(failure.to_string()),
                    (Err(error), _) => Err(error.to_string()),
                }
            }
            #[cfg(feature = "otlp-grpc")]
            Self::Grpc(exporter) => exporter.export(batch).await.map(|()| 0).map_err(|error| error.to_string()),
        }
    }
}

/// Carries the exporter's requests, and keeps what came of the latest: the exporter tells no more than that it failed.
#[derive(Debug)]
pub(super) struct Carrier {
    client: Client,
    /// The number of spans rejected, or why the request failed.
    latest: Mutex<Option<Result<u64, Failure>>>,
}

impl Carrier {
    fn carry(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.client.send(request);
        let (latest, response) = match sent {
            Ok(body) => (Ok(rejected(&body)), Ok(Response::new(body))),
            Err(failure) => (Err(failure), Err("the carrier knows why".into())),
        };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(latest);
        response
    }
}

/// How many spans a collector says it has rejected of a batch that it took (OTLP, "Partial Success").
fn rejected(answer: &[u8]) -> u64 {
    let partial = ExportTraceServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
    partial.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or(0)
}

#[derive(Debug)]
struct Handle(Arc<Carrier>);

type Sent<'f> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>;

/// What `#[async_trait]` makes of the trait's `async fn`, without its macro: the future is ready when it is returned.
impl HttpClient for Handle {
    fn send_bytes<'a, 'f>(&'a self, request: Request<Bytes>) -> Sent<'f>
    where
        'a: 'f,
        Self: 'f,
    {
        Box::pin(std::future::ready(self.0.carry(&request)))
    }
}
