//! The timed drain: who is told when, what the admin endpoint says meanwhile, and who is cut.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::app::{App, Joined};
use crate::support::binary::Binary;
use crate::support::client::{Client, Seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, CLOSE};
use crate::support::http::Message;
use crate::support::proxy::Setup;

on_both_engines!(
    a_post_drains_and_the_signal_after_it_cuts_nobody,
    each_close_goes_out_at_its_own_time_within_the_spread,
    who_does_not_leave_is_cut_at_the_timeout,
    the_command_drains_and_waits_for_the_last_client,
    the_command_says_who_stays_when_its_time_is_over,
);

pub(super) const ADMIN: &str = "address = \"127.0.0.1:0\"";

/// Both have seen the Close of the drain. They answer it, and all ends in order.
fn part(mut client: Client, mut joined: Joined) {
    client.send(&frame::from_client(CLOSE, &frame::close(1001, "")));
    joined.send(&frame::from_app(CLOSE, &frame::close(1001, "")));
    assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly));
}

pub(super) fn ask(admin: SocketAddr, line: &str) -> Message {
    let mut stream = TcpStream::connect(admin).expect("an admin endpoint");
    write!(stream, "{line} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").expect("it reads");
    Message::read(&mut stream).expect("an answer")
}

fn a_post_drains_and_the_signal_after_it_cuts_nobody(engine: Engine) {
    let app = App::unix();
    let setup = Setup::new(engine).table("admin", ADMIN).table("timeouts", "closing = \"20s\"");
    let mut binary = Binary::start(&setup, app.address());
    let admin = binary.admin();
    let (mut client, mut joined) = binary.join(&app);
    assert_eq!(ask(admin, "GET /readyz").status(), 200);

    let posted = ask(admin, "POST /drain");
    assert_eq!(posted.status(), 202);
    assert!(posted.body.starts_with("draining: 1 connections; "), "{posted:?}");
    let ready = ask(admin, "GET /readyz");
    assert_eq!((ready.status(), ready.body.lines().next()), (503, Some("draining, 1 connections left")));
    assert_eq!((client.close().0, joined.close().0), (1001, 1001));
    assert!(TcpStream::connect(binary.address).is_err(), "it listens no more");

    binary.signal(Signal::TERM);
    binary.line("told to stop");
    assert_eq!(ask(admin, "POST /drain").status(), 202);
    assert_eq!(ask(admin, "GET /livez").status(), 200);
    part(client, joined);
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains("drained") && output.contains("cut=0"), "{output}");
}

fn each_close_goes_out_at_its_own_time_within_the_spread(engine: Engine) {
    const SPREAD: Duration = Duration::from_secs(1);
    let app = App::unix();
    let setup = Setup::new(engine).workers(2).drain("spread = \"1s\"");
    let binary = Binary::start(&setup, app.address());
    let pairs: Vec<_> = (0..12).map(|_| binary.join(&app)).collect();
    let began = Instant::now();
    binary.signal(Signal::TERM);
    for (mut client, mut joined) in pairs {
        assert_eq!((client.close().0, joined.close().0), (1001, 1001));
        part(client, joined);
    }
    // By chance alone this fails once in 4^12 runs, that is 17 million.
    assert!(began.elapsed() > SPREAD / 4, "all at once: {:?}", began.elapsed());
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains("connections=12 spread=1s timeout=30s") && output.contains("cut=0"), "{output}");
}

fn who_does_not_leave_is_cut_at_the_timeout(engine: Engine) {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let app = App::unix();
    let setup = Setup::new(engine).drain("spread = \"0s\"\ntimeout = \"300ms\"").table("timeouts", "closing = \"20s\"");
    let binary = Binary::start(&setup, app.address());
    let (mut client, mut joined) = binary.join(&app);
    let began = Instant::now();
    binary.signal(Signal::TERM);
    assert_eq!((client.close().0, joined.close().0), (1001, 1001));
    assert_ne!(client.end(), Seen::Orderly, "it has not answered");
    assert!(began.elapsed() >= TIMEOUT, "{:?}", began.elapsed());
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains("drained") && output.contains("cut=1"), "{output}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}\n{output}", began.elapsed());
}

/// `ringside drain` with these words and variables, where there is no configuration file.
fn command(line: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringside"));
    command.arg("drain").args(line.split_whitespace()).current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Exit status and what it has written.
fn told(output: Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8"))
}

fn the_command_drains_and_waits_for_the_last_client(engine: Engine) {
    let app = App::unix();
    let setup = Setup::new(engine).workers(2).table("admin", ADMIN).table("timeouts", "closing = \"20s\"");
    let mut binary = Binary::start(&setup, app.address());
    let admin = binary.admin();
    assert_eq!(ask(admin, "GET /drain").body, r#"{"draining":false,"connections":0}"#);
    let mut pairs: Vec<_> = (0..3).map(|_| binary.join(&app)).collect();
    let mut waiting = command(&format!("--admin {admin} --wait"), &[]).spawn().expect("the binary");
    for (client, joined) in &mut pairs {
        assert_eq!((client.close().0, joined.close().0), (1001, 1001));
    }
    assert_eq!(ask(admin, "GET /drain").body, r#"{"draining":true,"connections":3}"#);
    let (last_client, last_joined) = pairs.pop().expect("three");
    for (client, joined) in pairs {
        part(client, joined);
    }

    // Once more changes nothing, nor does it behind a signal. This one finds the sidecar as its own container would.
    binary.signal(Signal::TERM);
    binary.line("told to stop");
    let admin_address = admin.to_string();
    let variables = [("RINGSIDE_APP_ADDRESS", app.address()), ("RINGSIDE_ADMIN_ADDRESS", &admin_address)];
    let (status, output) = told(command("", &variables).output().expect("the binary"));
    assert!(status == Some(0) && output.starts_with("draining: "), "{output}");
    assert!(waiting.try_wait().expect("a child").is_none(), "it does not wait for the last one");

    part(last_client, last_joined);
    let (status, output) = told(waiting.wait_with_output().expect("a child"));
    assert_eq!(status, Some(0), "{output}");
    assert!(output.starts_with("draining: 3 connections; ") && output.ends_with("\ndrained\n"), "{output}");
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains("cut=0"), "{output}");
}

fn the_command_says_who_stays_when_its_time_is_over(engine: Engine) {
    let app = App::unix();
    let setup = Setup::new(engine).table("admin", ADMIN).table("timeouts", "closing = \"20s\"");
    let mut binary = Binary::start(&setup, app.address());
    let admin = binary.admin();
    let (client, joined) = binary.join(&app);
    let began = Instant::now();
    let line = format!("--admin {admin} --wait --timeout 500ms");
    let (status, output) = told(command(&line, &[]).output().expect("the binary"));
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("\nerror: 1 connections are left after 500ms") && output.contains("--timeout"), "{output}");
    assert!((Duration::from_millis(500)..Duration::from_secs(15)).contains(&began.elapsed()), "{:?}", began.elapsed());
    drop((client, joined));
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
}

#[test]
fn the_command_fails_where_there_is_no_admin_endpoint() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("bound");
    drop(nobody);
    let (status, output) = told(command(&format!("--admin {address} --wait"), &[]).output().expect("the binary"));
    assert_eq!(status, Some(1), "{output}");
    assert!(output.starts_with(&format!("error: no sidecar answers at {address}: ")), "{output}");
    assert!(output.contains("[admin]") && output.contains("--admin"), "{output}");

    let (status, output) = told(command("", &[("RINGSIDE_APP_ADDRESS", "127.0.0.1:9")]).output().expect("the binary"));
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("set RINGSIDE_ADMIN_ADDRESS=127.0.0.1:9901"), "{output}");
}
