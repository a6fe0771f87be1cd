//! The binary: how it starts, how it stops, and what it writes while it runs.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::app::App;
use crate::support::binary::{Binary, run_to_end};
use crate::support::client::{Client, Security, Seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, CLOSE, TEXT};
use crate::support::http::{upgrade, upgrade_to};
use crate::support::material::{self, forged, token};
use crate::support::proxy::Setup;

on_both_engines!(
    sigterm_closes_everybody_and_exits_with_0,
    a_client_that_does_not_answer_does_not_hold_it_up,
    a_second_signal_ends_at_once,
    a_taken_port_is_told,
    no_token_is_written_at_any_level,
);

/// How long a stop may take.
const STOP: Duration = Duration::from_secs(10);

fn client(binary: &Binary) -> Client {
    Client::connect(binary.address, Security::usual())
}

/// A client of `binary` that has its 101.
fn join(binary: &Binary, app: &App) -> (Client, crate::support::app::Joined) {
    let mut client = client(binary);
    client.send(upgrade(&[]).as_bytes());
    let mut joined = app.accept();
    joined.answer(&[]);
    assert_eq!(client.head().status(), 101);
    (client, joined)
}

fn sigterm_closes_everybody_and_exits_with_0(engine: Engine) {
    let app = App::unix();
    for signal in [Signal::TERM, Signal::INT] {
        let binary = Binary::start(&Setup::new(engine).workers(2), app.address());
        let mut pairs: Vec<_> = (0..10).map(|_| join(&binary, &app)).collect();
        let began = Instant::now();
        binary.signal(signal);
        for (client, joined) in &mut pairs {
            assert_eq!((client.close().0, joined.close().0), (1001, 1001));
            client.send(&frame::from_client(CLOSE, &frame::close(1001, "")));
            joined.send(&frame::from_app(CLOSE, &frame::close(1001, "")));
            assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly));
        }
        drop(pairs);
        let (status, output) = binary.exit();
        assert_eq!(status, Some(0), "{output}");
        assert!(began.elapsed() < STOP, "{:?}\n{output}", began.elapsed());
    }
}

fn a_client_that_does_not_answer_does_not_hold_it_up(engine: Engine) {
    let app = App::unix();
    let binary = Binary::start(&Setup::new(engine), app.address());
    let (mut client, mut joined) = join(&binary, &app);
    // One has not even begun.
    let mut silent = Client::connect(binary.address, Security::None);
    let began = Instant::now();
    binary.signal(Signal::TERM);
    assert_eq!((client.close().0, joined.close().0), (1001, 1001));
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
    assert!(began.elapsed() < STOP, "{:?}\n{output}", began.elapsed());
    assert_ne!(client.end(), Seen::Orderly, "it has not answered");
    silent.rest();
}

fn a_second_signal_ends_at_once(engine: Engine) {
    let app = App::unix();
    let binary = Binary::start(&Setup::new(engine), app.address());
    let (mut client, mut joined) = join(&binary, &app);
    binary.signal(Signal::TERM);
    assert_eq!((client.close().0, joined.close().0), (1001, 1001));
    let began = Instant::now();
    binary.signal(Signal::TERM);
    let (status, output) = binary.exit();
    assert_eq!(status, Some(143), "{output}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}\n{output}", began.elapsed());
}

fn a_taken_port_is_told(engine: Engine) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let (status, output) = run_to_end(&Setup::new(engine).listen(&address), "127.0.0.1:9");
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains(&format!("error: cannot listen on listen.address {address}: ")), "{output}");
    assert!(output.contains("in use"), "{output}");
}

fn no_token_is_written_at_any_level(engine: Engine) {
    const FROM: &str = "from = [\"header\", \"subprotocol\", \"query:access_token\", \"cookie:session\"]";
    let app = App::unix();
    let setup = Setup::new(engine).jwt(FROM).table("log", "filter = \"trace\"");
    let binary = Binary::start(&setup, app.address());
    let (good, bad) = (token(), forged());
    let ask = |request: &str| {
        let mut client = client(&binary);
        client.send(request.as_bytes());
        client
    };
    for good_place in places(&good) {
        let mut client = ask(&good_place);
        let mut joined = app.accept();
        joined.answer(&[]);
        assert_eq!(client.head().status(), 101, "{good_place}");
        client.send(&frame::from_client(TEXT, b"payload-is-nobodys-business"));
        joined.frame();
        client.send(&frame::from_client(CLOSE, &frame::close(1000, "reason-of-a-client")));
        joined.close();
    }
    for bad_place in places(&bad) {
        assert_eq!(ask(&bad_place).head().status(), 401, "{bad_place}");
    }
    let twice = upgrade_to(&format!("/?access_token={good}"), &[&format!("Cookie: session={bad}; other=crumbs")]);
    assert_eq!(ask(&twice).head().status(), 400);
    // A token where none is looked for, and in a request that cannot be read.
    assert_eq!(ask(&upgrade(&[&format!("X-Token: {good}")])).head().status(), 401);
    assert_eq!(ask(&format!("GET /?access_token={good} HTTP/9\r\n\r\n")).head().status(), 400);

    binary.signal(Signal::TERM);
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
    assert!(
        output.contains("alice") && output.contains("token_signature"),
        "the log is not that of these connections:\n{output}"
    );
    for token in [&good, &bad] {
        for part in token.split('.').skip(1) {
            assert!(!output.contains(part), "a part of a token stands in the log:\n{output}");
        }
        assert!(!output.contains(&hidden(token)), "a token in base64 stands in the log:\n{output}");
    }
    for private in ["payload-is-nobodys-business", "crumbs"] {
        assert!(!output.contains(private), "{private} stands in the log:\n{output}");
    }
}

#[test]
fn the_environment_alone_configures_it() {
    let app = App::unix();
    let (dir, elsewhere) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    material::write_files(dir.path());
    let command = |dir: &TempDir, name: &str, variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringside"));
        command.arg(name).current_dir(dir.path()).env_clear().envs(variables.iter().copied());
        command
    };
    let check = |dir: &TempDir, variables: &[(&str, &str)]| {
        let output = command(dir, "check", variables).output().expect("the binary");
        (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
    };
    let variables = [
        ("RINGSIDE_LISTEN_ADDRESS", "127.0.0.1:0"),
        ("RINGSIDE_TLS_CERTIFICATE", "tls.crt"),
        ("RINGSIDE_TLS_KEY", "tls.key"),
        ("RINGSIDE_APP_ADDRESS", app.address()),
        ("RINGSIDE_RUNTIME_ENGINE", "epoll"),
    ];
    let (status, output) = check(&dir, &variables);
    assert_eq!(status, Some(3), "{output}");
    assert!(output.contains("\nenvironment: ready on epoll: wss://127.0.0.1:0 -> "), "{output}");
    let (status, output) = check(&elsewhere, &variables);
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains("--> RINGSIDE_TLS_KEY=\"tls.key\"") && output.ends_with("environment: not ready: 2 problems\n"),
        "{output}"
    );

    let (status, output) = check(&elsewhere, &[("RINGSIDE_CONFIG", "")]);
    assert_eq!(status, Some(1), "{output}");
    for way in ["--> ringside.toml", "--config", "RINGSIDE_CONFIG", "./ringside.toml", "RINGSIDE_APP_ADDRESS"] {
        assert!(output.contains(way), "{way} is not named:\n{output}");
    }
    // A file that is named, or is there, goes before it.
    let named = [&variables[..], &[("RINGSIDE_CONFIG", "absent.toml")]].concat();
    assert!(check(&dir, &named).1.contains("--> absent.toml"));
    fs::write(elsewhere.path().join("ringside.toml"), "zebra = 1\n").expect("a file");
    assert!(check(&elsewhere, &variables).1.contains("--> ringside.toml:1:1"));

    let binary = Binary::spawn(command(&dir, "run", &variables), dir);
    let (mut client, mut joined) = join(&binary, &app);
    client.send(&frame::from_client(TEXT, b"hello"));
    assert_eq!(joined.frame().payload.len(), 5);
    binary.signal(Signal::TERM);
    drop((client, joined));
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
}

/// A request with `token` in each place.
fn places(token: &str) -> [String; 5] {
    let protocols = |list: String| upgrade(&[&format!("Sec-WebSocket-Protocol: {list}")]);
    [
        upgrade(&[&format!("Authorization: Bearer {token}")]),
        protocols(format!("base64url.bearer.authorization.k8s.io.{}, chat", hidden(token))),
        protocols(format!("bearer, {token}, chat")),
        upgrade_to(&format!("/chat?access_token={token}"), &[]),
        upgrade(&[&format!("Cookie: session={token}; other=crumbs")]),
    ]
}

fn hidden(token: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token)
}
