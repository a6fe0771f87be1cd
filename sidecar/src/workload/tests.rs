use serde_json::{Value, json};

use super::{Done, Skip, Task, apply};
use crate::settings::Settings;

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "chat"},
        "spec": {"template": {"spec": {"containers": [{"name": "chat", "ports": [{"containerPort": 3000}]}]}}},
    })
}

fn done(object: &mut Value) -> Result<Done, String> {
    let settings = Settings::default();
    let mut outcomes = apply(object, Task::Inject(&settings));
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0).result.map_err(|problems| problems[0].to_string())
}

#[test]
fn opting_out_wins_wherever_it_stands() {
    for (place, kind) in [
        ("/metadata", "labels"),
        ("/metadata", "annotations"),
        ("/spec/template/metadata", "labels"),
        ("/spec/template/metadata", "annotations"),
    ] {
        let mut object = deployment();
        object["spec"]["template"]["metadata"] = json!({"labels": {"ringside.dev/inject": "enabled"}});
        object.pointer_mut(place).unwrap()[kind]["ringside.dev/inject"] = json!("disabled");
        let before = object.clone();
        assert_eq!(done(&mut object), Ok(Done::Skipped(Skip::OptedOut)), "{place} {kind}");
        assert_eq!(object, before);
    }
}

#[test]
fn another_groups_deployment_is_none_of_ours() {
    let mut object = deployment();
    object["apiVersion"] = json!("example.com/v1");
    assert_eq!(done(&mut object), Ok(Done::Skipped(Skip::NoPods)));
}

#[test]
fn what_is_wrong_has_its_whole_path() {
    let mut list = json!({"apiVersion": "v1", "kind": "List", "items": [deployment()]});
    list["items"][0]["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = json!("3000");
    let told = done(&mut list).unwrap_err();
    assert!(told.starts_with("items[0].spec.template.spec.containers[0].ports[0].containerPort: is no port"), "{told}");
    for (pointer, value, told) in [
        ("/spec/template", json!(null), "spec.template.spec: is missing"),
        ("/spec/template/spec", json!([]), "spec.template.spec: is a list; write a map"),
        ("/spec/template/spec/containers", json!({}), "spec.template.spec.containers: is a map; write a list"),
        ("/spec/template/spec/containers", json!([]), "spec.template.spec.containers: is empty"),
        ("/spec/template/spec/containers/0", json!("x"), "spec.template.spec.containers[0]: is a text; write a map"),
        ("/spec/template/spec/containers/0/name", json!(1), "spec.template.spec.containers[0].name: is missing"),
        (
            "/spec/template/spec/containers/0/lifecycle",
            json!(1),
            "spec.template.spec.containers[0].lifecycle: is a number",
        ),
        (
            "/spec/template/metadata",
            json!({"annotations": {"a": 1}}),
            "spec.template.metadata.annotations[\"a\"]: is a number; write a text, in quotes",
        ),
        (
            "/spec/template/metadata",
            json!({"labels": {"ringside.dev/inject": "yes"}}),
            "spec.template.metadata.labels[\"ringside.dev/inject\"]: is \"yes\"; write enabled or disabled",
        ),
        ("/kind", json!(null), "kind: is missing"),
        ("/apiVersion", json!(null), "apiVersion: is missing; write the version that the cluster has of a Deployment"),
    ] {
        let mut object = deployment();
        object["spec"]["template"]["metadata"] = json!({});
        if pointer.ends_with("lifecycle") {
            object["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = json!(null);
        }
        *object.pointer_mut(pointer).unwrap() = value;
        let before = object.clone();
        let is = done(&mut object).unwrap_err();
        assert!(is.starts_with(told), "{pointer}: {is}");
        assert_eq!(object, before);
    }
}

#[test]
fn a_job_gets_no_sidecar_that_would_keep_it_alive() {
    let mut object = deployment();
    (object["apiVersion"], object["kind"]) = (json!("batch/v1"), json!("Job"));
    assert!(matches!(done(&mut object.clone()), Ok(Done::Injected(_))));
    object["spec"]["template"]["metadata"] = json!({"annotations": {"ringside.dev/form": "classic"}});
    assert!(done(&mut object).unwrap_err().contains("never finishes"));
}

#[test]
fn windows_and_the_nodes_network_are_left_alone() {
    for (key, value, why) in
        [("hostNetwork", json!(true), Skip::HostNetwork), ("os", json!({"name": "windows"}), Skip::Windows)]
    {
        let mut object = deployment();
        object["spec"]["template"]["spec"][key] = value;
        assert_eq!(done(&mut object), Ok(Done::Skipped(why)));
    }
}
