//! Volumes: certificate, keys, configuration, and the directory of a Unix socket.

use serde_json::{Value, json};

use super::edit;
use super::status::Status;
use crate::sidecar::{CONFIG_DIRECTORY, JWKS_DIRECTORY, SECRET_DIRECTORY, TLS_DIRECTORY};
use crate::wish::{Listens, Wish};

/// The volume of the app's socket.
const SOCKET: &str = "ringside-app";

/// Adds the volumes; returns how the sidecar mounts them.
pub(super) fn add(template: &mut Value, wish: &Wish<'_>, status: &mut Status) -> Vec<Value> {
    let mut mounts = Vec::new();
    let files = [
        ("ringside-tls", TLS_DIRECTORY, wish.tls.map(|name| ("secret", json!({"secretName": name})))),
        ("ringside-jwks", JWKS_DIRECTORY, wish.jwks.map(|name| ("configMap", json!({"name": name})))),
        ("ringside-config", CONFIG_DIRECTORY, wish.config_map.map(|name| ("configMap", json!({"name": name})))),
        ("ringside-secret", SECRET_DIRECTORY, wish.secret.map(|name| ("secret", json!({"secretName": name})))),
    ];
    let volumes = edit::list(&mut template["spec"], "volumes");
    for (name, directory, source) in files {
        let Some((kind, source)) = source else { continue };
        volumes.push(json!({"name": name, kind: source}));
        mounts.push(json!({"name": name, "mountPath": directory, "readOnly": true}));
        status.volumes.push(name.into());
    }
    if let Listens::Socket { directory, .. } = wish.listens {
        mounts.push(share(template, wish.app, directory, status));
    }
    edit::shrink(&mut template["spec"], "volumes", |_| true);
    mounts
}

/// The mount of the socket's directory: the one that the app has there, or a new one for both.
fn share(template: &mut Value, app: usize, directory: &str, status: &mut Status) -> Value {
    let app = &mut template["spec"]["containers"][app];
    let mounts = edit::list(app, "volumeMounts");
    let is_there =
        |mount: &&Value| mount["mountPath"].as_str().is_some_and(|path| path.trim_end_matches('/') == directory);
    if let Some(mount) = mounts.iter().find(is_there).cloned() {
        return mount;
    }
    let mount = json!({"name": SOCKET, "mountPath": directory});
    mounts.push(mount.clone());
    edit::list(&mut template["spec"], "volumes").push(json!({"name": SOCKET, "emptyDir": {}}));
    status.volumes.push(SOCKET.into());
    mount
}

pub(super) fn remove(template: &mut Value, status: &Status) {
    let is_ours = |value: &Value| status.volumes.iter().any(|name| edit::is_named(value, name));
    edit::shrink(&mut template["spec"], "volumes", |volume| !is_ours(volume));
    if let Some(Value::Array(containers)) = template["spec"].get_mut("containers") {
        for container in containers {
            edit::shrink(container, "volumeMounts", |mount| !is_ours(mount));
        }
    }
}
