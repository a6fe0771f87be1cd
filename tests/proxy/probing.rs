//! What kubelet and Prometheus learn from outside the pod, of Ringside and of an app that listens on loopback only.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::Signal;

use super::draining::ADMIN;
use crate::support::app::App;
use crate::support::binary::{Binary, run_to_end};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, CLOSE};
use crate::support::http::Message;
use crate::support::proxy::Setup;

on_both_engines!(it_is_ready_until_it_drains, the_app_is_asked_while_it_relays, a_taken_port_is_told);

const HEALTH: &str = "address = \"127.0.0.1:0\"";

/// `[health]` with two probes of the app that listens here.
fn probes(app: &TcpListener) -> String {
    let at = app.local_addr().expect("bound");
    format!("{HEALTH}\napp = {{ ready = \"http://{at}/healthz\", live = \"tcp://{at}\" }}")
}

/// What is asked as kubelet asks. The answer is yet to be read.
fn asking(health: SocketAddr, line: &str) -> TcpStream {
    let mut stream = TcpStream::connect(health).expect("a health endpoint");
    let fields = "User-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close";
    write!(stream, "{line} HTTP/1.1\r\nHost: 10.1.2.3:9902\r\n{fields}\r\n\r\n").expect("it reads");
    stream
}

fn ask(health: SocketAddr, line: &str) -> Message {
    Message::read(&mut asking(health, line)).expect("an answer")
}

fn it_is_ready_until_it_drains(engine: Engine) {
    let app = App::unix();
    let setup = Setup::new(engine).table("health", HEALTH).table("admin", ADMIN);
    let mut binary = Binary::start(&setup.table("timeouts", "closing = \"20s\""), app.address());
    let (health, admin) = (binary.health(), binary.admin());
    let (mut client, mut joined) = binary.join(&app);
    for path in ["/livez", "/readyz", "/metrics"] {
        let [outside, inside] = [health, admin].map(|address| ask(address, &format!("GET {path}")));
        assert_eq!((outside.status(), inside.status()), (200, 200), "{path}");
        assert_eq!(outside.field("content-type"), inside.field("content-type"));
    }
    assert!(ask(health, "GET /metrics").body.contains("\nringside_connections_open 1\n"));
    for line in
        ["POST /drain", "GET /drain", "GET /connections", "GET /log/filter", "PUT /log/filter", "GET /app/ready"]
    {
        let answer = ask(health, line);
        assert_eq!((answer.status(), answer.body.as_str()), (404, "not here: /livez /readyz /metrics\n"), "{line}");
    }
    assert_eq!(ask(health, "GET /readyz").status(), 200, "nothing has drained it");

    binary.signal(Signal::TERM);
    assert_eq!((client.close().0, joined.close().0), (1001, 1001));
    let ready = ask(health, "GET /readyz");
    assert_eq!((ready.status(), ready.body.lines().next()), (503, Some("draining, 1 connections left")));
    assert_eq!(ask(health, "GET /livez").status(), 200);
    client.send(&frame::from_client(CLOSE, &frame::close(1001, "")));
    joined.send(&frame::from_app(CLOSE, &frame::close(1001, "")));
    drop((client, joined));
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
}

fn the_app_is_asked_while_it_relays(engine: Engine) {
    let app = App::unix();
    let probed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut binary = Binary::start(&Setup::new(engine).table("health", &probes(&probed)), app.address());
    let health = binary.health();
    let (mut client, mut joined) = binary.join(&app);
    for (status, expected) in [("200 OK", 200), ("302 Found", 200), ("500 Internal Server Error", 503)] {
        let mut asking = asking(health, "GET /app/ready");
        let (mut stream, _) = probed.accept().expect("it dials");
        let request = Message::read(&mut stream).expect("a request");
        assert_eq!(request.line, "GET /healthz HTTP/1.1");
        assert_eq!(request.field("user-agent"), Some("kube-probe/1.36"));
        assert_eq!(request.field("host"), Some("10.1.2.3:9902"));
        write!(stream, "HTTP/1.1 {status}\r\nX-Secret: hunter2\r\nContent-Length: 7\r\n\r\nhunter2").expect("it reads");
        let answer = Message::read(&mut asking).expect("an answer");
        assert_eq!(answer.status(), expected);
        assert_eq!(answer.body, format!("the app answered {}\n", &status[..3]));
        assert!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
    }
    assert_eq!(ask(health, "GET /app/live").status(), 200);
    probed.accept().expect("it was dialed");

    // One that hangs holds up neither what is relayed nor who else asks, and who asked it may go.
    let hung = asking(health, "GET /app/ready");
    let (mut stream, _) = probed.accept().expect("it dials");
    Message::read(&mut stream).expect("a request");
    let sent = frame::from_client(frame::TEXT, b"hello");
    client.send(&sent);
    joined.receive(sent.len());
    assert_eq!(ask(health, "GET /readyz").status(), 200);
    drop(hung);
    // Long before its deadline, which would be an end, too.
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
    assert!(Message::read(&mut stream).is_err_and(|error| error.kind() == std::io::ErrorKind::UnexpectedEof));

    drop(probed);
    for path in ["/app/ready", "/app/live"] {
        let answer = ask(health, &format!("GET {path}"));
        assert_eq!(answer.status(), 503, "{path}");
        assert!(answer.body.starts_with("nobody can be reached at 127.0.0.1:"), "{answer:?}");
    }
    drop((client, joined));
    binary.signal(Signal::TERM);
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
}

fn a_taken_port_is_told(engine: Engine) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let setup = Setup::new(engine).table("health", &format!("address = \"{address}\""));
    let (status, output) = run_to_end(&setup, "127.0.0.1:9");
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains(&format!("error: cannot listen on health.address {address}: ")), "{output}");
}
