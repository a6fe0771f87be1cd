//! `HAProxy`: `jwt_verify` with the issuer's key, then what it must say.

use std::process::Command;

use super::{Peer, Site};
use crate::Fault;
use crate::files::{AUDIENCE, ISSUER};

pub(super) const PEER: Peer =
    Peer { name: "haproxy", install: "apt-get install haproxy", checks_token: true, version: "-v", configure };

fn configure(command: &mut Command, site: &Site<'_>) -> Result<(), Fault> {
    command.arg("-db").arg("-f").arg(site.write("haproxy.cfg", &configuration(site))?);
    Ok(())
}

fn configuration(site: &Site<'_>) -> String {
    let Site { address, workers, .. } = site;
    let (pem, app, issuer) = (site.path("tls.pem"), site.path("app.sock"), site.path("issuer.pem"));
    format!(
        "global
    nbthread {workers}
    maxconn 9500
    ssl-default-bind-options ssl-min-ver TLSv1.3 prefer-client-ciphers

defaults
    mode http
    timeout connect 5s
    timeout http-request 10s
    timeout client 1m
    timeout server 1m
    timeout tunnel 1h

frontend clients
    bind {address} ssl crt {pem} alpn http/1.1
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,\"{issuer}\") 1 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.iss') -m str {ISSUER} }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.aud') -m str {AUDIENCE} }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    default_backend app

backend app
    server app unix@{app}
"
    )
}
