//! The injection without a webhook: a `MutatingAdmissionPolicy` (KEP-3962), which the API server runs by itself.
//!
//! It is made of what [`crate::render::inject`] makes of the plainest pod, so that it injects what the webhook injects where
//! no annotation says anything. CEL cannot read annotations as the injector does: a pod with any is refused by the
//! `ValidatingAdmissionPolicy` that comes with it, as is every pod that asked for a sidecar and has none. Probes stay with
//! kubelet, which reaches the app on the pod's address.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{NAME, cluster_metadata};
use crate::annotation::{INJECT, PREFIX, STATUS};
use crate::problem::Problem;
use crate::render;
use crate::settings::{Minor, Settings};
use crate::sidecar;

/// The first version whose API has the policy at all (beta), and the one where it is stable.
pub const BETA: Minor = Minor(34);
const STABLE: Minor = Minor(36);

/// Stands for the app's port in what is rendered; nobody may listen on it.
const PORT: u16 = 1;

/// Fields that are maps, where all others are messages with named fields.
const MAPS: [&str; 2] = ["requests", "limits"];

/// Policies and their bindings.
///
/// # Errors
/// On a version without them.
pub fn objects(settings: &Settings) -> Result<Vec<Value>, Problem> {
    if settings.kubernetes < BETA {
        let what = format!("Kubernetes {} has no MutatingAdmissionPolicy", settings.kubernetes);
        return Err(Problem::new("--kubernetes", what, format!("write {BETA} or newer, or install the webhook")));
    }
    let mut pod = plainest();
    render::inject(&mut pod, settings).map_err(|problems| {
        problems.into_iter().next().unwrap_or_else(|| Problem::new("", "cannot be rendered", "report this"))
    })?;
    let version = if settings.kubernetes >= STABLE { "v1" } else { "v1beta1" };
    let version = format!("admissionregistration.k8s.io/{version}");
    let binding = |kind: &str, version: &str| {
        json!({
            "apiVersion": version, "kind": format!("{kind}Binding"), "metadata": cluster_metadata(NAME),
            "spec": {"policyName": NAME},
        })
    };
    let stable = "admissionregistration.k8s.io/v1";
    let mut validating = binding("ValidatingAdmissionPolicy", stable);
    validating["spec"]["validationActions"] = json!(["Deny"]);
    Ok(vec![
        mutating(&version, &pod),
        binding("MutatingAdmissionPolicy", &version),
        json!({
            "apiVersion": stable, "kind": "ValidatingAdmissionPolicy", "metadata": cluster_metadata(NAME),
            "spec": {"failurePolicy": "Fail", "matchConstraints": constraints(), "validations": [{
                "expression": "has(object.spec.initContainers) && object.spec.initContainers.exists(c, c.name == 'ringside')",
                "message": format!(
                    "{INJECT} is enabled, and the pod has no sidecar: its first container declares no port, it has its node's \
                     network, or it has annotations of {PREFIX}, which only the webhook reads"
                ),
            }]},
        }),
        validating,
    ])
}

fn plainest() -> Value {
    let container = json!({"name": "app", "ports": [{"name": "app", "containerPort": PORT}]});
    json!({"metadata": {}, "spec": {"containers": [container]}})
}

fn constraints() -> Value {
    json!({
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "objectSelector": {"matchLabels": {INJECT: "enabled"}},
        "namespaceSelector": {"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]},
        ]},
    })
}

fn mutating(version: &str, pod: &Value) -> Value {
    json!({
        "apiVersion": version, "kind": "MutatingAdmissionPolicy", "metadata": cluster_metadata(NAME),
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": constraints(),
            "matchConditions": conditions(),
            "variables": [
                {"name": "port", "expression": "object.spec.containers[0].ports[0].containerPort"},
                {"name": "grace", "expression": "has(object.spec.terminationGracePeriodSeconds) ? object.spec.terminationGracePeriodSeconds : 30"},
            ],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch(pod)}}],
        },
    })
}

fn conditions() -> Value {
    let none = format!(
        "!has(object.metadata.annotations) || !object.metadata.annotations.exists(name, name.startsWith('{PREFIX}'))"
    );
    json!([
        {"name": "no-annotations", "expression": none},
        {"name": "own-network", "expression": "!has(object.spec.hostNetwork) || !object.spec.hostNetwork"},
        {"name": "declares-a-port", "expression": "has(object.spec.containers[0].ports) && size(object.spec.containers[0].ports) > 0"},
        {"name": "has-none", "expression": "!has(object.spec.initContainers) || !object.spec.initContainers.exists(c, c.name == 'ringside')"},
    ])
}

/// The patch as a CEL expression: a list of lists, each by what is there already.
fn patch(pod: &Value) -> String {
    let spec = &pod["spec"];
    let sidecar = cel(&spec["initContainers"][0], "Object.spec.initContainers");
    let volumes = spec["volumes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let app = &spec["containers"][0];
    let stays = app["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or_default();
    let hook = cel(&app["lifecycle"]["preStop"], "Object.spec.containers.lifecycle.preStop");
    let all = cel(&app["lifecycle"], "Object.spec.containers.lifecycle");
    let clients = &app["ports"][0]["containerPort"];
    let mut parts = vec![either(
        "object.spec.initContainers",
        &[("/spec/initContainers/0", sidecar.clone())],
        ("/spec/initContainers", &format!("[{sidecar}]")),
    )];
    let volumes: Vec<_> = volumes.iter().map(|volume| cel(volume, "Object.spec.volumes")).collect();
    let added: Vec<_> = volumes.iter().map(|volume| ("/spec/volumes/-", volume.clone())).collect();
    parts.push(either("object.spec.volumes", &added, ("/spec/volumes", &format!("[{}]", volumes.join(", ")))));
    parts.push(format!(
        "!has(object.spec.containers[0].lifecycle) ? [{}] : !has(object.spec.containers[0].lifecycle.preStop) ? [{}] : []",
        add("/spec/containers/0/lifecycle", &all),
        add("/spec/containers/0/lifecycle/preStop", &hook),
    ));
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        parts.extend(["httpGet", "tcpSocket"].map(|kind| by_number(probe, kind)));
    }
    parts.push(format!(
        "[{}, {}]",
        add("/spec/containers/0/ports/0/containerPort", &clients.to_string()),
        add("/spec/terminationGracePeriodSeconds", &format!("variables.grace + {stays}")),
    ));
    parts.push(either(
        "object.metadata.annotations",
        &[(&format!("/metadata/annotations/{}", STATUS.replace('/', "~1")), status())],
        ("/metadata/annotations", &format!("{{{}: {}}}", text(STATUS), status())),
    ));
    let parts: Vec<_> = parts.into_iter().map(|part| format!("({part})")).collect();
    parts.join(" +\n")
}

/// A probe's named port is the sidecar's now: its number stays the app's.
fn by_number(probe: &str, kind: &str) -> String {
    let (app, at) = ("object.spec.containers[0]", format!("object.spec.containers[0].{probe}.{kind}.port"));
    format!(
        "has({app}.{probe}) && has({app}.{probe}.{kind}) && has({app}.ports[0].name) && string({at}) == {app}.ports[0].name ? [{}] : []",
        add(&format!("/spec/containers/0/{probe}/{kind}/port"), "variables.port"),
    )
}

/// The additions for a list that is there, else the one that makes it.
fn either(list: &str, there: &[(&str, String)], absent: (&str, &str)) -> String {
    let there: Vec<_> = there.iter().map(|(path, value)| add(path, value)).collect();
    format!("has({list}) ? [{}] : [{}]", there.join(", "), add(absent.0, absent.1))
}

fn add(path: &str, value: &str) -> String {
    format!("JSONPatch{{op: \"add\", path: {}, value: {value}}}", text(path))
}

/// What was injected, as far as it can be said: nobody takes a sidecar out of a pod that runs.
fn status() -> String {
    text(&json!({"version": env!("CARGO_PKG_VERSION"), "form": "policy", "container": sidecar::NAME}).to_string())
}

/// `value` in CEL, where `of` is its type.
fn cel(value: &Value, of: &str) -> String {
    match value {
        Value::Object(map) => {
            let is_map = MAPS.iter().any(|name| of.ends_with(&format!(".{name}")));
            let mut out = String::from(if is_map { "" } else { of });
            out.push('{');
            for (n, (key, value)) in map.iter().enumerate() {
                let (comma, name) = (if n > 0 { ", " } else { "" }, if is_map { text(key) } else { key.clone() });
                let _ = write!(out, "{comma}{name}: {}", cel(value, &format!("{of}.{key}")));
            }
            out.push('}');
            out
        }
        Value::Array(list) => {
            let list: Vec<_> = list.iter().map(|value| cel(value, of)).collect();
            format!("[{}]", list.join(", "))
        }
        Value::String(string) if string == &format!("127.0.0.1:{PORT}") => {
            "'127.0.0.1:' + string(variables.port)".into()
        }
        Value::String(string) => text(string),
        other => other.to_string(),
    }
}

/// A text in CEL, whose escapes are JSON's.
fn text(string: &str) -> String {
    Value::from(string).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{cel, objects};
    use crate::settings::{Minor, Settings};

    fn policies(minor: u8) -> Vec<Value> {
        objects(&Settings { kubernetes: Minor(minor), ..Settings::default() }).unwrap()
    }

    #[test]
    fn values_are_messages_of_their_fields_and_maps_of_their_keys() {
        let value = json!({"name": "a", "resources": {"requests": {"cpu": "50m"}}, "args": ["\"x\""], "ok": true});
        let expected = r#"O{name: "a", resources: O.resources{requests: {"cpu": "50m"}}, args: ["\"x\""], ok: true}"#;
        assert_eq!(cel(&value, "O"), expected);
        assert_eq!(cel(&json!("127.0.0.1:1"), "O"), "'127.0.0.1:' + string(variables.port)");
    }

    #[test]
    fn the_sidecar_is_the_injectors() {
        let policies = policies(36);
        let patch = policies[0]["spec"]["mutations"][0]["jsonPatch"]["expression"].as_str().unwrap();
        for part in [
            r#"{name: "RINGSIDE_APP_ADDRESS", value: '127.0.0.1:' + string(variables.port)}"#,
            r#"Object.spec.initContainers.startupProbe.httpGet{path: "/livez", port: 9902}"#,
            "value: variables.grace + 16}",
            "{seconds: 16}",
        ] {
            assert!(patch.contains(part), "{part} is not in\n{patch}");
        }
        let pairs = [('(', ')'), ('[', ']'), ('{', '}')];
        assert!(pairs.iter().all(|(open, close)| patch.matches(*open).count() == patch.matches(*close).count()));
    }

    #[test]
    fn versions_have_what_their_api_has() {
        assert_eq!(policies(34)[0]["apiVersion"], "admissionregistration.k8s.io/v1beta1");
        assert_eq!(policies(36)[0]["apiVersion"], "admissionregistration.k8s.io/v1");
        let problem = objects(&Settings { kubernetes: Minor(33), ..Settings::default() }).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "--kubernetes: Kubernetes 1.33 has no MutatingAdmissionPolicy; write 1.34 or newer, or install the webhook"
        );
    }
}
