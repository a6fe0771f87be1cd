//! Services of the same stream that lead past a sidecar: they name a port by the number that the app has.

use serde_json::Value;

use super::namespace;
use crate::problem::Problem;
use crate::render::status::Moved;

/// Pods whose port is the sidecar's now.
pub(super) struct Target {
    pub(super) namespace: Option<String>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) port: Moved,
}

/// What is to be known of `object`, if it is such a Service, or has some.
pub(super) fn past(object: &Value, targets: &[Target]) -> Vec<Problem> {
    if let Some(items) = object["items"].as_array() {
        let below =
            |(n, item)| past(item, targets).into_iter().map(move |problem| problem.below(&format!("items[{n}]")));
        return items.iter().enumerate().flat_map(below).collect();
    }
    if object["kind"] != "Service" || object["apiVersion"] != "v1" {
        return Vec::new();
    }
    let leads = targets.iter().filter(|target| is_selected(object, target));
    leads.filter_map(|target| port(object, &target.port)).collect()
}

fn is_selected(service: &Value, target: &Target) -> bool {
    let Some(selector) = service["spec"]["selector"].as_object() else { return false };
    let has = |(name, value): (&String, &Value)| {
        target.labels.iter().any(|(known, is)| known == name && value == is.as_str())
    };
    !selector.is_empty() && namespace(service) == target.namespace && selector.iter().all(has)
}

fn port(service: &Value, port: &Moved) -> Option<Problem> {
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let leads = |entry: &Value| {
        let target = entry.get("targetPort").unwrap_or(&entry["port"]);
        target.as_u64() == Some(port.was.into())
    };
    let (write, was) = (port.name.clone().unwrap_or_else(|| port.is.to_string()), port.was);
    ports.iter().any(leads).then(|| {
        Problem::new(
            "spec.ports",
            format!("of Service {name} lead to {was}, past the sidecar"),
            format!("write targetPort: {write}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Target, past};
    use crate::render::status::Moved;

    fn service(selector: &Value, port: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": selector, "ports": [port]}})
    }

    #[test]
    fn a_number_leads_past_and_a_name_does_not() {
        let labels = vec![("app".into(), "chat".into()), ("tier".into(), "web".into())];
        let port = Moved { name: Some("ws".into()), was: 3000, is: 8443 };
        let targets = [Target { namespace: None, labels, port }];
        let told = past(&service(&json!({"app": "chat"}), &json!({"port": 443, "targetPort": 3000})), &targets);
        assert_eq!(
            told[0].to_string(),
            "spec.ports: of Service s lead to 3000, past the sidecar; write targetPort: ws"
        );
        assert_eq!(past(&service(&json!({"app": "chat"}), &json!({"port": 3000})), &targets).len(), 1);
        for (selector, port) in [
            (json!({"app": "chat"}), json!({"port": 443, "targetPort": "ws"})),
            (json!({"app": "other"}), json!({"port": 3000})),
            (json!({"app": "chat", "x": "y"}), json!({"port": 3000})),
            (json!({}), json!({"port": 3000})),
        ] {
            assert!(past(&service(&selector, &port), &targets).is_empty(), "{selector}");
        }
        let list = json!({"kind": "List", "items": [{}, service(&json!({"tier": "web"}), &json!({"port": 3000}))]});
        assert_eq!(past(&list, &targets)[0].path, "items[1].spec.ports");
    }
}
