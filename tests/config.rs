//! What `ringside check` promises about a configuration, seen from outside.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use ringside::bytesize::ByteSize;
use ringside::config::keys::KEYS;
use ringside::config::{Config, Loaded, Place, Problem, Problems, Source};
use ringside::control::export::Protocol;
use ringside::control::subject;
use ringside::jwt::algorithm::Algorithm;
use ringside::lifecycle::drain::Pace;
use ringside::policy::auth::TokenSource;
use ringside::policy::identity::HeaderName;
use ringside::rate::{Action, Limit, Limits, Rate};
use ringside::ring::engine::Choice;
use ringside::session::{Keepalive, Notice};
use ringside::telemetry::trace::{self, Messages, Sampler};
use ringside::upstream::Address;

const NO_ENV: [(&str, &str); 0] = [];
const MINIMAL: &str = "[app]\naddress = \"127.0.0.1:3000\"\n";
const JWT: &str = "[auth.jwt]\nkeys = \"k\"\n";

fn with_env(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    Config::parse(text, Path::new("/etc/ringside/ringside.toml"), env.iter().copied())
}

fn load<'e>(file: &Path, env: impl IntoIterator<Item = (&'e str, &'e str)>) -> Result<Loaded, Problems> {
    Config::load(&Source::File(file.to_owned()), env)
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
        ("[log]\nsubject = \"hashd\"", 4, "log.subject", "did you mean \"hashed\"?"),
        ("[log]\nsubject_key_file = \"\"", 4, "log.subject_key_file", "names no file"),
        ("[log]\nsample_ratio = 1.01", 4, "log.sample_ratio", "0.0 to 1.0"),
        ("[log]\nnoise = 0", 4, "log.noise", "at least 1"),
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
    tables += "[auth.jwt]\nkeys = \"j\"\n[telemetry.traces]\nendpoint = \"http://a\"\n[admin]\n[health]\n";
    tables += "[telemetry.metrics]\nendpoint = \"http://a\"\n";
    tables += "[limits.connection]\nmessages = 9\n[limits.subject]\nmessages = 9\n[telemetry.traces.messages]\n";
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
    assert_eq!((silent.session.control_frames.get(), silent.session.validate_utf8), (1000, true));
    assert_eq!(silent.session.closing, Duration::from_secs(5));
    assert_eq!((silent.session.idle, silent.session.max_age), (None, None));
    let Keepalive { client, app, missed } = silent.session.keepalive;
    assert_eq!((client, app, missed.get()), (Some(Duration::from_secs(30)), None, 2));
    assert_eq!((silent.session.expiry, silent.session.retry), (Some(4401), Duration::from_secs(5)));
    assert_eq!(silent.session.drain, Notice { code: 1001, reason: String::new() });
    let drain = Pace { spread: Duration::from_secs(10), timeout: Duration::from_secs(30) };
    assert_eq!(silent.worker.drain, drain);
    let nine = Rate { per_second: 9.try_into().unwrap(), burst: Duration::from_secs(1) };
    let limit = Limit { messages: Some(nine), bytes: None, action: Action::Close };
    assert_eq!(silent.worker.rates, Limits { connection: limit, subject: limit });
    assert_eq!(silent.relay.write_stall, Duration::from_secs(30));
    assert_eq!(silent.upstream.timeout, Duration::from_secs(5));
    assert_eq!(silent.policy.from, [TokenSource::Header, TokenSource::Subprotocol]);
    assert_eq!(silent.jwt.unwrap().verify.leeway, Duration::from_secs(30));
    assert_eq!(silent.admin.unwrap().address, "127.0.0.1:9901".parse::<SocketAddr>().unwrap());
    let health = silent.health.unwrap();
    assert_eq!((health.address, health.probes.len()), ("0.0.0.0:9902".parse().unwrap(), 0));
    let traces = silent.traces.unwrap();
    let messages = Some(Messages { sampler: Sampler::ratio(0.01), per_second: 10.try_into().unwrap() });
    assert_eq!(
        (traces.protocol, traces.traces),
        (Protocol::HttpProtobuf, trace::Config { messages, ..trace::Config::default() })
    );
    assert_eq!((silent.log.subject, silent.log.subject_key), (subject::Choice::Plain, None));
    assert_eq!((silent.log.sampler, silent.log.noise.get()), (Sampler::ratio(1.0), 100));
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
    assert!(config.tls.is_none() && config.jwt.is_none() && config.traces.is_none());
    assert!(config.admin.is_none() && config.health.is_none());
    assert_eq!((config.session.expiry, config.worker.rates), (None, Limits::default()));
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
trust_client = true
checkpoint = "off"
[telemetry.traces.messages]
sample_ratio = 1
per_second = 1000
[telemetry.metrics]
endpoint = "http://127.0.0.1:4317"
protocol = "grpc"
interval = "1s"
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
    assert_eq!(traces.protocol, Protocol::Grpc);
    let messages = Some(Messages { sampler: Sampler::ratio(1.0), per_second: 1000.try_into().unwrap() });
    let expected = trace::Config { sampler: Sampler::ratio(0.0), trust_client: true, checkpoint: None, messages };
    assert_eq!(traces.traces, expected);
    let metrics = config.metrics.unwrap();
    assert_eq!((metrics.protocol, metrics.interval), (Protocol::Grpc, Duration::from_secs(1)));
}

#[test]
fn the_life_of_a_connection_is_what_is_written() {
    let config = config(
        r#"
[app]
address = "127.0.0.1:3000"
retry = "1ms"
[auth.jwt]
keys = "jwks.json"
expiry_code = 3000
[limits]
control_frames = 1
validate_utf8 = false
[limits.connection]
messages = 1
bytes = "1B"
burst = "1h"
action = "throttle"
[limits.subject]
bytes = "2MiB"
burst = "1ms"
[timeouts]
idle = "1s"
max_age = "30days"
[keepalive]
client = "off"
app = "1s"
missed = 100
[drain]
code = 4999
reason = "moving"
spread = "0s"
timeout = "1ms"
"#,
    );
    let second = Duration::from_secs(1);
    let session = config.session;
    assert_eq!((session.retry, session.expiry), (Duration::from_millis(1), Some(3000)));
    assert_eq!((session.control_frames.get(), session.validate_utf8), (1, false));
    assert_eq!((session.idle, session.max_age), (Some(second), Some(Duration::from_secs(30 * 24 * 3600))));
    let Keepalive { client, app, missed } = session.keepalive;
    assert_eq!((client, app, missed.get()), (None, Some(second), 100));
    assert_eq!(session.drain, Notice { code: 4999, reason: "moving".into() });
    assert_eq!(config.worker.drain, Pace { spread: Duration::ZERO, timeout: Duration::from_millis(1) });
    let rate = |per_second: u64, burst| Some(Rate { per_second: per_second.try_into().unwrap(), burst });
    let hour = Duration::from_secs(3600);
    let connection = Limit { messages: rate(1, hour), bytes: rate(1, hour), action: Action::Throttle };
    let bytes = rate(2 << 20, Duration::from_millis(1));
    let subject = Limit { messages: None, bytes, action: Action::Close };
    assert_eq!(config.worker.rates, Limits { connection, subject });
}

#[test]
fn a_life_that_makes_no_sense_is_told() {
    for (text, key, part) in [
        ("[limits]\ncontrol_frames = 0", "limits.control_frames", "at least 1"),
        ("[limits]\nvalidate_utf8 = \"yes\"", "limits.validate_utf8", "true or false"),
        ("[limits]\nconnection = 100", "limits.connection", "[limits.connection] on a line of its own"),
        ("[limits.connection]\nmessages = 0", "limits.connection.messages", "at least 1"),
        ("[limits.connection]\nmesages = 5", "limits.connection.mesages", "did you mean \"messages\"?"),
        ("[limits.connection]\nbytes = \"0B\"", "limits.connection.bytes", "at least \"1B\""),
        ("[limits.connection]\nbytes = 1024", "limits.connection.bytes", "\"16KiB\""),
        ("[limits.connection]\nbytes = \"1B\"\nburst = \"0s\"", "limits.connection.burst", "at least \"1ms\""),
        ("[limits.connection]\nbytes = \"1B\"\nburst = \"3601s\"", "limits.connection.burst", "at most \"1h\""),
        ("[limits.connection]\nbytes = \"1B\"\nburst = \"off\"", "limits.connection.burst", "not a duration"),
        ("[limits.connection]\nbytes = \"1B\"\naction = \"throtle\"", "limits.connection.action", "\"throttle\"?"),
        ("[timeouts]\nidle = \"999ms\"", "timeouts.idle", "at least \"1s\""),
        ("[timeouts]\nidle = \"25h\"", "timeouts.idle", "at most \"1day\""),
        ("[timeouts]\nidle = \"of\"", "timeouts.idle", "or \"off\""),
        ("[timeouts]\nidle = false", "timeouts.idle", "or \"off\""),
        ("[timeouts]\nclosing = \"off\"", "timeouts.closing", "not a duration"),
        ("[timeouts]\nmax_age = \"999ms\"", "timeouts.max_age", "at least \"1s\""),
        ("[timeouts]\nmax_age = \"721h\"", "timeouts.max_age", "at most \"30days\""),
        ("[keepalive]\nclient = \"0s\"", "keepalive.client", "at least \"1s\""),
        ("[keepalive]\napp = \"25h\"", "keepalive.app", "at most \"1day\""),
        ("[keepalive]\nmissed = 0", "keepalive.missed", "at least 1"),
        ("[keepalive]\nmissed = 101", "keepalive.missed", "at most 100"),
        ("[keepalive]\nevery = \"30s\"", "keepalive.every", "may hold: client, app, missed"),
        ("[drain]\ncode = 70000", "drain.code", "4999"),
        ("[drain]\ncode = \"1001\"", "drain.code", "1007-1014"),
        ("[drain]\nreason = 1", "drain.reason", "a text in quotes"),
        ("[drain]\nspread = \"25h\"", "drain.spread", "at most \"1day\""),
        ("[drain]\ntimeout = \"25h\"", "drain.timeout", "at most \"1day\""),
        ("[drain]\nspread = \"0s\"\ntimeout = \"0s\"", "drain.timeout", "at least \"1ms\""),
        ("[app]\naddress = \"127.0.0.1:3000\"\nretry = \"0s\"", "app.retry", "at least \"1ms\""),
        ("[auth.jwt]\nkeys = \"k\"\non_expiry = \"warn\"", "auth.jwt.on_expiry", "\"close\", \"ignore\""),
    ] {
        let app = if text.starts_with("[app]") { "" } else { MINIMAL };
        let whole = format!("{app}{text}");
        let (line, path, message) = problem(&whole);
        assert_eq!((line, path.as_str()), (whole.lines().count(), key), "{text}: {message}");
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn spans_that_make_no_sense_are_told() {
    const TRACES: &str = "[telemetry.traces]\nendpoint = \"http://a\"\n";
    for (text, key, part) in [
        ("sample_ratio = 1.01", "telemetry.traces.sample_ratio", "0.0 to 1.0"),
        ("trust_client = \"yes\"", "telemetry.traces.trust_client", "true or false"),
        ("checkpoint = \"999ms\"", "telemetry.traces.checkpoint", "at least \"1s\""),
        ("checkpoint = \"25h\"", "telemetry.traces.checkpoint", "at most \"1day\""),
        ("checkpoint = false", "telemetry.traces.checkpoint", "or \"off\""),
        ("messages = true", "telemetry.traces.messages", "[telemetry.traces.messages] on a line of its own"),
        ("[telemetry.traces.messages]\nsample_ratio = -0.1", "telemetry.traces.messages.sample_ratio", "0.0 to 1.0"),
        ("[telemetry.traces.messages]\nper_second = 0", "telemetry.traces.messages.per_second", "at least 1"),
        ("[telemetry.traces.messages]\nper_second = 1001", "telemetry.traces.messages.per_second", "at most 1000"),
        ("[telemetry.traces.messages]\nratio = 1", "telemetry.traces.messages.ratio", "sample_ratio, per_second"),
    ] {
        let whole = format!("{MINIMAL}{TRACES}{text}");
        let (line, path, message) = problem(&whole);
        assert_eq!((line, path.as_str()), (whole.lines().count(), key), "{text}: {message}");
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn metrics_that_make_no_sense_are_told() {
    const ENDPOINT: &str = "endpoint = \"http://a\"\n";
    for (text, key, part) in [
        ("", "telemetry.metrics.endpoint", "is missing"),
        ("endpoint = \"a:4318\"", "telemetry.metrics.endpoint", "or remove [telemetry.metrics]"),
        (&format!("{ENDPOINT}protocol = \"http/json\""), "telemetry.metrics.protocol", "grpc"),
        (&format!("{ENDPOINT}interval = \"999ms\""), "telemetry.metrics.interval", "at least \"1s\""),
        (&format!("{ENDPOINT}interval = \"off\""), "telemetry.metrics.interval", "\"30s\""),
        (&format!("{ENDPOINT}zebra = 1"), "telemetry.metrics.zebra", "endpoint, protocol, interval"),
    ] {
        let (_, path, message) = problem(&format!("{MINIMAL}[telemetry.metrics]\n{text}"));
        assert!(path == key && message.contains(part), "{text}: {path}: {message}");
    }
    let only = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://only:4318/v1/metrics");
    let other = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other:4318/v1/traces");
    let text = format!("{MINIMAL}[telemetry.metrics]\n");
    let metrics = with_env(&text, &[only, other]).unwrap().config.metrics.unwrap();
    assert_eq!((metrics.endpoint.as_str(), metrics.interval), ("http://only:4318", Duration::from_secs(60)));
}

#[test]
fn routes_are_templates_of_paths_that_can_be_reached() {
    let table = |routes: &str| format!("{MINIMAL}[telemetry]\nroutes = [\n{routes}\n]");
    let routes = config(&table("\"/rooms/lobby\", \"/rooms/{room}\"")).routes;
    let found = ["/rooms/lobby", "/rooms/7?a", "/"].map(|target| routes.find(target));
    assert_eq!(
        found.map(|route| route.as_deref().map(str::to_owned)),
        [Some("/rooms/lobby".to_owned()), Some("/rooms/{room}".to_owned()), None]
    );
    for (lines, line, part) in [
        ("\"/a\",\n\"rooms\"", 6, "\"rooms\": a path begins with \"/\""),
        ("\"/a\",\n\"/{a}\",\n\"/b\"", 7, "\"/b\" is never reached: \"/{a}\" stands for the same paths"),
        ("\"/a\",\n\"/a/{b*}\"", 6, "braces stand around a whole segment"),
        ("3", 5, "a list of texts"),
    ] {
        let (at, key, message) = problem(&table(lines));
        assert_eq!((at, key.as_str()), (line, "telemetry.routes"), "{lines}: {message}");
        assert!(message.contains(part), "{lines}: {message}");
    }
    let many: Vec<_> = (0..101).map(|n| format!("\"/{n}\"")).collect();
    assert!(problem(&table(&many.join(","))).2.contains("101 templates: more than 100"));
    let variable = ("RINGSIDE_TELEMETRY_ROUTES", "/chat, /rooms/{room}");
    let routes = with_env(MINIMAL, &[variable]).unwrap().config.routes;
    assert_eq!(routes.find("/rooms/7").as_deref(), Some("/rooms/{room}"));
}

#[test]
fn a_close_code_is_one_that_may_be_sent() {
    for key in ["drain.code", "auth.jwt.expiry_code"] {
        let name = key.rsplit('.').next().unwrap();
        let with = |code: u16| {
            let table = if key == "drain.code" { "[drain]\n" } else { JWT };
            format!("{MINIMAL}{table}{name} = {code}\n")
        };
        for code in [1000, 1003, 1007, 1014, 3000, 4999] {
            let session = config(&with(code)).session;
            assert!(session.drain.code == code || session.expiry == Some(code), "{key}: {session:?}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535] {
            let (_, path, message) = problem(&with(code));
            assert_eq!(path, key);
            assert!(message.starts_with(&format!("{code} may not")) && message.contains("3000-4999"), "{message}");
        }
    }
}

#[test]
fn a_reason_fits_into_a_close_frame() {
    let with = |reason: &str| format!("{MINIMAL}[drain]\nreason = \"{reason}\"\n");
    assert_eq!(config(&with(&"x".repeat(123))).session.drain.reason.len(), 123);
    // Bytes count, not characters.
    let (line, key, message) = problem(&with(&"ü".repeat(62)));
    assert_eq!((line, key.as_str()), (4, "drain.reason"));
    assert!(message.contains("124 bytes") && message.contains("at most 123 bytes"), "{message}");
}

#[test]
fn a_drain_is_no_shorter_than_its_spread() {
    let with = |text: &str| format!("{MINIMAL}[drain]\n{text}");
    config(&with("spread = \"30s\"\n"));
    config(&with("timeout = \"10s\"\n"));
    // It is told where it was written, whichever of the two that is.
    for (text, line, key, parts) in [
        ("timeout = \"9s\"", 4, "drain.timeout", ["shorter than drain.spread (10s)", "at least \"10s\""]),
        ("spread = \"31s\"", 4, "drain.spread", ["longer than drain.timeout (30s)", "at most \"30s\""]),
        ("spread = \"2m\"\ntimeout = \"1m\"", 5, "drain.timeout", ["drain.spread (2m)", "or lower drain.spread"]),
    ] {
        let (at, path, message) = problem(&with(text));
        assert_eq!((at, path.as_str()), (line, key), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn a_rate_limit_limits_something_and_somebody() {
    for (text, line, key, part) in [
        ("[limits.connection]\n", 3, "limits.connection", "limits nothing; write messages or bytes"),
        ("[limits.connection]\naction = \"throttle\"\n", 3, "limits.connection", "limits nothing"),
        ("[limits.subject]\nmessages = 1\n", 3, "limits.subject", "without [auth.jwt]"),
    ] {
        let (at, path, message) = problem(&format!("{MINIMAL}{text}"));
        assert_eq!((at, path.as_str()), (line, key), "{message}");
        assert!(message.contains(part), "{message}");
    }
    config(&format!("{MINIMAL}{JWT}[limits.subject]\nmessages = 1\n"));
    // The table that was meant to be [auth.jwt] is all that is wrong here.
    let (_, key, _) = problem(&format!("{MINIMAL}[auth.jtw]\nkeys = \"k\"\n[limits.subject]\nmessages = 1\n"));
    assert_eq!(key, "auth.jtw");
}

#[test]
fn a_token_may_be_outlived_with_a_warning() {
    let text = format!("{MINIMAL}{JWT}on_expiry = \"ignore\"\nissuer = \"i\"\naudience = \"a\"\n");
    let Loaded { config, warnings, .. } = parse(&text).unwrap();
    assert_eq!(config.session.expiry, None);
    let warned: Vec<_> = warnings.iter().map(|warning| (warning.key.as_str(), warning.value.as_deref())).collect();
    assert_eq!(warned, [("auth.jwt.on_expiry", Some("\"ignore\"")), ("tls", None)]);
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
fn a_table_may_exist_through_variables_alone() {
    let env = [
        ("RINGSIDE_LIMITS_CONNECTION_MESSAGES", "100"),
        ("RINGSIDE_LIMITS_CONNECTION_BURST", "2s"),
        ("RINGSIDE_LIMITS_CONNECTION_ACTION", "throttle"),
        ("RINGSIDE_LIMITS_VALIDATE_UTF8", "false"),
        ("RINGSIDE_TIMEOUTS_IDLE", "1h"),
        ("RINGSIDE_KEEPALIVE_CLIENT", "off"),
        ("RINGSIDE_KEEPALIVE_MISSED", "3"),
        ("RINGSIDE_DRAIN_CODE", "1012"),
        ("RINGSIDE_DRAIN_REASON", "a deploy"),
        ("RINGSIDE_DRAIN_SPREAD", "0s"),
        ("RINGSIDE_APP_RETRY", "9s"),
    ];
    let config = with_env(MINIMAL, &env).unwrap_or_else(|problems| panic!("{problems}")).config;
    let rate = Rate { per_second: 100.try_into().unwrap(), burst: Duration::from_secs(2) };
    let connection = Limit { messages: Some(rate), bytes: None, action: Action::Throttle };
    assert_eq!(config.worker.rates, Limits { connection, ..Limits::default() });
    let session = config.session;
    assert_eq!((session.validate_utf8, session.idle), (false, Some(Duration::from_secs(3600))));
    assert_eq!((session.keepalive.client, session.keepalive.missed.get()), (None, 3));
    assert_eq!(session.drain, Notice { code: 1012, reason: "a deploy".into() });
    assert_eq!((config.worker.drain.spread, session.retry), (Duration::ZERO, Duration::from_secs(9)));
}

#[test]
fn the_environment_alone_may_hold_everything() {
    // One variable of each table that is off without it is enough to have it, where it needs no more.
    let env = [
        ("RINGSIDE_APP_ADDRESS", "unix:app.sock"),
        ("RINGSIDE_TLS_CERTIFICATE", "tls.crt"),
        ("RINGSIDE_TLS_KEY", "/abs/tls.key"),
        ("RINGSIDE_AUTH_JWT_KEYS", "jwks.json"),
        ("RINGSIDE_AUTH_JWT_ISSUER", "i"),
        ("RINGSIDE_AUTH_JWT_AUDIENCE", "chat,talk"),
        ("RINGSIDE_AUTH_JWT_CLAIMS_TO_HEADERS", r#"{ tenant = "x-tenant", "https://a.b/c" = "x-c" }"#),
        ("RINGSIDE_LIMITS_CONNECTION_MESSAGES", "9"),
        ("RINGSIDE_LIMITS_SUBJECT_BYTES", "1MiB"),
        ("RINGSIDE_TELEMETRY_TRACES_ENDPOINT", "http://a"),
        ("RINGSIDE_TELEMETRY_TRACES_MESSAGES_PER_SECOND", "7"),
        ("RINGSIDE_TELEMETRY_METRICS_INTERVAL", "2s"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://b"),
        ("RINGSIDE_ADMIN_ADDRESS", "127.0.0.1:2"),
        ("RINGSIDE_HEALTH_APP", r#"{ ready = "http://127.0.0.1:3000/healthz", live = "tcp://[::1]:3000" }"#),
    ];
    let file = r#"
[app]
address = "unix:app.sock"
[tls]
certificate = "tls.crt"
key = "/abs/tls.key"
[auth.jwt]
keys = "jwks.json"
issuer = "i"
audience = ["chat", "talk"]
claims_to_headers = { tenant = "x-tenant", "https://a.b/c" = "x-c" }
[limits.connection]
messages = 9
[limits.subject]
bytes = "1MiB"
[telemetry.traces]
endpoint = "http://a"
[telemetry.traces.messages]
per_second = 7
[telemetry.metrics]
interval = "2s"
[admin]
address = "127.0.0.1:2"
[health]
app = { ready = "http://127.0.0.1:3000/healthz", live = "tcp://[::1]:3000" }
"#;
    let alone = Config::parse_env(env).unwrap_or_else(|problems| panic!("{problems}"));
    // Relative paths start at the working directory, as they do for a file there.
    let same = Config::parse(file, Path::new("ringside.toml"), [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://b")]);
    assert_eq!((alone.config, alone.warnings), (same.unwrap().config, Vec::new()));
}

#[test]
fn without_a_file_every_problem_points_at_a_variable() {
    for (name, value, place, key) in [
        ("RINGSIDE_LISTEN_ADDRESS", "127.0.0.1:1", "RINGSIDE_APP_ADDRESS", "app.address"),
        ("RINGSIDE_TLS_KEY", "k", "RINGSIDE_TLS_CERTIFICATE", "tls.certificate"),
        ("RINGSIDE_AUTH_JWT_LEEWAY", "1s", "RINGSIDE_AUTH_JWT_KEYS", "auth.jwt.keys"),
        ("RINGSIDE_LIMITS_SUBJECT_BURST", "1s", "RINGSIDE_LIMITS_SUBJECT_BURST", "limits.subject"),
        (
            "RINGSIDE_TELEMETRY_TRACES_SAMPLE_RATIO",
            "2",
            "RINGSIDE_TELEMETRY_TRACES_ENDPOINT",
            "telemetry.traces.endpoint",
        ),
        (
            "RINGSIDE_AUTH_JWT_CLAIMS_TO_HEADERS",
            "x",
            "RINGSIDE_AUTH_JWT_CLAIMS_TO_HEADERS",
            "auth.jwt.claims_to_headers",
        ),
        ("RINGSIDE_ZEBRA", "x", "RINGSIDE_ZEBRA", ""),
    ] {
        let Problems(found) = Config::parse_env([(name, value)]).unwrap_err();
        let told = found.iter().any(|problem| problem.key == key && problem.place == Place::Variable(place.into()));
        assert!(told, "{name}: {found:?}");
        assert!(found.iter().all(|problem| matches!(problem.place, Place::Variable(_))), "{name}: {found:?}");
    }
    let Loaded { warnings, .. } = Config::parse_env([("RINGSIDE_APP_ADDRESS", "127.0.0.1:3000")]).unwrap();
    let places: Vec<_> = warnings.iter().map(|warning| warning.place.to_string()).collect();
    assert_eq!(
        places,
        ["AUTH_JWT_KEYS", "TLS_CERTIFICATE"].map(|name| format!("environment variable RINGSIDE_{name}"))
    );
    let env = [("RINGSIDE_APP_ADDRESS", "127.0.0.1:3000"), ("RINGSIDE_LOG_SUBJECT_KEY_FILE", "gone")];
    let Problems(found) = Config::load(&Source::Environment, env).unwrap_err();
    assert_eq!(found[0].place, Place::Variable("RINGSIDE_LOG_SUBJECT_KEY_FILE".into()));
    assert!(found[0].what.starts_with("gone: no such file"), "{found:?}");
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
fn what_is_asked_from_outside_is_what_is_written() {
    let health =
        |lines: &str| format!("{MINIMAL}{JWT}claims_to_headers = {{ tenant = \"x-tenant\" }}\n[health]\n{lines}");
    let probes = "ready = \"http://localhost:3000/healthz?deep=1\"\nlive-2 = \"tcp://127.0.0.1:2\"\n";
    let read = config(&health(&format!("address = \"[::]:1\"\n[health.app]\n{probes}"))).health.unwrap();
    assert_eq!(read.address, "[::]:1".parse::<SocketAddr>().unwrap());
    assert_eq!(read.probes["ready"], "http://localhost:3000/healthz?deep=1".parse().unwrap());
    assert_eq!(read.probes["live-2"], "tcp://127.0.0.1:2".parse().unwrap());
    let identity: Vec<_> = read.identity.iter().map(HeaderName::as_str).collect();
    assert_eq!(identity, ["x-ringside-subject", "x-tenant"]);

    let longest = "a".repeat(63);
    config(&health(&format!("app = {{ {longest} = \"tcp://127.0.0.1:3000\" }}")));
    for (lines, key, part) in [
        ("address = \"nowhere\"", "health.address", "not an IP address"),
        ("address = \"127.0.0.1:8443\"", "health.address", "the same as listen.address (0.0.0.0:8443)"),
        ("[admin]\naddress = \"127.0.0.1:9902\"", "health.address", "the same as admin.address (127.0.0.1:9902)"),
        ("app = { ready = 3 }", "health.app.ready", "expected a string"),
        ("app = \"tcp://127.0.0.1:3000\"", "health.app", "write a table from text to text"),
        ("app = { r = \"http://10.0.0.1/\" }", "health.app", "\"r\": \"http://10.0.0.1/\" is not on loopback"),
        ("app = { r = \"http://10.0.0.1/\" }", "health.app", "write \"http://127.0.0.1:PORT/PATH\" or"),
        ("app = { r = \"https://127.0.0.1/\" }", "health.app", "begins neither with \"http://\" nor"),
        ("app = { R = \"tcp://127.0.0.1:3000\" }", "health.app", "\"R\" is no name of a probe"),
        ("app = { \"a/b\" = \"tcp://127.0.0.1:3000\" }", "health.app", "/app/NAME; write at most 63 of"),
        ("app = { \"\" = \"tcp://127.0.0.1:3000\" }", "health.app", "\"\" is no name of a probe"),
        ("app = { \"a\\nb\" = \"tcp://127.0.0.1:3000\" }", "health.app", "\"a\\nb\" is no name of a probe"),
        ("app = { r = \"http://\\n\" }", "health.app", "\"r\": \"http://\\n\" is no URL"),
        (&format!("app = {{ a{longest} = \"tcp://127.0.0.1:3000\" }}"), "health.app", "at most 63"),
        ("app = { r = \"tcp://127.0.0.1:8443\" }", "health.app", "\"r\" reaches listen.address (0.0.0.0:8443)"),
        ("app = { r = \"http://localhost:9902/app/r\" }", "health.app", "\"r\" reaches health.address (0.0.0.0:9902)"),
        ("zebra = 1", "health.zebra", "may hold: address, app"),
    ] {
        let (_, path, message) = problem(&health(lines));
        assert_eq!(path, key, "{lines}: {message}");
        assert!(message.contains(part), "{lines}: {message}");
    }
    // Each has its place, and all are told.
    let many: Vec<_> = (0..33).map(|n| format!("p{n} = \"tcp://127.0.0.1:3000\"\n")).collect();
    let found = problems(&health(&format!("[health.app]\n{}A = \"http://app/\"\n", many.concat())));
    let told: Vec<_> =
        found.iter().map(|(line, _, message)| (*line, message.split([';', ' ']).next().unwrap())).collect();
    assert_eq!(told, [(7, "34"), (41, "\"A\""), (41, "\"A\":")], "{found:?}");
}

#[test]
fn the_log_is_what_is_written() {
    let text = "[log]\nformat = \"json\"\nfilter = \"warn\"\nsubject = \"hashed\"\nsubject_key_file = \"s\"\n\
                sample_ratio = 0.25\nnoise = 1\n";
    let Loaded { config, warnings, .. } = parse(&format!("{MINIMAL}{text}")).unwrap();
    let log = config.log;
    assert_eq!((log.filter.as_str(), log.subject), ("warn", subject::Choice::Hashed));
    assert_eq!(log.subject_key, Some("/etc/ringside/s".into()));
    assert_eq!((log.sampler, log.noise.get()), (Sampler::ratio(0.25), 1));
    assert!(warnings.iter().all(|warning| !warning.key.starts_with("log")), "{warnings:?}");

    let Loaded { config, warnings, .. } = parse(&format!("{MINIMAL}{}", text.replace("hashed", "off"))).unwrap();
    assert_eq!(config.log.subject, subject::Choice::Off);
    let warned = warnings.iter().find(|warning| warning.key == "log.subject_key_file").expect("a warning");
    assert_eq!((warned.value.as_deref(), warned.what.as_str()), (Some("\"s\""), "nothing is hashed with it"));
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
        ("RINGSIDE_DRAIN_CODE", "1005", "drain.code", "1005 may not"),
        ("RINGSIDE_DRAIN_CODE", "gone", "drain.code", "set it to a close code"),
        ("RINGSIDE_DRAIN_SPREAD", "1h", "drain.spread", "longer than drain.timeout (30s)"),
        ("RINGSIDE_KEEPALIVE_APP", "never", "keepalive.app", "or \"off\""),
        ("RINGSIDE_LIMITS_CONNECTION_MESSAGES", "0", "limits.connection.messages", "at least 1"),
        ("RINGSIDE_LIMITS_CONNECTION_BURST", "2s", "limits.connection", "limits nothing"),
        ("RINGSIDE_LIMITS_SUBJECT_MESSAGES", "5", "limits.subject", "without [auth.jwt]"),
        ("RINGSIDE_LOG_NOISE", "loud", "log.noise", "at least 1"),
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
    // The dashboard and the alert rules, of which `tests/monitoring.rs` takes care.
    let others = 2;
    let files = fs::read_dir(example("")).unwrap().count();
    assert_eq!(files, 4 + others, "an example without a test");
}

#[test]
fn the_reference_has_every_key_at_its_default() {
    let text = fs::read_to_string(example("reference.toml")).unwrap();
    let (mut table, mut off) = ("", false);
    let mut seen = Vec::new();
    for line in text.lines() {
        let (commented, line) = line.strip_prefix("# ").map_or((false, line), |line| (true, line));
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            (table, off) = (name, commented);
        }
        let Some((name, value)) = line.split_once(" = ") else { continue };
        let Some(key) = KEYS.iter().find(|key| key.table() == table && key.name() == name) else { continue };
        let value = value.split("  #").next().unwrap().trim();
        match key.default {
            Some(default) => assert_eq!((value, commented), (default, off), "{}", key.path),
            // Without a default: an example, live only where its table needs it.
            None => assert_eq!(commented, !key.meaning.contains("required") && key.name() != "keys", "{}", key.path),
        }
        seen.push(key.path);
    }
    let all: Vec<_> = KEYS.iter().map(|key| key.path).collect();
    assert_eq!(seen, all);
}

#[test]
fn the_reference_means_the_defaults() {
    let text = fs::read_to_string(example("reference.toml")).unwrap();
    let mut tables = String::from("[app]\naddress = \"unix:app.sock\"\n");
    tables += "[tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n[auth.jwt]\nkeys = \"jwks.json\"\n";
    tables += "[telemetry.traces]\nendpoint = \"http://127.0.0.1:4318\"\n[admin]\n[health]\n";
    tables += "[telemetry.metrics]\nendpoint = \"http://127.0.0.1:4318\"\n";
    assert_eq!(config(&text), config(&tables));
    // Its spans of messages are commented out, and the defaults once they are not.
    let (before, after) = text.split_once("# [telemetry.traces.messages]").unwrap();
    let after = after.replacen("# sample_ratio", "sample_ratio", 1).replacen("# per_second", "per_second", 1);
    let messages = config(&format!("{before}[telemetry.traces.messages]{after}"));
    assert_eq!(messages, config(&format!("{tables}[telemetry.traces.messages]\n")));
    // Its rate limits are commented out, and good once they are not.
    let (before, limits) = text.split_once("# [limits.connection]").unwrap();
    let (limits, after) = limits.split_once("\n[timeouts]").unwrap();
    let is_prose = |line: &str| !line.contains(" = ") && !line.starts_with("# [");
    let limits = limits.lines().map(|line| if is_prose(line) { line } else { line.trim_start_matches("# ") });
    let limits = limits.collect::<Vec<_>>().join("\n");
    let rates = config(&format!("{before}[limits.connection]{limits}\n[timeouts]{after}")).worker.rates;
    assert_eq!(rates.connection, rates.subject);
    let burst = Duration::from_secs(1);
    let rate = |per_second: u64| Some(Rate { per_second: per_second.try_into().unwrap(), burst });
    assert_eq!(rates.connection, Limit { messages: rate(100), bytes: rate(1 << 20), action: Action::Close });
}

#[test]
fn files_are_looked_at_together_with_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ringside.toml");
    fs::write(&file, fs::read(example("local.toml")).unwrap()).unwrap();
    fs::create_dir(dir.path().join("tls.crt")).unwrap();
    fs::write(dir.path().join("jwks.json"), "{}").unwrap();
    let Problems(found) = load(&file, [("RINGSIDE_RUNTIME_ENGINE", "steam")]).unwrap_err();
    let told: Vec<_> = found.iter().map(|problem| (problem.key.as_str(), problem.what.as_str())).collect();
    let missing = format!("{}: no such file", dir.path().join("tls.key").display());
    let directory = format!("{}: is a directory", dir.path().join("tls.crt").display());
    assert_eq!(told[..2], [("tls.certificate", directory.as_str()), ("tls.key", missing.as_str())]);
    assert_eq!(told[2].0, "runtime.engine");

    fs::remove_dir(dir.path().join("tls.crt")).unwrap();
    fs::write(dir.path().join("tls.crt"), "-").unwrap();
    fs::write(dir.path().join("tls.key"), "-").unwrap();
    let Loaded { config, warnings, .. } = load(&file, NO_ENV).unwrap();
    assert_eq!(config.jwt.unwrap().keys, Some(dir.path().join("jwks.json")));
    assert_eq!(warnings, []);
}

#[test]
fn a_file_that_is_no_configuration_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ringside.toml");
    assert!(load(&file, NO_ENV).unwrap_err().to_string().contains("no such file"));
    fs::write(&file, b"[app]\n\xff").unwrap();
    assert!(load(&file, NO_ENV).unwrap_err().to_string().contains("not UTF-8 at byte 6"));
    assert!(load(Path::new("/dev/zero"), NO_ENV).unwrap_err().to_string().contains("larger than 1 MiB"));
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
