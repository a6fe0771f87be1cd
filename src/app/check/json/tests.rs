use std::path::Path;

use super::super::Report;
use super::super::platform::Platform;
use super::super::platform::tests::{good, refusing};
use super::write;
use crate::app::check::cgroup::Limits;
use crate::config::{Config, Problem, Source};

fn shown(report: &Report) -> String {
    let mut out = Vec::new();
    write(report, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The report on `text` as if it stood in `ringside.toml`.
fn report(text: &str, env: &[(&str, &str)], platform: Platform) -> Report {
    let loaded = Config::parse(text, Path::new("ringside.toml"), env.iter().copied());
    let report = Report { source: Some(Source::File("ringside.toml".into())), ..Report::new(&loaded, platform) };
    let Ok(loaded) = loaded else { return report };
    Report { summary: Some(loaded.config.summary()), warnings: loaded.warnings, ..report }
}

/// What machines rely on. Names are added here, and never changed.
const GOLDEN: &str = r#"{
  "version": "VERSION",
  "verdict": "ready_on_epoll",
  "exit_code": 3,
  "source": "ringside.toml",
  "summary": "wss://0.0.0.0:8443 -> 127.0.0.1:3000; no authentication; engine auto",
  "problems": [],
  "warnings": [
    {
      "key": "auth.jwt",
      "file": "ringside.toml",
      "line": null,
      "column": null,
      "variable": null,
      "value": null,
      "what": "no authentication: anybody may connect to the app",
      "help": "add [auth.jwt] with keys, unless the app itself decides who may connect"
    },
    {
      "key": "runtime.engine",
      "file": null,
      "line": null,
      "column": null,
      "variable": null,
      "value": null,
      "what": "io_uring is refused here, epoll would run: cannot set up a ring: Operation not permitted (os error 1)",
      "help": "run with a profile that allows io_uring_setup, io_uring_enter and io_uring_register, as sidecar/deploy/seccomp does"
    },
    {
      "key": "runtime.workers",
      "file": null,
      "line": null,
      "column": null,
      "variable": null,
      "value": null,
      "what": "2 workers may use up the CPU quota, which is 1.5 cores: then all stand still for the rest of each period",
      "help": "have no more workers than cores of quota, or remove the CPU limit and keep the request"
    }
  ],
  "engine": {
    "wanted": "auto",
    "runs": "epoll",
    "why": "io_uring refused: cannot set up a ring: Operation not permitted (os error 1)"
  },
  "capacity": {
    "workers": 2,
    "connections": 9872,
    "buffers_bytes": 134111232
  },
  "platform": {
    "kernel": "6.12.9",
    "machine": "x86_64",
    "io_uring": {
      "works": false,
      "operations": [
        "poll",
        "recv",
        "send",
        "accept",
        "connect",
        "cancel",
        "enter"
      ],
      "step": "set up a ring",
      "error": "Operation not permitted (os error 1)",
      "causes": [
        {
          "what": "a seccomp filter is on this process; the default profiles of Docker and containerd refuse io_uring",
          "remedy": "run with a profile that allows io_uring_setup, io_uring_enter and io_uring_register, as sidecar/deploy/seccomp does"
        },
        {
          "what": "kernel 6.12.9 may lack io_uring or flags we use; 6.1 has all",
          "remedy": "run a kernel of version 6.1 or newer; sandboxes such as gVisor have no io_uring"
        }
      ]
    },
    "sysctl": {
      "io_uring_disabled": 0,
      "io_uring_group": null,
      "in_group": false
    },
    "seccomp": {
      "mode": "filter",
      "filters": 1
    },
    "no_new_privileges": true,
    "cap_sys_admin": false,
    "memlock_bytes": 8388608,
    "open_files": {
      "soft": 1024,
      "hard": 20000,
      "raised": 20000
    },
    "cores": 2,
    "cpu_quota": 1.5,
    "memory_limit_bytes": null,
    "memory_bytes": 8589934592
  }
}
"#;

#[test]
fn everything_has_its_name() {
    let text = "[tls]\ncertificate = \"a\"\nkey = \"b\"\n[app]\naddress = \"127.0.0.1:3000\"\n";
    let here = Platform { cgroup: Limits { cpus: Some(1.5), memory: None }, ..refusing() };
    assert_eq!(shown(&report(text, &[], here)), GOLDEN.replace("VERSION", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_problem_stands_where_it_was_written() {
    let text = "[app]\naddress = \"127.0.0.1:3000\"\n[limits]\nhead = \"16kb\"\n";
    let shown = shown(&report(text, &[("RINGSIDE_RUNTIME_ENGINE", "kqueue")], good()));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["verdict"], &shown["exit_code"]), (&"not_ready".into(), &1.into()));
    assert!(shown["engine"].is_null() && shown["capacity"].is_null() && shown["summary"].is_null(), "{shown}");
    assert_eq!(shown["platform"]["io_uring"]["works"], true);
    let problems = shown["problems"].as_array().unwrap();
    let [in_file, in_variable] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!((&in_file["key"], &in_file["file"]), (&"limits.head".into(), &"ringside.toml".into()));
    assert_eq!((&in_file["line"], &in_file["column"]), (&4.into(), &8.into()));
    assert_eq!((&in_file["value"], &in_file["variable"]), (&"\"16kb\"".into(), &serde_json::Value::Null));
    assert_eq!((&in_variable["key"], &in_variable["file"]), (&"runtime.engine".into(), &serde_json::Value::Null));
    assert_eq!(
        (&in_variable["variable"], &in_variable["value"]),
        (&"RINGSIDE_RUNTIME_ENGINE".into(), &"kqueue".into())
    );
    assert!(problems.iter().all(|problem| problem["what"].is_string() && problem["help"].is_string()), "{problems:?}");
}

#[test]
fn what_may_be_a_secret_has_no_value() {
    let text = "[app]\naddress = \"127.0.0.1:3000\"\n[auth.jwt]\nsecret = \"hunter2\"\nkeys = \"k\"\n";
    let wrong = report(text, &[], good());
    let Problem { value, .. } = &wrong.problems[0];
    assert_eq!(*value, None);
    let shown = shown(&wrong);
    assert!(shown.contains("\"key\": \"auth.jwt.secret\"") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_ring_that_was_demanded_is_a_problem() {
    let text = "[app]\naddress = \"127.0.0.1:3000\"\n[runtime]\nengine = \"io_uring\"\n";
    let shown: serde_json::Value = serde_json::from_str(&shown(&report(text, &[], refusing()))).unwrap();
    assert_eq!((&shown["verdict"], &shown["exit_code"]), (&"not_ready".into(), &1.into()));
    assert_eq!(shown["engine"]["runs"], serde_json::Value::Null);
    assert_eq!(shown["problems"][0]["key"], "runtime.engine");
    assert!(shown["problems"][0]["what"].as_str().unwrap().contains("this kernel refuses it"), "{shown}");
}
