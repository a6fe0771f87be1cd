//! An `AdmissionReview`: what the API server asks, and what it is told.
//!
//! Source: `admission.k8s.io/v1`, and Kubernetes' page on dynamic admission control.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::problem::Problem;
use crate::settings::Settings;
use crate::workload::{self, Done, Skip};

const VERSION: &str = "admission.k8s.io/v1";

/// Most warnings of an answer. API servers show those to users, and cut what is too much.
const WARNINGS: usize = 8;

/// Longest warning in characters.
const WARNING: usize = 250;

/// A request that is no review, or one of a version that nobody here speaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// Its body is not JSON.
    #[error("the body is not JSON: {0}")]
    Json(String),
    /// It is another kind of object, or of another version.
    #[error("not an AdmissionReview of {VERSION}, but {0}; list v1 in admissionReviewVersions")]
    Version(String),
    /// What identifies the request is missing.
    #[error("request.uid is missing")]
    Uid,
}

/// What is answered, and what is logged of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The review with the response.
    pub body: Value,
    /// In short.
    pub decision: Decision,
    /// Whom it is about.
    pub subject: Subject,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The pod gets a sidecar.
    Injected,
    /// It stays as it is.
    Skipped(&'static str),
    /// It is refused, for all of these.
    Denied(Vec<String>),
}

/// Whom a request is about, for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The request's id, which the API server's audit log has, too.
    pub uid: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod, or what its name will begin with.
    pub pod: String,
    /// `ReplicaSet/chat-5d9c`: whoever made the pod.
    pub owner: String,
    /// Whether nothing is to come of it.
    pub dry_run: bool,
}

/// Answers the review in `body`.
pub fn answer(body: &[u8], settings: &Settings) -> Result<Answer, ReviewError> {
    let review: Value = serde_json::from_slice(body).map_err(|error| ReviewError::Json(error.to_string()))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&review["apiVersion"]), text(&review["kind"]));
    if version != VERSION || kind != "AdmissionReview" {
        return Err(ReviewError::Version(format!("{kind:?} of {version:?}")));
    }
    let request = &review["request"];
    let uid = request["uid"].as_str().filter(|uid| !uid.is_empty()).ok_or(ReviewError::Uid)?;
    let mut response = json!({"uid": uid, "allowed": true});
    let decision = decide(request, settings, &mut response);
    let body = json!({"apiVersion": VERSION, "kind": "AdmissionReview", "response": response});
    Ok(Answer { body, decision, subject: subject(request) })
}

fn decide(request: &Value, settings: &Settings, response: &mut Value) -> Decision {
    let is = |key: &str, value: &str| request[key].as_str().unwrap_or_default() == value;
    let kind = &request["kind"];
    if kind["kind"] != "Pod" || kind["group"].as_str().is_some_and(|group| !group.is_empty()) {
        return Decision::Skipped("not a pod");
    }
    // Containers of a pod that is there can be neither added nor removed.
    if !is("operation", "CREATE") || !is("subResource", "") {
        return Decision::Skipped("the pod is there already");
    }
    let before = &request["object"];
    if !before.is_object() {
        return deny(response, &[Problem::new("request.object", "is missing", "send the pod")]);
    }
    if !workload::says_enabled(before) {
        return Decision::Skipped("the label ringside.dev/inject is not enabled");
    }
    let mut after = before.clone();
    match workload::inject(&mut after, settings, ends(before)) {
        Ok(Done::Injected(injected)) => {
            let patch = Value::from(patch(before, &after)).to_string();
            response["patchType"] = "JSONPatch".into();
            response["patch"] = STANDARD.encode(patch).into();
            let warnings: Vec<_> =
                injected.warnings.iter().take(WARNINGS).map(|warning| short(&warning.to_string())).collect();
            if !warnings.is_empty() {
                response["warnings"] = warnings.into();
            }
            Decision::Injected
        }
        Ok(Done::Skipped(why)) => {
            // Somebody asked for a sidecar and gets none.
            if why != Skip::OptedOut {
                response["warnings"] = json!([short(&format!("no Ringside sidecar: {why}"))]);
            }
            Decision::Skipped(why.as_str())
        }
        Ok(Done::Removed) => Decision::Skipped("nothing to do"),
        Err(problems) => deny(response, &problems),
    }
}

/// Whether `pod` is of a Job, which is done when the pod has ended.
fn ends(pod: &Value) -> bool {
    pod["metadata"]["ownerReferences"]
        .as_array()
        .is_some_and(|owners| owners.iter().any(|owner| owner["kind"] == "Job"))
}

fn deny(response: &mut Value, problems: &[Problem]) -> Decision {
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    response["allowed"] = false.into();
    response["status"] = json!({
        "status": "Failure",
        "reason": "Invalid",
        "code": 422,
        "message": format!("Ringside's sidecar cannot be injected: {}", told.join("; ")),
    });
    Decision::Denied(told)
}

/// What makes `after` of `before` (RFC 6902): the members of `metadata` and `spec` that are different, as wholes, so that
/// no place in a list matters.
pub fn patch(before: &Value, after: &Value) -> Vec<Value> {
    let none = Map::new();
    let mut patch = Vec::new();
    for part in ["metadata", "spec"] {
        let (was, is) = (before[part].as_object(), after[part].as_object());
        if was.is_none() && is.is_some() {
            patch.push(json!({"op": "add", "path": format!("/{part}"), "value": {}}));
        }
        let (was, is) = (was.unwrap_or(&none), is.unwrap_or(&none));
        for key in was.keys().filter(|key| !is.contains_key(*key)) {
            patch.push(json!({"op": "remove", "path": format!("/{part}/{}", pointer(key))}));
        }
        for (key, value) in is.iter().filter(|(key, value)| was.get(*key) != Some(value)) {
            patch.push(json!({"op": "add", "path": format!("/{part}/{}", pointer(key)), "value": value}));
        }
    }
    patch
}

/// A key inside of a JSON pointer (RFC 6901 section 3).
fn pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// No longer than API servers show.
fn short(text: &str) -> String {
    if text.chars().count() <= WARNING {
        return text.into();
    }
    text.chars().take(WARNING - 3).chain("...".chars()).collect()
}

fn subject(request: &Value) -> Subject {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let owner = &request["object"]["metadata"]["ownerReferences"][0];
    Subject {
        uid: text(&request["uid"]),
        namespace: text(&request["namespace"]),
        pod: workload::name(&request["object"]).unwrap_or_default(),
        owner: if owner.is_object() {
            format!("{}/{}", text(&owner["kind"]), text(&owner["name"]))
        } else {
            String::new()
        },
        dry_run: request["dryRun"] == true,
    }
}

#[cfg(test)]
mod tests;
