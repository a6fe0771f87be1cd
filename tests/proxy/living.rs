//! What time does to a connection: Pings, silence, age, and the expiry of a token. Every wait is for what comes then.

use std::time::Duration;

use ringside::peer::Side;
use ringside::telemetry::end::{By, End, Why};
use serde_json::json;

use crate::support::app::{App, Joined};
use crate::support::client::{Client, Seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CLOSE, FIN, Frame, PING, PONG, TEXT};
use crate::support::material::{now, token_with};
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(
    who_answers_pings_lives,
    a_client_that_ignores_pings_is_dead,
    an_app_that_ignores_pings_is_dead,
    silence_on_both_sides_ends,
    an_old_connection_ends,
    a_token_expires_under_traffic,
);

/// The shortest interval there is.
const SECOND: Duration = Duration::from_secs(1);

fn who_answers_pings_lives(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).table("keepalive", "client = \"1s\"\napp = \"1s\"\nmissed = 1").start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    // Without the answers both would be dead after two seconds.
    let asked = [(); 2].map(|()| {
        let (to_client, to_app) = (client.frame(), joined.frame());
        for ping in [&to_client, &to_app] {
            assert_eq!((ping.first, &ping.payload[..8]), (FIN | PING, &b"ringside"[..]));
        }
        client.send(&frame::from_client(PONG, &to_client.payload));
        joined.send(&frame::from_app(PONG, &to_app.payload));
        to_client.payload
    });
    assert_ne!(asked[0], asked[1]);
    // The Pings of others pass, and so do the Pongs to them. Those to ours never came.
    joined.send(&frame::from_app(PING, b"of the app"));
    let is = |frame: &Frame, opcode: u8, payload: &[u8]| frame.first == FIN | opcode && frame.payload == payload;
    assert!(is(&client.frame(), PING, b"of the app"));
    client.send(&[frame::from_client(PONG, b"of the app"), frame::from_client(PING, b"own")].concat());
    assert!(is(&joined.frame(), PONG, b"of the app"));
    assert!(is(&joined.frame(), PING, b"own"));
    client_leaves(client, joined);
    let record = proxy.connection();
    assert_eq!(record.end.why, Why::Closed);
    assert_eq!((record.from_client.frames, record.from_app.frames), (3, 2), "Pongs to us are not counted");
    for (side, trip) in [(Side::Client, record.client_round_trip), (Side::App, record.app_round_trip)] {
        let trip = trip.expect("its Pongs came");
        assert!(trip.least <= trip.last && trip.last < record.took, "{side}: {trip:?}");
        assert_eq!(proxy.count(|counters| &counters.to(side).pings), 2, "{side}");
        assert_eq!(proxy.count(|counters| &counters.from(side).pongs), 2, "{side}");
    }
}

fn a_client_that_ignores_pings_is_dead(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).table("keepalive", "client = \"1s\"\nmissed = 1").start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    assert_eq!(client.frame().first, FIN | PING);
    let (rest, seen) = client.rest();
    assert!(rest.is_empty() && seen != Seen::Orderly, "nothing more, and no orderly end: {rest:02x?}, {seen:?}");
    assert_eq!(joined.close(), (1001, String::new()));
    joined.send(&frame::from_app(CLOSE, &frame::close(1001, "")));
    assert_eq!(joined.end(), Seen::Orderly);
    drop((client, joined));
    let record = proxy.connection();
    assert_eq!(record.end, End { by: By::Client, why: Why::PeerDead, code_sent: None, code_received: None });
    assert!(record.took >= 2 * SECOND && record.client_round_trip.is_none(), "{record:?}");
}

fn an_app_that_ignores_pings_is_dead(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).table("keepalive", "app = \"1s\"\nmissed = 1").start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    assert_eq!(joined.frame().first, FIN | PING);
    let (code, reason) = client.close();
    let hint = reason.strip_prefix("the app is gone; retry-after-ms=").map(str::parse::<u64>);
    assert!(code == 1011 && matches!(hint, Some(Ok(0..=5000))), "{code} {reason:?}");
    client.send(&frame::from_client(CLOSE, &frame::close(1011, "")));
    assert_eq!(client.end(), Seen::Orderly);
    joined.end();
    drop((client, joined));
    let end = End { by: By::App, why: Why::PeerDead, code_sent: Some(1011), code_received: Some(1011) };
    assert_eq!(proxy.connection().end, end);
}

/// The client closes, the app answers; each sees nothing else.
fn client_leaves(mut client: Client, mut joined: Joined) {
    client.send(&frame::from_client(CLOSE, &frame::close(1000, "")));
    assert_eq!(joined.close().0, 1000);
    joined.send(&frame::from_app(CLOSE, &frame::close(1000, "")));
    assert_eq!((client.close().0, client.end(), joined.end()), (1000, Seen::Orderly, Seen::Orderly));
}

/// Both sides get this Close and answer it; the record says why, and how long it took.
fn both_are_closed(proxy: &Proxy, pair: (Client, Joined), why: Why, (code, reason): (u16, &str)) -> Duration {
    let (mut client, mut joined) = pair;
    assert_eq!(client.close(), (code, reason.into()));
    assert_eq!(joined.close(), (code, reason.into()));
    both_answer(proxy, (client, joined), why, code)
}

fn both_answer(proxy: &Proxy, (mut client, mut joined): (Client, Joined), why: Why, code: u16) -> Duration {
    client.send(&frame::from_client(CLOSE, &frame::close(code, "")));
    joined.send(&frame::from_app(CLOSE, &frame::close(code, "")));
    assert_eq!((client.end(), joined.end()), (Seen::Orderly, Seen::Orderly));
    drop((client, joined));
    let record = proxy.connection();
    assert_eq!(record.end, End { by: By::Ringside, why, code_sent: Some(code), code_received: Some(code) });
    record.took
}

fn silence_on_both_sides_ends(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).table("timeouts", "idle = \"1s\"").start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    // Pings are no data.
    client.send(&frame::from_client(PING, b""));
    joined.frame();
    let took = both_are_closed(&proxy, (client, joined), Why::Idle, (1000, "no data for too long"));
    assert!(took >= SECOND, "{took:?}");
}

fn an_old_connection_ends(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).table("timeouts", "max_age = \"1s\"").start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    // One side is in the middle of a message, which it may end.
    let long = frame::from_app(BINARY, &[1; 100]);
    joined.send(&long[..50]);
    assert_eq!(joined.close(), (1001, "the connection has reached its maximum age".into()));
    joined.send(&long[50..]);
    assert_eq!(client.frame().payload, [1; 100]);
    assert_eq!(client.close(), (1001, "the connection has reached its maximum age".into()));
    let took = both_answer(&proxy, (client, joined), Why::MaxAge, 1001);
    assert!(took >= SECOND.mul_f64(0.9), "{took:?}");
}

/// A message there and back. If a Close came instead of it: at which side, and what it says.
fn echo(client: &mut Client, joined: &mut Joined) -> Option<(Side, u16, String)> {
    client.send(&frame::from_client(TEXT, b"busy"));
    let heard = joined.frame();
    let (side, frame) = if heard.first == FIN | TEXT {
        joined.send(&frame::from_app(TEXT, &heard.payload));
        (Side::Client, client.frame())
    } else {
        (Side::App, heard)
    };
    let closed = frame.first != FIN | TEXT;
    closed.then(|| (side, frame.close().0, frame.close().1.into()))
}

fn a_token_expires_under_traffic(engine: Engine) {
    let app = App::unix();
    let closing = Setup::new(engine).jwt("leeway = \"0s\"").start(&app);
    let ignoring = Setup::new(engine).jwt("leeway = \"0s\"\non_expiry = \"ignore\"").start(&app);
    // In whole seconds: two to three from now.
    let expiry = now(3);
    let bearer = format!("Authorization: Bearer {}", token_with(json!({ "exp": expiry })));
    let (mut client, mut joined) = closing.join_with(&app, &[&bearer]);
    let (mut lasting, mut lastings) = ignoring.join_with(&app, &[&bearer]);
    let (first, code, reason) = loop {
        assert_eq!(echo(&mut lasting, &mut lastings), None);
        if let Some(closed) = echo(&mut client, &mut joined) {
            break closed;
        }
    };
    assert!(now(0) >= expiry, "too early");
    let second = match first {
        Side::Client => joined.close(),
        Side::App => client.close(),
    };
    assert_eq!([(code, reason), second], [(); 2].map(|()| (4401, "the token has expired".to_owned())));
    both_answer(&closing, (client, joined), Why::Expired, 4401);
    assert_eq!(echo(&mut lasting, &mut lastings), None, "it may outlive its token");
    client_leaves(lasting, lastings);
    assert_eq!(ignoring.end(), (By::Client, Why::Closed));
}
