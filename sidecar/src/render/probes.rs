//! Probes of the app, which kubelet sends to the pod's address, where an app on loopback does not hear them.

use serde_json::{Map, Value, json};

use crate::pod::{Container, Pod};
use crate::problem::Problem;
use crate::sidecar::HEALTH_PORT;
use crate::wish::{Listens, Variable, Wish};

/// A probe, and what its handler becomes.
pub(super) struct Changed {
    /// `livenessProbe`.
    pub(super) probe: &'static str,
    /// The handler as it was: `httpGet` or `tcpSocket`, and what it has.
    pub(super) was: Map<String, Value>,
    /// What it is now.
    pub(super) is: Map<String, Value>,
}

/// The probes, and what they are called in `/app/NAME`.
const PROBES: [(&str, &str); 3] = [("startupProbe", "startup"), ("livenessProbe", "live"), ("readinessProbe", "ready")];

/// Handlers that ask for a port.
pub(super) const HANDLERS: [&str; 3] = ["httpGet", "tcpSocket", "grpc"];

/// What a probe asks.
struct Asked {
    probe: &'static str,
    kind: &'static str,
    handler: Map<String, Value>,
    /// The port by number.
    port: Option<u16>,
    is_named: bool,
    path: String,
}

/// Has the sidecar ask what kubelet would ask, and kubelet ask the sidecar.
pub(super) fn forward(pod: &Pod<'_>, wish: &mut Wish<'_>) -> Vec<Changed> {
    let mut targets = Map::new();
    let mut changed = Vec::new();
    for asked in asked(pod, wish) {
        let Some(target) = asked.target() else {
            if let Some(what) = asked.why_not() {
                let help =
                    "let the app listen on the pod's address for it, or use httpGet without TLS, tcpSocket or exec";
                wish.warnings.push(Problem::new(asked.path.clone(), what, help));
            }
            changed.extend(asked.by_number(wish));
            continue;
        };
        let name = PROBES.iter().find(|(probe, _)| *probe == asked.probe).map_or("ready", |(_, name)| name);
        targets.insert(name.into(), target.into());
        let mut get = json!({"path": format!("/app/{name}"), "port": HEALTH_PORT});
        if let Some(headers) = asked.handler.get("httpHeaders") {
            get["httpHeaders"] = headers.clone();
        }
        changed.push(asked.becomes("httpGet", get));
    }
    if !targets.is_empty() {
        let entries: Vec<_> = targets.iter().map(|(name, target)| format!("{name} = {target}")).collect();
        wish.variables
            .push(Variable { name: "RINGSIDE_HEALTH_APP".into(), value: format!("{{ {} }}", entries.join(", ")) });
    }
    changed
}

/// Leaves the probes to kubelet; a port that is named is written as its number, since the name is the sidecar's now.
pub(super) fn keep(pod: &Pod<'_>, wish: &mut Wish<'_>) -> Vec<Changed> {
    asked(pod, wish).into_iter().filter_map(|asked| asked.by_number(wish)).collect()
}

fn asked(pod: &Pod<'_>, wish: &Wish<'_>) -> Vec<Asked> {
    let app = &pod.containers[wish.app];
    let probes = PROBES.iter().filter_map(|(probe, _)| Some((*probe, app.value.get(*probe)?.as_object()?)));
    probes
        .filter_map(|(probe, value)| {
            let kind = HANDLERS.into_iter().find(|kind| value.contains_key(*kind))?;
            let handler = value[kind].as_object()?.clone();
            let (port, is_named) = port(app, handler.get("port")?);
            let path = format!("spec.containers[{}].{probe}.{kind}", wish.app);
            Some(Asked { probe, kind, handler, port, is_named, path })
        })
        .collect()
}

/// The number of a probe's port, and whether it is a name.
fn port(app: &Container<'_>, port: &Value) -> (Option<u16>, bool) {
    match port {
        Value::String(name) => {
            let named = app.ports.iter().find(|(known, _)| *known == Some(name.as_str())).map(|(_, number)| *number);
            (named.or_else(|| name.parse().ok()), named.is_some())
        }
        other => (other.as_u64().and_then(|number| u16::try_from(number).ok()), false),
    }
}

impl Asked {
    /// What the sidecar is to ask; `None`: it cannot.
    fn target(&self) -> Option<String> {
        let port = self.port?;
        let text = |key: &str| self.handler.get(key).and_then(Value::as_str);
        if text("host").is_some_and(|host| !host.is_empty()) {
            return None;
        }
        match self.kind {
            "tcpSocket" => Some(format!("tcp://127.0.0.1:{port}")),
            "httpGet" if text("scheme").is_none_or(|scheme| scheme == "HTTP") => {
                let path = text("path").unwrap_or("/");
                let slash = if path.starts_with('/') { "" } else { "/" };
                Some(format!("http://127.0.0.1:{port}{slash}{path}"))
            }
            _ => None,
        }
    }

    /// Why the sidecar cannot ask it, unless it need not.
    fn why_not(&self) -> Option<&'static str> {
        let has_host = self.handler.get("host").and_then(Value::as_str).is_some_and(|host| !host.is_empty());
        match self.kind {
            _ if has_host => None,
            "grpc" => {
                Some("is gRPC, which the sidecar does not ask: kubelet does, and an app on loopback does not hear it")
            }
            "httpGet" if self.port.is_some() => {
                Some("is HTTPS, which the sidecar does not ask: kubelet does, and an app on loopback does not hear it")
            }
            _ => Some("has a port that the app's container does not declare"),
        }
    }

    fn becomes(self, kind: &str, handler: Value) -> Changed {
        let one = |kind: &str, handler: Value| Map::from_iter([(kind.to_owned(), handler)]);
        Changed { probe: self.probe, is: one(kind, handler), was: one(self.kind, self.handler.into()) }
    }

    /// The same with its port's number in place of its name, if the name now is the sidecar's.
    fn by_number(self, wish: &Wish<'_>) -> Option<Changed> {
        let port = self.port.filter(|port| self.is_named && wish.listens == Listens::Port(*port))?;
        let (kind, mut handler) = (self.kind, self.handler.clone());
        handler.insert("port".into(), port.into());
        Some(self.becomes(kind, handler.into()))
    }
}
