use serde_json::{Value, json};

use super::Wish;
use crate::pod::Pod;
use crate::problem::Problem;
use crate::settings::Settings;

/// What is wrong with a pod of these annotations.
fn problems(annotations: &Value) -> Vec<Problem> {
    let template = json!({
        "metadata": {"annotations": annotations},
        "spec": {"containers": [
            {"name": "chat", "ports": [{"name": "ws", "containerPort": 3000}]},
            {"name": "other", "ports": [{"containerPort": 8443}, {"containerPort": 4000}]},
        ]},
    });
    let settings = Settings::default();
    Wish::read(&Pod::read(&template).unwrap(), &settings).err().unwrap_or_default()
}

#[test]
fn each_annotation_is_checked_and_named() {
    for (name, value, told) in [
        ("app-container", "web", "is \"web\"; write one of chat, other"),
        ("app-port", "0", "is \"0\"; write a number from 1 to 65535, or the name of a port"),
        ("app-port", "http", "is \"http\"; write a number from 1 to 65535, or the name of a port"),
        ("app-port", "9902", "is 9902, where the sidecar has probes and metrics"),
        ("app-socket", "app.sock", "write an absolute path of a Unix socket"),
        ("app-socket", "/app.sock", "write an absolute path of a Unix socket"),
        ("app-socket", "/run/../app.sock", "write an absolute path of a Unix socket"),
        ("port", "70000", "is \"70000\"; write a number from 1 to 65535"),
        ("port", "9901", "is 9901, where the sidecar has admin"),
        ("host", "10.0.0.1", "is \"10.0.0.1\"; write 0.0.0.0 or ::"),
        ("tls-secret", "My_Secret", "write a Secret's name, or off"),
        ("jwks-configmap", "-x", "write a ConfigMap's name, or off"),
        ("config-map", "", "write a ConfigMap's name"),
        ("probes", "yes", "write forward or keep"),
        ("form", "both", "write native or classic"),
        ("seccomp-profile", "localhost/../x", "write runtime-default or localhost/FILE"),
        ("image", "a b", "is \"a b\"; write an image"),
        ("image-pull-policy", "always", "write Always, IfNotPresent or Never"),
        ("cpu-request", "lots", "write a quantity"),
        ("memory-limit", "0Mi", "write a quantity"),
        ("app-prot", "3000", "is unknown; there are inject, app-container, app-port"),
        ("limits.mesage", "1MiB", "is unknown; there are"),
        ("listen.address", "0.0.0.0:1", "is the injector's to set; use ringside.dev/port"),
        ("admin.address", "0.0.0.0:1", "is the injector's to set; leave it out"),
        ("limits.message", "big", "is \"big\": "),
        ("drain.spread", "10m", "drain."),
        ("auth.jwt.algorithms", "RS256,none", "none"),
    ] {
        let given = json!({format!("ringside.dev/{name}"): value, "ringside.dev/port": "8444"});
        let mut given = given;
        if name == "port" {
            given = json!({"ringside.dev/port": value});
        }
        let problems = problems(&given);
        let told_of: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(
            problems.len() == 1 && told_of[0].contains(told) && told_of[0].contains(name.split('.').next().unwrap()),
            "{name}: {told_of:#?}"
        );
        assert!(problems[0].path.starts_with("metadata.annotations[\"ringside.dev/"), "{told_of:?}");
    }
}

#[test]
fn the_order_of_annotations_does_not_matter() {
    let names = ["ringside.dev/timeouts.idle", "ringside.dev/limits.message", "ringside.dev/auth.jwt.audience"];
    let values = ["5m", "1MiB", "chat"];
    let variables = |order: [usize; 3]| {
        let annotations: Vec<_> = order.map(|n| (names[n].to_owned(), Value::from(values[n]))).into();
        let template = json!({
            "metadata": {"annotations": Value::Object(annotations.into_iter().collect())},
            "spec": {"containers": [{"name": "chat", "ports": [{"containerPort": 3000}]}]},
        });
        let settings = Settings::default();
        Wish::read(&Pod::read(&template).unwrap(), &settings).unwrap().variables
    };
    assert_eq!(variables([0, 1, 2]), variables([2, 1, 0]));
}

#[test]
fn everything_is_told_at_once() {
    let problems =
        problems(&json!({"ringside.dev/form": "x", "ringside.dev/limits.head": "x", "ringside.dev/image": ""}));
    // The three, and the other container that has the port for clients.
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.path == "spec.containers[1].ports[0].containerPort"));
}

#[test]
fn what_is_declared_is_the_apps_port_and_without_it_one_must_be_named() {
    let template = json!({"spec": {"containers": [{"name": "chat"}]}});
    let settings = Settings::default();
    let problems = Wish::read(&Pod::read(&template).unwrap(), &settings).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().contains("is missing, and container \"chat\" declares no port"));
}
