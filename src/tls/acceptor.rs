//! The server's TLS configuration, loaded once and shared by the workers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{UnbufferedServerConnection, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::Config;
use super::records::{Records, TlsError};
use super::unbuffered::Unbuffered;

/// Accepts TLS 1.2 and 1.3 connections for `http/1.1` (RFC 7301).
///
/// Session tickets are stateless (RFC 5077, RFC 8446 section 4.6.1): their keys are made at start, rotate every
/// six hours and are shared by the workers, so that a client resumes on whichever worker it lands. Early data
/// (0-RTT) is never accepted: it can be replayed, and a replayed upgrade is a second connection.
#[derive(Clone)]
pub struct Acceptor(Arc<ServerConfig>);

/// Why TLS cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read or holds no such PEM block.
    #[error("{}: no {what}: {source}", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Why it was not found.
        source: pem::Error,
    },
    /// A file has PEM blocks, but not a single certificate.
    #[error("{}: no certificate", .0.display())]
    Empty(PathBuf),
    /// Certificate and key do not go together, or are of a kind that cannot be used.
    #[error("{} with {}: {source}", .certificate.display(), .key.display())]
    Identity {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The client authorities cannot be used.
    #[error("{}: {reason}", .path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The cryptographic library refuses our settings.
    #[error(transparent)]
    Provider(#[from] rustls::Error),
}

impl Acceptor {
    /// Reads the files of `config`.
    pub fn load(config: &Config) -> Result<Self, LoadError> {
        let chain = certificates(&config.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|source| LoadError::Pem {
            path: config.key.clone(),
            what: "private key",
            source,
        })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match &config.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let refuse = |reason: String| LoadError::ClientCa { path: path.clone(), reason };
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|error| refuse(error.to_string()))?)
            }
        };
        let mut server = builder.with_single_cert(chain, key).map_err(|source| LoadError::Identity {
            certificate: config.certificate.clone(),
            key: config.key.clone(),
            source,
        })?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        server.ticketer = aws_lc_rs::Ticketer::new()?;
        server.send_tls13_tickets = 1;
        server.max_early_data_size = 0;
        Ok(Self(Arc::new(server)))
    }

    /// A new connection.
    pub fn accept(&self) -> Result<Box<dyn Records>, TlsError> {
        Ok(Box::new(Unbuffered::new(UnbufferedServerConnection::new(Arc::clone(&self.0))?)))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let wrong = |source| LoadError::Pem { path: path.to_owned(), what: "certificate", source };
    let chain = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if chain.is_empty() { Err(LoadError::Empty(path.to_owned())) } else { Ok(chain) }
}
