//! Keeps the self-managed certificate: one for all replicas, in a Secret, and the API server's trust in it.
//!
//! ```text
//!  each minute:  Secret --renewed?--> written, by whoever is first
//!                   |
//!                   +--> caBundle of the configuration, when it is another
//!                   |
//!                   +--> served, once the API server has had a minute to see the bundle
//! ```

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tracing::{error, info};

use super::certificate::{CertificateError, Certificates, Pair};
use super::cluster::{Cluster, ClusterError};
use super::issue::{Issued, renewed};

/// How often the Secret is looked at.
const ROUND: Duration = Duration::from_secs(60);

/// The same while there is nothing to serve with, or somebody else was faster.
const HURRY: Duration = Duration::from_secs(1);

/// Looks after the certificate of this replica.
pub(super) struct Keeper {
    cluster: Cluster,
    certificates: Arc<Certificates>,
    /// What is served.
    served: Option<Issued>,
    /// What is trusted, and will be served in the next round.
    next: Option<Issued>,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
enum KeeperError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("the Secret {0} is not there; it comes with the manifests")]
    NoSecret(String),
    #[error("the configuration {0} is not there; it comes with the manifests")]
    NoConfiguration(String),
    #[error("cannot make a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl Keeper {
    pub(super) const fn new(cluster: Cluster, certificates: Arc<Certificates>) -> Self {
        Self { cluster, certificates, served: None, next: None }
    }

    /// Goes round for ever.
    pub(super) fn run(mut self) {
        loop {
            let pause = match self.round(SystemTime::now()) {
                Ok(true) => ROUND,
                Ok(false) => HURRY,
                Err(error) => {
                    error!(%error, "the certificate is not looked after");
                    if self.served.is_some() { ROUND } else { HURRY }
                }
            };
            thread::sleep(pause);
        }
    }

    /// One round. `false`: another is to follow at once.
    fn round(&mut self, now: SystemTime) -> Result<bool, KeeperError> {
        let path = format!("/api/v1/namespaces/{}/secrets/{}", self.cluster.namespace, self.cluster.secret);
        let mut secret = self.cluster.read(&path)?.ok_or_else(|| KeeperError::NoSecret(self.cluster.secret.clone()))?;
        let known = read(&secret);
        let issued = match (renewed(known.as_ref(), &self.names(), now)?, known) {
            (Some(issued), _) => {
                write(&mut secret, &issued);
                if !self.cluster.replace(&path, &secret)? {
                    return Ok(false);
                }
                info!(secret = self.cluster.secret, "a new certificate is made");
                issued
            }
            (None, Some(known)) => known,
            (None, None) => return Ok(false),
        };
        self.trust(&issued.authorities)?;
        self.serve(issued)?;
        Ok(true)
    }

    /// Names of the Service inside of the cluster.
    fn names(&self) -> Vec<String> {
        let Cluster { service, namespace, .. } = &self.cluster;
        vec![format!("{service}.{namespace}.svc"), format!("{service}.{namespace}.svc.cluster.local")]
    }

    /// Tells the API server whom to trust.
    fn trust(&self, authorities: &str) -> Result<(), KeeperError> {
        let name = &self.cluster.configuration;
        let path = format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}");
        let configuration = self.cluster.read(&path)?.ok_or_else(|| KeeperError::NoConfiguration(name.clone()))?;
        let bundle = STANDARD.encode(authorities);
        let webhooks = configuration["webhooks"].as_array().map_or(0, Vec::len);
        let is_other = |n: &usize| configuration["webhooks"][*n]["clientConfig"]["caBundle"] != bundle.as_str();
        let changes: Vec<_> = (0..webhooks)
            .filter(is_other)
            .map(|n| json!({"op": "add", "path": format!("/webhooks/{n}/clientConfig/caBundle"), "value": bundle}))
            .collect();
        if !changes.is_empty() {
            self.cluster.patch(&path, &changes.into())?;
            info!(configuration = name, "the API server is told whom to trust");
        }
        Ok(())
    }

    /// Serves `issued`: at once when there is nothing else, otherwise when a round has passed.
    fn serve(&mut self, issued: Issued) -> Result<(), KeeperError> {
        if self.served.as_ref() == Some(&issued) {
            return Ok(());
        }
        if self.served.is_some() && self.next.as_ref() != Some(&issued) {
            self.next = Some(issued);
            return Ok(());
        }
        let pair = Pair { certificate: issued.certificate.clone().into(), key: issued.key.clone().into() };
        self.certificates.put(&pair)?;
        info!(ends = issued.ends, "the certificate is served");
        (self.served, self.next) = (Some(issued), None);
        Ok(())
    }
}

/// What the Secret holds; `None`: nothing that can be used.
fn read(secret: &Value) -> Option<Issued> {
    let text = |key: &str| String::from_utf8(STANDARD.decode(secret["data"][key].as_str()?).ok()?).ok();
    Some(Issued {
        authorities: text("ca.crt")?,
        certificate: text("tls.crt")?,
        key: text("tls.key")?,
        ends: text("ends")?.parse().ok()?,
    })
}

fn write(secret: &mut Value, issued: &Issued) {
    let Issued { authorities, certificate, key, ends } = issued;
    let data = [("ca.crt", authorities), ("tls.crt", certificate), ("tls.key", key), ("ends", &ends.to_string())];
    secret["data"] =
        data.into_iter().map(|(name, text)| (name.to_owned(), Value::from(STANDARD.encode(text)))).collect();
}

#[cfg(test)]
mod tests;
