//! What tells the API server of the webhook.

use serde_json::{Value, json};

use super::{Certificates, Install, NAME, SECRET, cluster_metadata, metadata};
use crate::annotation::INJECT;

/// The configuration, and what cert-manager needs to make a certificate.
pub(super) fn objects(install: &Install) -> Vec<Value> {
    let mut metadata = cluster_metadata(NAME);
    let mut objects = Vec::new();
    if install.certificates == Certificates::CertManager {
        metadata["annotations"] = json!({"cert-manager.io/inject-ca-from": format!("{}/{NAME}", install.namespace)});
        objects.extend(certificate(install));
    }
    objects.push(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": metadata,
        "webhooks": [{
            "name": "inject.ringside.dev",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": NAME, "namespace": install.namespace, "path": "/inject", "port": 443}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced"}],
            "objectSelector": {"matchLabels": {INJECT: "enabled"}},
            // The cluster's own pods, and the webhook's, must start without it.
            "namespaceSelector": {"matchExpressions": [{
                "key": "kubernetes.io/metadata.name",
                "operator": "NotIn",
                "values": ["kube-system", "kube-node-lease", "kube-public", install.namespace],
            }]},
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
            // Another webhook may add what has to be seen, such as an annotation.
            "reinvocationPolicy": "IfNeeded",
            "sideEffects": "None",
            "timeoutSeconds": 5,
        }],
    }));
    objects
}

fn certificate(install: &Install) -> [Value; 2] {
    let names = ["svc", "svc.cluster.local"].map(|domain| format!("{NAME}.{}.{domain}", install.namespace));
    [
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": metadata(install, NAME),
            "spec": {"selfSigned": {}},
        }),
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": metadata(install, NAME),
            "spec": {
                "secretName": SECRET,
                "dnsNames": names,
                "issuerRef": {"kind": "Issuer", "name": NAME},
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            },
        }),
    ]
}
