use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::connections::{Ask, Means};
use super::{Admin, Config, Sources};
use crate::control::http::{AGE, CONNECTIONS, GRACE, HEAD};
use crate::control::log::Filter;
use crate::control::recent::Recent;
use crate::control::subject::{Choice, Subjects};
use crate::control::vitals::Vitals;
use crate::lifecycle::drain::{self, Drain, DrainWatch, Pace};
use crate::lifecycle::ready::Ready;
use crate::telemetry::counters::Counters;
use crate::telemetry::names::tests::process;

mod connections;
mod filter;

struct Fixture {
    address: SocketAddr,
    ready: Ready,
    counters: Arc<Counters>,
    recent: Recent,
    subjects: Subjects,
    drain: Drain,
    /// A worker that has not seen its last connection off.
    worker: DrainWatch,
    end: Drain,
    server: JoinHandle<()>,
    /// What a log would filter by.
    _filter: reload::Layer<EnvFilter, Registry>,
}

impl Fixture {
    async fn start() -> Self {
        Self::start_before(Vec::new()).await
    }

    /// With these workers.
    async fn start_before(asks: Vec<Ask>) -> Self {
        let admin = Admin::bind(&Config { address: ([127, 0, 0, 1], 0).into() }).await.expect("bind");
        let address = admin.address().expect("address");
        let (ready, counters) = (Ready::default(), Arc::new(Counters::default()));
        let (drain, worker) = drain::channel();
        let (filter, layer) = Filter::new("info").expect("a filter");
        let (recent, subjects) = (Recent::default(), Subjects::load(Choice::Hashed, None).expect("randomness"));
        let vitals = Vitals {
            workers: vec![Arc::clone(&counters)],
            ready: ready.clone(),
            process: Box::new(process),
            drain: drain.clone(),
        };
        let sources = Sources {
            vitals: Arc::new(vitals),
            pace: Pace { spread: Duration::from_secs(10), timeout: Duration::from_secs(90) },
            connections: Means::new(asks, recent.clone(), subjects.clone()),
            filter,
        };
        let (end, watch) = drain::channel();
        let server = tokio::spawn(admin.serve(sources, watch));
        Self { address, ready, counters, recent, subjects, drain, worker, end, server, _filter: layer }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connect")
    }

    /// The whole answer to one request.
    async fn ask(&self, line: &str) -> String {
        self.ask_with(line, "").await
    }

    /// The same, with these fields, each ended.
    async fn ask_with(&self, line: &str, fields: &str) -> String {
        let mut stream = self.connect().await;
        let request = format!("{line} HTTP/1.1\r\nhost: 127.0.0.1\r\n{fields}connection: close\r\n\r\n");
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
    assert!(
        answer.ends_with(
            "\r\n\r\nnot ready: waiting for worker 1\nengine: epoll (io_uring_setup: \"EPERM\"\nseccomp \\ sysctl)\n"
        ),
        "{answer}"
    );
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
async fn a_drain_is_told_at_once_and_served_to_its_end() {
    let fixture = Fixture::start().await;
    fixture.counters.held.add(12);
    fixture.drain.trigger();
    let answer = fixture.ask("GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.ends_with(
            "\r\n\r\ndraining, 12 connections left\nengine: epoll (io_uring_setup: \"EPERM\"\nseccomp \\ sysctl)\n"
        ),
        "{answer}"
    );
    fixture.counters.held.sub(11);
    assert!(fixture.ask("GET /readyz").await.contains("draining, 1 connections left\n"));
    assert!(fixture.ask("GET /livez").await.starts_with("HTTP/1.1 200 "));
    assert!(fixture.ask("GET /metrics").await.contains("\nringside_connections"));
}

#[tokio::test]
async fn a_post_drains_and_again_changes_nothing() {
    let mut fixture = Fixture::start().await;
    fixture.counters.held.add(12);
    let answer = fixture.ask("POST /drain").await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    let body = "\r\n\r\ndraining: 12 connections; Close goes out within 10s, the rest is cut after 1m 30s\n";
    assert!(answer.ends_with(body), "{answer}");
    let began = fixture.drain.began().expect("triggered");
    assert_eq!(fixture.worker.triggered().await, began);
    assert!(fixture.ask("GET /readyz").await.contains("\r\n\r\ndraining, 12 connections left\n"));

    fixture.counters.held.sub(5);
    let again = fixture.ask("POST /drain").await;
    assert!(again.starts_with("HTTP/1.1 202 ") && again.contains("\r\n\r\ndraining: 7 connections; "), "{again}");
    assert_eq!(fixture.drain.began(), Some(began));
}

#[tokio::test]
async fn a_get_tells_whether_it_drains_and_who_is_left() {
    let fixture = Fixture::start().await;
    fixture.counters.held.add(2);
    let answer = fixture.ask("GET /drain").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("content-type: application/json"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"draining\":false,\"connections\":2}"), "{answer}");
    assert!(fixture.ask("HEAD /drain").await.ends_with("\r\n\r\n"));
    assert!(fixture.drain.began().is_none(), "it was only asked");
    fixture.drain.trigger();
    assert!(fixture.ask("GET /drain").await.ends_with("{\"draining\":true,\"connections\":2}"));
    fixture.counters.held.sub(2);
    assert!(fixture.ask("GET /drain").await.ends_with("{\"draining\":true,\"connections\":0}"));
}

#[tokio::test]
async fn nothing_but_a_post_that_is_from_no_page_drains() {
    let fixture = Fixture::start().await;
    for method in ["PUT", "DELETE", "OPTIONS"] {
        let answer = fixture.ask(&format!("{method} /drain")).await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nallow: GET, HEAD, POST\r\n"), "{answer}");
    }
    for origin in ["https://evil.example", "null", "http://127.0.0.1:9901"] {
        let answer = fixture.ask_with("POST /drain", &format!("origin: {origin}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
    assert!(fixture.drain.began().is_none());
    assert!(fixture.ask("GET /readyz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn the_drain_does_not_wait_for_who_watches_it() {
    let fixture = Fixture::start().await;
    let mut watching = fixture.connect().await;
    watching.write_all(b"POST /drain HTTP/1.1\r\nhost: admin\r\n\r\n").await.expect("write");
    watching.read_exact(&mut [0; 12]).await.expect("served");
    drop(fixture.worker);
    fixture.drain.done().await;
}

#[tokio::test]
async fn the_end_ends_idle_connections_and_is_waited_for() {
    let Fixture { address, end, server, .. } = Fixture::start().await;
    let mut idle = TcpStream::connect(address).await.expect("connect");
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: admin\r\n\r\n").await.expect("write");
    idle.read_exact(&mut [0; 12]).await.expect("served");
    end.trigger();
    end.done().await;
    server.await.expect("no panic");
    assert!(read_all(&mut idle).await.ends_with("alive\n"));
    assert!(TcpStream::connect(address).await.is_err());
}
