//! The few questions that a self-managed certificate asks the API server.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Where Kubernetes mounts what a pod's service account is.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// No question takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest answer.
const LARGEST: u64 = 4 << 20;

/// The API server, as a pod sees it.
#[derive(Debug)]
pub struct Cluster {
    agent: Agent,
    /// `https://10.0.0.1:443`.
    url: String,
    /// The token's file, which Kubernetes renews.
    token: PathBuf,
    /// The namespace of this pod, and of the Secret.
    pub(super) namespace: String,
    /// The Service whose name the certificate has.
    pub(super) service: String,
    /// The Secret.
    pub(super) secret: String,
    /// The `MutatingWebhookConfiguration`.
    pub(super) configuration: String,
}

/// What one cluster calls its parts.
#[derive(Clone, Debug)]
pub struct Names {
    /// The Service.
    pub service: String,
    /// The Secret.
    pub secret: String,
    /// The `MutatingWebhookConfiguration`.
    pub configuration: String,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// This is no pod.
    #[error("this is no pod with a service account: {0}; use --certificate DIRECTORY outside of a cluster")]
    NoPod(String),
    /// A file of the service account cannot be read.
    #[error("{}: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nobody answers.
    #[error("{0}: {1}")]
    Transport(String, Box<ureq::Error>),
    /// It says no.
    #[error("{what}: the API server answers {status}: {message}")]
    Status {
        /// What was asked.
        what: String,
        /// The status.
        status: u16,
        /// What it says.
        message: String,
    },
}

impl Cluster {
    /// The cluster that this process runs in, by the environment and files that Kubernetes gives every pod.
    pub fn here(names: Names) -> Result<Self, ClusterError> {
        let variable = |name: &str| std::env::var(name).map_err(|_| ClusterError::NoPod(format!("{name} is not set")));
        let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Self::at(format!("https://{host}:{port}"), Path::new(ACCOUNT), names)
    }

    /// The cluster at `url`, with the files of the directory `account`: `token`, `namespace`, `ca.crt`.
    pub fn at(
        url: String,
        account: &Path,
        Names { service, secret, configuration }: Names,
    ) -> Result<Self, ClusterError> {
        let read = |name: &str| {
            let file = account.join(name);
            fs::read_to_string(&file).map_err(|source| ClusterError::File { file, source })
        };
        let namespace = read("namespace")?.trim().to_owned();
        let roots: Vec<_> = CertificateDer::pem_slice_iter(read("ca.crt")?.as_bytes())
            .filter_map(Result::ok)
            .map(|der| Certificate::from_der(&der).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .tls_config(tls)
            .build();
        let agent = Agent::new_with_config(config);
        Ok(Self { agent, url, token: account.join("token"), namespace, service, secret, configuration })
    }

    /// The object at `path`; `None`: there is none.
    pub(super) fn read(&self, path: &str) -> Result<Option<Value>, ClusterError> {
        match self.ask(&Method::GET, path, "application/json", None) {
            Err(ClusterError::Status { status: 404, .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Puts `object` in the place of the one at `path`. `false`: somebody else was faster.
    pub(super) fn replace(&self, path: &str, object: &Value) -> Result<bool, ClusterError> {
        match self.ask(&Method::PUT, path, "application/json", Some(object)) {
            Err(ClusterError::Status { status: 409, .. }) => Ok(false),
            other => other.map(|_| true),
        }
    }

    /// Changes the object at `path` (RFC 6902).
    pub(super) fn patch(&self, path: &str, operations: &Value) -> Result<(), ClusterError> {
        self.ask(&Method::PATCH, path, "application/json-patch+json", Some(operations)).map(drop)
    }

    fn ask(&self, method: &Method, path: &str, kind: &str, body: Option<&Value>) -> Result<Value, ClusterError> {
        let what = format!("{method} {path}");
        let token = fs::read_to_string(&self.token)
            .map_err(|source| ClusterError::File { file: self.token.clone(), source })?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", token.trim()))
            .header("accept", "application/json")
            .header("content-type", kind)
            .body(body.map(Value::to_string).unwrap_or_default());
        let failed = |error: ureq::Error| ClusterError::Transport(what.clone(), Box::new(error));
        let mut response = self.agent.run(request.map_err(|error| failed(error.into()))?).map_err(failed)?;
        let text = response.body_mut().with_config().limit(LARGEST).read_to_string().map_err(failed)?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        if response.status().is_success() {
            return Ok(value);
        }
        let message = value["message"].as_str().unwrap_or("nothing more").to_owned();
        Err(ClusterError::Status { what, status: response.status().as_u16(), message })
    }
}
