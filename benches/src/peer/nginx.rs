//! nginx: the upgrade as its page on WebSocket has it. It has no check of tokens without its commercial module.

use std::fmt::Write as _;
use std::process::Command;

use super::{Peer, Site};
use crate::Fault;

pub(super) const PEER: Peer =
    Peer { name: "nginx", install: "apt-get install nginx", checks_token: false, version: "-v", configure };

/// Descriptors of a worker: two for each connection.
const DESCRIPTORS: u32 = 20_000;

fn configure(command: &mut Command, site: &Site<'_>) -> Result<(), Fault> {
    command.args(["-e", "stderr", "-c"]).arg(site.write("nginx.conf", &configuration(site)?)?);
    Ok(())
}

fn configuration(site: &Site<'_>) -> Result<String, Fault> {
    let Site { address, workers, .. } = site;
    let (certificate, key, app) = (site.path("tls.crt"), site.path("tls.key"), site.path("app.sock"));
    // Where a worker would else write is the system's.
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(temporary, "    {kind}_temp_path {};", site.path(&format!("{}-{kind}", address.port())))?;
    }
    // A socket of its own for each worker spreads the connections.
    let reuseport = if *workers > 1 { " reuseport" } else { "" };
    Ok(format!(
        "daemon off;
user root root;
pid {pid};
error_log stderr error;
worker_processes {workers};

events {{
    worker_connections {DESCRIPTORS};
}}

http {{
    access_log off;
{temporary}
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        '' close;
    }}

    upstream app {{
        server unix:{app};
    }}

    server {{
        listen {address} ssl{reuseport};
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        ssl_session_cache shared:tls:10m;
        ssl_session_tickets on;

        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
",
        pid = site.path(&format!("{}-nginx.pid", address.port())),
    ))
}
