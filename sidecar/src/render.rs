//! The injection: from a pod template to the same with a sidecar, and back.
//!
//! One pure function, [`inject`], which the command, the webhook and the manifests call. What it changes it writes down
//! ([`status`]), so that a template that has a sidecar is first put back as it was and then injected anew: by the same
//! version to no effect, by a newer one to that one's.

mod app;
mod container;
mod edit;
mod probes;
pub mod status;
mod volumes;

use serde_json::Value;

use self::status::{Moved, Status};
use crate::pod::Pod;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::sidecar::NAME;
use crate::wish::{Form, Wish};

/// What an injection did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected {
    /// In a few words each.
    pub done: Vec<String>,
    /// The port that clients connect to in place of the app's.
    pub port: Option<Moved>,
    /// The pod's labels, by which Services find it.
    pub labels: Vec<(String, String)>,
    /// What is allowed but should be known.
    pub warnings: Vec<Problem>,
}

/// Puts a sidecar into `template`: a pod, or the template of one.
///
/// # Errors
/// Everything that is wrong with it, at once; then it is left as it was.
pub fn inject(template: &mut Value, settings: &Settings) -> Result<Injected, Vec<Problem>> {
    let mut bare = template.clone();
    restore(&mut bare)?;
    let pod = Pod::read(&bare).map_err(|problem| vec![problem])?;
    let mut wish = Wish::read(&pod, settings)?;
    let mut rendered = bare.clone();
    let mut status = Status::new(wish.form, pod.containers[wish.app].name);
    let probes = if wish.forwards_probes { probes::forward(&pod, &mut wish) } else { probes::keep(&pod, &mut wish) };
    app::edit(&mut rendered, &pod, &mut wish, settings, probes, &mut status);
    let mounts = volumes::add(&mut rendered, &wish, &mut status);
    container::add(&mut rendered, &pod, &mut wish, mounts);
    status.write(&mut rendered);
    let labels = pod.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let injected = Injected { done: done(&wish, &status), port: status.port, labels, warnings: wish.warnings };
    *template = rendered;
    Ok(injected)
}

/// Takes the sidecar out of `template`, and what came with it. Whether there was one.
///
/// # Errors
/// When what was written down about it cannot be read; then it is left as it was.
pub fn restore(template: &mut Value) -> Result<bool, Vec<Problem>> {
    let Some(status) = Status::read(template).map_err(|problem| vec![problem])? else { return Ok(false) };
    container::remove(template);
    volumes::remove(template, &status);
    app::restore(template, &status);
    Status::erase(template);
    Ok(true)
}

fn done(wish: &Wish<'_>, status: &Status) -> Vec<String> {
    let scheme = if wish.tls.is_some() { "wss" } else { "ws" };
    let form = match wish.form {
        Form::Native => "native sidecar",
        Form::Classic => "container",
    };
    let (port, app) = (wish.port, wish.listens);
    let mut done = vec![format!("{form} {NAME}: {scheme} on port {port} -> {app} (container {})", status.app)];
    if let Some(moved) = &status.port {
        let name = moved.name.as_ref().map_or(String::new(), |name| format!(" {name:?}"));
        done.push(format!("port{name} {} -> {}", moved.was, moved.is));
    }
    if !status.probes.is_empty() {
        let names: Vec<_> = status.probes.keys().map(String::as_str).collect();
        done.push(format!(
            "{}: {}",
            names.join(", "),
            if wish.forwards_probes { "through the sidecar" } else { "by number" }
        ));
    }
    if let Some((was, is)) = status.grace {
        done.push(format!("grace period {} s -> {is} s", was.unwrap_or(30)));
    }
    done
}

#[cfg(test)]
mod tests;
