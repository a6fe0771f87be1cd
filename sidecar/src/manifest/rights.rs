//! Who the webhook is, and what it may do.

use serde_json::{Value, json};

use super::{Certificates, Install, NAME, SECRET, cluster_metadata, metadata};

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// The account; with a self-managed certificate also its Secret and the right to it.
pub(super) fn objects(install: &Install) -> Vec<Value> {
    let is_self_managed = install.certificates == Certificates::SelfManaged;
    let mut objects = vec![json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(install, NAME),
        "automountServiceAccountToken": is_self_managed,
    })];
    if is_self_managed {
        objects.extend(certificate(install));
    }
    objects
}

/// The Secret is made empty here, so that the webhook needs no right to make Secrets, which cannot be bounded to a name.
fn certificate(install: &Install) -> [Value; 5] {
    let subject = json!([{"kind": "ServiceAccount", "name": NAME, "namespace": install.namespace}]);
    let role = |kind: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": NAME});
    [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(install, SECRET), "type": "Opaque"}),
        json!({
            "apiVersion": RBAC, "kind": "Role", "metadata": metadata(install, NAME),
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [SECRET], "verbs": ["get", "update"]}],
        }),
        json!({
            "apiVersion": RBAC, "kind": "RoleBinding", "metadata": metadata(install, NAME),
            "roleRef": role("Role"), "subjects": subject,
        }),
        json!({
            "apiVersion": RBAC, "kind": "ClusterRole", "metadata": cluster_metadata(NAME),
            "rules": [{
                "apiGroups": ["admissionregistration.k8s.io"],
                "resources": ["mutatingwebhookconfigurations"],
                "resourceNames": [NAME],
                "verbs": ["get", "patch"],
            }],
        }),
        json!({
            "apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": cluster_metadata(NAME),
            "roleRef": role("ClusterRole"), "subjects": subject,
        }),
    ]
}
