use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{AGE, Admin, CONNECTIONS, Config, GRACE, HEAD, Sources};
use crate::lifecycle::drain::{self, Drain};
use crate::lifecycle::ready::Ready;
use crate::telemetry::counters::Counters;
use crate::telemetry::names::Process;

struct Fixture {
    address: SocketAddr,
    ready: Ready,
    counters: Arc<Counters>,
    drain: Drain,
    server: JoinHandle<()>,
}

impl Fixture {
    async fn start() -> Self {
        let admin = Admin::bind(&Config { address: ([127, 0, 0, 1], 0).into() }).await.expect("bind");
        let address = admin.address().expect("address");
        let (ready, counters) = (Ready::default(), Arc::new(Counters::default()));
        let sources = Sources {
            workers: vec![Arc::clone(&counters)],
            ready: ready.clone(),
            process: Box::new(|| Process {
                started: SystemTime::now(),
                engine: "epoll",
                engine_why: "configured".into(),
                events_dropped: 0,
                spans_dropped: 0,
                spans_exported: 0,
                log_lines_dropped: 0,
            }),
        };
        let (drain, watch) = drain::channel();
        let server = tokio::spawn(admin.serve(sources, watch));
        Self { address, ready, counters, drain, server }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connect")
    }

    /// The whole answer to one request.
    async fn ask(&self, head: &str) -> String {
        let mut stream = self.connect().await;
        let request = format!("{head} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("write");
        read_all(&mut stream).await
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    // A server that closes with bytes unread resets: what came before that counts.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn ready_names_what_is_waited_for() {
    let fixture = Fixture::start().await;
    assert!(fixture.ask("GET /livez").await.starts_with("HTTP/1.1 200 "));
    let block = fixture.ready.block("worker 1");
    let answer = fixture.ask("GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nnot ready: waiting for worker 1\nengine: epoll (configured)\n"), "{answer}");
    drop(block);
    let answer = fixture.ask("GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\n\r\nready\nengine: epoll"), "{answer}");
}

#[tokio::test]
async fn metrics_are_live() {
    let fixture = Fixture::start().await;
    fixture.counters.accepted.add(41);
    fixture.counters.accepted.add(1);
    let answer = fixture.ask("GET /metrics?name=ignored").await;
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("\nringside_connections_accepted_total 42\n"), "{answer}");
}

#[tokio::test]
async fn anything_else_is_refused() {
    let fixture = Fixture::start().await;
    assert!(fixture.ask("GET /").await.starts_with("HTTP/1.1 404 "));
    assert!(fixture.ask("POST /elsewhere").await.starts_with("HTTP/1.1 404 "));
    let answer = fixture.ask("POST /livez").await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD"), "{answer}");
    assert!(fixture.ask("HEAD /livez").await.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn one_connection_too_many_is_closed() {
    let fixture = Fixture::start().await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = fixture.connect().await;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: admin\r\n\r\n").await.expect("write");
        stream.read_exact(&mut [0; 12]).await.expect("served");
        held.push(stream);
    }
    assert_eq!(fixture.ask("GET /livez").await, "");
    held.pop();
    while !fixture.ask("GET /livez").await.starts_with("HTTP/1.1 200 ") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let fixture = Fixture::start().await;
    let mut slow = fixture.connect().await;
    slow.write_all(b"GET /livez HTTP/1.1\r\nhost: ad").await.expect("write");
    // Nothing can happen any more but timeouts: the paused clock jumps to them.
    tokio::time::pause();
    let began = Instant::now();
    read_all(&mut slow).await;
    assert!((HEAD..HEAD * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn nobody_keeps_a_place_for_good() {
    let fixture = Fixture::start().await;
    let mut busy = fixture.connect().await;
    tokio::time::pause();
    let began = Instant::now();
    while busy.write_all(b"GET /livez HTTP/1.1\r\nhost: admin\r\n\r\n").await.is_ok() {
        let mut answer = [0; 1024];
        if busy.read(&mut answer).await.unwrap_or(0) == 0 {
            break;
        }
        tokio::time::advance(HEAD / 2).await;
    }
    assert!((AGE..AGE + GRACE * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_drain_ends_idle_connections_and_is_waited_for() {
    let Fixture { address, drain, server, .. } = Fixture::start().await;
    let mut idle = TcpStream::connect(address).await.expect("connect");
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: admin\r\n\r\n").await.expect("write");
    idle.read_exact(&mut [0; 12]).await.expect("served");
    drain.trigger();
    drain.done().await;
    server.await.expect("no panic");
    assert!(read_all(&mut idle).await.ends_with("alive\n"));
    assert!(TcpStream::connect(address).await.is_err());
}
