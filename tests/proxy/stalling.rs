//! A side that does not read stops the other side, and nothing else; nothing is lost, and memory is bounded.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ringside::telemetry::end::{By, Why};
use rustix::process::Signal;
use socket2::SockRef;
use tokio::sync::{Notify, Semaphore};

use crate::support::PATIENCE;
use crate::support::app::App;
use crate::support::binary::Binary;
use crate::support::client::{Security, Seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CLOSE, TEXT};
use crate::support::many::{self, Peer};
use crate::support::proxy::Setup;

on_both_engines!(
    an_app_that_does_not_read_stops_the_client,
    a_client_that_does_not_read_stops_the_app,
    a_stalled_app_is_given_up_and_its_client_is_told,
    a_stalled_client_is_cut_and_its_app_is_told,
    a_stalled_direction_does_not_stop_the_other,
    five_hundred_stalled_clients_cost_a_lease_each,
    who_does_not_read_does_not_stop_the_others,
);

/// All that is pushed, and what may be on the way while nobody reads: the buffers of the kernel on both hops (up to
/// 4 MiB to send and 6 MiB to receive each, as Linux is set up) and two leases.
const PUSHED: usize = 64 << 20;
const ON_THE_WAY: usize = 24 << 20;

/// How long a write waits before the sender counts as stalled.
const STALLED: Duration = Duration::from_millis(500);

/// Writes until the other end takes no more for [`STALLED`]; returns how much it took.
fn push(into: &mut impl Write, bytes: &[u8]) -> usize {
    let mut taken = 0;
    while taken < bytes.len() {
        match into.write(&bytes[taken..]) {
            Ok(n) => taken += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return taken,
            Err(error) => panic!("{taken} bytes, then {error}"),
        }
    }
    panic!("all {taken} bytes were taken, and nobody reads");
}

fn an_app_that_does_not_read_stops_the_client(engine: Engine) {
    for (setup, app) in [(Setup::new(engine), App::unix()), (Setup::new(engine).plain(), App::tcp())] {
        let proxy = setup.start(&app);
        let (mut client, mut joined) = proxy.join(&app);
        let sent = frame::many_from_client(PUSHED);
        client.be_patient(STALLED);
        let taken = push(&mut client, &sent);
        assert!(taken < ON_THE_WAY, "{taken} bytes were taken while the app does not read");
        client.be_patient(PATIENCE);
        thread::scope(|scope| {
            scope.spawn(|| client.send(&sent[taken..]));
            assert!(joined.receive(sent.len()) == sent, "not what was sent");
        });
        joined.send(&frame::from_app(TEXT, b"all of it"));
        assert_eq!(client.frame().payload, b"all of it");
    }
}

fn a_client_that_does_not_read_stops_the_app(engine: Engine) {
    for (setup, app) in [(Setup::new(engine), App::unix()), (Setup::new(engine).plain(), App::tcp())] {
        let proxy = setup.start(&app);
        let (mut client, mut joined) = proxy.join(&app);
        let sent = frame::many_from_app(PUSHED);
        joined.socket.set_write_timeout(Some(STALLED)).expect("a socket");
        let taken = push(&mut joined.socket, &sent);
        assert!(taken < ON_THE_WAY, "{taken} bytes were taken while the client does not read");
        joined.socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
        thread::scope(|scope| {
            scope.spawn(|| joined.send(&sent[taken..]));
            let mut received = vec![0; sent.len()];
            client.read_exact(&mut received).expect("all of it");
            assert!(received == sent, "not what was sent");
        });
        client.send(&frame::from_client(TEXT, b"all of it"));
        assert_eq!(joined.frame().payload, b"all of it");
    }
}

fn a_stalled_app_is_given_up_and_its_client_is_told(engine: Engine) {
    for app in [App::unix(), App::tcp()] {
        let proxy = Setup::new(engine).table("timeouts", "write_stall = \"300ms\"").start(&app);
        let (mut client, joined) = proxy.join(&app);
        client.send(&frame::many_from_client(PUSHED));
        let (code, reason) = client.close();
        assert!(code == 1011 && reason.contains("retry-after-ms="), "{code} {reason:?}");
        client.send(&frame::from_client(CLOSE, &frame::close(1011, "")));
        assert_eq!(client.end(), Seen::Orderly);
        let record = proxy.connection();
        assert_eq!((record.end.by, record.end.why), (By::App, Why::WriteStalled));
        assert!(record.took.as_millis() >= 300, "{:?}", record.took);
        drop(joined);
        proxy.wait_until_held(0);
    }
}

fn a_stalled_client_is_cut_and_its_app_is_told(engine: Engine) {
    let app = App::unix();
    for setup in [Setup::new(engine), Setup::new(engine).plain()] {
        let proxy = setup.table("timeouts", "write_stall = \"300ms\"").start(&app);
        let (mut client, mut joined) = proxy.join(&app);
        joined.send(&frame::many_from_app(PUSHED));
        assert_eq!(joined.close(), (1001, String::new()));
        joined.send(&frame::from_app(CLOSE, &frame::close(1001, "")));
        assert_eq!(joined.end(), Seen::Orderly);
        drop(joined);
        assert_eq!(proxy.end(), (By::Client, Why::WriteStalled));
        let (received, seen) = client.rest();
        assert!(received.len() < ON_THE_WAY && seen != Seen::Orderly, "a cut, after what was on the way: {seen:?}");
        proxy.wait_until_held(0);
    }
}

fn a_stalled_direction_does_not_stop_the_other(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    SockRef::from(client.tcp()).set_recv_buffer_size(64 << 10).expect("a socket");
    let sent = frame::many_from_app(PUSHED);
    joined.socket.set_write_timeout(Some(STALLED)).expect("a socket");
    push(&mut joined.socket, &sent);
    for n in 0..100 {
        let frame = frame::from_client(BINARY, &frame::pattern(n, 10_000));
        client.send(&frame);
        assert!(joined.receive(frame.len()) == frame, "frame {n}");
    }
}

/// Clients that do not read, what the app has for each of them, and clients that talk meanwhile.
const STALLED_CROWD: usize = 500;
const FOR_EACH: usize = 10 << 20;
const TALKING: usize = 20;

/// After this they are given up.
const WRITE_STALL: Duration = Duration::from_secs(5);

/// A lease, which a write holds until it is done, and what a worker keeps of them when they come back.
const LEASE: usize = 68 << 10;
const KEPT: usize = 128 * LEASE;
/// What the allocator and the talking clients may take besides.
const BESIDES: usize = 8 << 20;

fn five_hundred_stalled_clients_cost_a_lease_each(engine: Engine) {
    let _alone = many::alone();
    let app = App::unix();
    let setup = Setup::new(engine).workers(1).table("timeouts", &format!("write_stall = \"{WRITE_STALL:?}\""));
    // Each of them is to be told of.
    let setup = setup.table("log", &format!("noise = {STALLED_CROWD}"));
    let mut binary = Binary::start(&setup, app.address());
    many::run(async {
        let crowd = push_when_told(&app);
        let (_stalled, mut talking) = join(binary.address, STALLED_CROWD).await;
        let before = binary.anonymous_memory();
        crowd.push.notify_waiters();
        let pushed = Instant::now();
        while pushed.elapsed() < WRITE_STALL {
            echo_once(&mut talking).await;
            let now = binary.anonymous_memory();
            assert!(now <= before + STALLED_CROWD * LEASE + BESIDES, "{before} bytes, then {now}");
        }
        assert_eq!(crowd.pushing.load(Ordering::Relaxed), STALLED_CROWD);
        let all = crowd.told.acquire_many(u32::try_from(STALLED_CROWD).expect("fits"));
        drop(many::soon(all).await.expect("the app runs"));
        for _ in 0..STALLED_CROWD {
            binary.line(r#"by="client" why="write_stalled""#);
        }
        // The kernel may still hold some of what it was to send.
        let gone = Instant::now();
        while binary.anonymous_memory() > before + KEPT + BESIDES {
            assert!(gone.elapsed() < PATIENCE, "{before} bytes, and now {}", binary.anonymous_memory());
            echo_once(&mut talking).await;
        }
    });
    binary.signal(Signal::TERM);
    assert_eq!(binary.exit().0, Some(0));
}

/// Who does not read would hold every buffer of the worker, four times over, for an hour. They are given up as long as
/// somebody waits for a buffer: at the least those for whom there are none.
fn who_does_not_read_does_not_stop_the_others(engine: Engine) {
    const CROWD: usize = 60;
    const BUFFERS: usize = (1 << 20) / LEASE;
    let _alone = many::alone();
    let app = App::unix();
    let setup = Setup::new(engine).buffers("1MiB").table("timeouts", "write_stall = \"1h\"");
    let mut binary = Binary::start(&setup, app.address());
    many::run(async {
        let crowd = push_when_told(&app);
        let (_stalled, mut talking) = join(binary.address, CROWD).await;
        crowd.push.notify_waiters();
        let pushed = Instant::now();
        while crowd.told.available_permits() < CROWD - BUFFERS {
            assert!(pushed.elapsed() < PATIENCE, "only {} were given up", crowd.told.available_permits());
            echo_once(&mut talking).await;
        }
        for _ in 0..CROWD - BUFFERS {
            binary.line(r#"by="client" why="write_stalled""#);
        }
        echo_once(&mut talking).await;
    });
    binary.signal(Signal::TERM);
    assert_eq!(binary.exit().0, Some(0));
}

/// An app of two kinds of clients.
struct Pushed {
    /// Begins to push.
    push: Arc<Notify>,
    /// Connections to which it pushes.
    pushing: Arc<AtomicUsize>,
    /// One permit for each connection that it was told to close.
    told: Arc<Semaphore>,
}

/// Has `app` push to whoever asks for that, and echo to the others.
fn push_when_told(app: &App) -> Pushed {
    let (push, pushing, told) = (Arc::<Notify>::default(), Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
    let pushed = Pushed { push: Arc::clone(&push), pushing: Arc::clone(&pushing), told: Arc::clone(&told) };
    let bytes: Arc<[u8]> = frame::many_from_app(FOR_EACH).into();
    many::serve(app, move |mut peer, target| {
        let (push, pushing, told) = (Arc::clone(&push), Arc::clone(&pushing), Arc::clone(&told));
        let bytes = Arc::clone(&bytes);
        async move {
            if target == "/echoed" {
                many::converse(&mut peer).await;
                return;
            }
            push.notified().await;
            pushing.fetch_add(1, Ordering::Relaxed);
            peer.send_until_told(&bytes).await;
            assert_eq!(peer.frame().await.expect("a frame").close().0, 1001);
            told.add_permits(1);
        }
    });
    pushed
}

/// So many clients that are going to be pushed to and do not read, and [`TALKING`] that have talked once.
async fn join(address: SocketAddr, stalled: usize) -> (Vec<Peer>, Vec<Peer>) {
    let security = Security::usual();
    let (mut silent, mut talking) = (Vec::new(), Vec::new());
    for _ in 0..stalled {
        silent.push(Peer::join_small(address, &security, "/pushed").await.0);
    }
    for _ in 0..TALKING {
        talking.push(Peer::join(address, &security, "/echoed", &[]).await.0);
    }
    echo_once(&mut talking).await;
    (silent, talking)
}

/// Each client gets back what it sends.
async fn echo_once(clients: &mut [Peer]) {
    for client in clients.iter_mut() {
        client.send(TEXT, b"anybody?").await.expect("the proxy takes it");
    }
    for client in clients {
        assert_eq!(client.frame().await.expect("an echo").payload, b"anybody?");
    }
}
