//! OTLP over gRPC.
//!
//! The gRPC client is async and the SDK's batch thread is not. So the client runs on a small runtime with a thread of
//! its own, and the batch thread waits for what was spawned there. The runtime ends with the exporter that owns it.
//!
//! When a try that failed is made again is up to the SDK's client: three times at the most, after the `RetryInfo` of the
//! collector's status or a backoff. What it lacks is added here: one deadline for all tries together, and an end to them
//! when the process must end.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tonic::metadata::{MetadataKey, MetadataMap};
use tonic::transport::{Channel, Endpoint};

use super::ExportError;
use super::closing::Closing;

/// A gRPC client and the runtime it lives on.
#[derive(Debug)]
pub(super) struct Exporter {
    client: Arc<SpanExporter>,
    runtime: Runtime,
    timeout: Duration,
    closing: Arc<Closing>,
}

impl Exporter {
    /// Connects when the first batch comes, and again when the connection was lost.
    pub(super) fn start(
        endpoint: &str,
        timeout: Duration,
        resource: &Resource,
        closing: Arc<Closing>,
    ) -> Result<Self, ExportError> {
        let runtime = Runtime::start()?;
        let mut client = {
            let _inside = runtime.handle.enter();
            SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(timeout).build()?
        };
        client.set_resource(resource);
        Ok(Self { client: Arc::new(client), runtime, timeout, closing })
    }

    pub(super) async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (client, closing, timeout) = (Arc::clone(&self.client), Arc::clone(&self.closing), self.timeout);
        let exported = self.runtime.handle.spawn(async move {
            tokio::select! {
                result = client.export(batch) => result,
                () = tokio::time::sleep(timeout) => Err(OTelSdkError::Timeout(timeout)),
                () = closing.over() => Err(OTelSdkError::AlreadyShutdown),
            }
        });
        exported
            .await
            .unwrap_or_else(|gone| Err(OTelSdkError::InternalFailure(format!("the gRPC client ended: {gone}"))))
    }
}

/// A client for metrics. It tries each request once: the next carries all that it lost.
#[derive(Debug)]
pub(super) struct Metrics {
    client: MetricsServiceClient<Channel>,
    metadata: MetadataMap,
    runtime: Runtime,
    timeout: Duration,
    closing: Arc<Closing>,
}

impl Metrics {
    /// Connects with the first request, and again when the connection was lost. `headers` go with each request; one that
    /// gRPC does not know how to write is left out, as the SDK does with those of spans.
    pub(super) fn start(
        endpoint: &str,
        timeout: Duration,
        headers: impl Iterator<Item = (String, String)>,
        closing: Arc<Closing>,
    ) -> Result<Self, ExportError> {
        let target = Endpoint::from_shared(endpoint.to_owned());
        let target = target.map_err(|error| ExportError::target(endpoint, &error))?;
        let mut metadata = MetadataMap::new();
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (MetadataKey::from_bytes(name.to_lowercase().as_bytes()), value.parse()) {
                metadata.insert(name, value);
            }
        }
        let runtime = Runtime::start()?;
        let client = {
            let _inside = runtime.handle.enter();
            MetricsServiceClient::new(target.timeout(timeout).connect_lazy())
        };
        Ok(Self { client, metadata, runtime, timeout, closing })
    }

    /// Sends `request` and waits for the answer. Not for a thread with a runtime.
    pub(super) fn send(&self, request: ExportMetricsServiceRequest) -> Result<ExportMetricsServiceResponse, String> {
        let mut request = tonic::Request::new(request);
        request.metadata_mut().clone_from(&self.metadata);
        let mut client = self.client.clone();
        self.runtime.handle.block_on(async {
            tokio::select! {
                answer = client.export(request) => match answer {
                    Ok(answer) => Ok(answer.into_inner()),
                    Err(status) => Err(format!("the collector answers {status}")),
                },
                () = tokio::time::sleep(self.timeout) => Err("no answer in time".to_owned()),
                () = self.closing.over() => Err("no time is left".to_owned()),
            }
        })
    }
}

/// A runtime on a thread of its own, which ends with it.
#[derive(Debug)]
struct Runtime {
    handle: Handle,
    /// Dropped with the runtime; then its thread ends.
    _stop: oneshot::Sender<()>,
}

impl Runtime {
    fn start() -> Result<Self, ExportError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("otlp-grpc".into()).spawn(move || {
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, _stop: stop })
    }
}
