//! `ringside check`: what it says about a configuration and about this machine, and with which code it exits.

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::app::App;
use crate::support::binary::Binary;
use crate::support::engines::{Engine, on_both_engines};
use crate::support::material;
use crate::support::proxy::Setup;

on_both_engines!(a_good_configuration_is_ready_on_its_engine, the_bound_on_connections_is_that_of_run);

/// The exit code of `ringside check` on a file with this text, and what it writes.
fn check(toml: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().expect("a directory");
    material::write_files(dir.path());
    let file = dir.path().join("ringside.toml");
    fs::write(&file, toml).expect("a file");
    let config = file.to_str().expect("UTF-8");
    ringside(&[&["check", "--config", config], arguments].concat())
}

fn ringside(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringside")).args(arguments).env_clear().output().expect("the binary");
    let written = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(written).expect("UTF-8"))
}

/// The same as JSON.
fn check_json(toml: &str, code: i32) -> Value {
    let (status, output) = check(toml, &["--json"]);
    assert_eq!(status, Some(code), "{output}");
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

fn code(engine: Engine) -> i32 {
    if engine == "epoll" { 3 } else { 0 }
}

fn a_good_configuration_is_ready_on_its_engine(engine: Engine) {
    let setup = Setup::new(engine).jwt("");
    let toml = setup.toml("unix:app.sock");
    let (status, output) = check(&toml, &[]);
    assert_eq!(status, Some(code(engine)), "{output}");
    let last = output.lines().last().unwrap_or_default();
    assert!(last.contains(&format!("ringside.toml: ready on {engine}: wss://127.0.0.1:0 -> ")), "{output}");

    let shown = check_json(&toml, code(engine));
    assert_eq!(shown["verdict"], format!("ready_on_{engine}"));
    assert_eq!((&shown["engine"]["wanted"], &shown["engine"]["runs"]), (&engine.into(), &engine.into()));
    assert_eq!((&shown["problems"], &shown["warnings"]), (&Value::Array(vec![]), &Value::Array(vec![])), "{shown}");
}

fn the_bound_on_connections_is_that_of_run(engine: Engine) {
    for setup in [Setup::new(engine).workers(3), Setup::new(engine).connections(10_000_000)] {
        let app = App::unix();
        let binary = Binary::start(&setup, app.address());
        binary.signal(Signal::TERM);
        let (_, output) = binary.exit();
        let listening = output.lines().find(|line| line.contains(" listening ")).unwrap_or_else(|| panic!("{output}"));
        let told = listening.split_once(" connections=").map(|(_, rest)| rest.split(' ').next().unwrap_or_default());
        let shown = check_json(&setup.toml(app.address()), code(engine));
        assert_eq!(told, Some(shown["capacity"]["connections"].to_string().as_str()), "{listening}\n{shown}");
    }
}

#[test]
fn every_mistake_is_named_at_once() {
    let (status, output) = check(
        "[listen]\naddress = \"nowhere\"\n[tls]\ncertificate = \"absent.crt\"\nkey = \"tls.key\"\n\
         [app]\naddress = \"unix:\"\n[auth.jwt]\nkeys = \"jwks.json\"\nalgorithms = [\"none\"]\n\
         [timeouts]\nclosing = \"0s\"\n",
        &[],
    );
    assert_eq!(status, Some(1), "{output}");
    for key in ["listen.address", "tls.certificate", "app.address", "auth.jwt.algorithms", "timeouts.closing"] {
        assert!(output.contains(&format!("error: {key}: ")), "{key} is not named:\n{output}");
    }
    assert!(output.contains("\nkernel "), "the platform is told all the same:\n{output}");
    assert!(output.ends_with("ringside.toml: not ready: 5 problems\n"), "{output}");
}

#[test]
fn the_platform_needs_no_configuration() {
    let (status, output) = ringside(&["check", "--platform"]);
    let engine = match status {
        Some(0) => "io_uring",
        Some(3) => "epoll",
        _ => panic!("{status:?}: {output}"),
    };
    assert_eq!(output.lines().last(), Some(format!("platform: ready on {engine}").as_str()), "{output}");
    let (same, json) = ringside(&["check", "--platform", "--json"]);
    let shown: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!((same, &shown["engine"]["runs"], &shown["source"]), (status, &engine.into(), &Value::Null));
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux says so");
    assert_eq!(shown["platform"]["kernel"], release.trim());
    assert!(shown["platform"]["memory_bytes"].as_u64().is_some_and(|memory| memory > 1 << 26), "{json}");
    assert!(shown["platform"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{json}");
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let (status, output) = ringside(&["check", "--config", "/nonexistent/ringside.toml"]);
    assert_eq!(status, Some(1), "{output}");
    assert!(output.starts_with("error: no such file\n --> /nonexistent/ringside.toml\n"), "{output}");
}
