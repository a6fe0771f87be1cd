use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::app::{DEADLINE, LONGEST_HEAD};
use super::{Config, Health};
use crate::control::vitals::Vitals;
use crate::lifecycle::drain::{self, Drain, DrainWatch};
use crate::lifecycle::ready::Ready;
use crate::telemetry::counters::Counters;
use crate::telemetry::names::tests::process;

struct Fixture {
    address: SocketAddr,
    /// Where the app listens, that is asked at `/app/ready` and `/app/live`.
    app: TcpListener,
    ready: Ready,
    drain: Drain,
    _worker: DrainWatch,
    _end: Drain,
}

impl Fixture {
    async fn start() -> Self {
        let app = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = app.local_addr().expect("bound");
        let targets = [("ready", format!("http://{at}/healthz?deep=1")), ("live", format!("tcp://{at}"))];
        let probes = targets.map(|(name, target)| (name.to_owned(), target.parse().expect("a target")));
        let identity = vec!["x-ringside-subject".parse().expect("a name")];
        let config = Config { address: ([127, 0, 0, 1], 0).into(), probes: probes.into(), identity };
        let health = Health::bind(&config).await.expect("bind");
        let address = health.address().expect("bound");
        let (ready, (drain, worker), (end, watch)) = (Ready::default(), drain::channel(), drain::channel());
        let workers = vec![Arc::new(Counters::default())];
        let vitals = Vitals { workers, ready: ready.clone(), process: Box::new(process), drain: drain.clone() };
        tokio::spawn(health.serve(Arc::new(vitals), watch));
        Self { address, app, ready, drain, _worker: worker, _end: end }
    }

    /// The whole answer to one request.
    async fn ask(&self, line: &str) -> String {
        read_all(&mut self.send(&format!("{line} HTTP/1.1\r\nhost: pod:9902\r\nconnection: close\r\n\r\n")).await).await
    }

    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        stream.write_all(request.as_bytes()).await.expect("write");
        stream
    }

    /// The answer to `/app/ready`, of an app that answers so. It reads the whole head before.
    async fn ask_before(&self, answer: &[u8]) -> String {
        let app = async {
            let (mut stream, head) = self.accept().await;
            // It may be hung up on before all of it is said.
            let _ = stream.write_all(answer).await;
            head
        };
        let (answer, head) = tokio::join!(self.ask("GET /app/ready"), app);
        assert!(head.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"), "{head}");
        answer
    }

    /// The app is asked: by whom, and what.
    async fn accept(&self) -> (TcpStream, String) {
        let (mut stream, _) = self.app.accept().await.expect("it dials");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        (stream, String::from_utf8(head).expect("ASCII"))
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    // A server that closes with bytes unread resets: what came before that counts.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

/// Status and body.
fn told(answer: &str) -> (&str, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).expect("a status"), body)
}

#[tokio::test]
async fn it_tells_how_the_process_is_doing_as_the_admin_endpoint_does() {
    let fixture = Fixture::start().await;
    assert_eq!(told(&fixture.ask("GET /livez").await), ("200", "alive\n"));
    let block = fixture.ready.block("worker 1");
    let answer = fixture.ask("GET /readyz").await;
    assert!(told(&answer).0 == "503" && answer.contains("not ready: waiting for worker 1\nengine: epoll"), "{answer}");
    drop(block);
    assert_eq!(told(&fixture.ask("GET /readyz").await).0, "200");
    fixture.drain.trigger();
    let answer = fixture.ask("GET /readyz").await;
    assert!(told(&answer).0 == "503" && answer.contains("draining, 0 connections left\n"), "{answer}");
    let answer = fixture.ask("GET /metrics").await;
    assert!(answer.contains("\nringside_connections_accepted_total 0\n"), "{answer}");
}

#[tokio::test]
async fn nothing_else_is_there_and_nothing_can_be_changed() {
    let fixture = Fixture::start().await;
    for line in [
        "GET /",
        "GET /drain",
        "POST /drain",
        "GET /connections",
        "PUT /log/filter",
        "GET /app",
        "GET /app/",
        "GET /app/other",
        "GET /app/ready/",
        "GET /app/../app/ready",
        "GET /app/%72eady",
        "POST /app/other",
    ] {
        let answer = fixture.ask(line).await;
        let expected = ("404", "not here: /livez /readyz /metrics /app/live /app/ready\n");
        assert_eq!(told(&answer), expected, "{line}");
    }
    for path in ["/livez", "/readyz", "/metrics", "/app/ready", "/app/live"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT"] {
            let answer = fixture.ask(&format!("{method} {path}")).await;
            // CONNECT has no path, for hyper.
            assert!(["400", "404", "405"].contains(&told(&answer).0), "{answer}");
            assert_eq!(told(&answer).0 == "405", answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
        }
    }
    assert!(fixture.drain.began().is_none());
}

#[tokio::test]
async fn the_app_is_asked_with_the_fields_of_who_asks() {
    let fixture = Fixture::start().await;
    let request = "GET /app/ready?ignored HTTP/1.1\r\nHost: 10.1.2.3:9902\r\nUser-Agent: kube-probe/1.36\r\n\
                   Accept: */*\r\nX-Forwarded-Proto: https\r\nX-Ringside-Subject: root\r\nX-Hop: 1\r\n\
                   Connection: close, x-hop\r\n\r\n";
    let mut asking = fixture.send(request).await;
    let (mut app, head) = fixture.accept().await;
    assert_eq!(
        head,
        "GET /healthz?deep=1 HTTP/1.1\r\nhost: 10.1.2.3:9902\r\nuser-agent: kube-probe/1.36\r\naccept: */*\r\n\
         x-forwarded-proto: https\r\nconnection: close\r\n\r\n"
    );
    app.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("write");
    assert_eq!(told(&read_all(&mut asking).await), ("200", "the app answered 200\n"));
}

#[tokio::test]
async fn of_the_answer_only_the_status_passes() {
    let fixture = Fixture::start().await;
    for (status, expected) in [
        (200, "200"),
        (204, "200"),
        (299, "200"),
        (301, "200"),
        (399, "200"),
        (400, "503"),
        (404, "503"),
        (500, "503"),
        (599, "503"),
        (999, "503"),
    ] {
        let said = format!("HTTP/1.1 {status} hunter2\r\nset-cookie: hunter2\r\nlocation: hunter2\r\n\r\nhunter2");
        let answer = fixture.ask_before(said.as_bytes()).await;
        assert_eq!(told(&answer), (expected, format!("the app answered {status}\n").as_str()));
        assert!(!answer.contains("hunter2"), "{answer}");
    }
    // The status is enough; a body without an end is not waited for.
    let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    assert_eq!(told(&fixture.ask_before(endless).await).0, "200");
    let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(told(&fixture.ask_before(interim).await), ("503", "the app answered 503\n"));
}

#[tokio::test]
async fn a_head_gets_the_same_without_a_body() {
    let fixture = Fixture::start().await;
    let app = async {
        let (mut stream, head) = fixture.accept().await;
        stream.write_all(b"HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n").await.expect("write");
        head
    };
    let (answer, head) = tokio::join!(fixture.ask("HEAD /app/ready"), app);
    assert!(head.starts_with("GET /healthz?deep=1 "), "{head}");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn an_app_that_speaks_no_http_is_not_well() {
    let fixture = Fixture::start().await;
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(LONGEST_HEAD));
    for said in
        [&b""[..], b"hunter2\r\n\r\n", b"HTTP/1.1 200 OK\r\nx-hunter2: ", b"HTTP/2 200\r\n\r\n", long.as_bytes()]
    {
        let answer = fixture.ask_before(said).await;
        let (status, body) = told(&answer);
        assert!(status == "503" && body.starts_with("the app did not answer with HTTP: "), "{answer}");
        assert!(!answer.contains("hunter2") && body.lines().count() == 1, "{answer}");
    }
}

#[tokio::test]
async fn who_listens_is_alive_and_who_is_gone_is_not() {
    let fixture = Fixture::start().await;
    assert_eq!(told(&fixture.ask("GET /app/live").await), ("200", "the app listens\n"));
    let Fixture { address, app, _end, .. } = fixture;
    let at = app.local_addr().expect("bound");
    drop(app);
    for name in ["live", "ready"] {
        let mut asking = TcpStream::connect(address).await.expect("connect");
        let request = format!("GET /app/{name} HTTP/1.0\r\n\r\n");
        asking.write_all(request.as_bytes()).await.expect("write");
        let answer = read_all(&mut asking).await;
        let (status, body) = told(&answer);
        assert!(status == "503" && body.starts_with(&format!("nobody can be reached at {at}: ")), "{answer}");
        assert!(body.contains("refused"), "{answer}");
    }
}

#[tokio::test]
async fn a_hanging_app_is_not_waited_for() {
    let fixture = Fixture::start().await;
    let mut asking = fixture.send("GET /app/ready HTTP/1.1\r\nhost: pod\r\nconnection: close\r\n\r\n").await;
    let (mut app, _) = fixture.accept().await;
    app.write_all(b"HTTP/1.1 200 OK\r\nx-slow: ").await.expect("write");
    // Nothing can happen any more but timeouts: the paused clock jumps to them.
    tokio::time::pause();
    let began = Instant::now();
    assert_eq!(told(&read_all(&mut asking).await), ("503", "the app did not answer within 10s\n"));
    assert!((DEADLINE..DEADLINE * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(app.read(&mut [0; 1]).await.expect("an end"), 0, "it is hung up on");
}

#[tokio::test]
async fn who_does_not_wait_takes_the_probe_along() {
    let fixture = Fixture::start().await;
    let asking = fixture.send("GET /app/ready HTTP/1.1\r\nhost: pod\r\n\r\n").await;
    let (mut app, _) = fixture.accept().await;
    let began = std::time::Instant::now();
    drop(asking);
    assert_eq!(app.read(&mut [0; 1]).await.expect("an end"), 0);
    assert!(began.elapsed() < DEADLINE / 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_request_that_is_none_of_kubelets_asks_nobody() {
    let fixture = Fixture::start().await;
    let long = format!("GET /app/ready HTTP/1.1\r\nhost: pod\r\nx: {}\r\n\r\n", "a".repeat(32 << 10));
    let many = format!("GET /app/ready HTTP/1.1\r\nhost: pod\r\n{}\r\n", "x: y\r\n".repeat(200));
    for (request, status) in [
        (long.as_str(), "431"),
        (&many, "431"),
        ("GET /app/ready HTTP/1.1\r\nhost : pod\r\n\r\n", "400"),
        ("GET /app/ready HTTP/1.1\r\nhost: pod\r\nx\0: y\r\n\r\n", "400"),
        ("GET /app/ready HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"),
        ("\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03\r\n\r\n", "400"),
    ] {
        let answer = read_all(&mut fixture.send(request).await).await;
        assert_eq!(told(&answer).0, status, "{request:?}");
    }
    // The next that the app hears of is this one: it was asked nothing before.
    let mut asking =
        fixture.send("GET http://elsewhere/app/ready HTTP/1.1\r\nhost: last\r\nconnection: close\r\n\r\n").await;
    let (mut app, head) = fixture.accept().await;
    assert!(head.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n") && head.contains("\r\nhost: last\r\n"), "{head}");
    app.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.expect("write");
    assert_eq!(told(&read_all(&mut asking).await).0, "200");
}
