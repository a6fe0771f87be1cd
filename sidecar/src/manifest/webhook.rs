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

/// An authority that stays, and a certificate that is renewed under it, so that a renewal changes nothing that the API server
/// has to be told.
fn certificate(install: &Install) -> [Value; 4] {
    let names = ["svc", "svc.cluster.local"].map(|domain| format!("{NAME}.{}.{domain}", install.namespace));
    let authority = format!("{NAME}-ca");
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata(install, name), "spec": spec});
    let key = |rotation: &str| json!({"algorithm": "ECDSA", "size": 256, "rotationPolicy": rotation});
    [
        object("Issuer", &authority, json!({"selfSigned": {}})),
        object(
            "Certificate",
            &authority,
            json!({
                "isCA": true,
                "commonName": authority,
                "secretName": authority,
                "duration": "87600h",
                "issuerRef": {"kind": "Issuer", "name": authority},
                "privateKey": key("Never"),
            }),
        ),
        object("Issuer", NAME, json!({"ca": {"secretName": authority}})),
        object(
            "Certificate",
            NAME,
            json!({
                "secretName": SECRET,
                "dnsNames": names,
                "issuerRef": {"kind": "Issuer", "name": NAME},
                "privateKey": key("Always"),
            }),
        ),
    ]
}
