//! From annotations to a wish.

use super::config::{self, Own};
use super::{Form, Listens, Wish};
use crate::annotation::{self, ANNOTATIONS, DOC, OWNED, PREFIX, path};
use crate::pod::{Container, Pod};
use crate::problem::Problem;
use crate::settings::{Minor, Seccomp, Settings};
use crate::sidecar::{ADMIN_PORT, HEALTH_PORT, NAME};

/// Port for clients when nobody says another.
const PORT: u16 = 8443;

/// A pod's annotations, and what is wrong with them.
struct Reader<'p, 'v> {
    pod: &'p Pod<'v>,
    problems: Vec<Problem>,
}

pub(super) fn wish<'v>(pod: &Pod<'v>, settings: &'v Settings) -> Result<Wish<'v>, Vec<Problem>> {
    let mut reader = Reader { pod, problems: Vec::new() };
    reader.unknown();
    reader.foreign();
    let app = reader.app();
    let listens = reader.listens(&pod.containers[app]);
    let known = reader.problems.len();
    let port = reader.take("port", port).unwrap_or(PORT);
    let knows_port = reader.problems.len() == known;
    let seccomp = reader.take("seccomp-profile", |text| text.parse().ok()).unwrap_or_else(|| settings.seccomp.clone());
    let own = Own {
        host: reader
            .take("host", |text| ["0.0.0.0", "::"].into_iter().find(|known| *known == text))
            .unwrap_or("0.0.0.0"),
        port,
        app: listens,
        tls: reader.object("tls-secret", Some("ringside-tls")),
        jwks: reader.object("jwks-configmap", Some("ringside-jwks")),
        config_map: reader.take("config-map", name),
        may_io_uring: seccomp != Seccomp::RuntimeDefault,
    };
    let usual = if settings.kubernetes >= Minor::NATIVE_SIDECARS { Form::Native } else { Form::Classic };
    if knows_port {
        reader.clashes(app, &own);
    }
    let config = config::config(pod, &own).unwrap_or_else(|problems| {
        reader.problems.extend(problems);
        config::Checked::default()
    });
    let mut warnings = config.warnings;
    if port < 1024 {
        let what = format!("is {port}, below 1024, and the sidecar is not root");
        let help = "let the pod have the sysctl net.ipv4.ip_unprivileged_port_start: \"0\", unless its runtime does";
        warnings.push(Problem::new(path("port"), what, help));
    }
    let wish = Wish {
        form: reader.take("form", form).unwrap_or(usual),
        image: reader.take("image", image).unwrap_or(&settings.image),
        pull_policy: reader.take("image-pull-policy", one_of(&["Always", "IfNotPresent", "Never"])),
        app,
        listens,
        port,
        tls: own.tls,
        jwks: own.jwks,
        config_map: own.config_map,
        secret: reader.take("secret", name),
        forwards_probes: reader.take("probes", one_of(&["forward", "keep"])) != Some("keep"),
        seccomp,
        requests: [("cpu-request", "50m"), ("memory-request", "64Mi")]
            .map(|(name, usual)| reader.take(name, quantity).unwrap_or(usual)),
        memory_limit: reader.take("memory-limit", quantity),
        variables: config.variables,
        drain: config.drain,
        warnings,
    };
    if reader.problems.is_empty() { Ok(wish) } else { Err(reader.problems) }
}

impl<'v> Reader<'_, 'v> {
    fn refuse(&mut self, name: &str, what: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(path(name), what, help));
    }

    /// What `parse` makes of the annotation `name`; `None`: it is not there, or wrong, which is noted.
    fn take<T>(&mut self, name: &str, parse: impl FnOnce(&'v str) -> Option<T>) -> Option<T> {
        let text = self.pod.annotation(&format!("{PREFIX}{name}"))?;
        let value = parse(text);
        if value.is_none() {
            let form = annotation::find(name).map_or("another value", |annotation| annotation.form);
            self.refuse(name, format!("is {text:?}"), format!("write {form}; see {DOC}"));
        }
        value
    }

    /// The name of an object, or none with `off`.
    fn object(&mut self, annotation: &str, usual: Option<&'v str>) -> Option<&'v str> {
        self.take(annotation, |text| if text == "off" { Some(None) } else { name(text).map(Some) }).unwrap_or(usual)
    }

    /// Annotations with our prefix that nobody knows, or that are not the pod's to set.
    fn unknown(&mut self) {
        let ours = self.pod.annotations.iter().filter_map(|(name, _)| name.strip_prefix(PREFIX));
        for name in ours.collect::<Vec<_>>() {
            let owner = OWNED.iter().find(|(key, _)| *key == name);
            if let Some((_, by)) = owner {
                let help = by.map_or("leave it out".into(), |by| format!("use {PREFIX}{by}"));
                self.refuse(name, "is the injector's to set", format!("{help}; see {DOC}"));
            } else if annotation::find(name).is_none() && annotation::key(name).is_none() {
                let known: Vec<_> = ANNOTATIONS.iter().map(|known| known.name).collect();
                let help = format!("there are {}, and each key of the configuration; see {DOC}", known.join(", "));
                self.refuse(name, "is unknown", help);
            }
        }
    }

    /// A container of our name that nobody knows of.
    fn foreign(&mut self) {
        let lists = [("containers", &self.pod.containers), ("initContainers", &self.pod.init_containers)];
        for (list, containers) in lists {
            if let Some(at) = containers.iter().position(|container| container.name == NAME) {
                self.problems.push(Problem::new(
                    format!("spec.{list}[{at}].name"),
                    format!("is {NAME:?}, and the pod was not injected"),
                    "rename the container, or remove the sidecar that was written by hand",
                ));
            }
        }
    }

    fn app(&mut self) -> usize {
        let containers = &self.pod.containers;
        let Some(wanted) = self.pod.annotation("ringside.dev/app-container") else { return 0 };
        containers.iter().position(|container| container.name == wanted).unwrap_or_else(|| {
            let names: Vec<_> = containers.iter().map(|container| container.name).collect();
            self.refuse("app-container", format!("is {wanted:?}"), format!("write one of {}", names.join(", ")));
            0
        })
    }

    fn listens(&mut self, app: &Container<'v>) -> Listens<'v> {
        let socket = self.take("app-socket", socket);
        match (socket, self.pod.annotation("ringside.dev/app-port")) {
            (Some(_), Some(_)) => {
                self.refuse("app-socket", "is there, and app-port as well", "keep the one that the app listens on");
                Listens::Port(1)
            }
            (Some((path, directory)), None) => Listens::Socket { path, directory },
            (None, Some(text)) => {
                let named = app.ports.iter().find(|(name, _)| *name == Some(text)).map(|(_, number)| *number);
                Listens::Port(named.or_else(|| self.take("app-port", port)).unwrap_or(1))
            }
            (None, None) => Listens::Port(app.ports.first().map_or_else(
                || {
                    let what = format!("is missing, and container {:?} declares no port", app.name);
                    self.refuse("app-port", what, "write the port that the app listens on, or app-socket");
                    1
                },
                |(_, number)| *number,
            )),
        }
    }

    /// Ports of the sidecar that somebody else in the pod has.
    fn clashes(&mut self, app: usize, own: &Own<'_>) {
        let ours = [(own.port, "clients"), (HEALTH_PORT, "probes and metrics"), (ADMIN_PORT, "admin")];
        if let Some((_, what)) = ours[1..].iter().find(|(number, _)| *number == own.port) {
            self.refuse("port", format!("is {}, where the sidecar has {what}", own.port), "choose another");
        }
        if let Listens::Port(number) = own.app
            && let Some((_, what)) = ours.iter().find(|(ours, _)| *ours == number)
        {
            let help = "let the app listen elsewhere, or choose another ringside.dev/port for clients";
            self.refuse("app-port", format!("is {number}, where the sidecar has {what}"), help);
        }
        for (n, container) in self.pod.containers.iter().enumerate() {
            for (at, (_, number)) in container.ports.iter().enumerate() {
                let is_app = n == app && own.app == Listens::Port(*number);
                if let (false, Some((_, what))) = (is_app, ours.iter().find(|(ours, _)| ours == number)) {
                    self.problems.push(Problem::new(
                        format!("spec.containers[{n}].ports[{at}].containerPort"),
                        format!("is {number}, where the sidecar has {what}"),
                        "choose another there, or ringside.dev/port for clients",
                    ));
                }
            }
        }
    }
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

fn form(text: &str) -> Option<Form> {
    match text {
        "native" => Some(Form::Native),
        "classic" => Some(Form::Classic),
        _ => None,
    }
}

fn one_of<'v>(words: &'static [&'static str]) -> impl FnOnce(&'v str) -> Option<&'v str> {
    move |text| words.contains(&text).then_some(text)
}

/// The name of an object: a DNS subdomain (RFC 1123).
fn name(text: &str) -> Option<&str> {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    (text.len() <= 253 && text.split('.').all(is_label)).then_some(text)
}

fn image(text: &str) -> Option<&str> {
    let is_one = !text.is_empty() && text.len() <= 512 && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_one.then_some(text)
}

/// A resource quantity: a decimal number and perhaps a suffix.
fn quantity(text: &str) -> Option<&str> {
    const SUFFIXES: [&str; 14] = ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let is_positive = number.parse::<f64>().is_ok_and(|number| number > 0.0);
    (is_positive && SUFFIXES.contains(&suffix)).then_some(text)
}

/// A socket's path and its directory, which is not the root's.
fn socket(text: &str) -> Option<(&str, &str)> {
    let (directory, file) = text.rsplit_once('/')?;
    let is_clean = text.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
    // sockaddr_un holds 108 bytes with the closing zero.
    let fits = text.len() < 108 && directory.starts_with('/') && !file.is_empty();
    (fits && is_clean).then_some((text, directory))
}
