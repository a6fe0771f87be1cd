//! The webhook's pods, and the Service in front of them.

use serde_json::{Value, json};

use super::{Certificates, Install, NAME, SECRET, labels, metadata};
use crate::settings::Seccomp;

const HOOK_PORT: u16 = 8443;
const HEALTH_PORT: u16 = 8080;
const CERTIFICATE_DIRECTORY: &str = "/etc/ringside-injector/tls";

/// Service, Deployment, and a budget that keeps one of several running.
pub(super) fn objects(install: &Install) -> Vec<Value> {
    let mut objects = vec![
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata(install, NAME),
            "spec": {"selector": labels(), "ports": [{"name": "https", "port": 443, "targetPort": "https"}]},
        }),
        deployment(install),
    ];
    if install.replicas > 1 {
        objects.push(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(install, NAME),
            "spec": {"minAvailable": 1, "selector": {"matchLabels": labels()}},
        }));
    }
    objects
}

fn deployment(install: &Install) -> Value {
    let mut pod = json!({
        "serviceAccountName": NAME,
        "containers": [container(install)],
        // Not all on one node, where that can be had.
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels()},
        }],
    });
    if install.certificates == Certificates::CertManager {
        pod["volumes"] = json!([{"name": "tls", "secret": {"secretName": SECRET}}]);
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(install, NAME),
        "spec": {
            "replicas": install.replicas,
            "selector": {"matchLabels": labels()},
            "template": {"metadata": {"labels": labels()}, "spec": pod},
        },
    })
}

fn container(install: &Install) -> Value {
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "health"}, "periodSeconds": 5});
    let mut container = json!({
        "name": "injector",
        "image": install.image,
        "command": ["/usr/local/bin/ringside-injector"],
        "args": args(install),
        "ports": [{"name": "https", "containerPort": HOOK_PORT}, {"name": "health", "containerPort": HEALTH_PORT}],
        "livenessProbe": probe("/livez"),
        "readinessProbe": probe("/readyz"),
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    });
    if install.certificates == Certificates::CertManager {
        container["volumeMounts"] = json!([{"name": "tls", "mountPath": CERTIFICATE_DIRECTORY, "readOnly": true}]);
    }
    container
}

fn args(install: &Install) -> Vec<String> {
    let mut args = vec!["webhook".to_owned(), format!("--image={}", install.image)];
    if let Some(version) = install.kubernetes {
        args.push(format!("--kubernetes={version}"));
    }
    match &install.seccomp {
        Some(Seccomp::Localhost(file)) => args.push(format!("--seccomp-profile=localhost/{file}")),
        Some(Seccomp::RuntimeDefault) => args.push("--seccomp-profile=runtime-default".into()),
        None => {}
    }
    if install.certificates == Certificates::CertManager {
        args.push(format!("--certificate={CERTIFICATE_DIRECTORY}"));
    }
    args
}
