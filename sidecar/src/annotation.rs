//! What a pod may say: one table for reading, messages and documentation.
//!
//! Besides these, each key of Ringside's configuration is an annotation: `ringside.dev/limits.message: 1MiB`. Such a name
//! has a dot where those below have none. The sidecar gets it as an environment variable, so that its value is written
//! as in one: a text without quotes, a list with commas.

use ringside::config::keys::{KEYS, Key};

/// What the names of labels and annotations begin with.
pub const PREFIX: &str = "ringside.dev/";

/// The label (for the webhook, which sees labels only) or annotation that lets a pod in or keeps it out.
pub const INJECT: &str = "ringside.dev/inject";

/// What was injected, for whoever injects again, and for whoever wants to know.
pub const STATUS: &str = "ringside.dev/status";

/// The documentation that messages point at.
pub const DOC: &str = "sidecar/README.md";

/// What an annotation is for.
#[derive(Clone, Copy, Debug)]
pub struct Annotation {
    /// Behind [`PREFIX`].
    pub name: &'static str,
    /// What it takes.
    pub form: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

const fn line(name: &'static str, form: &'static str, default: &'static str, meaning: &'static str) -> Annotation {
    Annotation { name, form, default, meaning }
}

/// All of them. `sidecar/README.md` shows the same table.
pub const ANNOTATIONS: &[Annotation] = &[
    line("inject", "enabled or disabled", "enabled", "as a label or an annotation; disabled wins"),
    line("app-container", "a container's name", "the first one", "the container that speaks WebSocket"),
    line(
        "app-port",
        "a number from 1 to 65535, or the name of a port of the app's container",
        "its first declared port",
        "where the app listens, on loopback at least",
    ),
    line(
        "app-socket",
        "an absolute path of a Unix socket",
        "none",
        "where the app listens instead; its directory is shared with the sidecar",
    ),
    line("port", "a number from 1 to 65535", "8443", "where clients connect"),
    line(
        "host",
        "0.0.0.0 or ::",
        "0.0.0.0",
        "which addresses of the pod; :: takes IPv6 as well, where the nodes have it",
    ),
    line(
        "tls-secret",
        "a Secret's name, or off",
        "ringside-tls",
        "tls.crt and tls.key of the pod; off: clients use ws://",
    ),
    line(
        "jwks-configmap",
        "a ConfigMap's name, or off",
        "ringside-jwks",
        "jwks.json with the issuer's keys; off: anybody may connect",
    ),
    line(
        "config-map",
        "a ConfigMap's name",
        "none",
        "ringside.toml with further configuration; annotations go before it",
    ),
    line("secret", "a Secret's name", "none", "mounted at /etc/ringside/secret, for keys that name a file"),
    line(
        "probes",
        "forward or keep",
        "forward",
        "forward: the sidecar asks the app, which need not listen beyond loopback; keep: kubelet does",
    ),
    line(
        "form",
        "native or classic",
        "native",
        "a native sidecar, or a container among the others (before Kubernetes 1.29)",
    ),
    line(
        "seccomp-profile",
        "runtime-default or localhost/FILE",
        "runtime-default",
        "which seccomp profile; only under a Localhost one io_uring is to be had",
    ),
    line("image", "an image", "the injector's", "the image that has ringside"),
    line("image-pull-policy", "Always, IfNotPresent or Never", "what the cluster does", "when the image is pulled"),
    line("cpu-request", "a quantity", "50m", "CPU request; there is no limit"),
    line("memory-request", "a quantity", "64Mi", "memory request"),
    line("memory-limit", "a quantity", "none", "memory limit"),
];

/// Keys of the configuration that are the injector's to set, and the annotation that does it; none: nothing does.
pub const OWNED: &[(&str, Option<&str>)] = &[
    ("listen.address", Some("port")),
    ("app.address", Some("app-port")),
    ("tls.certificate", Some("tls-secret")),
    ("tls.key", Some("tls-secret")),
    ("auth.jwt.keys", Some("jwks-configmap")),
    ("admin.address", None),
    ("health.address", None),
    ("health.app", Some("probes")),
];

/// Where the annotation `name` (without prefix) stands.
pub fn path(name: &str) -> String {
    format!("metadata.annotations[\"{PREFIX}{name}\"]")
}

/// The key of the configuration that the annotation `name` (without prefix) sets.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == name)
}

/// The key of the configuration that an environment variable sets.
pub fn key_of(variable: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.variable() == variable)
}

/// The annotation `name`, when there is one.
pub fn find(name: &str) -> Option<&'static Annotation> {
    ANNOTATIONS.iter().find(|annotation| annotation.name == name)
}

#[cfg(test)]
mod tests {
    use super::{ANNOTATIONS, Annotation, OWNED, find, key};

    #[test]
    fn the_readme_has_the_same_table() {
        let readme = include_str!("../README.md");
        for Annotation { name, form, default, meaning } in ANNOTATIONS {
            let line = format!("| `{name}` | {form} | {default} | {meaning} |");
            assert!(readme.lines().any(|known| known == line), "sidecar/README.md needs the line\n{line}");
        }
        assert_eq!(readme.lines().filter(|line| line.starts_with("| `")).count(), ANNOTATIONS.len());
    }

    #[test]
    fn names_are_told_apart_by_their_dot() {
        assert!(ANNOTATIONS.iter().all(|annotation| !annotation.name.contains('.')));
        assert!(OWNED.iter().all(|(name, _)| name.contains('.') && key(name).is_some()));
        assert!(find("app-port").is_some() && find("app.address").is_none());
    }
}
