//! OTLP over gRPC.
//!
//! The gRPC client is async and the SDK's batch thread is not. So the client runs on a small runtime with a thread of
//! its own, and the batch thread waits for what was spawned there. The runtime ends with the exporter that owns it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::ExportError;

/// A gRPC client and the runtime it lives on.
#[derive(Debug)]
pub(super) struct Exporter {
    client: Arc<SpanExporter>,
    runtime: Handle,
    /// Dropped with the exporter; then the runtime's thread ends.
    _stop: oneshot::Sender<()>,
}

impl Exporter {
    /// Connects when the first batch comes, and again when the connection was lost.
    pub(super) fn start(endpoint: &str, timeout: Duration, resource: &Resource) -> Result<Self, ExportError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let mut client = {
            let _inside = handle.enter();
            SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(timeout).build()?
        };
        client.set_resource(resource);
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("otlp-grpc".into()).spawn(move || {
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { client: Arc::new(client), runtime: handle, _stop: stop })
    }

    pub(super) async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let client = Arc::clone(&self.client);
        match self.runtime.spawn(async move { client.export(batch).await }).await {
            Ok(result) => result,
            Err(gone) => Err(OTelSdkError::InternalFailure(format!("the gRPC client ended: {gone}"))),
        }
    }
}
