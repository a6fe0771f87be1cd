//! How connections end: what is reported, and what the other side sees. A cut is never shown as a clean end.

use ringside::rule::Rule;
use ringside::telemetry::end::{By, End, Why};
use rustls::version::TLS13;

use crate::support::app::{App, Joined};
use crate::support::client::{Client, Seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CLOSE, FIN, TEXT};
use crate::support::http::upgrade;
use crate::support::material::{self, Shows};
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(
    the_client_closes,
    the_app_closes,
    both_close_at_once,
    a_close_without_a_code_passes,
    a_side_that_does_not_answer_a_close,
    the_client_ends_its_stream,
    the_client_ends_its_stream_before_the_101,
    the_client_is_cut,
    the_client_resets,
    the_app_ends_its_stream,
    the_app_is_cut,
    the_app_resets,
    half_a_connection_still_carries,
    the_client_breaks_a_rule,
    the_app_breaks_a_rule,
    the_client_breaks_tls,
    the_client_splits_a_message_of_tls,
    a_stop_closes_both_sides,
);

/// How the next connection ended, with the close codes.
fn end(proxy: &Proxy) -> (By, Why, Option<u16>, Option<u16>) {
    let End { by, why, code_sent, code_received } = proxy.connection().end;
    (by, why, code_sent, code_received)
}

fn closing(code: u16, reason: &str) -> Vec<u8> {
    frame::close(code, reason)
}

/// With and without TLS toward the client, over a Unix socket and over TCP toward the app.
fn everywhere(engine: Engine, test: fn(&Proxy, &App)) {
    for app in [App::unix(), App::tcp()] {
        for setup in [Setup::new(engine), Setup::new(engine).plain()] {
            let proxy = setup.table("timeouts", "closing = \"10s\"").start(&app);
            test(&proxy, &app);
            proxy.wait_until_held(0);
        }
    }
}

fn the_client_closes(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let (mut client, mut joined) = proxy.join(app);
        client.send(&frame::from_client(CLOSE, &closing(4000, "enough")));
        assert_eq!(joined.close(), (4000, "enough".into()));
        joined.send(&frame::from_app(CLOSE, &closing(4001, "bye")));
        assert_eq!(client.close(), (4001, "bye".into()));
        assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly));
        drop((client, joined));
        assert_eq!(end(proxy), (By::Client, Why::Closed, Some(4001), Some(4000)));
    });
}

fn the_app_closes(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let (mut client, mut joined) = proxy.join(app);
        joined.send(&frame::from_app(CLOSE, &closing(1012, "restart")));
        assert_eq!(client.close(), (1012, "restart".into()));
        client.send(&frame::from_client(CLOSE, &closing(1000, "")));
        assert_eq!(joined.close(), (1000, String::new()));
        assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly));
        drop((client, joined));
        assert_eq!(end(proxy), (By::App, Why::Closed, Some(1012), Some(1000)));
    });
}

fn both_close_at_once(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let (mut client, mut joined) = proxy.join(app);
        client.send(&frame::from_client(CLOSE, &closing(4002, "")));
        joined.send(&frame::from_app(CLOSE, &closing(4003, "")));
        assert_eq!((client.close().0, joined.close().0), (4003, 4002));
        assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly));
        drop((client, joined));
        let (_, why, sent, received) = end(proxy);
        assert_eq!((why, sent, received), (Why::Closed, Some(4003), Some(4002)));
    });
}

fn a_close_without_a_code_passes(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let (mut client, mut joined) = proxy.join(app);
        client.send(&frame::from_client(CLOSE, b""));
        assert!(joined.frame().payload.is_empty());
        joined.send(&frame::from_app(CLOSE, b""));
        assert!(client.frame().payload.is_empty());
        assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly));
        drop((client, joined));
        assert_eq!(end(proxy), (By::Client, Why::Closed, Some(1005), Some(1005)));
    });
}

fn a_side_that_does_not_answer_a_close(engine: Engine) {
    let app = App::tcp();
    let proxy = Setup::new(engine).table("timeouts", "closing = \"200ms\"").start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    client.send(&frame::from_client(CLOSE, &closing(1000, "")));
    assert_eq!(joined.close().0, 1000);
    assert_ne!(client.end(), Seen::Orderly, "no answer came, so none is shown");
    assert_eq!(end(&proxy), (By::App, Why::CloseTimeout, None, Some(1000)));

    let (mut client, mut joined) = proxy.join(&app);
    joined.send(&frame::from_app(CLOSE, &closing(1000, "")));
    assert_eq!(client.close().0, 1000);
    assert_ne!(joined.end(), Seen::Orderly, "no answer came, so none is shown");
    assert_eq!(end(&proxy), (By::Client, Why::CloseTimeout, Some(1000), None));
    proxy.wait_until_held(0);
}

fn the_client_ends_its_stream(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let (mut client, mut joined) = proxy.join(app);
        client.send(&frame::from_client(TEXT, b"last words"));
        client.finish();
        assert_eq!(joined.frame().payload, b"last words");
        assert_eq!(joined.end(), Seen::Orderly);
        joined.finish();
        assert_eq!(client.end(), Seen::Orderly);
        drop((client, joined));
        assert_eq!(end(proxy), (By::Client, Why::Eof, None, None));
    });
}

fn the_client_ends_its_stream_before_the_101(engine: Engine) {
    let app = App::unix();
    for setup in [Setup::new(engine), Setup::new(engine).plain()] {
        let proxy = setup.start(&app);
        let mut client = proxy.ask(&upgrade(&[]));
        client.finish();
        let mut joined = app.accept();
        joined.answer(&[]);
        assert_eq!(client.head().status(), 101);
        assert_eq!(joined.end(), Seen::Orderly);
        joined.send(&frame::from_app(TEXT, b"for you"));
        joined.finish();
        assert_eq!(client.frame().payload, b"for you");
        assert_eq!(client.end(), Seen::Orderly);
        drop((client, joined));
        assert_eq!(end(&proxy), (By::Client, Why::Eof, None, None));
    }
    // The same when request, frame and end come in one piece.
    let proxy = Setup::new(engine).start(&app);
    let mut client = proxy.client();
    client.complete_handshake();
    let request = upgrade(&[]);
    client.send_and_finish([request.as_bytes(), &frame::from_client(TEXT, b"all at once")]);
    let mut joined = app.accept();
    joined.answer(&[]);
    assert_eq!(client.head().status(), 101);
    assert_eq!(joined.frame().payload, b"all at once");
    assert_eq!(joined.end(), Seen::Orderly);
    joined.send(&frame::from_app(TEXT, b"for you"));
    joined.finish();
    assert_eq!(client.frame().payload, b"for you");
    assert_eq!(client.end(), Seen::Orderly);
    drop((client, joined));
    assert_eq!(end(&proxy), (By::Client, Why::Eof, None, None));
}

fn the_client_is_cut(engine: Engine) {
    let app = App::tcp();
    let proxy = Setup::new(engine).start(&app);
    // Between frames, without close_notify; inside a header; inside a payload.
    let whole = frame::from_client(BINARY, &[1; 100]);
    for sent in [0, 1, 50] {
        let (mut client, mut joined) = proxy.join(&app);
        client.send(&whole[..sent]);
        client.hang_up();
        assert_ne!(joined.rest().1, Seen::Orderly, "{sent}: the app must not take it for an end");
        assert_ne!(client.end(), Seen::Orderly, "{sent}");
        assert_eq!(end(&proxy), (By::Client, Why::Truncated, None, None), "{sent}");
    }
    // Without TLS only the middle of a frame tells.
    let proxy = Setup::new(engine).plain().start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    client.send(&whole[..50]);
    client.finish();
    assert_ne!(joined.rest().1, Seen::Orderly);
    assert_eq!(end(&proxy), (By::Client, Why::Truncated, None, None));
    proxy.wait_until_held(0);
}

fn the_client_resets(engine: Engine) {
    let app = App::tcp();
    for setup in [Setup::new(engine), Setup::new(engine).plain()] {
        let proxy = setup.start(&app);
        let (client, mut joined) = proxy.join(&app);
        client.reset();
        assert_eq!(joined.end(), Seen::Reset);
        assert_eq!(end(&proxy), (By::Client, Why::Reset, None, None));
        proxy.wait_until_held(0);
    }
}

/// The client is told that its app is gone, and answers.
fn hears_that_the_app_is_gone(client: &mut Client) {
    let (code, reason) = client.close();
    let hint = reason.strip_prefix("the app is gone; retry-after-ms=").map(str::parse::<u64>);
    assert!(code == 1012 && hint.is_some_and(|hint| hint.is_ok_and(|ms| ms <= 5000)), "{code} {reason:?}");
    client.send(&frame::from_client(CLOSE, &closing(1012, "")));
    assert_eq!(client.end(), Seen::Orderly);
}

fn the_app_ends_its_stream(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let (mut client, mut joined) = proxy.join(app);
        joined.send(&frame::from_app(TEXT, b"last words"));
        joined.finish();
        assert_eq!(client.frame().payload, b"last words");
        hears_that_the_app_is_gone(&mut client);
        assert_eq!(joined.close(), (1012, String::new()), "it said no more, but may still listen");
        assert_eq!(joined.end(), Seen::Orderly);
        drop((client, joined));
        assert_eq!(end(proxy), (By::App, Why::Eof, Some(1012), Some(1012)));
    });
}

fn the_app_is_cut(engine: Engine) {
    let whole = frame::from_app(BINARY, &[1; 100]);
    for app in [App::unix(), App::tcp()] {
        for setup in [Setup::new(engine), Setup::new(engine).plain()] {
            let proxy = setup.start(&app);
            let (mut client, mut joined) = proxy.join(&app);
            joined.send(&whole[..1]);
            joined.finish();
            hears_that_the_app_is_gone(&mut client);
            drop(client);
            assert_eq!(
                end(&proxy),
                (By::App, Why::Truncated, Some(1012), Some(1012)),
                "no byte of the frame had passed"
            );

            let (mut client, mut joined) = proxy.join(&app);
            joined.send(&whole[..50]);
            joined.finish();
            let (received, seen) = client.rest();
            assert!(received == whole[..50] && seen != Seen::Orderly, "nothing is forged: {seen:?}");
            assert_eq!(end(&proxy), (By::App, Why::Truncated, None, None));
            proxy.wait_until_held(0);
        }
    }
}

/// A reset, and an app that dies with bytes it has not read.
fn the_app_resets(engine: Engine) {
    let reset: fn(Joined) = Joined::reset;
    let dies: fn(Joined) = drop;
    for (app, go) in [(App::tcp(), reset), (App::tcp(), dies), (App::unix(), dies)] {
        for setup in [Setup::new(engine), Setup::new(engine).plain()] {
            let proxy = setup.start(&app);
            let (mut client, joined) = proxy.join(&app);
            client.send(&frame::from_client(TEXT, b"unread"));
            joined.wait_readable();
            go(joined);
            hears_that_the_app_is_gone(&mut client);
            drop(client);
            assert_eq!(end(&proxy), (By::App, Why::Reset, Some(1012), Some(1012)));
            proxy.wait_until_held(0);
        }
    }
}

fn half_a_connection_still_carries(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let (mut client, mut joined) = proxy.join(app);
        client.finish();
        assert_eq!(joined.end(), Seen::Orderly);
        for n in 0..10 {
            joined.send(&frame::from_app(BINARY, &[n]));
            assert_eq!(client.frame().payload, [n]);
        }
        joined.send(&frame::from_app(CLOSE, &closing(1000, "done")));
        assert_eq!(client.close(), (1000, "done".into()));
        assert_eq!(client.end(), Seen::Orderly);
        drop((client, joined));
        assert_eq!(end(proxy), (By::Client, Why::Eof, Some(1000), None));
    });
}

fn the_client_breaks_a_rule(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let unmasked = frame::from_app(TEXT, b"bare");
        let reserved = frame::masked(FIN | 3, b"");
        let long_ping = frame::masked(FIN | 9, &[0; 126]);
        let bad_code = frame::from_client(CLOSE, &closing(1006, ""));
        for (offence, rule) in [
            (unmasked, Rule::ClientUnmasked),
            (reserved, Rule::ReservedOpcode),
            (long_ping, Rule::ControlTooLong),
            (bad_code, Rule::CloseCode),
        ] {
            let (mut client, mut joined) = proxy.join(app);
            client.send(&[frame::from_client(TEXT, b"good"), offence, frame::from_client(TEXT, b"never")].concat());
            assert_eq!(joined.frame().payload, b"good");
            assert_eq!(client.close().0, 1002);
            assert_eq!(joined.close().0, 1001);
            joined.send(&frame::from_app(CLOSE, &closing(1001, "")));
            assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly));
            drop((client, joined));
            let (by, why, sent, _) = end(proxy);
            assert_eq!((by, why, sent), (By::Client, Why::Violation(rule), Some(1002)));
        }
    });
}

fn the_app_breaks_a_rule(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let (mut client, mut joined) = proxy.join(app);
        joined.send(&[frame::from_app(TEXT, b"good"), frame::from_client(TEXT, b"masked")].concat());
        assert_eq!(client.frame().payload, b"good");
        assert_eq!(client.close().0, 1011);
        assert_eq!(joined.close().0, 1002);
        client.send(&frame::from_client(CLOSE, &closing(1011, "")));
        assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly));
        drop((client, joined));
        assert_eq!(end(proxy), (By::App, Why::Violation(Rule::AppMasked), Some(1011), Some(1011)));
    });
}

fn the_client_breaks_tls(engine: Engine) {
    let app = App::tcp();
    let proxy = Setup::new(engine).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    // A record that nobody sealed.
    client.send_wire(&[&[23, 3, 3, 0, 32], &[0; 32][..]].concat());
    assert_ne!(joined.end(), Seen::Orderly);
    assert_eq!(end(&proxy), (By::Client, Why::TlsBroken, None, None));
    proxy.wait_until_held(0);
}

fn the_client_splits_a_message_of_tls(engine: Engine) {
    let app = App::tcp();
    let proxy = Setup::new(engine).start(&app);
    let mut config = material::client(&[&TLS13], &[], Shows::Nothing);
    config.enable_secret_extraction = true;
    let mut client = Client::connect(proxy.address(), config.into());
    client.send(upgrade(&[]).as_bytes());
    let mut joined = app.accept();
    joined.answer(&[]);
    assert_eq!(client.head().status(), 101);
    let _tcp = client.split_key_update();
    assert_ne!(joined.end(), Seen::Orderly);
    assert_eq!(end(&proxy), (By::Client, Why::TlsBroken, None, None));
    proxy.wait_until_held(0);
}

fn a_stop_closes_both_sides(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).workers(2).start(&app);
    let mut pairs: Vec<(Client, Joined)> = (0..8).map(|_| proxy.join(&app)).collect();
    // One is in the middle of a message: what it has begun is relayed to its end first.
    let long = frame::from_client(BINARY, &frame::pattern(9, 1000));
    pairs[0].0.send(&long[..500]);
    assert_eq!(pairs[0].1.receive(500), long[..500]);
    proxy.begin_to_stop();
    for (client, _) in &mut pairs {
        assert_eq!(client.close(), (1001, String::new()));
    }
    pairs[0].0.send(&long[500..]);
    assert_eq!(pairs[0].1.receive(long.len() - 500), long[500..]);
    for (client, joined) in &mut pairs {
        assert_eq!(joined.close(), (1001, String::new()));
        client.send(&frame::from_client(CLOSE, &closing(1001, "")));
        joined.send(&frame::from_app(CLOSE, &closing(1001, "")));
        assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly));
    }
    let expected = pairs.len();
    drop(pairs);
    for _ in 0..expected {
        assert_eq!(end(&proxy), (By::Ringside, Why::Drain, Some(1001), Some(1001)));
    }
    proxy.wait_until_held(0);
}
