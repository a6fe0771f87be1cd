//! `ringside demo` as a user sees it: the built binary, its output and its exit code.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use ringside::ring::engine::Choice;
use ringside::ring::select;
use tempfile::TempDir;

/// How long something may take that takes less than a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// `ringside` in an environment of its own, with its temporary files in `tmp`.
fn ringside(args: &[&str], engine: &str, tmp: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringside"));
    command.args(args).env_clear().env("TMPDIR", tmp).env("RINGSIDE_RUNTIME_ENGINE", engine);
    command
}

fn once(engine: &str) -> Output {
    let tmp = TempDir::new().expect("a directory");
    let output = ringside(&["demo", "--once"], engine, tmp.path()).output().expect("the binary runs");
    assert!(is_empty(tmp.path()), "files left behind");
    output
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).expect("a directory").next().is_none()
}

#[track_caller]
fn tells_the_story(engine: &str) {
    let Output { status, stdout, stderr } = once(engine);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    assert_eq!(stderr, "");
    assert!(!stdout.contains("eyJ"), "a token is printed\n{stdout}");
    let has = |words: &[&str]| stdout.lines().any(|line| words.iter().all(|word| line.contains(word)));
    for words in [
        &["engine", engine][..],
        &["ok", "a token in Authorization", "101", "hello"],
        &["ok", "a token as a subprotocol", "101", "chat.v1"],
        &["ok", "no token", "401", "token_missing", "www-authenticate: Bearer"],
        &["ok", "an expired token", "401", "token_expired", "error=\"invalid_token\""],
        &["ok", "a token for another app", "401", "token_audience"],
        &["ok", "a token signed by another key", "401", "token_signature"],
        &["ok", "a page instead of a WebSocket", "426"],
        &["ok", "a large binary message", "1MiB"],
        &["ok", "what the app is told", "x-ringside-subject: ann", "no token"],
        &["ok", "the client closes", "1000"],
        &["ok", "the app closes", "1000"],
        &["ok", "a frame that breaks the protocol", "1002"],
        &["refused", "401 token_expired"],
        &["ended", "closed by client, client sent 1000, client got 1000"],
        &["ended", "client_unmasked by client (RFC 6455 section 5.1), client got 1002"],
        &["GET", "http.response.status_code=426", "ringside.reason=not_upgrade"],
        &["├─ tls", "tls.protocol.version=1.3"],
        &["├─ token", "ringside.token.found=true"],
        &["├─ dial", "network.transport=unix", "http.response.status_code=101"],
        &["└─ token", "ringside.token.found=false", "ringside.reason=token_missing"],
        &["└─ websocket", "ringside.end.why=client_unmasked"],
        &["└─ violation", "ringside.by=client", "ringside.source=RFC 6455 section 5.1"],
        &["All 13 scenes turned out as expected"],
    ] {
        assert!(has(words), "no line with {words:?} in\n{stdout}");
    }
    let lines_with = |word: &str| stdout.lines().filter(|line| line.trim_start().starts_with(word)).count();
    assert_eq!((lines_with("ok "), lines_with("opened "), lines_with("ended "), lines_with("refused ")), (13, 8, 8, 5));
}

#[test]
fn the_whole_story_on_epoll() {
    tells_the_story("epoll");
}

#[test]
fn the_whole_story_on_io_uring_where_the_kernel_allows_it() {
    if select::select(Choice::IoUring).is_ok() {
        tells_the_story("io_uring");
    } else {
        let Output { status, stderr, .. } = once("io_uring");
        assert_eq!(status.code(), Some(1));
        assert!(String::from_utf8(stderr).unwrap().contains("io_uring"));
    }
}

#[test]
fn a_variable_that_cannot_be_used_is_an_error() {
    let Output { status, stdout, stderr } = once("kqueue");
    assert_eq!((status.code(), stdout.len()), (Some(1), 0));
    assert!(String::from_utf8(stderr).unwrap().contains("RINGSIDE_RUNTIME_ENGINE"));
}

/// A demo that waits for clients. It does not outlive its test.
struct Live {
    child: Child,
    lines: Receiver<String>,
    _tmp: TempDir,
}

impl Live {
    fn start() -> Self {
        let tmp = TempDir::new().expect("a directory");
        let mut command = ringside(&["demo"], "auto", tmp.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let (to, lines) = sync_channel(1024);
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Self { child, lines, _tmp: tmp }
    }

    /// The rest of the next line that begins like this.
    fn after(&self, beginning: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with {beginning:?}"));
            if let Some(rest) = line.trim_start().strip_prefix(beginning) {
                return rest.trim_start().to_owned();
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn live_it_greets_reports_and_ends_at_ctrl_c() {
    let mut demo = Live::start();
    let address = demo.after("address");
    let port = address.strip_prefix("wss://localhost:").unwrap().split(' ').next().unwrap().to_owned();
    let certificate = demo.after("certificate");
    let certificate = Path::new(certificate.split(' ').next().unwrap()).to_owned();
    assert!(fs::read_to_string(&certificate).unwrap().contains("BEGIN CERTIFICATE"));
    let token = demo.after("TOKEN=");
    assert_eq!(token.split('.').count(), 3, "{token}");
    for client in ["websocat", "wscat", "Python", "browser", "refused"] {
        demo.after(client);
    }
    demo.after("Connections, as they come");

    let mut client = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(demo.after("refused").contains("tls_handshake"));
    assert_eq!(demo.after("trace ").len(), 32);
    assert!(demo.after("HTTP").contains("ringside.reason=tls_handshake"));
    assert!(demo.after("└─ tls").contains("ringside.reason=tls_handshake"));

    let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", demo.child.id())]).status();
    assert!(kill.unwrap().success());
    demo.after("Ended");
    assert!(demo.child.wait().unwrap().success());
    assert!(!certificate.exists(), "files left behind");
    let mut stderr = String::new();
    demo.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(!stderr.contains("eyJ"), "a token in the log\n{stderr}");
}
