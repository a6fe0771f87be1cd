//! What was injected, as an annotation of the template.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::edit;
use crate::annotation::STATUS;
use crate::problem::Problem;
use crate::wish::Form;

/// What is needed to know what was injected, and to take it out again.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The version that injected.
    pub version: String,
    /// `native` or `classic`.
    pub form: String,
    /// The app's container.
    pub app: String,
    /// Volumes that were added.
    pub volumes: Vec<String>,
    /// The port that clients connect to in place of the app's.
    pub port: Option<Moved>,
    /// Probes of the app that were changed, as they were: `livenessProbe` and its handler.
    pub probes: BTreeMap<String, Map<String, Value>>,
    /// Whether the app got a preStop hook.
    pub pre_stop: bool,
    /// Grace period before and after.
    pub grace: Option<(Option<u64>, u64)>,
}

/// A declared port whose number changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its name.
    pub name: Option<String>,
    /// The number that the app declared.
    pub was: u16,
    /// The sidecar's.
    pub is: u16,
}

impl Status {
    /// Nothing yet.
    pub(super) fn new(form: Form, app: &str) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            form: if form == Form::Native { "native" } else { "classic" }.into(),
            app: app.into(),
            volumes: Vec::new(),
            port: None,
            probes: BTreeMap::new(),
            pre_stop: false,
            grace: None,
        }
    }

    /// What `template` says; `None`: it has no sidecar of ours.
    pub fn read(template: &Value) -> Result<Option<Self>, Problem> {
        let Some(value) = template["metadata"]["annotations"].get(STATUS) else { return Ok(None) };
        let known =
            value.as_str().and_then(|text| serde_json::from_str(text).ok()).and_then(|value| Self::parse(&value));
        known.map(Some).ok_or_else(|| {
            Problem::new(
                format!("metadata.annotations[{STATUS:?}]"),
                "is not what an injector writes",
                "start again from the manifest as it was before it was injected",
            )
        })
    }

    fn parse(value: &Value) -> Option<Self> {
        let texts = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|text| text.as_str().map(String::from)).collect()
        };
        let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
        let moved = |value: &Value| {
            let name = value.get("name").and_then(Value::as_str).map(String::from);
            Some(Moved { name, was: port(&value["was"])?, is: port(&value["is"])? })
        };
        let probes = value["probes"].as_object()?.iter();
        Some(Self {
            version: value["version"].as_str()?.into(),
            form: value["form"].as_str()?.into(),
            app: value["app"].as_str()?.into(),
            volumes: texts(&value["volumes"])?,
            port: match value.get("port") {
                Some(value) => Some(moved(value)?),
                None => None,
            },
            probes: probes
                .map(|(name, handler)| Some((name.clone(), handler.as_object()?.clone())))
                .collect::<Option<_>>()?,
            pre_stop: value["preStop"].as_bool()?,
            grace: match value.get("grace") {
                Some(grace) => Some((grace["was"].as_u64(), grace["is"].as_u64()?)),
                None => None,
            },
        })
    }

    pub(super) fn write(&self, template: &mut Value) {
        let mut value = json!({
            "version": self.version,
            "form": self.form,
            "container": crate::sidecar::NAME,
            "app": self.app,
            "volumes": self.volumes,
            "probes": self.probes,
            "preStop": self.pre_stop,
        });
        if let Some(Moved { name, was, is }) = &self.port {
            value["port"] = json!({"was": was, "is": is});
            if let Some(name) = name {
                value["port"]["name"] = json!(name);
            }
        }
        if let Some((was, is)) = self.grace {
            value["grace"] = json!({"was": was, "is": is});
        }
        edit::map(edit::map(template, "metadata"), "annotations")[STATUS] = value.to_string().into();
    }

    pub(super) fn erase(template: &mut Value) {
        edit::drop_member(&mut template["metadata"], "annotations", STATUS);
        if let (Some(true), Some(map)) = (template["metadata"].as_object().map(Map::is_empty), template.as_object_mut())
        {
            map.shift_remove("metadata");
        }
    }
}
