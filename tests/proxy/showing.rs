//! Who is connected, as the admin endpoint and `ringside top` tell while it is so.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::app::{App, Joined};
use crate::support::binary::Binary;
use crate::support::client::{Client, Security, Seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CLOSE, PING, PONG, TEXT};
use crate::support::http::{Message, upgrade};
use crate::support::material::token;
use crate::support::proxy::Setup;

on_both_engines!(
    each_connection_is_shown_with_what_it_relayed,
    who_is_gone_is_shown_with_why,
    top_prints_what_there_is,
    subjects_are_shown_as_in_the_log,
);

const ADMIN: &str = "address = \"127.0.0.1:0\"";

fn start(engine: Engine, app: &App) -> (Binary, SocketAddr) {
    let setup = Setup::new(engine).workers(2).jwt("").table("admin", ADMIN);
    let mut binary = Binary::start(&setup, app.address());
    let admin = binary.admin();
    (binary, admin)
}

/// A client that has its 101 and speaks `chat`.
fn join(binary: &Binary, app: &App) -> (Client, Joined) {
    let mut client = Client::connect(binary.address, Security::usual());
    let fields = [format!("Authorization: Bearer {}", token()), "Sec-WebSocket-Protocol: chat".to_owned()];
    client.send(upgrade(&fields.each_ref().map(String::as_str)).as_bytes());
    let mut joined = app.accept();
    joined.answer(&["Sec-WebSocket-Protocol: chat"]);
    assert_eq!(client.head().status(), 101);
    (client, joined)
}

fn address(client: &Client) -> String {
    client.tcp().local_addr().expect("connected").to_string()
}

fn connections(admin: SocketAddr) -> Value {
    let mut stream = TcpStream::connect(admin).expect("an admin endpoint");
    write!(stream, "GET /connections HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").expect("it reads");
    let answer = Message::read(&mut stream).expect("an answer");
    assert_eq!(answer.status(), 200, "{answer:?}");
    serde_json::from_str(&answer.body).expect("JSON")
}

/// What the endpoint says once `is_so`: what a peer has received is counted a moment later.
fn once(admin: SocketAddr, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let seen = connections(admin);
        if is_so(&seen) {
            return seen;
        }
        assert!(std::time::Instant::now() < deadline, "{seen:#}");
    }
}

fn list<'v>(seen: &'v Value, key: &str) -> &'v [Value] {
    seen[key].as_array().expect("a list")
}

/// The entry of this client.
fn of<'v>(seen: &'v Value, key: &str, client: &str) -> &'v Value {
    list(seen, key).iter().find(|entry| entry["client"] == client).unwrap_or_else(|| panic!("no {client} in {seen:#}"))
}

/// The client sends `messages` of as many bytes, and a Ping; the app as many of half of that, and all arrives.
fn talk(client: &mut Client, joined: &mut Joined, messages: usize, size: usize) -> [Value; 2] {
    let (long, short) = (frame::pattern(1, size), frame::pattern(2, size / 2));
    let (from_client, from_app) = (frame::from_client(BINARY, &long), frame::from_app(TEXT, &vec![b'x'; short.len()]));
    let [asks, answers] = [frame::from_client(PING, b"hello"), frame::from_app(PONG, b"hello")];
    for _ in 0..messages {
        client.send(&from_client);
        joined.send(&from_app);
    }
    client.send(&asks);
    joined.send(&answers);
    for _ in 0..=messages {
        joined.frame();
        client.frame();
    }
    let sent = |frame: &[u8], control: &[u8]| {
        let bytes = messages * frame.len() + control.len();
        json!({"frames": messages + 1, "messages": messages, "bytes": bytes})
    };
    [sent(&from_client, &asks), sent(&from_app, &answers)]
}

fn each_connection_is_shown_with_what_it_relayed(engine: Engine) {
    let app = App::unix();
    let (binary, admin) = start(engine, &app);
    let nobody = connections(admin);
    assert_eq!((list(&nobody, "connections"), &nobody["totals"]["open"]), (&[][..], &json!(0)));
    assert_eq!((&nobody["engine"], &nobody["workers_silent"]), (&json!(engine), &json!([])));

    let mut pairs: Vec<_> = (0..6).map(|_| join(&binary, &app)).collect();
    let expected: Vec<_> = pairs
        .iter_mut()
        .zip(1..)
        .map(|((client, joined), n)| (address(client), talk(client, joined, n, 100 * n)))
        .collect();
    let all_told = |seen: &Value| {
        list(seen, "connections").len() == expected.len()
            && expected.iter().all(|(client, [from_client, from_app])| {
                let shown = of(seen, "connections", client);
                shown["from_client"] == *from_client && shown["from_app"] == *from_app
            })
    };
    let seen = once(admin, all_told);
    let mut traces = std::collections::HashSet::new();
    for (client, _) in &expected {
        let shown = of(&seen, "connections", client);
        assert_eq!([&shown["subject"], &shown["subprotocol"], &shown["state"]], ["alice", "chat", "open"]);
        assert!(shown["age"].as_f64().is_some_and(|age| age > 0.0 && age < 60.0), "{shown}");
        assert!(traces.insert(shown["trace_id"].to_string()), "a trace twice: {seen:#}");
    }
    let bytes: Vec<_> = list(&seen, "connections").iter().map(|shown| shown["from_client"]["bytes"].as_u64()).collect();
    assert!(bytes.is_sorted_by(|a, b| a >= b), "{bytes:?}");
    let totals = |key: &str, of: &str| -> u64 {
        list(&seen, "connections").iter().map(|shown| shown[key][of].as_u64().expect("a number")).sum()
    };
    assert_eq!((&seen["totals"]["open"], &seen["totals"]["opened"], &seen["shown"]), (&json!(6), &json!(6), &json!(6)));
    for key in ["from_client", "from_app"] {
        for figure in ["frames", "messages", "bytes"] {
            assert_eq!(seen["totals"][key][figure], totals(key, figure), "{key} {figure}");
        }
    }
}

fn who_is_gone_is_shown_with_why(engine: Engine) {
    let app = App::unix();
    let (binary, admin) = start(engine, &app);
    let mut stranger = Client::connect(binary.address, Security::usual());
    stranger.send(upgrade(&[]).as_bytes());
    assert_eq!(stranger.head().status(), 401);

    let (mut client, mut joined) = join(&binary, &app);
    let closing = address(&client);
    client.send(&frame::from_client(CLOSE, &frame::close(4000, "bye")));
    assert_eq!(joined.close().0, 4000);
    let seen = once(admin, |seen| of(seen, "connections", &closing)["state"] == "closing");
    let shown = of(&seen, "connections", &closing);
    assert_eq!([&shown["by"], &shown["why"]], ["client", "closed"]);
    joined.send(&frame::from_app(CLOSE, &frame::close(4000, "bye")));
    assert_eq!((client.close().0, client.end()), (4000, Seen::Orderly));
    drop((client, joined));
    once(admin, |seen| list(seen, "recent").len() == 2);

    let (mut client, mut joined) = join(&binary, &app);
    let violating = address(&client);
    client.send(&frame::masked(0xf0 | TEXT, b"reserved bits"));
    assert_eq!((client.close().0, joined.close().0), (1002, 1001));
    drop((client, joined));

    let seen = once(admin, |seen| list(seen, "recent").len() == 3);
    assert_eq!(list(&seen, "connections"), [json!(null); 0]);
    let closed = of(&seen, "recent", &closing);
    assert_eq!([&closed["kind"], &closed["by"], &closed["why"]], ["ended", "client", "closed"]);
    assert_eq!([&closed["code_sent"], &closed["code_received"]], [4000, 4000]);
    let violation = &list(&seen, "recent")[0];
    assert_eq!(violation["client"], violating, "the newest is the first");
    assert_eq!([&violation["by"], &violation["why"]], ["client", "reserved_bits"]);
    assert_eq!((&violation["source"], &violation["code_sent"]), (&json!("RFC 6455 section 5.2"), &json!(1002)));
    let refused = of(&seen, "recent", &address(&stranger));
    assert_eq!([&refused["kind"], &refused["reason"]], ["refused", "token_missing"]);
    assert_eq!((&refused["status"], refused.get("subject")), (&json!(401), None));
}

fn top_prints_what_there_is(engine: Engine) {
    let app = App::unix();
    let (binary, admin) = start(engine, &app);
    let (mut here, mut joined) = join(&binary, &app);
    talk(&mut here, &mut joined, 12_345, 10);
    let (mut left, mut other) = join(&binary, &app);
    left.send(&frame::from_client(CLOSE, &frame::close(1000, "")));
    other.close();
    other.send(&frame::from_app(CLOSE, &frame::close(1000, "")));
    assert_eq!(left.close().0, 1000);
    let gone = address(&left);
    drop((left, other));
    once(admin, |seen| {
        let settled = of(seen, "connections", &address(&here))["from_app"]["messages"] == 12_345;
        settled && list(seen, "recent").len() == 1
    });

    let (status, output, errors) = top(&["--once", "--admin", &admin.to_string()]);
    assert_eq!((status, errors.as_str()), (Some(0), ""), "{output}");
    let line = |words: &[&str]| output.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line(&["ringside", &admin.to_string(), "engine", engine]), "{output}");
    assert!(line(&["1 of", "connections open"]), "{output}");
    assert!(line(&[&address(&here), "alice", "chat", "~", " 12345 ", "open"]), "{output}");
    assert!(line(&[&gone, "alice", "closed by client", "1000"]), "{output}");
    assert!(!output.contains('\u{1b}'), "no terminal, no escapes: {output:?}");
    let (_, nobody, _) = top(&["--admin", &admin.to_string(), "--most", "0"]);
    assert!(nobody.contains("1 of") && !nobody.contains(&address(&here)), "{nobody}");
}

fn subjects_are_shown_as_in_the_log(engine: Engine) {
    let app = App::unix();
    let log = "format = \"json\"\nsubject = \"hashed\"";
    let setup = Setup::new(engine).jwt("").table("log", log).table("admin", ADMIN);
    let mut binary = Binary::start(&setup, app.address());
    // The lines of the start are JSON, too.
    let admin = binary.admin();
    let (client, _joined) = join(&binary, &app);
    let line: Value = serde_json::from_str(&binary.line("\"opened\"")).expect("JSON");
    let seen = connections(admin);
    let shown = of(&seen, "connections", &address(&client));
    assert_eq!(shown["subject"], line["subject"]);
    assert_eq!(shown["trace_id"], line["trace_id"]);
    assert!(shown["subject"] != "alice" && shown["subject"].is_string(), "{shown}");
}

/// Runs `ringside top`: its exit status, and what it writes to each output.
fn top(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringside"));
    let output = command.arg("top").args(args).env_clear().output().expect("the binary");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn top_says_what_to_configure_when_there_is_nothing_to_ask() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ringside.toml");
    std::fs::write(&file, Setup::new("epoll").plain().toml("127.0.0.1:9")).expect("a file");
    let (status, _, errors) = top(&["--config", file.to_str().expect("UTF-8")]);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("has no admin endpoint") && errors.contains("[admin] with address"), "{errors}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let (status, _, errors) = top(&["--admin", &free.to_string()]);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains(&format!("no sidecar answers at {free}")) && errors.contains("admin.address"), "{errors}");
}
