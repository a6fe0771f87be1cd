use proptest::prelude::*;
use serde_json::{Value, json};

use super::{inject, restore};
use crate::settings::{Minor, Seccomp, Settings};

fn settings() -> Settings {
    Settings::default()
}

fn pod() -> Value {
    json!({
        "metadata": {"labels": {"app": "chat"}},
        "spec": {"containers": [{"name": "chat", "image": "chat", "ports": [{"name": "ws", "containerPort": 3000}]}]},
    })
}

fn sidecar(template: &Value) -> &Value {
    &template["spec"]["initContainers"][0]
}

fn variable<'v>(template: &'v Value, name: &str) -> Option<&'v str> {
    let env = sidecar(template)["env"].as_array().unwrap();
    env.iter().find(|variable| variable["name"] == name).map(|variable| variable["value"].as_str().unwrap())
}

#[test]
fn the_sidecar_starts_first_and_the_port_keeps_its_name() {
    let mut template = pod();
    template["spec"]["initContainers"] = json!([{"name": "migrate", "image": "m"}]);
    let injected = inject(&mut template, &settings()).unwrap();
    assert_eq!(
        (&sidecar(&template)["name"], &sidecar(&template)["restartPolicy"]),
        (&json!("ringside"), &json!("Always"))
    );
    assert_eq!(template["spec"]["initContainers"][1]["name"], "migrate");
    assert_eq!(template["spec"]["containers"][0]["ports"], json!([{"name": "ws", "containerPort": 8443}]));
    assert_eq!(variable(&template, "RINGSIDE_APP_ADDRESS"), Some("127.0.0.1:3000"));
    assert_eq!(variable(&template, "RINGSIDE_RUNTIME_ENGINE"), Some("epoll"));
    assert!(injected.done.iter().any(|done| done == "port \"ws\" 3000 -> 8443"), "{:?}", injected.done);
}

#[test]
fn the_grace_period_has_room_for_the_drain_and_for_the_app() {
    let mut template = pod();
    template["spec"]["terminationGracePeriodSeconds"] = json!(60);
    template["metadata"]["annotations"] = json!({"ringside.dev/drain.timeout": "20500ms"});
    inject(&mut template, &settings()).unwrap();
    assert_eq!(template["spec"]["containers"][0]["lifecycle"]["preStop"], json!({"sleep": {"seconds": 22}}));
    assert_eq!(template["spec"]["terminationGracePeriodSeconds"], 82);
}

#[test]
fn before_1_30_the_apps_image_has_to_sleep_and_says_so() {
    let mut template = pod();
    let old = Settings { kubernetes: Minor(29), ..settings() };
    let injected = inject(&mut template, &old).unwrap();
    assert_eq!(template["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"], json!(["sleep", "16"]));
    assert!(injected.warnings.iter().any(|warning| warning.what.contains("runs `sleep`")));
    let mut template = pod();
    inject(&mut template, &Settings { kubernetes: Minor(28), ..settings() }).unwrap();
    assert_eq!(
        (&template["spec"]["containers"][1]["name"], template["spec"].get("initContainers")),
        (&json!("ringside"), None)
    );
}

#[test]
fn only_a_localhost_profile_lets_the_engine_choose() {
    let mut template = pod();
    inject(&mut template, &Settings { seccomp: Seccomp::Localhost("ringside.json".into()), ..settings() }).unwrap();
    assert_eq!(variable(&template, "RINGSIDE_RUNTIME_ENGINE"), Some("auto"));
    let profile = &sidecar(&template)["securityContext"]["seccompProfile"];
    assert_eq!(profile, &json!({"type": "Localhost", "localhostProfile": "ringside.json"}));
}

#[test]
fn probes_go_through_the_sidecar_with_what_they_ask_and_say() {
    let mut template = pod();
    let app = &mut template["spec"]["containers"][0];
    app["readinessProbe"] = json!({
        "httpGet": {"path": "healthz?full", "port": "ws", "httpHeaders": [{"name": "Host", "value": "chat"}]},
        "periodSeconds": 3,
    });
    app["livenessProbe"] = json!({"tcpSocket": {"port": 3001}});
    app["startupProbe"] = json!({"exec": {"command": ["true"]}});
    inject(&mut template, &settings()).unwrap();
    let app = &template["spec"]["containers"][0];
    let headers = json!([{"name": "Host", "value": "chat"}]);
    let expected = json!({"httpGet": {"path": "/app/ready", "port": 9902, "httpHeaders": headers}, "periodSeconds": 3});
    assert_eq!(app["readinessProbe"], expected);
    assert_eq!(app["livenessProbe"], json!({"httpGet": {"path": "/app/live", "port": 9902}}));
    assert_eq!(app["startupProbe"], json!({"exec": {"command": ["true"]}}));
    let targets = r#"{ live = "tcp://127.0.0.1:3001", ready = "http://127.0.0.1:3000/healthz?full" }"#;
    assert_eq!(variable(&template, "RINGSIDE_HEALTH_APP"), Some(targets));
}

#[test]
fn probes_that_the_sidecar_cannot_ask_are_kept_by_number_and_told() {
    for handler in [json!({"grpc": {"port": 3000}}), json!({"httpGet": {"port": "ws", "scheme": "HTTPS"}})] {
        let mut template = pod();
        template["spec"]["containers"][0]["readinessProbe"] = handler.clone();
        let injected = inject(&mut template, &settings()).unwrap();
        assert!(injected.warnings.iter().any(|warning| warning.path.contains("readinessProbe")), "{injected:?}");
        let kept = &template["spec"]["containers"][0]["readinessProbe"];
        let kind = handler.as_object().unwrap().keys().next().unwrap();
        assert_eq!(kept[kind]["port"], 3000, "{kept}");
    }
}

#[test]
fn a_shared_directory_is_mounted_once() {
    let mut template = pod();
    template["metadata"]["annotations"] = json!({"ringside.dev/app-socket": "/run/chat/app.sock"});
    template["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "run", "mountPath": "/run/chat/"}]);
    template["spec"]["volumes"] = json!([{"name": "run", "emptyDir": {}}]);
    let before = template.clone();
    inject(&mut template, &settings()).unwrap();
    assert!(
        sidecar(&template)["volumeMounts"]
            .as_array()
            .unwrap()
            .contains(&json!({"name": "run", "mountPath": "/run/chat/"}))
    );
    assert_eq!(template["spec"]["containers"][0]["volumeMounts"].as_array().unwrap().len(), 1);
    restore(&mut template).unwrap();
    assert_eq!(template, before);
}

#[test]
fn what_an_older_version_wrote_is_made_anew() {
    let mut template = pod();
    inject(&mut template, &settings()).unwrap();
    let current = template.clone();
    let status = &mut template["metadata"]["annotations"]["ringside.dev/status"];
    *status = status.as_str().unwrap().replace(env!("CARGO_PKG_VERSION"), "0.0.1").into();
    template["spec"]["initContainers"][0]["image"] = json!("ringside:0.0.1");
    template["spec"]["initContainers"][0]["env"] = json!([]);
    inject(&mut template, &settings()).unwrap();
    assert_eq!(template, current);
}

#[test]
fn a_status_that_is_no_status_changes_nothing() {
    for text in ["", "{}", "[1]", r#"{"version": "1", "form": "native", "app": 7}"#] {
        let mut template = pod();
        template["metadata"]["annotations"] = json!({"ringside.dev/status": text});
        let before = template.clone();
        let problems = inject(&mut template, &settings()).unwrap_err();
        assert_eq!(problems[0].path, "metadata.annotations[\"ringside.dev/status\"]");
        assert_eq!(template, before);
    }
}

/// Fields of which nobody here has heard, anywhere.
fn unknown() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        "[a-z]{0,5}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("x[a-z]{1,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn probe() -> impl Strategy<Value = Value> {
    let port = prop_oneof![Just(json!(3000)), Just(json!("ws")), Just(json!(4000)), Just(json!("nowhere"))];
    let kind = prop::sample::select(vec!["httpGet", "tcpSocket", "grpc", "exec"]);
    (kind, port, unknown())
        .prop_map(|(kind, port, more)| json!({kind: {"port": port, "xmore": more}, "periodSeconds": 3}))
}

proptest! {
    #[test]
    fn again_changes_nothing_back_gives_what_was_there_and_the_unknown_survives(
        (more, inner, ready, live) in (unknown(), unknown(), proptest::option::of(probe()), proptest::option::of(probe())),
        (socket, grace, hook) in (any::<bool>(), proptest::option::of(1..600_u32), any::<bool>()),
    ) {
        let mut template = pod();
        template["spec"]["xmore"] = more;
        if let Some(grace) = grace {
            template["spec"]["terminationGracePeriodSeconds"] = grace.into();
        }
        if socket {
            template["metadata"]["annotations"] = json!({"ringside.dev/app-socket": "/run/chat/app.sock"});
        }
        let app = &mut template["spec"]["containers"][0];
        app["xinner"] = inner;
        if hook {
            app["lifecycle"] = json!({"preStop": {"exec": {"command": ["x"]}}});
        }
        for (name, probe) in [("readinessProbe", ready), ("livenessProbe", live)] {
            if let Some(probe) = probe {
                app[name] = probe;
            }
        }
        let before = template.clone();
        inject(&mut template, &settings()).unwrap();
        prop_assert_eq!(&template["spec"]["xmore"], &before["spec"]["xmore"]);
        prop_assert_eq!(&template["spec"]["containers"][0]["xinner"], &before["spec"]["containers"][0]["xinner"]);
        let once = template.clone();
        inject(&mut template, &settings()).unwrap();
        prop_assert_eq!(&template, &once);
        prop_assert!(restore(&mut template).unwrap());
        prop_assert_eq!(template, before);
    }
}
