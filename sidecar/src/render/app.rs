//! The app's container: its port's number, its probes, its preStop hook; and the pod's grace period.

use serde_json::{Value, json};

use super::edit;
use super::probes::{Changed, HANDLERS};
use super::status::{Moved, Status};
use crate::pod::Pod;
use crate::problem::Problem;
use crate::settings::{Minor, Settings};
use crate::wish::{Listens, Wish};

/// Changes the app's container as `wish` says.
pub(super) fn edit(
    template: &mut Value,
    pod: &Pod<'_>,
    wish: &mut Wish<'_>,
    settings: &Settings,
    probes: Vec<Changed>,
    status: &mut Status,
) {
    let app = &mut template["spec"]["containers"][wish.app];
    move_port(app, wish, status);
    for Changed { probe, was, is } in probes {
        replace(&mut app[probe], was.keys().next().map(String::as_str), is);
        status.probes.insert(probe.into(), was);
    }
    pre_stop(app, wish, settings, status);
    let was = template["spec"].get("terminationGracePeriodSeconds").and_then(Value::as_u64);
    let grace = pod.grace.saturating_add(wish.stays());
    template["spec"]["terminationGracePeriodSeconds"] = grace.into();
    status.grace = Some((was, grace));
}

/// The declared port keeps its name and gets the sidecar's number, so that a Service that names it leads to the sidecar.
/// A port of a native sidecar has no name that Services know before Kubernetes 1.32.
fn move_port(app: &mut Value, wish: &mut Wish<'_>, status: &mut Status) {
    let Listens::Port(was) = wish.listens else { return };
    let Some(ports) = app.get_mut("ports").and_then(Value::as_array_mut) else { return };
    let Some(at) = ports.iter().position(|port| port["containerPort"].as_u64() == Some(was.into())) else { return };
    let name = ports[at].get("name").and_then(Value::as_str).map(String::from);
    if name.is_none() {
        wish.warnings.push(Problem::new(
            format!("spec.containers[{}].ports[{at}]", wish.app),
            format!("has no name: a Service with targetPort {was} still leads to the app, past the sidecar"),
            format!("give it a name that the Service's targetPort uses, or set targetPort: {}", wish.port),
        ));
    }
    ports[at]["containerPort"] = wish.port.into();
    status.port = Some(Moved { name, was, is: wish.port });
}

fn replace(probe: &mut Value, was: Option<&str>, is: serde_json::Map<String, Value>) {
    let Some(map) = probe.as_object_mut() else { return };
    if let Some(was) = was {
        map.shift_remove(was);
    }
    // The handler stands first, as people write it.
    let rest = std::mem::replace(map, is);
    map.extend(rest);
}

/// Keeps the app's SIGTERM until its clients are gone.
fn pre_stop(app: &mut Value, wish: &mut Wish<'_>, settings: &Settings, status: &mut Status) {
    let stays = wish.stays();
    if app["lifecycle"].get("preStop").is_some() {
        wish.warnings.push(Problem::new(
            format!("spec.containers[{}].lifecycle.preStop", wish.app),
            "is the app's own and is kept",
            format!("let it take at least {stays} s, or clients may see the app go before their Close"),
        ));
        return;
    }
    let hook = if settings.kubernetes >= Minor::SLEEP {
        json!({"sleep": {"seconds": stays}})
    } else {
        wish.warnings.push(Problem::new(
            format!("spec.containers[{}].lifecycle.preStop", wish.app),
            format!(
                "runs `sleep` in the app's image, since Kubernetes {} has no hook that sleeps by itself",
                settings.kubernetes
            ),
            "see that the image has it, or give the app a preStop of its own",
        ));
        json!({"exec": {"command": ["sleep", stays.to_string()]}})
    };
    edit::map(app, "lifecycle")["preStop"] = hook;
    status.pre_stop = true;
}

/// Puts all of it back.
pub(super) fn restore(template: &mut Value, status: &Status) {
    if let Some(Value::Array(containers)) = template["spec"].get_mut("containers")
        && let Some(app) = containers.iter_mut().find(|container| edit::is_named(container, &status.app))
    {
        if let (Some(Moved { name, was, is }), Some(Value::Array(ports))) = (&status.port, app.get_mut("ports")) {
            let is_it = |port: &&mut Value| {
                port["containerPort"].as_u64() == Some((*is).into())
                    && port.get("name").and_then(Value::as_str) == name.as_deref()
            };
            if let Some(port) = ports.iter_mut().find(is_it) {
                port["containerPort"] = (*was).into();
            }
        }
        for (probe, was) in &status.probes {
            if let Some(probe) = app.get_mut(probe) {
                let is = HANDLERS.into_iter().find(|kind| probe.get(kind).is_some());
                replace(probe, is, was.clone());
            }
        }
        if status.pre_stop {
            edit::drop_member(app, "lifecycle", "preStop");
        }
    }
    let Some((was, is)) = status.grace else { return };
    let Some(spec) = template["spec"].as_object_mut() else { return };
    if spec.get("terminationGracePeriodSeconds").and_then(Value::as_u64) == Some(is) {
        match was {
            Some(was) => _ = spec.insert("terminationGracePeriodSeconds".into(), was.into()),
            None => _ = spec.shift_remove("terminationGracePeriodSeconds"),
        }
    }
}
