//! What relaying allocates, and what an idle connection keeps: Ringside runs in this process under an allocator that
//! counts. The threads of load and app are not counted.

#![expect(clippy::print_stdout, reason = "the figures go into the benches' README")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use ringside::app::serve::Server;
use ringside::config::{Config, Source};
use ringside::tls;
use ringside::tls::acceptor::Acceptor;
use ringside::tls::records::{Records, SEALED};
use ringside_bench::client::{self, CONTINUATION, Client, Handshake, PING, PONG, TEXT, Target};
use ringside_bench::files::Files;
use ringside_bench::load::{self, Plan};
use ringside_bench::message::Message;
use ringside_bench::rig::ALL_LIMITS;
use ringside_bench::{Fault, echo};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static EXEMPT: Cell<bool> = const { Cell::new(false) };
}

fn count(allocations: u64, bytes: i64) {
    if !EXEMPT.get() {
        ALLOCATIONS.fetch_add(allocations, Relaxed);
        LIVE.fetch_add(bytes, Relaxed);
    }
}

fn size(bytes: usize) -> i64 {
    bytes.try_into().unwrap_or(i64::MAX)
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every call goes to the system's allocator as it came; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, size(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, size(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(1, size(new_size) - size(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(0, -size(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Echoes that are counted.
const ECHOES: u64 = 20_000;

/// Connections held idle.
const IDLE: usize = 500;

/// Bytes that an idle TLS connection may keep on the heap.
const BUDGET: i64 = 8 << 10;

#[test]
fn relaying_allocates_nothing_of_its_own_and_idling_keeps_little() {
    let files = Files::new().unwrap();
    let app = echo::listen(&files.path("app.sock")).unwrap();
    thread::spawn(move || {
        EXEMPT.set(true);
        echo::serve(app)
    });
    let theirs = rustls_per_echo(&files).unwrap();
    println!("rustls alone: {theirs:.3} allocations per echo, which is one record opened and one sealed");
    for engine in ["io_uring", "epoll"] {
        let file = files.configuration(([127, 0, 0, 1], 0).into(), engine, 1).unwrap();
        let config = Config::load(&Source::File(file), ALL_LIMITS.iter().copied());
        let config = config.unwrap_or_else(|_| panic!("a sound configuration"));
        let server = Server::start(config.config, ringside::control::export::Taps::default()).unwrap();
        let target = files.target(server.address(), "load").unwrap();
        let all = exempt({
            let target = target.clone();
            move || relayed(&target)
        })
        .unwrap();
        let ours = all - theirs;
        println!("{engine}: {all:.3} allocations per echo, {ours:.3} without those of rustls");
        assert!(ours < 0.01, "{engine}: {ours} allocations per echo");

        let all = exempt({
            let target = target.clone();
            move || in_pieces(&target)
        })
        .unwrap();
        let ours = all - 2.0 * theirs;
        println!("{engine}: {all:.3} allocations per text message in pieces and two reads, {ours:.3} without rustls'");
        assert!(ours < 0.01, "{engine}: {ours} allocations per text message in pieces");

        let each = exempt(move || idle(&target)).unwrap();
        println!("{engine}: {each} heap bytes per idle TLS connection");
        assert!(each <= BUDGET, "{engine}: {each} bytes per idle connection");
        server.stop();
    }
}

/// Runs `work` on a thread that is not counted.
fn exempt<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let thread = thread::spawn(|| {
        EXEMPT.set(true);
        work()
    });
    thread.join().unwrap_or_else(|_| Err("the load panicked".into()))
}

/// Allocations per echo in steady state: those of a long run without those of a short one, by the additional echoes.
fn relayed(target: &Target) -> Result<f64, Fault> {
    let run = |echoes| -> Result<u64, Fault> {
        let plan = Plan { connections: 8, depth: 1, message: Message::Wide, size: 64, warm_up: 1_000, echoes };
        let before = ALLOCATIONS.load(Relaxed);
        load::run(plan, target, std::process::id())?;
        rest();
        Ok(ALLOCATIONS.load(Relaxed) - before)
    };
    run(1_000)?;
    let short = run(1_000)?;
    let long = run(1_000 + ECHOES)?;
    Ok(per_echo(long.saturating_sub(short)))
}

/// Allocations per text message of three fragments, a Ping between them. A character is cut by the end of a fragment, and
/// a header by the end of a read: the Pong that comes back proves that what was sent with the Ping has been read.
fn in_pieces(target: &Target) -> Result<f64, Fault> {
    let fragment = |mut frame: Vec<u8>| {
        frame[0] &= 0x7f;
        frame
    };
    let words = "о чём говорят 聊天".as_bytes();
    let (first, rest) = words.split_at(words.len() - 1);
    let frames = [
        fragment(client::request(TEXT, first)),
        client::request(PING, b"anybody there"),
        fragment(client::request(CONTINUATION, rest)),
        client::request(CONTINUATION, words),
    ]
    .concat();
    let replies = [
        [fragment(client::reply(TEXT, first)), client::reply(PONG, b"anybody there")].concat(),
        [fragment(client::reply(CONTINUATION, rest)), client::reply(CONTINUATION, words)].concat(),
    ];
    let cut = client::request(TEXT, first).len() + client::request(PING, b"anybody there").len() + 3;
    let mut client = Client::open(target, &target.tls(Handshake::Classic)?)?;
    let mut run = |messages: u64| -> Result<u64, Fault> {
        let before = ALLOCATIONS.load(Relaxed);
        for _ in 0..messages {
            client.exchange(&frames[..cut], &replies[0])?;
            client.exchange(&frames[cut..], &replies[1])?;
        }
        Ok(ALLOCATIONS.load(Relaxed) - before)
    };
    run(100)?;
    let counted = run(ECHOES)?;
    client.close()?;
    Ok(per_echo(counted))
}

/// Heap bytes that one idle connection keeps.
fn idle(target: &Target) -> Result<i64, Fault> {
    let config = target.tls(Handshake::Classic)?;
    let open = || -> Result<Client, Fault> {
        let mut client = Client::open(target, &config)?;
        client.echo(&[7; 64])?;
        Ok(client)
    };
    open()?.close()?;
    rest();
    let before = LIVE.load(Relaxed);
    let clients = (0..IDLE).map(|_| open()).collect::<Result<Vec<_>, _>>()?;
    rest();
    let each = (LIVE.load(Relaxed) - before) / size(IDLE);
    clients.into_iter().try_for_each(Client::close)?;
    Ok(each)
}

/// Time for what the load has just done to be over on the other side.
fn rest() {
    thread::sleep(Duration::from_millis(300));
}

/// Allocations of rustls for one opened and one sealed record, through the trait that Ringside uses.
fn rustls_per_echo(files: &Files) -> Result<f64, Fault> {
    let tls = tls::Config { certificate: files.path("tls.crt"), key: files.path("tls.key"), client_ca: None };
    let mut server = Acceptor::load(&tls)?.accept()?;
    let config = files.target(([127, 0, 0, 1], 0).into(), "load")?.tls(Handshake::Classic)?;
    EXEMPT.set(true);
    let mut client = ringside_bench::tls::connect(&mut *server, &config)?;
    let mut sealed = vec![0; 4096];
    let mut one = |server: &mut dyn Records| -> Result<(), Fault> {
        EXEMPT.set(true);
        let mut wire = vec![0; 512];
        let length = ringside_bench::tls::seal(&mut client, &[7; 72], &mut wire)?;
        wire.truncate(length);
        let (mut plain, mut reply) = (vec![0; length], Vec::new());
        EXEMPT.set(false);
        let opened = server.open(&mut wire, &mut plain, &mut reply)?;
        sealed.resize(SEALED, 0);
        let length = server.seal(&plain[..opened.written], &mut sealed)?;
        EXEMPT.set(true);
        ringside_bench::tls::open(&mut client, &mut sealed[..length], &mut Vec::new(), |_| Ok(()))?;
        Ok(())
    };
    for _ in 0..100 {
        one(&mut *server)?;
    }
    let before = ALLOCATIONS.load(Relaxed);
    for _ in 0..ECHOES {
        one(&mut *server)?;
    }
    let counted = ALLOCATIONS.load(Relaxed) - before;
    EXEMPT.set(false);
    Ok(per_echo(counted))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
fn per_echo(allocations: u64) -> f64 {
    allocations as f64 / ECHOES as f64
}
