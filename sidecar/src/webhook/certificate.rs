//! The webhook's certificate, which may change while it runs.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

/// How often files are looked at. Kubelet itself takes a minute to bring a Secret's change.
const LOOK: Duration = Duration::from_secs(5);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{}: {source}; mount a Secret with tls.crt and tls.key there", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no PEM of a certificate or key.
    #[error("{what}: {why}")]
    Pem {
        /// Which of the two.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// The key is not the certificate's.
    #[error("tls.key is not the key of tls.crt: {0}")]
    Pair(rustls::Error),
}

/// A certificate and its key in PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Pair {
    /// The chain, leaf first.
    pub(super) certificate: Vec<u8>,
    /// The leaf's key.
    pub(super) key: Vec<u8>,
}

/// What connections are served with.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    current: RwLock<Option<Arc<CertifiedKey>>>,
    leaves: AtomicBool,
}

impl Certificates {
    /// Serves connections with `pair` from now on.
    pub(super) fn put(&self, pair: &Pair) -> Result<(), CertificateError> {
        let wrong =
            |what| move |error: rustls::pki_types::pem::Error| CertificateError::Pem { what, why: error.to_string() };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pair.certificate).collect();
        let chain = chain.map_err(wrong("tls.crt"))?;
        if chain.is_empty() {
            return Err(CertificateError::Pem { what: "tls.crt", why: "no certificate".into() });
        }
        let key = PrivateKeyDer::from_pem_slice(&pair.key).map_err(wrong("tls.key"))?;
        let certified =
            CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(CertificateError::Pair)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        Ok(())
    }

    /// Whether requests can be answered, and are to be.
    pub(super) fn is_ready(&self) -> bool {
        !self.leaves.load(Ordering::Relaxed) && self.current().is_some()
    }

    /// No more requests are to come.
    pub(super) fn leave(&self) {
        self.leaves.store(true, Ordering::Relaxed);
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

/// A directory with `tls.crt` and `tls.key`.
pub(super) struct Files {
    directory: PathBuf,
    last: Option<Pair>,
}

impl Files {
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self { directory, last: None }
    }

    /// What they hold now, if it is not what they held before.
    pub(super) fn read(&mut self) -> Result<Option<Pair>, CertificateError> {
        let read = |name| {
            let file = self.directory.join(name);
            fs::read(&file).map_err(|source| CertificateError::File { file, source })
        };
        let pair = Pair { certificate: read("tls.crt")?, key: read("tls.key")? };
        let is_new = self.last.as_ref() != Some(&pair);
        self.last = Some(pair.clone());
        Ok(is_new.then_some(pair))
    }
}

/// Takes what comes into `files`, for ever.
pub(super) async fn watch(mut files: Files, certificates: Arc<Certificates>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        match files.read().and_then(|pair| pair.map(|pair| certificates.put(&pair)).transpose()) {
            Ok(None) => {}
            Ok(Some(())) => info!("a new certificate is served"),
            // The next look tries again when the files are others: half of a change is mended by its other half.
            Err(error) => error!(%error, "the certificate stays as it was"),
        }
    }
}
