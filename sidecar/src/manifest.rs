//! What a cluster needs so that the webhook runs: the objects that `ringside-injector manifest` prints, and that the
//! Kustomize base and the Helm chart under `deploy/` are held to by tests.
//!
//! Rights are few: the webhook reads and writes one Secret, and one `MutatingWebhookConfiguration`. It sees pods only as the
//! API server sends them. Who has no label is not sent, so that a webhook that is down keeps nobody else's pods from
//! starting (`failurePolicy: Fail` holds for pods that asked for a sidecar, and would be wrong without one).

mod deployment;
pub mod policy;
mod rights;
mod webhook;

use serde_json::{Value, json};

use crate::settings::{Minor, Seccomp};

/// What an installation is called everywhere.
pub const NAME: &str = "ringside-injector";

/// The Secret of a self-managed certificate, or of cert-manager's.
pub const SECRET: &str = "ringside-injector-tls";

/// What may differ between installations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// The namespace of its own.
    pub namespace: String,
    /// The image with both programs.
    pub image: String,
    /// How many webhooks run.
    pub replicas: u32,
    /// Who makes the certificate.
    pub certificates: Certificates,
    /// The cluster's version.
    pub kubernetes: Option<Minor>,
    /// The sidecars' seccomp profile.
    pub seccomp: Option<Seccomp>,
}

/// Who makes the webhook's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Certificates {
    /// The webhook itself
    SelfManaged,
    /// cert-manager, which must be there
    CertManager,
}

impl Default for Install {
    fn default() -> Self {
        Self {
            namespace: "ringside-system".into(),
            image: crate::settings::Settings::default().image,
            replicas: 2,
            certificates: Certificates::SelfManaged,
            kubernetes: None,
            seccomp: None,
        }
    }
}

/// All objects, in an order in which they can be created.
pub fn objects(install: &Install) -> Vec<Value> {
    let mut objects = vec![namespace(install)];
    objects.extend(rights::objects(install));
    objects.extend(deployment::objects(install));
    objects.extend(webhook::objects(install));
    objects
}

/// Metadata of an object that is in the namespace.
fn metadata(install: &Install, name: &str) -> Value {
    json!({"name": name, "namespace": install.namespace, "labels": labels()})
}

/// Metadata of an object that is in none.
fn cluster_metadata(name: &str) -> Value {
    json!({"name": name, "labels": labels()})
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": NAME})
}

fn namespace(install: &Install) -> Value {
    let mut metadata = cluster_metadata(&install.namespace);
    metadata["labels"]["pod-security.kubernetes.io/enforce"] = "restricted".into();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
}

#[cfg(test)]
mod tests;
