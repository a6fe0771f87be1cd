//! What `ringside check` promises about a configuration, seen from outside.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use ringside::bytesize::ByteSize;
use ringside::config::keys::KEYS;
use ringside::config::{Config, Loaded, Place, Problem, Problems};
use ringside::control::export::Protocol;
use ringside::jwt::algorithm::Algorithm;
use ringside::policy::auth::TokenSource;
use ringside::ring::engine::Choice;
use ringside::upstream::Address;

const NO_ENV: [(&str, &str); 0] = [];
const MINIMAL: &str = "[app]\naddress = \"127.0.0.1:3000\"\n";

fn with_env(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    Config::parse(text, Path::new("/etc/ringside/ringside.toml"), env.iter().copied())
}

fn parse(text: &str) -> Result<Loaded, Problems> {
    with_env(text, &[])
}

fn config(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| panic!("{problems}")).config
}

/// Line, key and message of each problem; line 0 is the file as a whole.
fn problems(text: &str) -> Vec<(usize, String, String)> {
    let line = |problem: &Problem| match &problem.place {
        Place::File { at, .. } => at.as_ref().map_or(0, |at| at.line),
        Place::Variable(name) => panic!("in {name}"),
    };
    let Err(Problems(problems)) = parse(text) else { panic!("no problem in {text}") };
    problems.iter().map(|p| (line(p), p.key.clone(), format!("{}; {}", p.what, p.help))).collect()
}

/// The only problem of `text`.
#[track_caller]
fn problem(text: &str) -> (usize, String, String) {
    let found = problems(text);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

#[test]
fn five_mistakes_are_named_all_five() {
    let text = r#"
[listen]
adress = "0.0.0.0:8443"
[app]
address = "http://127.0.0.1:3000"
[timeouts]
closing = 5
[telemetry.traces]
endpoint = "http://127.0.0.1:4318"
sample_ratio = 1.5
[runtime]
engine = "iouring"
"#;
    let found = problems(text);
    let told: Vec<_> = found.iter().map(|(line, key, _)| (*line, key.as_str())).collect();
    let expected = [
        (3, "listen.adress"),
        (5, "app.address"),
        (7, "timeouts.closing"),
        (10, "telemetry.traces.sample_ratio"),
        (12, "runtime.engine"),
    ];
    assert_eq!(told, expected);
    for ((.., message), part) in
        found.iter().zip(["\"address\"?", "\"127.0.0.1:3000\"", "\"30s\"", "0.0 to 1.0", "\"io_uring\"?"])
    {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_problem_holds_all_that_mending_it_needs() {
    let Problems(found) = parse(&format!("{MINIMAL}[limits]\nhead = \"16kb\"\n")).unwrap_err();
    let [problem] = &found[..] else { panic!("{found:?}") };
    assert_eq!((problem.key.as_str(), problem.value.as_deref()), ("limits.head", Some("\"16kb\"")));
    assert_eq!(
        format!("{problem:#}"),
        "limits.head: expected a whole number with a unit, such as \"16KiB\" (units: B, KiB, MiB, GiB)\n \
         --> /etc/ringside/ringside.toml:4:8\n  |\n4 | head = \"16kb\"\n  |        ^^^^^^\n\
         help: write a whole number with its unit, such as \"16KiB\" (units: B, KiB, MiB, GiB)"
    );
}

#[test]
fn unknown_keys_come_with_a_suggestion() {
    let told = |text: &str| problem(&format!("{MINIMAL}{text}")).2;
    assert!(told("[listn]\n").contains("did you mean \"listen\"?"));
    assert!(told("[auth.jtw]\nkeys = \"k\"\n").contains("did you mean \"jwt\"?"));
    assert!(told("[listen]\ncertificate = \"a\"\n").contains("belongs in [tls]"));
    assert!(told("[listen]\nzebra = 1\n").contains("may hold: address, connections"));
    // The mistyped key stands for the required one, which is not called missing as well.
    assert!(told("[tls]\ncertficate = \"a\"\nkey = \"b\"\n").contains("did you mean \"certificate\"?"));
}

#[test]
fn what_stands_under_an_unknown_key_is_not_shown() {
    let Problems(found) = parse(&format!("{MINIMAL}[auth.jwt]\nsecret = \"hunter2\"\nkeys = \"k\"\n")).unwrap_err();
    assert!(!format!("{found:?} {:#}", found[0]).contains("hunter2"));
    let Problems(found) = with_env(MINIMAL, &[("RINGSIDE_JWT_SECRET", "hunter2")]).unwrap_err();
    assert!(!format!("{found:?} {:#}", found[0]).contains("hunter2"));
}

#[test]
fn a_syntax_error_is_one_problem_at_its_place() {
    let Problems(found) = parse("[listen]\naddress = 0.0.0.0:8443\n[tls\n").unwrap_err();
    assert_eq!(found.len(), 1);
    assert!(format!("{:#}", found[0]).contains("ringside.toml:2:"), "{:#}", found[0]);
    assert!(format!("{:#}", found[0]).contains("\n2 | address = 0.0.0.0:8443\n"));
    let (line, _, message) = problem("[app]\naddress = \"127.0.0.1:1\"\naddress = \"127.0.0.1:2\"\n");
    assert_eq!(line, 3);
    assert!(message.contains("duplicate key"), "{message}");
}

#[test]
fn what_makes_no_sense_is_told() {
    for (text, line, key, part) in [
        ("listen = 3\n[app]\naddress = \"127.0.0.1:3000\"\n", 1, "listen", "[listen] on a line of its own"),
        ("[app]\naddress = \"127.0.0.1\"\n", 2, "app.address", "no port"),
        ("[app]\n", 1, "app.address", "is missing"),
        ("", 0, "app.address", "is missing"),
        ("[listen]\naddress = \"localhost:1\"", 4, "listen.address", "not an IP address"),
        ("[listen]\naddress = \"127.0.0.1:3000\"", 2, "app.address", "front itself"),
        ("[listen]\nconnections = 0", 4, "listen.connections", "at least 1"),
        ("[admin]\naddress = \"127.0.0.1:8443\"", 4, "admin.address", "the same as listen.address"),
        ("[tls]\nkey = \"k\"", 3, "tls.certificate", "is missing"),
        ("[tls]\nkey = \"\"\ncertificate = \"c\"", 4, "tls.key", "names no file"),
        ("[timeouts]\nopening = \"0s\"\napp = \"0s\"", 4, "timeouts.opening", "at least \"1ms\""),
        ("[timeouts]\nclosing = \"100000h\"", 4, "timeouts.closing", "at most \"1day\""),
        ("[timeouts]\nclosing = \"soon\"", 4, "timeouts.closing", "not a duration"),
        ("[timeouts]\napp = \"1m\"", 4, "timeouts.app", "longer than timeouts.opening (10s)"),
        ("[limits]\nhead = \"1B\"", 4, "limits.head", "at least \"1KiB\""),
        ("[limits]\nhead = \"1GiB\"", 4, "limits.head", "more than 1MiB"),
        ("[limits]\nhead_fields = 5000", 4, "limits.head_fields", "at most 1000"),
        ("[limits]\nmessage = \"0B\"", 4, "limits.message", "at least \"1B\""),
        ("[limits]\nfragments = 99999999999", 4, "limits.fragments", "99999999999"),
        ("[runtime]\nbuffers = \"1KiB\"", 4, "runtime.buffers", "at least \"1MiB\""),
        ("[runtime]\nworkers = 5000", 4, "runtime.workers", "more than 1024"),
        ("[telemetry.traces]\n", 3, "telemetry.traces.endpoint", "is missing"),
        ("[telemetry.traces]\nendpoint = \"localhost:4318\"", 4, "telemetry.traces.endpoint", "not a base URL"),
        ("[telemetry.traces]\nendpoint = \"http://a\"\nprotocol = \"http\"", 5, "telemetry.traces.protocol", "grpc"),
        ("[telemetry]\nservice_name = \"\"", 4, "telemetry.service_name", "is empty"),
        ("[log]\nfilter = \"ringside=loud\"", 4, "log.filter", "not a filter"),
        ("[access]\norigins = [\n \"https://a.example\",\n \"a.example/\"]", 6, "access.origins", "a.example/"),
    ] {
        let whole =
            if text.contains("[app]") || text.is_empty() { text.to_owned() } else { format!("{MINIMAL}{text}") };
        let found = problems(&whole);
        let (at, path, message) = &found[0];
        assert_eq!((*at, path.as_str()), (line, key), "{text}: {found:?}");
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn tokens_can_be_verified_or_it_is_told() {
    for (text, key, part) in [
        ("", "auth.jwt.keys", "is missing"),
        ("keys = \"k\"\nalgorithms = [\n\"RS265\"]", "auth.jwt.algorithms", "did you mean \"RS256\"?"),
        ("keys = \"k\"\nalgorithms = [\"none\"]", "auth.jwt.algorithms", "unknown algorithm \"none\""),
        ("keys = \"k\"\nalgorithms = []", "auth.jwt.algorithms", "no algorithm"),
        ("keys = \"k\"\nalgorithms = [\"HS256\", \"RS256\"]", "auth.jwt.algorithms", "without a secret"),
        ("secret_file = \"s\"\nalgorithms = [\"HS256\", \"RS256\"]", "auth.jwt.algorithms", "without public keys"),
        ("secret_file = \"s\"", "auth.jwt.secret_file", "write algorithms = [\"HS256\"]"),
        ("keys = \"k\"\nsecret_file = \"s\"\nalgorithms = [\"HS256\"]", "auth.jwt.keys", "no algorithm"),
        ("keys = \"k\"\nleeway = \"10m\"", "auth.jwt.leeway", "at most \"5m\""),
        ("keys = \"k\"\naudience = 3", "auth.jwt.audience", "neither a text nor a list"),
        ("keys = \"k\"\nissuer = \"\"", "auth.jwt.issuer", "an empty text"),
        ("keys = \"k\"\nfrom = []", "auth.jwt.from", "no token could be found"),
        ("keys = \"k\"\nfrom = [\"headr\"]", "auth.jwt.from", "did you mean \"header\"?"),
        ("keys = \"k\"\nfrom = [\"cokie:a\"]", "auth.jwt.from", "did you mean \"cookie:a\"?"),
        ("keys = \"k\"\nfrom = [\"cookie:a b\"]", "auth.jwt.from", "a cookie's name"),
        ("keys = \"k\"\nfrom = [\"query\"]", "auth.jwt.from", "\"query:NAME\""),
        ("keys = \"k\"\nfrom = [\"query:\"]", "auth.jwt.from", "\"query:NAME\""),
        ("keys = \"k\"\nfrom = [\"path\"]", "auth.jwt.from", "cookie:NAME"),
        ("keys = \"k\"\nfrom = [\"header\", \"header\"]", "auth.jwt.from", "given twice"),
        ("keys = \"k\"\nsubject_header = \"a b\"", "auth.jwt.subject_header", "expected a header name"),
        ("keys = \"k\"\nsubject_header = \"Host\"", "auth.jwt.subject_header", "a meaning of its own"),
        ("keys = \"k\"\nclaims_to_headers = { a = \"Sec-WebSocket-Key\" }", "auth.jwt.claims_to_headers", "a meaning"),
        ("keys = \"k\"\nclaims_to_headers = { a = \"x-a\", b = \"X-A\" }", "auth.jwt.claims_to_headers", "two claims"),
        (
            "keys = \"k\"\nclaims_to_headers = { a = \"x-ringside-subject\" }",
            "auth.jwt.claims_to_headers",
            "two claims",
        ),
        ("keys = \"k\"\nclaims_to_headers = { a = 3 }", "auth.jwt.claims_to_headers.a", "expected a string"),
    ] {
        let (line, path, message) = problem(&format!("{MINIMAL}[auth.jwt]\n{text}"));
        let last = 3 + text.matches('\n').count() + usize::from(!text.is_empty());
        assert_eq!(path, key, "{text}: {message}");
        assert!(message.contains(part), "{text}: {message}");
        assert!(line == last || key == "auth.jwt.keys" || key == "auth.jwt.secret_file", "{text}: line {line}");
    }
}

#[test]
fn defaults_are_those_of_the_table() {
    let mut tables = String::from("[app]\naddress = \"127.0.0.1:3000\"\n[tls]\ncertificate = \"c\"\nkey = \"k\"\n");
    tables += "[auth.jwt]\nkeys = \"j\"\n[telemetry.traces]\nendpoint = \"http://a\"\n[admin]\n";
    let silent = config(&tables);
    for key in KEYS {
        let Some(default) = key.default else { continue };
        // The same key as a variable, so that each is given alone.
        let value = default.trim_matches('"');
        let spoken = with_env(&tables, &[(&key.variable(), value)]).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(spoken.config, silent, "{}", key.path);
    }
    assert_eq!(silent.worker.listen, "0.0.0.0:8443".parse::<SocketAddr>().unwrap());
    assert_eq!((silent.worker.connections, silent.worker.workers), (None, None));
    assert_eq!((silent.worker.engine, silent.worker.buffers), (Choice::Auto, ByteSize::mib(64)));
    assert_eq!((silent.opening.deadline, silent.opening.tls), (Duration::from_secs(10), Duration::from_secs(5)));
    assert_eq!((silent.opening.head, silent.opening.fields), (ByteSize::kib(16), 100));
    assert_eq!((silent.opening.early, silent.policy.token_max), (ByteSize::kib(16), ByteSize::kib(8)));
    assert_eq!((silent.session.message, silent.session.fragments), (ByteSize::mib(16), 4096));
    assert_eq!(silent.session.closing, Duration::from_secs(5));
    assert_eq!(silent.relay.write_stall, Duration::from_secs(30));
    assert_eq!(silent.upstream.timeout, Duration::from_secs(5));
    assert_eq!(silent.policy.from, [TokenSource::Header, TokenSource::Subprotocol]);
    assert_eq!(silent.jwt.unwrap().verify.leeway, Duration::from_secs(30));
    assert_eq!(silent.admin.unwrap().address, "127.0.0.1:9901".parse::<SocketAddr>().unwrap());
    assert_eq!(silent.traces.unwrap().protocol, Protocol::HttpProtobuf);
}

#[test]
fn a_short_opening_needs_no_shorter_parts() {
    let config = config(&format!("{MINIMAL}[timeouts]\nopening = \"1s\"\n"));
    assert_eq!(config.opening.deadline, Duration::from_secs(1));
}

#[test]
fn what_is_off_by_default_is_off() {
    let Loaded { config, warnings, .. } = parse(MINIMAL).unwrap();
    assert_eq!(config.service_name, None);
    assert!(config.tls.is_none() && config.jwt.is_none() && config.admin.is_none() && config.traces.is_none());
    let warned: Vec<_> = warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(warned, ["auth.jwt", "tls"]);
    assert_eq!(config.summary(), "ws://0.0.0.0:8443 -> 127.0.0.1:3000; no authentication; engine auto");
}

#[test]
fn a_contract_file_means_what_it_says() {
    let config = config(
        r#"
[listen]
address = "[::1]:443"
connections = 7
[tls]
certificate = "tls.crt"
key = "/abs/tls.key"
client_ca = "clients.crt"
[app]
address = "unix:app.sock"
[auth.jwt]
keys = "jwks.json"
issuer = "https://issuer.example"
audience = ["chat", "talk"]
algorithms = ["RS256"]
from = ["header", "subprotocol", "query:access_token", "cookie:session"]
claims_to_headers = { tenant = "x-tenant", "https://a.b/c" = "x-c" }
[telemetry.traces]
endpoint = "http://127.0.0.1:4317"
protocol = "grpc"
sample_ratio = 0
[runtime]
engine = "io_uring"
workers = 2
"#,
    );
    let tls = config.tls.unwrap();
    assert_eq!((tls.certificate, tls.key), ("/etc/ringside/tls.crt".into(), "/abs/tls.key".into()));
    assert_eq!(tls.client_ca, Some("/etc/ringside/clients.crt".into()));
    assert_eq!(config.upstream.address, Address::Unix("/etc/ringside/app.sock".into()));
    let jwt = config.jwt.unwrap();
    assert_eq!((jwt.keys, jwt.secret), (Some("/etc/ringside/jwks.json".into()), None));
    assert_eq!(jwt.verify.issuer, ["https://issuer.example"]);
    assert_eq!(jwt.verify.audience, ["chat", "talk"]);
    assert_eq!(jwt.algorithms, [Algorithm::Rs256]);
    assert_eq!(
        config.policy.from[2..],
        [TokenSource::Query("access_token".into()), TokenSource::Cookie("session".into())]
    );
    assert_eq!(config.policy.claims_to_headers["https://a.b/c"].as_str(), "x-c");
    assert_eq!((config.worker.engine, config.worker.workers.unwrap().get()), (Choice::IoUring, 2));
    let traces = config.traces.unwrap();
    assert_eq!((traces.protocol, traces.sample_ratio.to_bits()), (Protocol::Grpc, 0f64.to_bits()));
}

#[test]
fn a_variable_goes_before_the_file() {
    let text = format!("{MINIMAL}[listen]\naddress = \"0.0.0.0:1\"\n[runtime]\nengine = \"epoll\"\n");
    let env = [
        ("RINGSIDE_LISTEN_ADDRESS", "127.0.0.1:2"),
        ("RINGSIDE_LISTEN_CONNECTIONS", "12"),
        ("RINGSIDE_AUTH_JWT_KEYS", "jwks.json"),
        ("RINGSIDE_AUTH_JWT_FORWARD", "true"),
        ("RINGSIDE_AUTH_JWT_FROM", "header, cookie:session"),
        ("RINGSIDE_AUTH_JWT_AUDIENCE", "[\"a,b\"]"),
        ("RINGSIDE_AUTH_JWT_ISSUER", "https://issuer.example"),
        ("RINGSIDE_AUTH_JWT_CLAIMS_TO_HEADERS", "{ tenant = \"x-tenant\" }"),
        ("RINGSIDE_LIMITS_HEAD", "8KiB"),
        ("RINGSIDE_TIMEOUTS_CLOSING", "1s"),
        ("HOME", "/root"),
    ];
    let config = with_env(&text, &env).unwrap_or_else(|problems| panic!("{problems}")).config;
    assert_eq!(config.worker.listen, "127.0.0.1:2".parse::<SocketAddr>().unwrap());
    assert_eq!((config.worker.connections.unwrap().get(), config.worker.engine), (12, Choice::Epoll));
    assert_eq!(config.policy.from, [TokenSource::Header, TokenSource::Cookie("session".into())]);
    assert!(config.policy.forward);
    assert_eq!(config.policy.claims_to_headers["tenant"].as_str(), "x-tenant");
    let jwt = config.jwt.unwrap();
    assert_eq!((jwt.keys, jwt.verify.audience), (Some("/etc/ringside/jwks.json".into()), vec!["a,b".into()]));
    assert_eq!(jwt.verify.issuer, ["https://issuer.example"]);
    assert_eq!((config.opening.head, config.session.closing), (ByteSize::kib(8), Duration::from_secs(1)));
}

#[test]
fn the_endpoint_may_come_from_opentelemetry() {
    let traces = |file: &str, env: &[(&str, &str)]| {
        let text = format!("{MINIMAL}[telemetry.traces]\n{file}");
        with_env(&text, env).map(|loaded| loaded.config.traces.unwrap().endpoint)
    };
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318");
    let only = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://only:4318/v1/traces");
    assert_eq!(traces("", &[all]).unwrap(), "http://all:4318");
    assert_eq!(traces("", &[all, only]).unwrap(), "http://only:4318");
    assert_eq!(traces("endpoint = \"http://file\"", &[all, only]).unwrap(), "http://file");
    for (name, value, part) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "", "is missing"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "all:4318", "\"all:4318\" is not a base URL"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://only:4318", "must end with /v1/traces"),
    ] {
        let Problems(found) = traces("", &[(name, value)]).unwrap_err();
        assert_eq!((found.len(), found[0].key.as_str()), (1, "telemetry.traces.endpoint"));
        assert!(found[0].what.contains(part), "{}", found[0]);
    }
}

#[test]
fn a_bad_variable_is_named() {
    for (name, value, key, part) in [
        ("RINGSIDE_LISTEN_ADDRESS", "nowhere", "listen.address", "not an IP address"),
        ("RINGSIDE_LISTEN_CONNECTIONS", "many", "listen.connections", "at least 1"),
        ("RINGSIDE_LISTEN_CONNECTIONS", "0", "listen.connections", "at least 1"),
        ("RINGSIDE_RUNTIME_ENGINE", "epol", "runtime.engine", "did you mean \"epoll\"?"),
        ("RINGSIDE_LIMITS_HEAD", "16kb", "limits.head", "16KiB"),
        ("RINGSIDE_LISTEN_ADRESS", "x", "", "did you mean RINGSIDE_LISTEN_ADDRESS?"),
        ("RINGSIDE_AUTH_JWT_FROM", "header,nose", "auth.jwt.from", "\"nose\": expected \"header\""),
    ] {
        let jwt = if key.starts_with("auth") { "[auth.jwt]\nkeys = \"k\"\n" } else { "" };
        let Problems(found) = with_env(&format!("{MINIMAL}{jwt}"), &[(name, value)]).unwrap_err();
        let [problem] = &found[..] else { panic!("{name}: {found:?}") };
        assert_eq!((&problem.place, problem.key.as_str()), (&Place::Variable(name.into()), key));
        assert!(format!("{problem:#}").contains(part), "{name}: {problem:#}");
    }
}

#[test]
fn variables_of_others_are_left_alone() {
    let links =
        [("RINGSIDE_CONFIG", "a.toml"), ("RINGSIDE_PORT_443_TCP_ADDR", "10.0.0.1"), ("RINGSIDE_SERVICE_HOST", "")];
    assert_eq!(with_env(MINIMAL, &links), parse(MINIMAL));
}

#[test]
fn the_examples_mean_something() {
    for name in ["local.toml", "minimal.toml", "tracing.toml", "reference.toml"] {
        let text = fs::read_to_string(example(name)).unwrap();
        parse(&text).unwrap_or_else(|problems| panic!("{name}: {problems}"));
    }
    let files = fs::read_dir(example("")).unwrap().count();
    assert_eq!(files, 4, "an example without a test");
}

#[test]
fn the_reference_has_every_key_at_its_default() {
    let text = fs::read_to_string(example("reference.toml")).unwrap();
    let mut table = "";
    let mut seen = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']');
        }
        let (commented, line) = line.strip_prefix("# ").map_or((false, line), |line| (true, line));
        let Some((name, value)) = line.split_once(" = ") else { continue };
        let Some(key) = KEYS.iter().find(|key| key.table() == table && key.name() == name) else { continue };
        let value = value.split("  #").next().unwrap().trim();
        match key.default {
            Some(default) => assert_eq!((value, commented), (default, false), "{}", key.path),
            // Without a default: an example, live only where its table needs it.
            None => assert_eq!(commented, !key.meaning.contains("required") && key.name() != "keys", "{}", key.path),
        }
        seen.push(key.path);
    }
    let all: Vec<_> = KEYS.iter().map(|key| key.path).collect();
    assert_eq!(seen, all);
}

#[test]
fn files_are_looked_at_together_with_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ringside.toml");
    fs::write(&file, fs::read(example("local.toml")).unwrap()).unwrap();
    fs::create_dir(dir.path().join("tls.crt")).unwrap();
    fs::write(dir.path().join("jwks.json"), "{}").unwrap();
    let Problems(found) = Config::load(&file, [("RINGSIDE_RUNTIME_ENGINE", "steam")]).unwrap_err();
    let told: Vec<_> = found.iter().map(|problem| (problem.key.as_str(), problem.what.as_str())).collect();
    let missing = format!("{}: no such file", dir.path().join("tls.key").display());
    let directory = format!("{}: is a directory", dir.path().join("tls.crt").display());
    assert_eq!(told[..2], [("tls.certificate", directory.as_str()), ("tls.key", missing.as_str())]);
    assert_eq!(told[2].0, "runtime.engine");

    fs::remove_dir(dir.path().join("tls.crt")).unwrap();
    fs::write(dir.path().join("tls.crt"), "-").unwrap();
    fs::write(dir.path().join("tls.key"), "-").unwrap();
    let Loaded { config, warnings, .. } = Config::load(&file, NO_ENV).unwrap();
    assert_eq!(config.jwt.unwrap().keys, Some(dir.path().join("jwks.json")));
    assert_eq!(warnings, []);
}

#[test]
fn a_file_that_is_no_configuration_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ringside.toml");
    assert!(Config::load(&file, NO_ENV).unwrap_err().to_string().contains("no such file"));
    fs::write(&file, b"[app]\n\xff").unwrap();
    assert!(Config::load(&file, NO_ENV).unwrap_err().to_string().contains("not UTF-8 at byte 6"));
    assert!(Config::load(Path::new("/dev/zero"), NO_ENV).unwrap_err().to_string().contains("larger than 1 MiB"));
}

fn any_line() -> impl Strategy<Value = String> {
    let paths: Vec<_> = KEYS.iter().map(|key| key.path).collect();
    let value = prop_oneof![
        Just("3".to_owned()),
        Just("-1e400".to_owned()),
        Just("nan".to_owned()),
        Just("[]".to_owned()),
        Just("{ a = [1, { b = 2 }] }".to_owned()),
        Just("1979-05-27".to_owned()),
        Just("\"99999999999999999999y\"".to_owned()),
        "\"[ -~]{0,12}\"",
        "\\PC{0,8}",
    ];
    prop_oneof![
        3 => (proptest::sample::select(paths), value).prop_map(|(path, value)| format!("{path} = {value}")),
        1 => "\\[{1,2}[a-z.]{1,9}\\]{1,2}",
        1 => "\\PC{0,20}",
    ]
}

proptest! {
    #[test]
    fn no_text_panics(text in "(\\PC|\n){0,200}") {
        if let Err(Problems(found)) = parse(&text) {
            let shown: Vec<_> = found.iter().map(|problem| format!("{problem:#}")).collect();
            prop_assert!(shown.iter().all(|shown| shown.contains("help: ")));
        }
    }

    #[test]
    fn no_lines_panic_and_problems_are_never_empty(lines in proptest::collection::vec(any_line(), 0..6)) {
        if let Err(Problems(found)) = parse(&lines.join("\n")) {
            prop_assert!(!found.is_empty());
            for problem in found {
                prop_assert!(!problem.what.contains('\n') && !problem.help.is_empty(), "{problem:?}");
                let _ = format!("{problem:#}");
            }
        }
    }

    #[test]
    fn no_variable_panics(n in 0..KEYS.len(), value in "\\PC{0,20}") {
        let variable = KEYS[n].variable();
        if let Err(Problems(found)) = with_env(MINIMAL, &[(&variable, &value)]) {
            prop_assert!(!found.is_empty());
        }
    }
}
