//! The sidecar's container.

use serde_json::{Value, json};

use super::edit;
use crate::pod::Pod;
use crate::problem::Problem;
use crate::settings::Seccomp;
use crate::sidecar::{CONFIG_DIRECTORY, HEALTH_PORT, NAME, USER};
use crate::wish::{Form, Listens, Variable, Wish};

/// Puts the sidecar into `template`: before all others, or behind them, where it does not become the container that
/// `kubectl logs` takes.
pub(super) fn add(template: &mut Value, pod: &Pod<'_>, wish: &mut Wish<'_>, mounts: Vec<Value>) {
    let container = container(pod, wish, mounts);
    let spec = &mut template["spec"];
    match wish.form {
        Form::Native => edit::list(spec, "initContainers").insert(0, container),
        Form::Classic => edit::list(spec, "containers").push(container),
    }
}

pub(super) fn remove(template: &mut Value) {
    for list in ["initContainers", "containers"] {
        edit::shrink(&mut template["spec"], list, |container| !edit::is_named(container, NAME));
    }
}

fn container(pod: &Pod<'_>, wish: &mut Wish<'_>, mounts: Vec<Value>) -> Value {
    let mut args = vec!["run".to_owned()];
    if wish.config_map.is_some() {
        args.push(format!("--config={CONFIG_DIRECTORY}/ringside.toml"));
    }
    let mut container = json!({"name": NAME, "image": wish.image});
    if let Some(policy) = wish.pull_policy {
        container["imagePullPolicy"] = policy.into();
    }
    container["args"] = args.into();
    if wish.form == Form::Native {
        container["restartPolicy"] = "Always".into();
    }
    container["ports"] = json!([{"name": "ringside-health", "containerPort": HEALTH_PORT}]);
    container["env"] = env(wish);
    // Long enough for a node that is busy starting pods; the app waits for it.
    container["startupProbe"] =
        json!({"httpGet": {"path": "/livez", "port": HEALTH_PORT}, "periodSeconds": 1, "failureThreshold": 60});
    container["readinessProbe"] = json!({"httpGet": {"path": "/readyz", "port": HEALTH_PORT}, "periodSeconds": 5});
    // Without --wait: the sidecar ends when it has drained, and would take a hook with it that waits inside of it.
    container["lifecycle"] = json!({"preStop": {"exec": {"command": ["/usr/local/bin/ringside", "drain"]}}});
    container["resources"] = resources(wish);
    container["securityContext"] = security(pod, wish);
    container["volumeMounts"] = mounts.into();
    container
}

/// The configuration, and who the pod is, for traces, metrics and logs.
fn env(wish: &Wish<'_>) -> Value {
    let plain = wish.variables.iter().map(|Variable { name, value }| json!({"name": name, "value": value}));
    let fields = [
        ("POD_NAME", "metadata.name"),
        ("POD_NAMESPACE", "metadata.namespace"),
        ("POD_UID", "metadata.uid"),
        ("NODE_NAME", "spec.nodeName"),
    ];
    let fields = fields.map(|(name, field)| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}}));
    let own = json!({"name": "CONTAINER_NAME", "value": NAME});
    plain.chain(fields).chain([own]).collect()
}

/// Requests, so that the scheduler knows; no CPU limit, which would stall frames in the middle of a period.
fn resources(wish: &Wish<'_>) -> Value {
    let [cpu, memory] = wish.requests;
    let mut resources = json!({"requests": {"cpu": cpu, "memory": memory}});
    if let Some(limit) = wish.memory_limit {
        resources["limits"] = json!({"memory": limit});
    }
    resources
}

fn security(pod: &Pod<'_>, wish: &mut Wish<'_>) -> Value {
    let profile = match &wish.seccomp {
        Seccomp::RuntimeDefault => json!({"type": "RuntimeDefault"}),
        Seccomp::Localhost(file) => json!({"type": "Localhost", "localhostProfile": file}),
    };
    let user = user(pod, wish);
    json!({
        "runAsNonRoot": true,
        "runAsUser": user,
        "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": profile,
    })
}

/// Who connects to a Unix socket needs the right to write to it, which its owner has.
fn user(pod: &Pod<'_>, wish: &mut Wish<'_>) -> u64 {
    let Listens::Socket { path, .. } = wish.listens else { return USER };
    match pod.containers[wish.app].user().or(pod.user) {
        Some(user) if user > 0 => user,
        known => {
            let who = if known.is_some() { "root" } else { "a user that the manifest does not name" };
            wish.warnings.push(Problem::new(
                format!("spec.containers[{}].securityContext.runAsUser", wish.app),
                format!("the app runs as {who}, the sidecar as {USER}"),
                format!("let the app make {path} writable for others (mode 0666), or name its user here"),
            ));
            USER
        }
    }
}
