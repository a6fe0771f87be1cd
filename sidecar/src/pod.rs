//! A pod template as it was written: what the injection needs to know of it, and nothing of what else it has.

use serde_json::{Map, Value};

use crate::problem::Problem;

/// A template whose lists and names are where they belong. Paths start at the template.
#[derive(Clone, Debug)]
pub struct Pod<'v> {
    /// Its annotations.
    pub annotations: Vec<(&'v str, &'v str)>,
    /// Its labels.
    pub labels: Vec<(&'v str, &'v str)>,
    /// Those that run side by side.
    pub containers: Vec<Container<'v>>,
    /// Those that run before.
    pub init_containers: Vec<Container<'v>>,
    /// Whether it has the node's network.
    pub host_network: bool,
    /// `terminationGracePeriodSeconds`; Kubernetes' default is 30.
    pub grace: u64,
    /// `securityContext.runAsUser`.
    pub user: Option<u64>,
}

/// A container as it was written.
#[derive(Clone, Debug)]
pub struct Container<'v> {
    /// Its name.
    pub name: &'v str,
    /// Its ports: name, number.
    pub ports: Vec<(Option<&'v str>, u16)>,
    /// All of it.
    pub value: &'v Map<String, Value>,
}

impl<'v> Pod<'v> {
    /// Reads `template`: a pod, or the template of one.
    pub fn read(template: &'v Value) -> Result<Self, Problem> {
        let spec = object(template, "spec")?
            .ok_or_else(|| Problem::new("spec", "is missing", "a pod needs a spec with at least one container"))?;
        let metadata = object(template, "metadata")?;
        let texts = |key| metadata.map_or(Ok(Vec::new()), |metadata| texts(metadata, key));
        list(spec, "volumes", "spec")?;
        let security = spec.get("securityContext");
        let pod = Self {
            annotations: texts("annotations")?,
            labels: texts("labels")?,
            containers: containers(spec, "containers")?,
            init_containers: containers(spec, "initContainers")?,
            host_network: spec.get("hostNetwork") == Some(&Value::Bool(true)),
            grace: spec.get("terminationGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(30),
            user: security.and_then(|security| security.get("runAsUser")?.as_u64()),
        };
        if pod.containers.is_empty() {
            return Err(Problem::new("spec.containers", "is empty", "a pod needs at least one container"));
        }
        Ok(pod)
    }

    /// What the annotation `name` says.
    pub fn annotation(&self, name: &str) -> Option<&'v str> {
        self.annotations.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

impl Container<'_> {
    /// `securityContext.runAsUser`.
    pub fn user(&self) -> Option<u64> {
        self.value.get("securityContext")?.get("runAsUser")?.as_u64()
    }
}

fn object<'v>(parent: &'v Value, key: &str) -> Result<Option<&'v Map<String, Value>>, Problem> {
    match parent.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(other) => Err(misfit(key, other, "a map")),
    }
}

fn list<'v>(parent: &'v Map<String, Value>, key: &str, base: &str) -> Result<&'v [Value], Problem> {
    match parent.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(misfit(&format!("{base}.{key}"), other, "a list")),
    }
}

fn texts<'v>(metadata: &'v Map<String, Value>, key: &str) -> Result<Vec<(&'v str, &'v str)>, Problem> {
    let path = format!("metadata.{key}");
    match metadata.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(name, value)| {
                let text =
                    value.as_str().ok_or_else(|| misfit(&format!("{path}[{name:?}]"), value, "a text, in quotes"))?;
                Ok((name.as_str(), text))
            })
            .collect(),
        Some(other) => Err(misfit(&path, other, "a map")),
    }
}

fn containers<'v>(spec: &'v Map<String, Value>, key: &str) -> Result<Vec<Container<'v>>, Problem> {
    let list = list(spec, key, "spec")?;
    list.iter().enumerate().map(|(n, value)| container(value, &format!("spec.{key}[{n}]"))).collect()
}

fn container<'v>(value: &'v Value, path: &str) -> Result<Container<'v>, Problem> {
    let map = value.as_object().ok_or_else(|| misfit(path, value, "a map"))?;
    let name = map.get("name").and_then(Value::as_str);
    let name =
        name.ok_or_else(|| Problem::new(format!("{path}.name"), "is missing", "every container needs a name"))?;
    for key in ["env", "volumeMounts"] {
        list(map, key, path)?;
    }
    object(value, "lifecycle").map_err(|problem| problem.below(path))?;
    let ports = list(map, "ports", path)?.iter().enumerate().map(|(n, port)| {
        let path = format!("{path}.ports[{n}].containerPort");
        let number = port.get("containerPort").and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok());
        let number = number.filter(|number| *number > 0);
        let number = number.ok_or_else(|| Problem::new(path, "is no port", "write a number from 1 to 65535"))?;
        Ok((port.get("name").and_then(Value::as_str), number))
    });
    Ok(Container { name, ports: ports.collect::<Result<_, _>>()?, value: map })
}

fn misfit(path: &str, value: &Value, wanted: &str) -> Problem {
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "a flag",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    };
    Problem::new(path, format!("is {is}"), format!("write {wanted}"))
}
