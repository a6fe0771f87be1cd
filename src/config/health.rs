//! What may be asked from outside the pod: `[health]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::document::Item;
use super::findings::Findings;
use super::{address, raw};
use crate::control::health::Config;
use crate::control::health::app::Target;
use crate::policy;

const APP: &str = "health.app";

/// More than anybody asks; each is a path of its own.
const MOST_PROBES: usize = 32;

/// As long as the name of a container or a port may be, and longer than any probe's.
const LONGEST_NAME: usize = 63;

/// The health endpoint. Who a client is, is said to the app in the fields that `policy` has for it.
pub(super) fn resolve(raw: raw::Health, policy: &policy::Config, findings: &mut Findings<'_>) -> Config {
    let address = address::listen("health.address", &raw.address, findings);
    let claims = policy.claims_to_headers.values();
    let identity = std::iter::once(&policy.subject_header).chain(claims).cloned().collect();
    Config { address, probes: probes(raw.app, findings), identity }
}

fn probes(texts: BTreeMap<String, String>, findings: &mut Findings<'_>) -> BTreeMap<String, Target> {
    if texts.len() > MOST_PROBES {
        let what = format!("{} probes: more than {MOST_PROBES}", texts.len());
        findings.wrong(APP, what, "remove those that nobody asks for");
    }
    let mut probes = BTreeMap::new();
    for (name, text) in texts {
        if !is_name(&name) {
            let what = format!("{name:?} is no name of a probe, which ends its path: /app/NAME");
            let help = format!("write at most {LONGEST_NAME} of a to z, 0 to 9 and \"-\", such as \"ready\"");
            findings.wrong_item(APP, Item::Named(&name), what, help);
        }
        match text.parse::<Target>() {
            Ok(target) => drop(probes.insert(name, target)),
            Err(error) => {
                let help = "write \"http://127.0.0.1:PORT/PATH\" or \"tcp://127.0.0.1:PORT\" (or [::1], or localhost); what \
                            is not on loopback, kubelet can ask itself";
                findings.wrong_item(APP, Item::Named(&name), format!("{name:?}: {text:?} {error}"), help);
            }
        }
    }
    probes
}

/// No probe may be of ourselves: it says nothing of the app, and could go round in a circle.
pub(super) fn of_the_app(config: &Config, ours: &[(&'static str, SocketAddr)], findings: &mut Findings<'_>) {
    for (name, target) in &config.probes {
        let reached = |listen: SocketAddr| target.addresses().iter().any(|to| address::reaches(*to, listen));
        if let Some((key, listen)) = ours.iter().find(|(_, listen)| reached(*listen)) {
            let what = format!("{name:?} reaches {key} ({listen}): Ringside would ask itself");
            findings.wrong_item(APP, Item::Named(name), what, "write where the app listens");
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_letter)
}
