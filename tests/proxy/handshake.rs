//! From the first byte of TLS to the 101, when all goes well and when the client does not.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;

use ringside::peer::Peer;
use ringside::telemetry::reason::Reason;
use ringside::telemetry::record::{Handshake, Outcome};
use rustls::version::{TLS12, TLS13};
use rustls::{ALL_VERSIONS, ClientConfig, SupportedProtocolVersion};

use crate::support::app::App;
use crate::support::client::{self, Client, Security};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::http::{ACCEPT, upgrade};
use crate::support::material::{self, Shows};
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(
    both_versions_of_tls,
    sessions_resume_on_another_worker,
    alpn_is_http_1_1_or_nothing,
    client_certificates_when_asked_for,
    tls_cut_at_every_flight,
    what_is_no_tls_gets_an_alert,
    slow_tls_is_cut,
    a_slow_head_is_told,
    too_large_is_told,
    no_room_until_one_leaves,
    nobody_gets_in_while_stopping,
);

const GET: &str = "GET / HTTP/1.1\r\nHost: chat.example\r\n\r\n";

fn both_versions_of_tls(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    for (version, name) in [(&TLS12, "1.2"), (&TLS13, "1.3")] {
        let config = material::client(&[version], &["http/1.1"], Shows::Nothing);
        let mut client = Client::connect(proxy.address(), config.into());
        client.send(upgrade(&[]).as_bytes());
        app.accept().answer(&[]);
        let answer = client.head();
        assert_eq!((answer.status(), answer.field("sec-websocket-accept")), (101, Some(ACCEPT)));

        let handshake = proxy.handshake();
        assert_eq!(handshake.outcome, Outcome::Opened);
        assert_eq!(handshake.client, Peer::new(client.tcp().local_addr().expect("bound")));
        let facts = handshake.tls.as_ref().expect("facts");
        assert_eq!((facts.version, facts.resumed, facts.client_certificate), (name, false, false));
        let agreed = client.tls().conn.negotiated_cipher_suite().expect("one").suite();
        assert_eq!(Some(facts.cipher), agreed.as_str());
        assert!(handshake.tls_took().expect("took") <= handshake.took);
        assert!(handshake.app_took().expect("took") <= handshake.took);
    }
}

fn sessions_resume_on_another_worker(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).workers(2).start(&app);
    for version in [&TLS12, &TLS13] {
        let mut config = material::client(&[version], &[], Shows::Nothing);
        config.enable_early_data = true;
        let security = Security::from(config);
        let mut ticket_from = None;
        // The kernel picks the worker: that 64 picks are all the same will not happen.
        let resumed_elsewhere = (0..64).any(|_| {
            let mut client = Client::connect(proxy.address(), security.clone());
            assert!(client.tls().conn.early_data().is_none(), "a ticket allows early data");
            client.send(GET.as_bytes());
            assert_eq!(client.head().status(), 426);
            drop(client);
            let handshake = proxy.handshake();
            let worker = handshake.id.0 >> 48;
            let resumed = handshake.tls.expect("facts").resumed;
            assert_eq!(resumed, ticket_from.is_some(), "{version:?}: the first is new, all others resume");
            let elsewhere = ticket_from.is_some_and(|earlier| earlier != worker);
            ticket_from = Some(worker);
            resumed && elsewhere
        });
        assert!(resumed_elsewhere, "{version:?}");
    }
}

fn alpn_is_http_1_1_or_nothing(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let offers: [(&[&str], Option<&[u8]>); 3] =
        [(&["h2", "http/1.1"], Some(b"http/1.1")), (&["http/1.1"], Some(b"http/1.1")), (&[], None)];
    for (offer, agreed) in offers {
        let config = material::client(ALL_VERSIONS, offer, Shows::Nothing);
        let mut client = Client::connect(proxy.address(), config.into());
        client.send(GET.as_bytes());
        assert_eq!((client.head().status(), client.tls().conn.alpn_protocol()), (426, agreed), "{offer:?}");
        drop(client);
        proxy.handshake();
    }
    let mut client = Client::connect(proxy.address(), material::client(ALL_VERSIONS, &["h2"], Shows::Nothing).into());
    let error = client.write_all(GET.as_bytes()).and_then(|()| client.read(&mut [0])).expect_err("an alert");
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    assert_eq!(proxy.refusal(), (Reason::TlsHandshake, None));
}

fn client_certificates_when_asked_for(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).client_ca().start(&app);
    for version in [&TLS12, &TLS13] {
        for shows in [Shows::Its, Shows::Nothing, Shows::Strangers] {
            let mut client = Client::connect(proxy.address(), material::client(&[version], &[], shows).into());
            let answered = client.write_all(GET.as_bytes()).and_then(|()| client.read(&mut [0]));
            drop(client);
            let handshake = proxy.handshake();
            if shows == Shows::Its {
                assert_eq!(answered.expect("a response"), 1);
                assert!(handshake.tls.expect("facts").client_certificate);
            } else {
                answered.expect_err("an alert");
                assert_eq!(refusal(&handshake), (Reason::TlsHandshake, None), "{version:?} {shows:?}");
            }
        }
    }
}

fn tls_cut_at_every_flight(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    for version in [&TLS12, &TLS13] {
        let flights = flights(&proxy, version);
        for (sent, cut) in flights.iter().enumerate() {
            for at in [0, 1, 5, cut.len() / 2, cut.len() - 1] {
                cut_behind(&proxy, version, sent, at);
                assert_eq!(proxy.refusal(), (Reason::ClientGone, None), "{version:?}, flight {sent}, byte {at}");
            }
        }
    }
    proxy.wait_until_held(0);
}

/// What a client sends until its handshake is done, flight by flight.
fn flights(proxy: &Proxy, version: &'static SupportedProtocolVersion) -> Vec<Vec<u8>> {
    let mut tcp = client::tcp(proxy.address());
    let mut tls = client::tls(config(version));
    let mut flights = Vec::new();
    while tls.is_handshaking() {
        if tls.wants_write() {
            let mut flight = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut flight).expect("memory");
            }
            tcp.write_all(&flight).expect("the proxy takes it");
            flights.push(flight);
        } else {
            tls.read_tls(&mut tcp).expect("the proxy answers");
            tls.process_new_packets().expect("TLS");
        }
    }
    // TLS 1.3 is done for the client with its last flight still to be sent.
    if tls.wants_write() {
        let mut flight = Vec::new();
        tls.write_tls(&mut flight).expect("memory");
        flights.push(flight);
    }
    drop(tcp);
    assert_eq!(proxy.refusal(), (Reason::ClientGone, None));
    flights
}

/// Sends so many flights, of the next one so many bytes, and FIN.
fn cut_behind(proxy: &Proxy, version: &'static SupportedProtocolVersion, whole: usize, at: usize) {
    let mut tcp = client::tcp(proxy.address());
    let mut tls = client::tls(config(version));
    for _ in 0..whole {
        while tls.wants_write() {
            tls.write_tls(&mut tcp).expect("the proxy takes it");
        }
        while !tls.wants_write() {
            tls.read_tls(&mut tcp).expect("the proxy answers");
            tls.process_new_packets().expect("TLS");
        }
    }
    let mut flight = Vec::new();
    tls.write_tls(&mut flight).expect("memory");
    tcp.write_all(&flight[..at]).expect("the proxy takes it");
    tcp.shutdown(Shutdown::Write).expect("a connection");
}

fn config(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    Arc::new(material::client(&[version], &["http/1.1"], Shows::Nothing))
}

fn what_is_no_tls_gets_an_alert(engine: Engine) {
    const ALERT: u8 = 21;
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    for garbage in [GET.as_bytes(), &[0; 64], &[0xff; 64], &[22, 3, 1, 0, 4, 1, 0, 0, 0]] {
        let mut client = Client::connect(proxy.address(), Security::None);
        client.send(garbage);
        let (answer, _) = client.rest();
        assert_eq!(answer.first(), Some(&ALERT), "{answer:02x?} to {garbage:02x?}");
        assert_eq!(proxy.refusal(), (Reason::TlsHandshake, None));
    }
}

fn slow_tls_is_cut(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).table("timeouts", "tls = \"200ms\"").start(&app);
    let mut silent = Client::connect(proxy.address(), Security::None);
    let (rest, _) = silent.rest();
    assert!(rest.is_empty(), "{rest:02x?}");
    let handshake = proxy.handshake();
    assert_eq!(refusal(&handshake), (Reason::Timeout, None));
    assert!(handshake.took.as_millis() >= 200, "{:?}", handshake.took);
}

fn a_slow_head_is_told(engine: Engine) {
    let app = App::unix();
    let proxy =
        Setup::new(engine).table("timeouts", "opening = \"1500ms\"\ntls = \"1500ms\"\napp = \"1500ms\"").start(&app);
    let head = upgrade(&[]);
    let mut client = proxy.client();
    for byte in &head.as_bytes()[..head.len() - 1] {
        client.send(&[*byte]);
    }
    let answer = client.head();
    assert_eq!((answer.status(), answer.reason()), (408, "timeout"));
    assert_eq!(client.end(), client::Seen::Orderly);
    drop(client);
    let handshake = proxy.handshake();
    assert_eq!(refusal(&handshake), (Reason::Timeout, Some(408)));
    assert!(handshake.took.as_millis() >= 1500, "{:?}", handshake.took);
}

fn too_large_is_told(engine: Engine) {
    let app = App::unix();
    let limits = "head = \"1KiB\"\nhead_fields = 10\nearly = \"512B\"";
    let proxy = Setup::new(engine).table("limits", limits).start(&app);
    let long = upgrade(&[&format!("X-Long: {}", "x".repeat(1024))]);
    let endless = format!("GET /{}", "x".repeat(2048));
    let many = upgrade(&["A: 1", "B: 2", "C: 3", "D: 4", "E: 5", "F: 6"]);
    let early = upgrade(&[]) + &"x".repeat(513);
    for (request, status, reason) in [
        (long, 431, "head_too_large"),
        (endless, 431, "head_too_large"),
        (many, 431, "head_too_large"),
        (early, 400, "early_data_too_large"),
    ] {
        let mut client = proxy.ask(&request);
        let answer = client.head();
        assert_eq!((answer.status(), answer.reason()), (status, reason), "{request:.60}");
        assert_eq!(client.end(), client::Seen::Orderly);
        drop(client);
        assert_eq!(refusal(&proxy.handshake()).1, Some(status));
    }
    // What is allowed is just that.
    let fields = upgrade(&["A: 1", "B: 2", "C: 3", "D: 4", "E: 5"]);
    let mut client = proxy.ask(&(fields + &"x".repeat(512)));
    app.accept().answer(&[]);
    assert_eq!(client.head().status(), 101);
}

fn no_room_until_one_leaves(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).connections(2).start(&app);
    let first = proxy.join(&app);
    let second = proxy.join(&app);
    let mut third = proxy.ask(&upgrade(&[]));
    let answer = third.head();
    assert_eq!((answer.status(), answer.reason(), answer.field("retry-after")), (503, "overloaded", Some("5")));
    drop((third, first));
    proxy.wait_until_held(1);
    let fourth = proxy.join(&app);
    drop((second, fourth));
    proxy.wait_until_held(0);
    assert_eq!(proxy.count(|counters| counters.refused(Reason::Overloaded)), 1);
}

fn nobody_gets_in_while_stopping(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let (mut first, joined) = proxy.join(&app);
    let request = upgrade(&[]);
    let mut late = proxy.client();
    late.send(&request.as_bytes()[..10]);
    proxy.wait_until_held(2);
    proxy.begin_to_stop();
    assert_eq!(first.close().0, 1001, "now the worker knows");
    late.send(&request.as_bytes()[10..]);
    let answer = late.head();
    assert_eq!((answer.status(), answer.reason(), answer.field("retry-after")), (503, "draining", Some("5")));
    drop((first, joined, late));
    proxy.wait_until_held(0);
}

fn refusal(handshake: &Handshake) -> (Reason, Option<u16>) {
    let Outcome::Refused { reason, status } = handshake.outcome else { panic!("not refused: {handshake:?}") };
    (reason, status)
}
