//! The admission webhook: injects pods as the API server makes them.
//!
//! ```text
//!  API server --HTTPS--> server --> service --> review::answer (pure)      kubelet, Prometheus --HTTP--> figures
//!                          ^
//!                          | certificate, hot
//!            files (cert-manager), or keeper: Secret <-> replicas, caBundle of the webhook's configuration
//! ```
//!
//! **Invariants.** A request is answered within [`service::PATIENCE`], which is below the timeout of the configuration, or
//! its connection is closed. What is held for all requests together is bounded. Nothing a request says is trusted, and
//! nothing of it but names is logged.

mod certificate;
mod cluster;
mod figures;
mod issue;
mod keeper;
mod server;
mod service;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tracing::info;

use self::certificate::Certificates;
pub use self::cluster::{Cluster, Names};
use self::figures::Figures;
use self::keeper::Keeper;
pub use self::service::PATIENCE;
use self::service::Service;
use crate::settings::Settings;

/// How long requests are answered after SIGTERM: endpoints of a Service are told of a pod's end while it ends.
const LINGER: Duration = Duration::from_secs(5);

/// What a webhook needs to know.
#[derive(Debug)]
pub struct Options {
    /// HTTPS, for the API server.
    pub listen: SocketAddr,
    /// Plain HTTP: `/livez`, `/readyz`, `/metrics`.
    pub health: SocketAddr,
    /// Where the certificate comes from.
    pub certificate: Source,
    /// What holds for every pod.
    pub settings: Settings,
}

/// Where the webhook's certificate comes from.
#[derive(Debug)]
pub enum Source {
    /// `tls.crt` and `tls.key` of this directory, which somebody else renews, such as cert-manager.
    Files(PathBuf),
    /// Made here, kept in a Secret for all replicas, and told to the API server.
    SelfManaged(Cluster),
}

/// Why the webhook does not run.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// It cannot listen.
    #[error("cannot listen on {address}: {source}; choose another address, or end what listens there")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// There is no certificate to begin with.
    #[error(transparent)]
    Certificate(#[from] certificate::CertificateError),
    /// The thread's runtime could not be made.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
}

/// Runs until SIGTERM or Ctrl-C.
pub fn run(options: Options) -> Result<(), WebhookError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), WebhookError> {
    let figures = Arc::new(Figures::default());
    let certificates = Arc::new(Certificates::default());
    let [hook, health] = [listen(options.listen).await?, listen(options.health).await?];
    match options.certificate {
        Source::Files(directory) => {
            // To begin with there must be one; later a bad one is told, and the last good one stays.
            let mut files = certificate::Files::new(directory);
            certificates.put(&files.read()?.unwrap_or_default())?;
            tokio::spawn(certificate::watch(files, Arc::clone(&certificates)));
        }
        Source::SelfManaged(cluster) => {
            let keeper = Keeper::new(cluster, Arc::clone(&certificates));
            std::thread::Builder::new().name("certificate".into()).spawn(move || keeper.run())?;
        }
    }
    let service = Arc::new(Service::new(options.settings, Arc::clone(&figures)));
    info!(listen = %options.listen, health = %options.health, "the webhook listens");
    tokio::spawn(server::health(health, figures, Arc::clone(&certificates)));
    tokio::spawn(server::hook(hook, Arc::clone(&certificates), service));
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = int.recv() => info!("interrupted"),
        _ = term.recv() => {
            certificates.leave();
            info!(seconds = LINGER.as_secs(), "SIGTERM: answering a little longer");
            tokio::select! {
                () = sleep(LINGER) => {}
                _ = int.recv() => {}
                _ = term.recv() => {}
            }
        }
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, WebhookError> {
    TcpListener::bind(address).await.map_err(|source| WebhookError::Listen { address, source })
}

#[cfg(test)]
mod tests;
