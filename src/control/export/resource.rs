//! Who sends spans and metrics: the resource that both carry.
//!
//! | attribute | from, the first that is there |
//! |---|---|
//! | `service.name` | `telemetry.service_name`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `ringside` |
//! | any other below | `OTEL_RESOURCE_ATTRIBUTES`, then as its line says |
//! | `service.version` | this build |
//! | `service.instance.id` | pod's uid and container's name, when both are known; else a random UUID |
//! | `host.name` | the kernel |
//! | `process.pid` | the kernel |
//! | `container.id` | `/proc/self/cgroup`; outside of Kubernetes, `/proc/self/mountinfo` |
//! | `k8s.pod.name` | `POD_NAME`; in a pod, `HOSTNAME` (with `hostNetwork` that is the node's: set `POD_NAME`) |
//! | `k8s.pod.uid` | `POD_UID`, `/proc/self/mountinfo` |
//! | `k8s.namespace.name` | `POD_NAMESPACE`, the file of the service account |
//! | `k8s.node.name` | `NODE_NAME` |
//! | `k8s.container.name` | `CONTAINER_NAME`, `/proc/self/mountinfo` |
//!
//! `POD_NAME` and its like are for the downward API (`fieldRef: metadata.name`, `metadata.uid`, `metadata.namespace`,
//! `spec.nodeName`). What is not known is not sent. `OTEL_RESOURCE_ATTRIBUTES` may add attributes of any name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use rand::Rng;

use super::env::pairs;

/// No more of a file is read than this.
const FILE: u64 = 64 * 1024;

const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
const CGROUP: &str = "/proc/self/cgroup";
const MOUNTS: &str = "/proc/self/mountinfo";

/// What a process finds out about itself.
pub(super) struct Surroundings<'a> {
    /// An environment variable.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    /// A text file, or the beginning of it.
    pub(super) file: &'a dyn Fn(&str) -> Option<String>,
    /// Its number.
    pub(super) pid: u32,
    /// A number that no other process has.
    pub(super) random: u128,
}

/// The resource of this process. Each call makes another `service.instance.id`, unless that is known.
pub(super) fn here(service_name: Option<&str>) -> Resource {
    let attributes = attributes(
        service_name,
        &Surroundings {
            variable: &|name| std::env::var(name).ok(),
            file: &read,
            pid: std::process::id(),
            random: rand::rng().random(),
        },
    );
    let pairs = attributes.into_iter().map(|(key, value)| match value.parse::<i64>() {
        Ok(number) if key == "process.pid" => KeyValue::new(key, number),
        _ => KeyValue::new(key, value),
    });
    Resource::builder_empty().with_detector(Box::new(TelemetryResourceDetector)).with_attributes(pairs).build()
}

fn read(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(FILE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn attributes(service_name: Option<&str>, seen: &Surroundings<'_>) -> BTreeMap<String, String> {
    let variable = |name| (seen.variable)(name).filter(|value| !value.trim().is_empty());
    let file = |path| (seen.file)(path).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let said = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let said: BTreeMap<_, _> = pairs(&said).collect();
    let mounts = (seen.file)(MOUNTS).unwrap_or_default();
    let in_pod = variable("KUBERNETES_SERVICE_HOST").is_some();
    let pod = Pod::mounted(&mounts);
    // In a pod, what looks like an id among the mounts is the one of its sandbox.
    let container = || if in_pod || pod.uid.is_some() { None } else { container_in_mounts(&mounts) };

    let mut found = BTreeMap::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = said.get(key).cloned().or(value) {
            found.insert(key.to_owned(), value);
        }
    };
    put("service.version", Some(env!("CARGO_PKG_VERSION").into()));
    put("host.name", file(HOST_NAME));
    put("process.pid", Some(seen.pid.to_string()));
    put("container.id", (seen.file)(CGROUP).as_deref().and_then(container_in_cgroup).or_else(container));
    put("k8s.pod.name", variable("POD_NAME").or_else(|| variable("HOSTNAME").filter(|_| in_pod)));
    put("k8s.pod.uid", variable("POD_UID").or(pod.uid));
    put("k8s.namespace.name", variable("POD_NAMESPACE").or_else(|| file(NAMESPACE)));
    put("k8s.node.name", variable("NODE_NAME"));
    put("k8s.container.name", variable("CONTAINER_NAME").or(pod.container));
    found.extend(said);

    let instance = match (found.get("k8s.pod.uid"), found.get("k8s.container.name")) {
        (Some(pod), Some(container)) => format!("{pod}.{container}"),
        _ => uuid(seen.random),
    };
    found.entry("service.instance.id".into()).or_insert(instance);
    if let Some(name) = service_name.map(str::to_owned).or_else(|| variable("OTEL_SERVICE_NAME")) {
        found.insert("service.name".into(), name);
    }
    found.entry("service.name".into()).or_insert_with(|| "ringside".into());
    found
}

/// What the kubelet's mounts say: the log of a container's end lies in a directory of its pod and of its name.
#[derive(Default)]
struct Pod {
    uid: Option<String>,
    container: Option<String>,
}

impl Pod {
    fn mounted(mounts: &str) -> Self {
        let mut pod = Self::default();
        for (root, point) in binds(mounts) {
            // Nothing but these: on a node itself, the mounts of every pod may be in sight.
            if point != "/dev/termination-log" && point != "/etc/hosts" {
                continue;
            }
            let Some((_, below)) = root.split_once("/pods/") else { continue };
            let mut below = below.split('/');
            let Some(uid) = below.next().filter(|uid| is_uid(uid)) else { continue };
            pod.uid.get_or_insert_with(|| uid.to_owned());
            if let (Some("containers"), Some(name)) = (below.next(), below.next()) {
                pod.container.get_or_insert_with(|| name.to_owned());
            }
        }
        pod
    }
}

/// Docker binds files of its directory `containers/<id>` over some in `/etc`.
fn container_in_mounts(mounts: &str) -> Option<String> {
    binds(mounts).filter(|(_, point)| point.starts_with("/etc/")).find_map(|(root, _)| {
        let id = root.split_once("/containers/")?.1.split('/').next()?;
        is_id(id).then(|| id.to_owned())
    })
}

/// Root and mount point of each line (proc(5)).
fn binds(mounts: &str) -> impl Iterator<Item = (&str, &str)> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(3);
        Some((fields.next()?, fields.next()?))
    })
}

/// `.../<id>`, `.../docker-<id>.scope`, `...:cri-containerd:<id>`.
fn container_in_cgroup(cgroup: &str) -> Option<String> {
    cgroup.lines().find_map(|line| {
        let last = line.rsplit('/').next()?;
        let id = last.strip_suffix(".scope").unwrap_or(last).rsplit(['-', ':']).next()?;
        is_id(id).then(|| id.to_owned())
    })
}

/// What container engines call a container.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A UUID; static pods have one without dashes.
fn is_uid(text: &str) -> bool {
    matches!(text.len(), 32 | 36) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// A UUID of version 4 (RFC 9562 section 5.4).
fn uuid(random: u128) -> String {
    let bits = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{CGROUP, HOST_NAME, MOUNTS, NAMESPACE, Surroundings, attributes};

    const UID: &str = "0f6a1c2e-9d0b-4a55-8a6e-2f6d3c1b7e90";

    /// 64 of this digit.
    fn id(digit: &str) -> String {
        digit.repeat(64)
    }

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn found(service_name: Option<&str>, variables: Pairs<'_>, files: Pairs<'_>) -> BTreeMap<String, String> {
        let pick = |pairs: Pairs<'_>, name: &str| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let (variable, file) = (|name: &str| pick(variables, name), |path: &str| pick(files, path));
        attributes(service_name, &Surroundings { variable: &variable, file: &file, pid: 42, random: u128::MAX })
    }

    fn of<'a>(found: &'a BTreeMap<String, String>, key: &str) -> &'a str {
        found.get(key).map_or("", String::as_str)
    }

    #[test]
    fn little_is_known_outside_of_everything() {
        let expected = [
            ("process.pid", "42"),
            ("service.instance.id", "ffffffff-ffff-4fff-bfff-ffffffffffff"),
            ("service.name", "ringside"),
            ("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let all = found(None, &[("POD_NAME", " ")], &[(MOUNTS, "odd\n"), (CGROUP, "0::/\n"), (HOST_NAME, "\n")]);
        assert_eq!(all.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(of(&found(None, &[], &[(HOST_NAME, "node-1\n")]), "host.name"), "node-1");
    }

    #[test]
    fn the_service_has_the_name_that_ranks_highest() {
        let listed = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=listed");
        let named = ("OTEL_SERVICE_NAME", "named");
        let name = |file, variables: Pairs<'_>| of(&found(file, variables, &[]), "service.name").to_owned();
        assert_eq!(name(None, &[("OTEL_SERVICE_NAME", "")]), "ringside");
        assert_eq!(name(None, &[listed]), "listed");
        assert_eq!(name(None, &[listed, named]), "named");
        assert_eq!(name(Some("file"), &[listed, named]), "file");
    }

    #[test]
    fn what_is_listed_wins_over_what_is_found() {
        let listed = "k8s.pod.name=a,k8s.pod.uid=u,k8s.namespace.name=n,k8s.node.name=o,k8s.container.name=c,\
                      container.id=i,host.name=h,process.pid=7,service.version=v,service.instance.id=s,team=%C3%A9%2C %zz";
        let variables = [
            ("OTEL_RESOURCE_ATTRIBUTES", listed),
            ("POD_NAME", "x"),
            ("POD_UID", "x"),
            ("POD_NAMESPACE", "x"),
            ("NODE_NAME", "x"),
            ("CONTAINER_NAME", "x"),
        ];
        let all = found(None, &variables, &[(HOST_NAME, "x"), (NAMESPACE, "x"), (CGROUP, &id("a"))]);
        for (key, value) in [
            ("k8s.pod.name", "a"),
            ("k8s.pod.uid", "u"),
            ("k8s.namespace.name", "n"),
            ("k8s.node.name", "o"),
            ("k8s.container.name", "c"),
            ("container.id", "i"),
            ("host.name", "h"),
            ("process.pid", "7"),
            ("service.version", "v"),
            ("service.instance.id", "s"),
            ("team", "é, %zz"),
        ] {
            assert_eq!(of(&all, key), value, "{key}");
        }
    }

    #[test]
    fn odd_entries_of_the_list_are_left_out() {
        let all = found(None, &[("OTEL_RESOURCE_ATTRIBUTES", ",x,=y, a = b ,c=,d=%ff")], &[]);
        assert_eq!([of(&all, "a"), of(&all, "d")], ["b", "%ff"]);
        assert_eq!(all.len(), 6, "{all:?}");
    }

    #[test]
    fn the_downward_api_names_the_pod() {
        let variables = [
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ("HOSTNAME", "from-hostname"),
            ("POD_NAME", "chat-5"),
            ("POD_UID", "uid-5"),
            ("POD_NAMESPACE", "chat"),
            ("NODE_NAME", "node-1"),
            ("CONTAINER_NAME", "ringside"),
        ];
        let all = found(None, &variables, &[(NAMESPACE, "other")]);
        for (key, value) in [
            ("k8s.pod.name", "chat-5"),
            ("k8s.pod.uid", "uid-5"),
            ("k8s.namespace.name", "chat"),
            ("k8s.node.name", "node-1"),
            ("k8s.container.name", "ringside"),
            ("service.instance.id", "uid-5.ringside"),
        ] {
            assert_eq!(of(&all, key), value, "{key}");
        }
    }

    #[test]
    fn a_pod_that_nobody_described_is_known_by_its_files() {
        let (sandbox, cgroup) = (id("5"), format!("0::/kubepods.slice/cri-containerd-{}.scope\n", id("c")));
        let mounts = format!(
            "612 580 8:1 /var/lib/kubelet/pods/{UID}/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n\
             613 580 8:1 /var/lib/kubelet/pods/{UID}/containers/sidecar/1a2b3c4d /dev/termination-log rw - ext4 d rw\n\
             614 580 8:1 /var/lib/docker/containers/{sandbox}/hostname /etc/hostname rw - ext4 d rw\n"
        );
        let pod = [("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("HOSTNAME", "chat-5")];
        let all = found(None, &pod, &[(MOUNTS, &mounts), (CGROUP, &cgroup), (NAMESPACE, "chat\n")]);
        for (key, value) in [
            ("k8s.pod.name", "chat-5"),
            ("k8s.pod.uid", UID),
            ("k8s.namespace.name", "chat"),
            ("k8s.container.name", "sidecar"),
            ("container.id", &id("c")),
        ] {
            assert_eq!(of(&all, key), value, "{key}");
        }
        assert_eq!(of(&all, "service.instance.id"), format!("{UID}.sidecar"));
        let all = found(None, &pod, &[(MOUNTS, &mounts), (CGROUP, "0::/\n")]);
        assert_eq!(of(&all, "container.id"), "", "the sandbox is another container");
        let elsewhere = [("HOSTNAME", "laptop")];
        assert_eq!(of(&found(None, &elsewhere, &[]), "k8s.pod.name"), "", "not in a pod");
    }

    #[test]
    fn a_node_is_not_one_of_its_pods() {
        let mounts = format!("9 1 8:1 / /var/lib/kubelet/pods/{UID}/containers/app/x rw - tmpfs tmpfs rw\n");
        let all = found(None, &[], &[(MOUNTS, &mounts)]);
        assert_eq!([of(&all, "k8s.pod.uid"), of(&all, "k8s.container.name")], ["", ""]);
    }

    #[test]
    fn a_container_is_known_by_its_cgroup_or_its_mounts() {
        let id = id("e");
        for cgroup in [
            format!("12:cpu:/docker/{id}\n"),
            format!("1:name=systemd:/kubepods/burstable/pod{UID}/{id}"),
            format!("0::/system.slice/docker-{id}.scope"),
            format!("0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{id}"),
        ] {
            assert_eq!(of(&found(None, &[], &[(CGROUP, &cgroup)]), "container.id"), id, "{cgroup}");
        }
        let mounts = format!("9 1 8:1 /var/lib/docker/containers/{id}/hosts /etc/hosts rw - ext4 d rw\n");
        assert_eq!(of(&found(None, &[], &[(CGROUP, "0::/"), (MOUNTS, &mounts)]), "container.id"), id);
        for cgroup in ["0::/user.slice/session-3.scope", &format!("0::/x/{}", &id[1..])] {
            assert_eq!(of(&found(None, &[], &[(CGROUP, cgroup)]), "container.id"), "", "{cgroup}");
        }
    }
}
