//! Every refusal: what the client is told, and what is reported.

use std::io::Write as _;

use ringside::telemetry::record::Outcome;
use serde_json::json;

use crate::support::app::App;
use crate::support::client::Seen;
use crate::support::engines::{Engine, on_both_engines};
use crate::support::http::{KEY, Message, upgrade, upgrade_to};
use crate::support::material::{forged, now, of_unknown_key, token, token_with};
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(
    requests_that_are_no_handshake,
    tokens_that_are_not_accepted,
    origins_that_are_not_on_the_list,
    an_absent_app,
    answers_that_break_the_handshake,
    a_silent_app,
    the_apps_own_refusal_is_passed_on,
);

/// What a client that sends `request` is told. The app is never dialled.
fn told(proxy: &Proxy, request: &str) -> Message {
    let mut client = proxy.ask(request);
    let answer = client.head();
    assert_eq!(client.end(), Seen::Orderly, "{answer:?}");
    // The proxy waits for it to leave before it reports.
    drop(client);
    let Outcome::Refused { reason, status } = proxy.handshake().outcome else { panic!("opened: {answer:?}") };
    assert_eq!((answer.status(), answer.reason()), (status.expect("told"), reason.as_str()));
    answer
}

fn requests_that_are_no_handshake(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let without = |line: &str| upgrade(&[]).replace(&format!("{line}\r\n"), "");
    let instead = |from: &str, to: &str| upgrade(&[]).replace(from, to);
    for (request, status, reason) in [
        (without("Upgrade: websocket"), 426, "not_upgrade"),
        (without("Connection: Upgrade"), 426, "not_upgrade"),
        (instead("Upgrade: websocket", "Upgrade: h2c"), 426, "not_upgrade"),
        (instead("GET ", "POST "), 400, "method_not_get"),
        (instead("HTTP/1.1", "HTTP/1.0"), 400, "http_version"),
        (without("Host: chat.example"), 400, "host_invalid"),
        (upgrade(&["Host: other.example"]), 400, "host_invalid"),
        (upgrade(&["Content-Length: 1"]), 400, "body_present"),
        (upgrade(&["Transfer-Encoding: chunked"]), 400, "body_present"),
        (instead("Version: 13", "Version: 8"), 426, "version_unsupported"),
        (instead(KEY, "c2hvcnQ="), 400, "key_invalid"),
        (upgrade(&[&format!("Sec-WebSocket-Key: {KEY}")]), 400, "key_invalid"),
        (upgrade(&["Sec-WebSocket-Protocol: chat, chat"]), 400, "negotiation_invalid"),
        (upgrade(&["Sec-WebSocket-Extensions: ;"]), 400, "negotiation_invalid"),
        (upgrade(&["no colon"]), 400, "head_malformed"),
        (upgrade(&["Origin: https://a.example", "Origin: https://b.example"]), 400, "head_malformed"),
        (upgrade(&["X: 1\n"]), 400, "head_malformed"),
        (upgrade(&[" folded: 1"]), 400, "head_malformed"),
        ("\u{0}\r\n\r\n".to_owned(), 400, "head_malformed"),
    ] {
        let answer = told(&proxy, &request);
        assert_eq!((answer.status(), answer.reason()), (status, reason), "{request:?}");
        assert_eq!(answer.field("connection"), Some(if status == 426 { "Upgrade, close" } else { "close" }));
        if status == 426 {
            assert_eq!(answer.field("upgrade"), Some("websocket"));
            assert_eq!(answer.field("sec-websocket-version"), Some("13"));
        }
    }
}

fn tokens_that_are_not_accepted(engine: Engine) {
    let app = App::unix();
    let from = "from = [\"header\", \"query:access_token\"]\nleeway = \"5s\"";
    let proxy = Setup::new(engine).jwt(from).start(&app);
    let none = {
        let good = token();
        let (_, rest) = good.split_once('.').expect("JWS");
        // {"alg":"none","typ":"JWT"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", rest.split_once('.').expect("JWS").0)
    };
    let invalid = r#"Bearer realm="ringside", error="invalid_token""#;
    for (token, reason, challenge) in [
        (None, "token_missing", r#"Bearer realm="ringside""#),
        (Some("nonsense".to_owned()), "token_malformed", invalid),
        (Some("x".repeat(8193)), "token_too_large", invalid),
        (Some(none), "token_algorithm", invalid),
        (Some(forged()), "token_signature", invalid),
        (Some(of_unknown_key()), "token_key_unknown", invalid),
        (Some(token_with(json!({ "exp": now(-60) }))), "token_expired", invalid),
        (Some(token_with(json!({ "nbf": now(60) }))), "token_not_yet_valid", invalid),
        (Some(token_with(json!({ "iss": "https://other.example" }))), "token_issuer", invalid),
        (Some(token_with(json!({ "aud": "shop" }))), "token_audience", invalid),
        (Some(token_with(json!({ "exp": null }))), "token_claims", invalid),
    ] {
        let field = token.map(|token| format!("Authorization: Bearer {token}"));
        let answer = told(&proxy, &upgrade(&field.as_deref().into_iter().collect::<Vec<_>>()));
        assert_eq!((answer.status(), answer.reason()), (401, reason));
        let found = answer.field("www-authenticate").expect("a challenge");
        assert!(found.starts_with(challenge), "{found}");
        assert!(found == challenge || found.contains("error_description"), "{found}");
    }
    let token = token();
    let twice = upgrade_to(&format!("/?access_token={token}"), &[&format!("Authorization: Bearer {token}")]);
    let answer = told(&proxy, &twice);
    assert_eq!((answer.status(), answer.reason()), (400, "token_twice"));
    assert!(answer.field("www-authenticate").expect("a challenge").contains("invalid_request"));
}

fn origins_that_are_not_on_the_list(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).table("access", "origins = [\"https://chat.example\"]").start(&app);
    for origin in ["https://evil.example", "http://chat.example", "null"] {
        let answer = told(&proxy, &upgrade(&[&format!("Origin: {origin}")]));
        assert_eq!((answer.status(), answer.reason()), (403, "origin_not_allowed"));
    }
    let mut client = proxy.ask(&upgrade(&["Origin: https://chat.example"]));
    app.accept().answer(&[]);
    assert_eq!(client.head().status(), 101);
}

fn an_absent_app(engine: Engine) {
    let dir = tempfile::tempdir().expect("a directory");
    let absent = format!("unix:{}", dir.path().join("absent.sock").display());
    // A port that was free a moment ago, and that nobody is given while it is bound but does not listen.
    let bound = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    for app in [absent, bound.to_string()] {
        let proxy = Setup::new(engine).start_before(&app);
        let answer = told(&proxy, &upgrade(&[]));
        assert_eq!((answer.status(), answer.reason()), (502, "app_unreachable"), "{app}");
    }
}

fn answers_that_break_the_handshake(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let request = upgrade(&[
        "Sec-WebSocket-Protocol: chat.v1, chat.v2",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    ]);
    let spoils: [(&str, Spoil); 12] = [
        ("a wrong accept key", |answer| answer.replace("Accept: ", "Accept: AA")),
        ("no accept key", |answer| answer.replace("Sec-WebSocket-Accept", "X")),
        ("no Upgrade", |answer| answer.replace("Upgrade: websocket\r\n", "")),
        ("no Connection", |answer| answer.replace("Connection: Upgrade\r\n", "")),
        ("a subprotocol not offered", |answer| with(&answer, "Sec-WebSocket-Protocol: chat.v3")),
        ("two subprotocols", |answer| with(&answer, "Sec-WebSocket-Protocol: chat.v1, chat.v2")),
        ("an extension not offered", |answer| with(&answer, "Sec-WebSocket-Extensions: x-mine")),
        ("a body", |answer| with(&answer, "Content-Length: 3")),
        ("200", |_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()),
        ("garbage", |_| "I am no WebSocket server\r\n\r\n".to_owned()),
        ("half an answer", |answer| answer[..answer.len() / 2].to_owned()),
        ("nothing", |_| String::new()),
    ];
    for (what, spoil) in spoils {
        let mut client = proxy.ask(&request);
        let mut joined = app.accept();
        let answer = spoil(joined.switching(&[]));
        joined.send(answer.as_bytes());
        joined.finish();
        let answer = client.head();
        assert_eq!((answer.status(), answer.reason()), (502, "app_handshake"), "{what}");
        assert!(!answer.body.contains("I am"), "{what}: {answer:?}");
        assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly), "{what}");
    }
    proxy.wait_until_held(0);
}

/// What becomes of the app's good answer.
type Spoil = fn(String) -> String;

fn with(answer: &str, field: &str) -> String {
    answer.replace("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"))
}

fn a_silent_app(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).table("timeouts", "app = \"200ms\"").start(&app);
    for part in ["", "HTTP/1.1 101 Swit", "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nhal"] {
        let mut client = proxy.ask(&upgrade(&[]));
        let mut joined = app.accept();
        joined.send(part.as_bytes());
        let answer = client.head();
        assert_eq!((answer.status(), answer.reason()), (504, "app_timeout"), "{part:?}");
        assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly));
        drop(client);
        assert!(proxy.handshake().app_took().expect("asked").as_millis() >= 200);
    }
}

fn the_apps_own_refusal_is_passed_on(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    for (refusal, line, body) in [
        (
            "HTTP/1.1 403 No Way\r\nContent-Type: text/x\r\nX-Why: mood\r\nContent-Length: 5\r\n\r\nmoody",
            "HTTP/1.1 403 No Way",
            "moody",
        ),
        (
            "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nNo s\r\n9\r\nuch room.\r\n0\r\n\r\n",
            "HTTP/1.1 404 Not Found",
            "No such room.",
        ),
        ("HTTP/1.0 503 Down\r\n\r\nuntil the end", "HTTP/1.1 503 Down", "until the end"),
    ] {
        let mut client = proxy.ask(&upgrade(&[]));
        let mut joined = app.accept();
        joined.socket.write_all(refusal.as_bytes()).expect("the proxy takes it");
        joined.finish();
        let answer = client.head();
        assert_eq!((answer.line.as_str(), answer.body.as_str(), answer.reason()), (line, body, "app_refused"));
        assert_eq!(client.end(), Seen::Orderly);
        if line.contains("403") {
            assert_eq!((answer.field("content-type"), answer.field("x-why")), (Some("text/x"), Some("mood")));
        }
    }
    proxy.wait_until_held(0);
}
