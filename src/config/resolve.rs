//! From what was written to the `Config` of each module, with all that cannot be meant told at once.
//!
//! A value that makes no sense is replaced by a stand-in after its problem was noted, so that the rest is looked at too.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use tracing_subscriber::EnvFilter;

use super::bounds::{self, DAY, MILLISECOND};
use super::findings::Findings;
use super::{Config, address, auth, collector, health, keys, life, rates, raw, traces};
use crate::bytesize::ByteSize;
use crate::control::{self, admin, log};
use crate::telemetry::trace::Sampler;
use crate::upstream::Address;
use crate::{opening, relay, tls, upstream, worker};

/// The configuration that `raw` means; of use only when `findings` has no problems.
pub(super) fn resolve(raw: raw::Raw, base: &Path, env: &[(OsString, OsString)], findings: &mut Findings<'_>) -> Config {
    limits(&raw.limits, findings);
    let session = life::session(&raw, findings);
    let listen = address::listen("listen.address", &raw.listen.address, findings);
    let worker = worker(&raw, listen, findings);
    let app = app(raw.app, base, findings);
    timeouts(&raw.timeouts, raw.tls.is_some(), findings);
    let admin =
        raw.admin.map(|admin| admin::Config { address: address::listen("admin.address", &admin.address, findings) });
    let (jwt, policy) = auth::resolve(raw.auth.jwt, &raw.access, raw.limits.token, base, findings);
    let health = raw.health.map(|raw| health::resolve(raw, &policy, findings));
    neighbours(listen, admin.as_ref(), health.as_ref(), &app, findings);
    Config {
        worker,
        tls: tls(raw.tls, base, findings),
        opening: opening::Config {
            deadline: raw.timeouts.opening,
            tls: raw.timeouts.tls,
            head: raw.limits.head,
            fields: raw.limits.head_fields.get(),
            early: raw.limits.early,
        },
        jwt,
        policy,
        upstream: upstream::Config { address: app, timeout: raw.timeouts.app },
        session,
        relay: relay::Config { write_stall: raw.timeouts.write_stall, closing: raw.timeouts.closing },
        traces: raw.telemetry.traces.map(|traces| collector::traces(traces, env, findings)),
        metrics: raw.telemetry.metrics.map(|metrics| collector::metrics(metrics, env, findings)),
        service_name: service_name(raw.telemetry.service_name, findings),
        routes: traces::routes(&raw.telemetry.routes, findings),
        admin,
        health,
        log: log(raw.log, base, findings),
    }
}

fn app(raw: raw::App, base: &Path, findings: &mut Findings<'_>) -> Address {
    let help = format!("say in [app] where the app listens: write {}", keys::Kind::App.form());
    let Some(text) = findings.required("app.address", raw.address, help) else { return address::stand_in() };
    address::app(&text, base).unwrap_or_else(|(what, help)| {
        findings.wrong("app.address", what, help);
        address::stand_in()
    })
}

fn tls(raw: Option<raw::Tls>, base: &Path, findings: &mut Findings<'_>) -> Option<tls::Config> {
    let Some(raw) = raw else {
        let help = "add [tls] with certificate and key, unless TLS ends in front of Ringside";
        findings.unwise("tls", "no TLS: clients connect with ws://, readable for anybody on the way", help);
        return None;
    };
    let certificate = findings.required("tls.certificate", raw.certificate, "name the PEM certificate chain");
    let key = findings.required("tls.key", raw.key, "name the PEM private key of the certificate");
    Some(tls::Config {
        certificate: findings.file("tls.certificate", certificate, base).unwrap_or_default(),
        key: findings.file("tls.key", key, base).unwrap_or_default(),
        client_ca: findings.file("tls.client_ca", raw.client_ca, base),
    })
}

fn worker(raw: &raw::Raw, listen: SocketAddr, findings: &mut Findings<'_>) -> worker::Config {
    const MOST: usize = 1024;
    let runtime = &raw.runtime;
    if runtime.workers.is_some_and(|workers| workers.get() > MOST) {
        findings.wrong("runtime.workers", "more than 1024", "write at most one per core, or remove the key");
    }
    bounds::size("runtime.buffers", runtime.buffers, ByteSize::mib(1), findings);
    worker::Config {
        listen,
        connections: raw.listen.connections,
        workers: runtime.workers,
        engine: runtime.engine.into(),
        buffers: runtime.buffers,
        drain: life::drain(&raw.drain, findings),
        rates: rates::resolve(raw, findings),
    }
}

fn limits(limits: &raw::Limits, findings: &mut Findings<'_>) {
    const LARGEST_HEAD: ByteSize = ByteSize::mib(1);
    const MOST_FIELDS: usize = 1000;
    bounds::size("limits.head", limits.head, ByteSize::kib(1), findings);
    if limits.head > LARGEST_HEAD {
        findings.wrong(
            "limits.head",
            format!("more than {LARGEST_HEAD}"),
            "every opening connection may hold that much",
        );
    }
    if limits.head_fields.get() > MOST_FIELDS {
        findings.wrong(
            "limits.head_fields",
            format!("more than {MOST_FIELDS}"),
            format!("write at most {MOST_FIELDS}"),
        );
    }
    bounds::size("limits.token", limits.token, ByteSize::bytes(1), findings);
    bounds::size("limits.message", limits.message, ByteSize::bytes(1), findings);
}

fn timeouts(timeouts: &raw::Timeouts, tls: bool, findings: &mut Findings<'_>) {
    let all = [
        ("timeouts.opening", timeouts.opening),
        ("timeouts.tls", timeouts.tls),
        ("timeouts.app", timeouts.app),
        ("timeouts.closing", timeouts.closing),
        ("timeouts.write_stall", timeouts.write_stall),
    ];
    for (key, timeout) in all {
        bounds::time(key, timeout, MILLISECOND..=DAY, findings);
    }
    // The whole bounds its parts in any case: a default that reaches beyond it is not worth a word.
    let within = [("timeouts.tls", timeouts.tls, tls), ("timeouts.app", timeouts.app, true)];
    for (key, timeout, used) in within {
        if used && timeout > timeouts.opening && findings.is_written(key) {
            let opening = humantime::format_duration(timeouts.opening);
            let help = format!("write at most \"{opening}\", or raise timeouts.opening");
            findings.wrong(key, format!("longer than timeouts.opening ({opening}), of which it is a part"), help);
        }
    }
}

/// No two of ours may listen in the same place, and we may not be our own app.
fn neighbours(
    listen: SocketAddr,
    admin: Option<&admin::Config>,
    health: Option<&control::health::Config>,
    app: &Address,
    findings: &mut Findings<'_>,
) {
    let mut ours = vec![("listen.address", listen)];
    let endpoints =
        [("admin.address", admin.map(|admin| admin.address)), ("health.address", health.map(|at| at.address))];
    for (key, address) in endpoints {
        let Some(address) = address else { continue };
        if let Some((other, at)) = ours.iter().find(|(_, other)| address::collide(address, *other)) {
            findings.wrong(key, format!("the same as {other} ({at})"), "give each a port of its own");
        }
        ours.push((key, address));
    }
    if let Some(health) = health {
        health::of_the_app(health, &ours, findings);
    }
    if let Address::Tcp(addresses) = app
        && addresses.iter().any(|app| address::reaches(*app, listen))
    {
        let what = format!("reaches listen.address ({listen}): Ringside would front itself");
        findings.wrong("app.address", what, "write the address of the app");
    }
}

fn service_name(name: Option<String>, findings: &mut Findings<'_>) -> Option<String> {
    if name.as_deref().is_some_and(|name| name.trim().is_empty()) {
        findings.wrong("telemetry.service_name", "is empty", "write a name, or remove the key");
    }
    name
}

fn log(raw: raw::Log, base: &Path, findings: &mut Findings<'_>) -> log::Config {
    if let Err(error) = EnvFilter::try_new(&raw.filter) {
        let help = "write a level (error, warn, info, debug, trace), or module=level, separated by commas";
        findings.wrong("log.filter", format!("not a filter: {error}"), help);
    }
    if raw.subject_key_file.is_some() && !matches!(raw.subject, raw::Subject::Hashed) {
        let help = "write log.subject = \"hashed\", or remove the key";
        findings.unwise("log.subject_key_file", "nothing is hashed with it", help);
    }
    bounds::ratio("log.sample_ratio", raw.sample_ratio, findings);
    log::Config {
        format: raw.format.into(),
        filter: raw.filter,
        subject: raw.subject.into(),
        subject_key: findings.file("log.subject_key_file", raw.subject_key_file, base),
        sampler: Sampler::ratio(raw.sample_ratio),
        noise: raw.noise,
    }
}
