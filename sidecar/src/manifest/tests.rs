use super::{Certificates, Install, objects};

fn kinds(install: &Install) -> Vec<String> {
    objects(install).iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_webhook_that_makes_its_certificate_may_touch_two_objects_by_name() {
    let objects = objects(&Install::default());
    let roles: Vec<_> = objects.iter().filter(|object| !object["rules"].is_null()).collect();
    assert_eq!(roles.len(), 2);
    for role in roles {
        for rule in role["rules"].as_array().unwrap() {
            assert_eq!(rule["resourceNames"].as_array().unwrap().len(), 1, "{rule}");
            assert!(!rule["verbs"].as_array().unwrap().iter().any(|verb| verb == "*" || verb == "list"), "{rule}");
        }
    }
}

#[test]
fn with_cert_manager_it_has_no_rights_at_all() {
    let install = Install { certificates: Certificates::CertManager, ..Install::default() };
    let kinds = kinds(&install);
    for kind in ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"] {
        assert!(!kinds.iter().any(|known| known == kind), "{kind}");
    }
    assert!(kinds.iter().any(|kind| kind == "Certificate"));
}

#[test]
fn only_pods_that_asked_can_be_held_up() {
    let objects = objects(&Install::default());
    let hook = &objects.last().unwrap()["webhooks"][0];
    assert_eq!(hook["objectSelector"]["matchLabels"]["ringside.dev/inject"], "enabled");
    let spared = &hook["namespaceSelector"]["matchExpressions"][0]["values"];
    assert!(
        ["kube-system", "ringside-system"].iter().all(|name| spared
            .as_array()
            .unwrap()
            .iter()
            .any(|known| known == name))
    );
    assert!(hook["timeoutSeconds"].as_u64().unwrap() > crate::webhook::PATIENCE.as_secs());
}

#[test]
fn one_replica_has_no_budget_that_could_not_be_kept() {
    let install = Install { replicas: 1, ..Install::default() };
    assert!(!kinds(&install).iter().any(|kind| kind == "PodDisruptionBudget"));
}
