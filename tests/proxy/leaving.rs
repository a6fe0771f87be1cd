//! A drain in the middle of traffic: each of many clients is told, in its own time, and no message is unaccounted for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringside::telemetry::end::{By, End, Why};
use rustix::process::Signal;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

use super::draining::{ADMIN, ask};
use crate::support::app::App;
use crate::support::binary::Binary;
use crate::support::client::{Security, Seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CLOSE, FIN, Frame};
use crate::support::many::{self, Peer};
use crate::support::proxy::Setup;

on_both_engines!(
    five_hundred_are_drained_under_traffic,
    sigterm_drains_under_traffic,
    a_signal_behind_a_post_changes_nothing,
    who_does_not_answer_is_cut_at_the_closing_deadline,
    who_does_not_answer_is_cut_at_the_drains_timeout,
);

/// Clients of a process of its own.
const SOME: usize = 100;
/// Messages of a client that may be on their way.
const WINDOW: u64 = 4;
/// Handshakes at a time: more would only wait for each other, and some too long.
const OPENING: usize = 32;

/// The spread of the drains here.
const SPREAD: Duration = Duration::from_secs(1);
/// No drain here takes so long, and none is cut.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a client was told.
struct Told {
    /// Its number.
    number: usize,
    /// The port that it connected from.
    port: u16,
    sent: u64,
    received: u64,
    close: (u16, String),
    /// When.
    at: Instant,
    /// How it ended.
    end: Seen,
}

/// What the app has heard from a client.
struct Heard {
    target: String,
    messages: u64,
    close: (u16, String),
}

/// Frames on their way to `peer`, the last of them never whole: who sends like this is inside a frame whenever it waits.
struct Halves {
    peer: Peer,
    rest: Vec<u8>,
}

impl Halves {
    /// Sends the rest of the last frame, and the beginning of this one.
    async fn send(&mut self, frame: &[u8]) {
        let (begin, rest) = frame.split_at(frame.len() / 2);
        let bytes = [&std::mem::replace(&mut self.rest, rest.to_vec()), begin].concat();
        self.peer.send_bytes(&bytes).await.expect("the proxy takes it");
    }

    /// Ends the last frame, and answers this Close.
    async fn answer(&mut self, close: &Frame) -> Seen {
        self.peer.send_bytes(&self.rest).await.expect("the proxy takes it");
        self.peer.answer(close).await
    }
}

/// Talks until there is a Close: numbered messages, whose echoes come in order and without a gap.
async fn talk(address: SocketAddr, number: usize, opening: Arc<Semaphore>, all: Arc<Barrier>) -> Told {
    let place = opening.acquire().await.expect("open");
    let (peer, port) = Peer::join(address, &Security::usual(), &format!("/{number}"), &[]).await;
    drop(place);
    let mut client = Halves { peer, rest: Vec::new() };
    let message =
        |n: u64| [&n.to_be_bytes()[..], &frame::pattern(n, usize::try_from(n % 500).expect("small"))].concat();
    let (mut sent, mut received) = (0, 0);
    let frame = loop {
        while sent < received + WINDOW {
            client.send(&frame::from_client(BINARY, &message(sent))).await;
            sent += 1;
        }
        let frame = client.peer.frame().await.expect("a frame");
        if frame.first == FIN | CLOSE {
            break frame;
        }
        assert!(frame.payload == message(received), "client {number}: not the echo of message {received}");
        received += 1;
        if received == WINDOW {
            many::soon(all.wait()).await;
        }
    };
    let at = Instant::now();
    let end = client.answer(&frame).await;
    Told { number, port, sent, received, close: owned(frame.close()), at, end }
}

/// Echoes until there is a Close.
async fn hear(peer: Peer, target: String) -> Heard {
    let mut app = Halves { peer, rest: Vec::new() };
    let mut messages = 0;
    loop {
        let frame = app.peer.frame().await.expect("a frame");
        if frame.first == FIN | CLOSE {
            app.answer(&frame).await;
            return Heard { target, messages, close: owned(frame.close()) };
        }
        messages += 1;
        app.send(&frame::from_app(BINARY, &frame.payload)).await;
    }
}

fn owned((code, reason): (u16, &str)) -> (u16, String) {
    (code, reason.to_owned())
}

/// Has `crowd` clients talk to an echoing `app` through the proxy at `address`, and calls `drain` when all of them do.
/// Returns what each client was told, and what the app heard of each.
fn talk_until_told(crowd: usize, address: SocketAddr, app: &App, drain: impl FnOnce()) -> (Vec<Told>, Vec<Heard>) {
    many::run(async {
        let (report, mut reports) = unbounded_channel();
        many::serve(app, move |peer, target| {
            let report = report.clone();
            // The test may have failed already.
            async move { drop(report.send(hear(peer, target).await)) }
        });
        let (opening, all) = (Arc::new(Semaphore::new(OPENING)), Arc::new(Barrier::new(crowd + 1)));
        let clients = (0..crowd).map(|number| talk(address, number, Arc::clone(&opening), Arc::clone(&all)));
        let clients: JoinSet<_> = clients.collect();
        many::soon(all.wait()).await;
        drain();
        let told = clients.join_all().await;
        let mut heard = Vec::new();
        while heard.len() < crowd {
            heard.push(many::soon(reports.recv()).await.expect("the app runs"));
        }
        (told, heard)
    })
}

fn five_hundred_are_drained_under_traffic(engine: Engine) {
    const CROWD: usize = 500;
    let _alone = many::alone();
    let app = App::unix();
    let proxy = setup(engine).start(&app);
    let mut began = Instant::now();
    let (told, heard) = talk_until_told(CROWD, proxy.address(), &app, || {
        began = Instant::now();
        proxy.begin_to_stop();
    });
    proxy.wait_until_held(0);
    assert!(told.iter().all(|told| told.close == (1001, String::new()) && told.end == Seen::Orderly));
    let heard: HashMap<_, _> = heard.into_iter().map(|heard| (heard.target.clone(), heard)).collect();
    let records = std::iter::repeat_with(|| proxy.connection()).take(CROWD);
    let records: HashMap<_, _> = records.map(|record| (record.client.port(), record)).collect();
    for Told { number, port, sent, received, .. } in &told {
        let (heard, record) = (&heard[&format!("/{number}")], &records[port]);
        // What a client sent and the app did not get, the record does not count.
        assert_eq!(record.from_client.messages, heard.messages, "client {number}");
        assert_eq!(record.from_app.messages, *received, "client {number}");
        assert!(received <= &heard.messages && &heard.messages <= sent, "client {number}");
        assert_eq!(heard.close, (1001, String::new()));
        let drained = End { by: By::Ringside, why: Why::Drain, code_sent: Some(1001), code_received: Some(1001) };
        assert_eq!(record.end, drained, "client {number}");
    }
    // Spread: neither all at once nor all too early. By chance alone, neither happens in the life of the universe.
    let within = |time: Duration| told.iter().filter(|told| told.at < began + time).count();
    assert!(within(SPREAD / 10) < CROWD / 2, "{} of {CROWD} at the very beginning", within(SPREAD / 10));
    assert!(within(SPREAD / 2) < CROWD, "nobody in the second half");
}

fn sigterm_drains_under_traffic(engine: Engine) {
    let _alone = many::alone();
    let app = App::unix();
    let setup = setup(engine).drain("spread = \"1s\"\ntimeout = \"30s\"\ncode = 4503\nreason = \"moving house\"");
    let binary = Binary::start(&setup, app.address());
    let mut began = Instant::now();
    let (told, heard) = talk_until_told(SOME, binary.address, &app, || {
        began = Instant::now();
        binary.signal(Signal::TERM);
    });
    assert!(told.iter().all(|told| told.close == (4503, "moving house".into()) && told.end == Seen::Orderly));
    assert!(heard.iter().all(|heard| heard.close == (4503, "moving house".into())));
    exits_in_order(binary, began);
}

fn a_signal_behind_a_post_changes_nothing(engine: Engine) {
    let _alone = many::alone();
    let app = App::unix();
    let mut binary = Binary::start(&setup(engine).table("admin", ADMIN), app.address());
    let admin = binary.admin();
    let mut began = Instant::now();
    let (told, heard) = talk_until_told(SOME, binary.address, &app, || {
        began = Instant::now();
        assert_eq!(ask(admin, "POST /drain").status(), 202);
        binary.signal(Signal::TERM);
    });
    assert!(told.iter().all(|told| told.close == (1001, String::new()) && told.end == Seen::Orderly));
    assert!(heard.iter().all(|heard| heard.close == (1001, String::new())));
    exits_in_order(binary, began);
}

fn who_does_not_answer_is_cut_at_the_closing_deadline(engine: Engine) {
    let closing = Duration::from_millis(500);
    let (took, output) = stop_before_the_silent(engine, "spread = \"0s\"\ntimeout = \"20s\"", "closing = \"500ms\"");
    assert!((closing..TIMEOUT / 2).contains(&took), "{took:?}\n{output}");
    assert!(output.contains("drained") && output.contains("cut=0"), "each ended by itself:\n{output}");
}

fn who_does_not_answer_is_cut_at_the_drains_timeout(engine: Engine) {
    let timeout = Duration::from_millis(500);
    let (took, output) = stop_before_the_silent(engine, "spread = \"0s\"\ntimeout = \"500ms\"", "closing = \"20s\"");
    assert!((timeout..TIMEOUT / 2).contains(&took), "{took:?}\n{output}");
    assert!(output.contains("drained") && output.contains(&format!("cut={SILENT}")), "it says how many:\n{output}");
}

/// Clients that do not answer a Close.
const SILENT: usize = 10;

/// Stops a process whose clients do not answer its Close. Returns how long that took and what it has written.
fn stop_before_the_silent(engine: Engine, drain: &'static str, timeouts: &str) -> (Duration, String) {
    let app = App::unix();
    let setup = Setup::new(engine).drain(drain).table("timeouts", timeouts);
    let binary = Binary::start(&setup, app.address());
    let address = binary.address;
    let began = many::run(async {
        many::echo(&app);
        let mut clients = Vec::new();
        for _ in 0..SILENT {
            clients.push(Peer::join(address, &Security::usual(), "/", &[]).await.0);
        }
        let began = Instant::now();
        binary.signal(Signal::TERM);
        for client in &mut clients {
            assert_eq!(client.frame().await.expect("a frame").close().0, 1001);
        }
        for client in &mut clients {
            let end = client.frame().await.expect_err("nothing behind the Close");
            assert_ne!(end, Seen::Orderly, "it has not answered");
        }
        began
    });
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
    (began.elapsed(), output)
}

/// Nobody is cut here, however busy the machine is.
fn setup(engine: Engine) -> Setup {
    Setup::new(engine).workers(2).drain("spread = \"1s\"\ntimeout = \"30s\"").table("timeouts", "closing = \"20s\"")
}

/// Before the timeout, and nobody was cut.
fn exits_in_order(binary: Binary, began: Instant) {
    let (status, output) = binary.exit();
    assert_eq!(status, Some(0), "{output}");
    assert!(began.elapsed() < TIMEOUT, "{:?}\n{output}", began.elapsed());
    assert!(output.contains("drained") && output.contains("cut=0"), "{output}");
}
