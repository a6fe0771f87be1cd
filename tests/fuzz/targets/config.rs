//! A configuration file and the environment: settings, or at least one problem that can be shown.

#![no_main]

use std::net::SocketAddr;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use ringside::config::Config;
use ringside::config::keys::KEYS;

/// Overridden only in the file, where it can be looked at first.
const APP: &str = "app.address";

// The file. Behind each NUL, a variable: a byte that says which key, and the value.
fuzz_target!(|input: &[u8]| {
    let Ok(input) = str::from_utf8(input) else { return };
    let mut parts = input.split('\0');
    let text = parts.next().unwrap_or_default();
    if names_a_host(text) {
        return;
    }
    let env: Vec<_> = parts.filter_map(variable).collect();
    match Config::parse(text, Path::new("/etc/ringside/ringside.toml"), env) {
        Ok(loaded) => {
            assert!(!loaded.config.summary().is_empty());
            loaded.warnings.iter().for_each(show);
        }
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason");
            problems.0.iter().for_each(show);
            assert!(!problems.to_string().is_empty());
        }
    }
});

fn variable(part: &str) -> Option<(String, &str)> {
    let key = KEYS.get(usize::from(*part.as_bytes().first()?) % KEYS.len()).filter(|key| key.path != APP)?;
    Some((key.variable(), part.get(1..)?))
}

fn show(problem: &ringside::config::Problem) {
    let line = problem.to_string();
    assert!(!problem.what.is_empty() && !problem.help.is_empty() && !line.contains('\n'), "{line}");
    assert!(!format!("{problem:#}").is_empty());
}

/// Whether the app's address would have to be looked up in the DNS, which is slow and somebody else's.
fn names_a_host(text: &str) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else { return false };
    let address = table.get("app").and_then(|app| app.get("address")).and_then(toml::Value::as_str).unwrap_or_default();
    let is_numeric = address.parse::<SocketAddr>().is_ok();
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    has_port && !is_numeric && !address.starts_with("unix:")
}
