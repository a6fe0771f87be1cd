//! A side that does not read stops the other side, and nothing else; nothing is lost, and memory is bounded.

use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use ringside::telemetry::end::{By, Why};
use socket2::SockRef;

use crate::support::PATIENCE;
use crate::support::app::App;
use crate::support::client::Seen;
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CLOSE, TEXT};
use crate::support::proxy::Setup;

on_both_engines!(
    an_app_that_does_not_read_stops_the_client,
    a_client_that_does_not_read_stops_the_app,
    a_stalled_app_is_given_up_and_its_client_is_told,
    a_stalled_client_is_cut_and_its_app_is_told,
    a_stalled_direction_does_not_stop_the_other,
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
