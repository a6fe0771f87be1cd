//! Which objects have pods, where those stand in them, and whether they are to have a sidecar.

use std::fmt;

use serde_json::Value;

use crate::annotation::{DOC, INJECT};
use crate::pod::Pod;
use crate::problem::{Problem, join};
use crate::render::{self, Injected};
use crate::settings::{Minor, Settings};

/// Kinds with pods: group, kind, and the way to the template.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("", "Pod", &[]),
    ("", "ReplicationController", &["spec", "template"]),
    ("apps", "Deployment", &["spec", "template"]),
    ("apps", "StatefulSet", &["spec", "template"]),
    ("apps", "DaemonSet", &["spec", "template"]),
    ("apps", "ReplicaSet", &["spec", "template"]),
    ("batch", "Job", &["spec", "template"]),
    ("batch", "CronJob", &["spec", "jobTemplate", "spec", "template"]),
];

/// What became of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// `Deployment chat`.
    pub who: String,
    /// What was done, or what is wrong.
    pub result: Result<Done, Vec<Problem>>,
}

/// What was done to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It has a sidecar now.
    Injected(Injected),
    /// It had one.
    Removed,
    /// Nothing.
    Skipped(Skip),
}

/// Why an object stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// It has no pods.
    NoPods,
    /// It says so.
    OptedOut,
    /// It has the network of its node: the sidecar's ports would be the node's.
    HostNetwork,
    /// It runs on Windows.
    Windows,
    /// It has no sidecar to take out.
    NotInjected,
}

impl Skip {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPods => "it has no pods",
            Self::OptedOut => "ringside.dev/inject is disabled",
            Self::HostNetwork => "it has its node's network, where the sidecar's ports would be the node's",
            Self::Windows => "it runs on Windows",
            Self::NotInjected => "it has no sidecar",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub enum Task<'s> {
    /// Put a sidecar into everything that does not say no.
    Inject(&'s Settings),
    /// Take it out.
    Uninject,
}

/// Does `task` to `object`, or to what it is a list of. An object with a problem stays as it was.
pub fn apply(object: &mut Value, task: Task<'_>) -> Vec<Outcome> {
    let is_list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    if let (true, Some(Value::Array(items))) = (is_list, object.get_mut("items")) {
        let items = items.iter_mut().enumerate();
        return items
            .flat_map(|(n, item)| apply(item, task).into_iter().map(move |outcome| outcome.below(n)))
            .collect();
    }
    let who = who(object);
    let result = one(object, task);
    vec![Outcome { who, result }]
}

impl Outcome {
    /// The same for the item with number `n` of a list.
    fn below(mut self, n: usize) -> Self {
        let base = format!("items[{n}]");
        self.result =
            self.result.map_err(|problems| problems.into_iter().map(|problem| problem.below(&base)).collect());
        self
    }
}

fn one(object: &mut Value, task: Task<'_>) -> Result<Done, Vec<Problem>> {
    let (group, kind) = (group(object), object["kind"].as_str().unwrap_or_default().to_owned());
    if kind.is_empty() || !object.is_object() {
        let help = "write objects of Kubernetes, with apiVersion and kind";
        return Err(vec![Problem::new("kind", "is missing", help)]);
    }
    if !object["apiVersion"].is_string() {
        let help = format!("write the version that the cluster has of a {kind}, such as apps/v1");
        return Err(vec![Problem::new("apiVersion", "is missing", help)]);
    }
    let known = KINDS.iter().find(|(of, name, _)| *of == group && *name == kind);
    let Some((_, _, way)) = known else { return Ok(Done::Skipped(Skip::NoPods)) };
    let base = way.join(".");
    let opted_out = says_disabled(object);
    let mut template = Some(&mut *object);
    for key in *way {
        template = template.and_then(|value| value.get_mut(key));
    }
    let missing = || vec![Problem::new(base.clone(), "is missing", format!("a {kind} needs a pod template there"))];
    let template = template.ok_or_else(missing)?;
    let done = match task {
        Task::Inject(_) if opted_out => Ok(Done::Skipped(Skip::OptedOut)),
        Task::Inject(settings) => inject(template, settings, kind == "Job" || kind == "CronJob"),
        Task::Uninject => {
            render::restore(template).map(|had| if had { Done::Removed } else { Done::Skipped(Skip::NotInjected) })
        }
    };
    done.map(|done| done.below(&base))
        .map_err(|problems| problems.into_iter().map(|problem| problem.below(&base)).collect())
}

impl Done {
    fn below(mut self, base: &str) -> Self {
        if let Self::Injected(injected) = &mut self {
            for warning in &mut injected.warnings {
                warning.path = join(base, &warning.path);
            }
        }
        self
    }
}

/// Puts a sidecar into `template`, unless it says no or cannot have one. `ends`: its pods end by themselves.
pub fn inject(template: &mut Value, settings: &Settings, ends: bool) -> Result<Done, Vec<Problem>> {
    let pod = Pod::read(template).map_err(|problem| vec![problem])?;
    check(&pod)?;
    if says_disabled(template) {
        return Ok(Done::Skipped(Skip::OptedOut));
    }
    if pod.host_network {
        return Ok(Done::Skipped(Skip::HostNetwork));
    }
    if template["spec"]["os"]["name"] == "windows" {
        return Ok(Done::Skipped(Skip::Windows));
    }
    let is_classic = pod
        .annotation("ringside.dev/form")
        .map_or(settings.kubernetes < Minor::NATIVE_SIDECARS, |form| form == "classic");
    if ends && is_classic {
        return Err(vec![Problem::new(
            "metadata.annotations[\"ringside.dev/form\"]",
            "is classic, and a Job with such a container never finishes",
            format!("use the native form, on Kubernetes 1.29 or newer; see {DOC}"),
        )]);
    }
    render::inject(template, settings).map(Done::Injected)
}

/// The label or annotation that lets in or keeps out has one of two values.
fn check(pod: &Pod<'_>) -> Result<(), Vec<Problem>> {
    let places = [("labels", &pod.labels), ("annotations", &pod.annotations)];
    let wrong = places.into_iter().flat_map(|(place, texts)| {
        let given = texts.iter().filter(|(name, value)| *name == INJECT && !matches!(*value, "enabled" | "disabled"));
        given.map(move |(_, value)| {
            Problem::new(
                format!("metadata.{place}[{INJECT:?}]"),
                format!("is {value:?}"),
                format!("write enabled or disabled; see {DOC}"),
            )
        })
    });
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Whether a label or an annotation keeps the sidecar out.
fn says_disabled(object: &Value) -> bool {
    ["labels", "annotations"].iter().any(|place| object["metadata"][place][INJECT] == "disabled")
}

/// Whether the label asks for a sidecar.
pub fn says_enabled(object: &Value) -> bool {
    object["metadata"]["labels"][INJECT] == "enabled"
}

/// `Deployment chat`, as far as it is known.
fn who(object: &Value) -> String {
    let text = |value: &Value| value.as_str().map(String::from);
    let kind = text(&object["kind"]).unwrap_or_else(|| "object".into());
    name(object).map_or_else(|| kind.clone(), |name| format!("{kind} {name}"))
}

/// The name of `object`, or what its name will begin with, as `chat-*`.
pub fn name(object: &Value) -> Option<String> {
    let text = |key: &str| object["metadata"][key].as_str();
    text("name").map(String::from).or_else(|| text("generateName").map(|prefix| format!("{prefix}*")))
}

fn group(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version.split_once('/').map_or("", |(group, _)| group).into()
}

#[cfg(test)]
mod tests;
