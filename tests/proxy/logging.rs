//! The log of a running process: what it leaves out, what it hides, and how that changes while it runs.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use rustix::process::Signal;

use crate::draining::{ADMIN, ask};
use crate::support::PATIENCE;
use crate::support::app::App;
use crate::support::binary::Binary;
use crate::support::client::{Client, Security};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, CLOSE};
use crate::support::http::{Message, upgrade};
use crate::support::material::{SUBJECT, token};
use crate::support::proxy::Setup;

on_both_engines!(
    a_flood_of_refusals_is_bounded_summed_up_and_counted,
    a_filter_that_is_put_decides_from_then_on,
    a_hashed_subject_is_all_that_is_told_of_it,
    an_app_that_is_down_is_a_warning_under_any_flood,
);

fn client(binary: &Binary, fields: &[&str]) -> Client {
    let mut client = Client::connect(binary.address, Security::None);
    client.send(upgrade(fields).as_bytes());
    client
}

/// A connection that opens and closes in order. The log has told of all that when this returns.
fn open_and_close(binary: &mut Binary, app: &App, fields: &[&str]) {
    let mut client = client(binary, fields);
    let mut joined = app.accept();
    joined.answer(&[]);
    assert_eq!(client.head().status(), 101);
    client.send(&frame::from_client(CLOSE, &frame::close(1000, "")));
    assert_eq!(joined.close().0, 1000);
    joined.send(&frame::from_app(CLOSE, &frame::close(1000, "")));
    assert_eq!(client.close().0, 1000);
    drop((client, joined));
    binary.line("ended ");
}

/// The figure of a series.
fn figure(admin: SocketAddr, series: &str) -> u64 {
    let text = ask(admin, "GET /metrics").body;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|figure| figure.parse().ok()).unwrap_or_else(|| panic!("no {series} in\n{text}"))
}

/// Waits until so many refusals are counted, which is when they are handed to the log.
fn wait_for_refusals(admin: SocketAddr, reason: &str, wanted: u64) {
    let series = format!("ringside_handshakes_total{{outcome=\"refused\",reason=\"{reason}\"}}");
    let deadline = Instant::now() + PATIENCE;
    while figure(admin, &series) < wanted {
        assert!(Instant::now() < deadline, "{reason}: not {wanted} are counted");
    }
}

fn put(admin: SocketAddr, filter: &str) -> Message {
    let mut stream = TcpStream::connect(admin).expect("an admin endpoint");
    let length = filter.len();
    let head = format!("PUT /log/filter HTTP/1.1\r\nhost: admin\r\ncontent-length: {length}\r\nconnection: close\r\n");
    write!(stream, "{head}\r\n{filter}").expect("it reads");
    Message::read(&mut stream).expect("an answer")
}

/// The lines of `output` with this message, and this in them.
fn lines<'o>(output: &'o str, message: &str, part: &str) -> Vec<&'o str> {
    let message = format!(" ringside::connection: {message} ");
    output.lines().filter(|line| line.contains(&message) && line.contains(part)).collect()
}

/// The sum over the lines that sum up.
fn summed_up(summaries: &[&str]) -> u64 {
    let number = |line: &str| line.split_whitespace().find_map(|word| word.strip_prefix("lines=")?.parse::<u64>().ok());
    summaries.iter().map(|line| number(line).expect("a number")).sum()
}

fn stop(binary: Binary) -> String {
    binary.signal(Signal::TERM);
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
    output
}

fn a_flood_of_refusals_is_bounded_summed_up_and_counted(engine: Engine) {
    const NOISE: u64 = 2;
    const FLOOD: u64 = 60;
    let app = App::unix();
    let log = format!("noise = {NOISE}");
    let setup = Setup::new(engine).plain().jwt("").table("admin", ADMIN).table("log", &log);
    let mut binary = Binary::start(&setup, app.address());
    let admin = binary.admin();
    let began = Instant::now();
    for _ in 0..FLOOD {
        assert_eq!(client(&binary, &[]).head().status(), 401);
    }
    binary.line("suppressed ");
    wait_for_refusals(admin, "token_missing", FLOOD);
    // What is told of it comes behind all refusals.
    open_and_close(&mut binary, &app, &[&format!("Authorization: Bearer {}", token())]);
    let seconds = began.elapsed().as_secs() + 1;
    let counted = figure(admin, "ringside_log_lines_suppressed_total");

    let output = stop(binary);
    let written = lines(&output, "refused", "reason=\"token_missing\"").len() as u64;
    assert!((1..=NOISE * (1 + seconds)).contains(&written), "{written} in {seconds} s:\n{output}");
    assert_eq!(counted, FLOOD - written, "{output}");
    let summaries = lines(&output, "suppressed", "token_missing");
    assert_eq!(summed_up(&summaries), counted, "{output}");
    assert!(summaries.iter().all(|line| line.contains(" INFO ")), "{output}");
    assert!(summaries.len() as u64 <= seconds + 1, "{output}");
    let dropped = "a connection in order is told of under any flood";
    assert_eq!((lines(&output, "opened", "").len(), lines(&output, "ended", "").len()), (1, 1), "{dropped}:\n{output}");
}

fn an_app_that_is_down_is_a_warning_under_any_flood(engine: Engine) {
    const FLOOD: u64 = 30;
    let setup = Setup::new(engine).plain().table("admin", ADMIN).table("log", "noise = 1");
    let mut binary = Binary::start(&setup, "unix:nobody.sock");
    let admin = binary.admin();
    let no_upgrade = upgrade(&[]).replace("Upgrade: websocket\r\n", "");
    for _ in 0..FLOOD {
        let mut hostile = Client::connect(binary.address, Security::None);
        hostile.send(no_upgrade.as_bytes());
        assert_eq!(hostile.head().status(), 426);
    }
    wait_for_refusals(admin, "not_upgrade", FLOOD);
    assert_eq!(client(&binary, &[]).head().status(), 502);
    let line = binary.line("reason=\"app_unreachable\"");
    assert!(line.contains(" WARN ") && line.contains("refused "), "{line}");
    stop(binary);
}

fn a_filter_that_is_put_decides_from_then_on(engine: Engine) {
    let app = App::unix();
    let mut binary = Binary::start(&Setup::new(engine).plain().table("admin", ADMIN), app.address());
    let admin = binary.admin();
    // What the endpoint tells at DEBUG.
    let break_off = || {
        let mut stream = TcpStream::connect(admin).expect("an admin endpoint");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        stream.write_all(b"this is no HTTP\r\n\r\n").expect("it reads");
        let _ = stream.read_to_end(&mut Vec::new());
    };
    break_off();
    assert_eq!(ask(admin, "GET /log/filter").body, "info\n");
    assert_eq!(put(admin, "info,ringside=loud").status(), 400);
    let answer = put(admin, "info,ringside::control=debug");
    assert_eq!((answer.status(), answer.body.as_str()), (200, "info,ringside::control=debug\nbefore: info\n"));
    let line = binary.line("the filter changes");
    assert!(line.contains(r#"from="info" to="info,ringside::control=debug""#), "{line}");
    break_off();
    assert!(binary.line("connection ended").contains(" DEBUG ringside::control: "));

    open_and_close(&mut binary, &app, &[]);
    assert_eq!(put(admin, "info,ringside::connection=off").status(), 200);
    assert_eq!(client(&binary, &["Content-Length: 1"]).head().status(), 400);
    let output = stop(binary);
    assert_eq!(output.matches(" DEBUG ").count(), 1, "{output}");
    let told = ["opened", "ended", "refused"].map(|message| lines(&output, message, "").len());
    assert_eq!(told, [1, 1, 0], "{output}");
    assert_eq!(output.matches("the filter changes").count(), 2, "{output}");
}

fn a_hashed_subject_is_all_that_is_told_of_it(engine: Engine) {
    const KEY: &[u8] = b"thirty-two bytes, no more of it!";
    let app = App::unix();
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("subject.key");
    std::fs::write(&file, KEY).expect("a file");
    let log = format!("filter = \"trace\"\nsubject = \"hashed\"\nsubject_key_file = \"{}\"", file.display());
    let mut binary = Binary::start(&Setup::new(engine).plain().jwt("").table("log", &log), app.address());
    for _ in 0..2 {
        open_and_close(&mut binary, &app, &[&format!("Authorization: Bearer {}", token())]);
    }
    let output = stop(binary);
    let digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), SUBJECT.as_bytes());
    let hash = format!("{:016x}", u64::from_be_bytes(*digest.as_ref().first_chunk().expect("32 bytes")));
    let shown: BTreeSet<_> = output.split_whitespace().filter_map(|word| word.strip_prefix("subject=")).collect();
    assert_eq!(shown, BTreeSet::from([format!("\"{hash}\"").as_str()]), "{output}");
    assert_eq!(output.matches(&hash).count(), 4, "{output}");
    assert!(!output.contains(SUBJECT), "{output}");
}
