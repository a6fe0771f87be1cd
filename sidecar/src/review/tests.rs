use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Decision, ReviewError, answer, patch};
use crate::settings::Settings;

fn review(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "dryRun": false,
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "generateName": "chat-5d9c-",
                    "labels": {"ringside.dev/inject": "enabled"},
                    "ownerReferences": [{"kind": "ReplicaSet", "name": "chat-5d9c"}],
                },
                "spec": {"containers": [{"name": "chat", "ports": [{"name": "ws", "containerPort": 3000}]}]},
            },
        },
    });
    change(&mut review);
    review.to_string().into_bytes()
}

fn response(change: impl FnOnce(&mut Value)) -> (Value, Decision) {
    let answer = answer(&review(change), &Settings::default()).unwrap();
    assert_eq!(answer.body["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    (answer.body["response"].clone(), answer.decision)
}

/// `pod` after the patch of `response`. That other programs make the same of it is seen by `tests/scripts`, with kubectl.
fn patched(pod: &Value, response: &Value) -> Value {
    let text = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    let mut pod = pod.clone();
    apply(&mut pod, &serde_json::from_slice(&text).unwrap());
    pod
}

/// RFC 6902 as far as it is used: `add` and `remove` of a member of a member.
fn apply(object: &mut Value, patch: &Value) {
    for operation in patch.as_array().unwrap() {
        let (outer, key) = operation["path"].as_str().unwrap().rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        let map = object.pointer_mut(outer).unwrap().as_object_mut().unwrap();
        match operation["op"].as_str().unwrap() {
            "add" => _ = map.insert(key, operation["value"].clone()),
            "remove" => assert!(map.remove(&key).is_some(), "{key} is not there"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn the_patch_makes_what_the_injection_makes() {
    let request: Value = serde_json::from_slice(&review(|_| {})).unwrap();
    let pod = &request["request"]["object"];
    let (response, decision) = response(|_| {});
    assert_eq!(
        (decision, &response["allowed"], &response["patchType"]),
        (Decision::Injected, &json!(true), &json!("JSONPatch"))
    );
    let mut expected = pod.clone();
    crate::workload::inject(&mut expected, &Settings::default(), false).unwrap();
    assert_eq!(patched(pod, &response), expected);
    assert_eq!(expected["spec"]["initContainers"][0]["name"], "ringside");
}

#[test]
fn whom_it_is_about_is_known() {
    let subject =
        answer(&review(|review| review["request"]["dryRun"] = json!(true)), &Settings::default()).unwrap().subject;
    assert_eq!(
        (&*subject.namespace, &*subject.pod, &*subject.owner, subject.dry_run),
        ("shop", "chat-5d9c-*", "ReplicaSet/chat-5d9c", true)
    );
}

#[test]
fn what_is_not_for_us_passes_untouched() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 6] = [
        ("not a pod", |review| {
            review["request"]["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
        }),
        ("the pod is there already", |review| review["request"]["operation"] = json!("UPDATE")),
        ("the pod is there already", |review| review["request"]["operation"] = json!("DELETE")),
        ("the pod is there already", |review| review["request"]["subResource"] = json!("ephemeralcontainers")),
        ("the label ringside.dev/inject is not enabled", |review| {
            review["request"]["object"]["metadata"]["labels"] = json!({});
        }),
        ("ringside.dev/inject is disabled", |review| {
            review["request"]["object"]["metadata"]["annotations"] = json!({"ringside.dev/inject": "disabled"});
        }),
    ];
    for (why, change) in changes {
        let (response, decision) = response(change);
        assert_eq!(decision, Decision::Skipped(why));
        assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None), "{why}");
    }
}

#[test]
fn who_asked_and_gets_none_is_told() {
    let (response, _) = response(|review| review["request"]["object"]["spec"]["hostNetwork"] = json!(true));
    assert!(response["warnings"][0].as_str().unwrap().contains("node's network"));
}

#[test]
fn a_jobs_pod_gets_no_sidecar_that_would_keep_it_alive() {
    let (response, _) = response(|review| {
        let metadata = &mut review["request"]["object"]["metadata"];
        metadata["ownerReferences"] = json!([{"kind": "Job", "name": "nightly"}]);
        metadata["annotations"] = json!({"ringside.dev/form": "classic"});
    });
    assert!(response["status"]["message"].as_str().unwrap().contains("never finishes"), "{response}");
}

#[test]
fn a_denial_names_everything() {
    let (response, decision) = response(|review| {
        review["request"]["object"]["metadata"]["annotations"] =
            json!({"ringside.dev/port": "x", "ringside.dev/limits.message": "big"});
    });
    let message = response["status"]["message"].as_str().unwrap();
    assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(422)));
    assert!(message.contains("ringside.dev/port\"]: is \"x\"; write a number from 1 to 65535"), "{message}");
    assert!(
        message.contains("ringside.dev/limits.message\"]: is \"big\"") && message.contains("sidecar/README.md"),
        "{message}"
    );
    assert!(matches!(decision, Decision::Denied(told) if told.len() == 2));
}

#[test]
fn what_is_no_review_is_told_so() {
    let settings = Settings::default();
    assert!(matches!(answer(b"", &settings), Err(ReviewError::Json(_))));
    assert!(matches!(answer(b"[]", &settings), Err(ReviewError::Version(_))));
    let old = review(|review| review["apiVersion"] = json!("admission.k8s.io/v1beta1"));
    assert!(answer(&old, &settings).unwrap_err().to_string().contains("v1beta1"));
    let nobody = review(|review| review["request"]["uid"] = json!(""));
    assert_eq!(answer(&nobody, &settings), Err(ReviewError::Uid));
}

#[test]
fn warnings_are_few_and_short() {
    let (response, _) = response(|review| {
        let app = &mut review["request"]["object"]["spec"]["containers"][0];
        app["readinessProbe"] = json!({"grpc": {"port": 3000}});
    });
    let warnings = response["warnings"].as_array().unwrap();
    assert!(!warnings.is_empty() && warnings.len() <= 8);
    assert!(warnings.iter().all(|warning| warning.as_str().unwrap().chars().count() <= 250));
}

/// Any JSON, most of it near what a pod looks like.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::sample::select(vec!["", "ws", "enabled", "disabled", "ringside", "3000", "{}", "Always"])
            .prop_map(Value::from),
    ];
    let keys = vec![
        "metadata",
        "spec",
        "containers",
        "initContainers",
        "name",
        "ports",
        "containerPort",
        "annotations",
        "labels",
        "ringside.dev/inject",
        "ringside.dev/status",
        "ringside.dev/port",
        "volumes",
        "lifecycle",
        "preStop",
        "readinessProbe",
        "httpGet",
        "port",
        "terminationGracePeriodSeconds",
        "securityContext",
        "volumeMounts",
        "env",
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(keys.clone()).prop_map(String::from), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_pod_brings_it_down(pod in anything(), into in prop::sample::select(vec!["/metadata", "/spec", "/spec/containers", "/spec/containers/0", ""])) {
        let body = review(|review| {
            let object = &mut review["request"]["object"];
            *object.pointer_mut(into).unwrap() = pod;
            if !into.is_empty() && into != "/metadata" {
                object["metadata"]["labels"] = json!({"ringside.dev/inject": "enabled"});
            }
        });
        let answer = answer(&body, &Settings::default()).unwrap();
        if answer.decision == Decision::Injected {
            let request: Value = serde_json::from_slice(&body).unwrap();
            let pod = patched(&request["request"]["object"], &answer.body["response"]);
            prop_assert_eq!(&pod["spec"]["initContainers"][0]["name"], "ringside");
        }
    }

    #[test]
    fn a_patch_makes_one_of_the_other(before in anything(), after in anything()) {
        let wrap = |value: Value| json!({"metadata": value.clone(), "spec": value});
        let (mut before, after) = (wrap(before), wrap(after));
        prop_assume!(after["spec"].is_object() || before["spec"] == after["spec"]);
        let text = Value::from(patch(&before, &after)).to_string();
        prop_assume!(before["spec"].is_object());
        apply(&mut before, &serde_json::from_str(&text).unwrap());
        prop_assert_eq!(before, after);
    }
}
