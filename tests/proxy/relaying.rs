//! Frames through the proxy: every size, every split, both ways, verbatim.

use std::io::Write as _;

use ringside::peer::Side;
use ringside::rule::Rule;
use ringside::telemetry::end::{By, Why};
use tungstenite::{Message, WebSocket};

use crate::support::app::{App, Echo, unbounded};
use crate::support::client::{Client, Seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CONTINUATION, FIN, PING, PONG, RSV1, TEXT};
use crate::support::http::upgrade;
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(
    a_real_client_echoes,
    every_length_field_passes,
    a_message_past_the_bound_is_refused,
    one_byte_per_record,
    one_byte_per_segment,
    many_records_in_one_write,
    many_frames_in_one_record,
    frames_split_anywhere,
    compressed_frames_only_when_agreed_on,
    what_comes_with_the_handshake_is_relayed,
    counts_are_those_of_the_wire,
);

fn websocket(proxy: &Proxy) -> WebSocket<Client> {
    let client = proxy.client();
    let (socket, answer) = tungstenite::client::client_with_config("ws://chat.example/", client, Some(unbounded()))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.status(), 101);
    socket
}

fn a_real_client_echoes(engine: Engine) {
    let echo = Echo::start();
    for setup in [Setup::new(engine), Setup::new(engine).plain()] {
        let proxy = setup.start(echo.app());
        let mut socket = websocket(&proxy);
        for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20] {
            let message = Message::binary(frame::pattern(length as u64, length));
            socket.send(message.clone()).expect("sent");
            assert!(socket.read().expect("an echo") == message, "{length} bytes came back different");
        }
        socket.send(Message::text("grüß dich")).expect("sent");
        assert_eq!(socket.read().expect("an echo"), Message::text("grüß dich"));
        socket.send(Message::Ping("are you there?".into())).expect("sent");
        assert_eq!(socket.read().expect("a pong"), Message::Pong("are you there?".into()));
        socket.close(None).expect("sent");
        assert!(matches!(socket.read(), Ok(Message::Close(_))), "an answer");
        socket.read().expect_err("the end");
        drop(socket);
        assert_eq!(proxy.end(), (By::Client, Why::Closed));
        proxy.wait_until_held(0);
    }
}

fn every_length_field_passes(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537] {
        let payload = frame::pattern(length as u64, length);
        let sent = frame::from_client(BINARY, &payload);
        client.send(&sent);
        assert!(joined.receive(sent.len()) == sent, "{length} bytes to the app");
        let sent = frame::from_app(BINARY, &payload);
        joined.send(&sent);
        let received = client.frame();
        assert!(!received.masked && received.payload == payload, "{length} bytes to the client");
    }
}

fn a_message_past_the_bound_is_refused(engine: Engine) {
    let app = App::unix();
    let setup = Setup::new(engine).table("limits", "message = \"70KiB\"");
    let proxy = setup.start(&app);
    for fragments in [1, 2] {
        let (mut client, mut joined) = proxy.join(&app);
        let bound = frame::pattern(1, 70 << 10);
        let frames = |extra: usize| {
            let payload = [&bound[..], &vec![0; extra]].concat();
            if fragments == 1 {
                return frame::from_client(BINARY, &payload);
            }
            let (first, second) = payload.split_at(1000);
            [frame::masked(BINARY, first), frame::masked(FIN | CONTINUATION, second)].concat()
        };
        let allowed = frames(0);
        client.send(&allowed);
        assert!(joined.receive(allowed.len()) == allowed);
        // It may be refused before all of it is sent.
        let _ = client.write_all(&frames(1));
        assert_eq!(client.close().0, 1009);
        assert_eq!(client.end(), Seen::Orderly);
        drop(client);
        if fragments == 2 {
            assert_eq!(joined.frame().payload.len(), 1000);
        }
        assert_eq!(joined.close().0, 1001);
        drop(joined);
        assert_eq!(proxy.end(), (By::Client, Why::Violation(Rule::MessageTooBig)));
    }
    // The app is bound, too.
    let (mut client, mut joined) = proxy.join(&app);
    joined.send(&frame::from_app(BINARY, &vec![0; (70 << 10) + 1])[..100]);
    assert_eq!((joined.close().0, client.close().0), (1009, 1011));
}

/// Several messages of both kinds, as a client sends them.
fn conversation() -> Vec<Vec<u8>> {
    vec![
        frame::from_client(TEXT, "grüß dich".as_bytes()),
        frame::masked(BINARY, b"in three "),
        frame::from_client(PING, b"between"),
        frame::masked(CONTINUATION, b""),
        frame::masked(FIN | CONTINUATION, b"parts"),
        frame::from_client(BINARY, &frame::pattern(3, 300)),
        frame::from_client(PONG, b""),
        frame::from_client(TEXT, b""),
    ]
}

fn one_byte_per_record(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    let sent = conversation().concat();
    for byte in &sent {
        client.send(&[*byte]);
    }
    assert_eq!(joined.receive(sent.len()), sent);
    // And back: the app writes byte by byte.
    let back = frame::from_app(TEXT, &[b'x'; 300]);
    for byte in &back {
        joined.send(&[*byte]);
    }
    assert_eq!(client.frame().payload, [b'x'; 300]);
}

fn one_byte_per_segment(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    for message in conversation() {
        client.trickle(&message);
    }
    let sent = conversation().concat();
    assert_eq!(joined.receive(sent.len()), sent);
}

fn many_records_in_one_write(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    let sent: Vec<_> = (0..500).map(|n| frame::from_client(BINARY, &frame::pattern(n, 100))).collect();
    client.send_records(sent.iter().map(Vec::as_slice));
    let sent = sent.concat();
    assert!(joined.receive(sent.len()) == sent);
}

fn many_frames_in_one_record(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    let sent: Vec<u8> = (0..2000).flat_map(|_| frame::from_client(TEXT, b"x")).collect();
    assert!(sent.len() < 1 << 14, "one record");
    client.send_records([&sent[..]]);
    assert!(joined.receive(sent.len()) == sent);
    let back: Vec<u8> = (0..5000_u32).flat_map(|n| frame::from_app(BINARY, &n.to_be_bytes())).collect();
    joined.send(&back);
    for n in 0..5000_u32 {
        assert_eq!(client.frame().payload, n.to_be_bytes());
    }
}

fn frames_split_anywhere(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    let sent = conversation().concat();
    for at in 0..=sent.len() {
        let (left, right) = sent.split_at(at);
        // Two records, which the proxy opens together or one by one, as they come.
        client.send_records([left]);
        client.send_records([right]);
        assert_eq!(joined.receive(sent.len()), sent, "split at {at}");
    }
}

fn compressed_frames_only_when_agreed_on(engine: Engine) {
    const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate";
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    // "Hello", as RFC 7692 section 7.2.3.1 compresses it.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

    let mut client = proxy.ask(&upgrade(&[DEFLATE]));
    let mut joined = app.accept();
    assert_eq!(joined.request().field("sec-websocket-extensions"), Some("permessage-deflate"));
    joined.answer(&[DEFLATE]);
    assert_eq!(client.head().field("sec-websocket-extensions"), Some("permessage-deflate"));
    let sent = frame::masked(FIN | RSV1 | TEXT, &hello);
    client.send(&sent);
    assert_eq!(joined.receive(sent.len()), sent);
    joined.send(&frame::bare(FIN | RSV1 | TEXT, &hello));
    let received = client.frame();
    assert_eq!((received.first, &received.payload[..]), (FIN | RSV1 | TEXT, &hello[..]));
    drop((client, joined));
    proxy.connection();

    // Offered and not chosen is not agreed on.
    let mut client = proxy.ask(&upgrade(&[DEFLATE]));
    let mut joined = app.accept();
    joined.answer(&[]);
    assert_eq!(client.head().field("sec-websocket-extensions"), None);
    client.send(&sent);
    assert_eq!((client.close().0, joined.close().0), (1002, 1001));
    drop((client, joined));
    assert_eq!(proxy.end(), (By::Client, Why::Violation(Rule::ReservedBits)));
}

fn what_comes_with_the_handshake_is_relayed(engine: Engine) {
    let app = App::unix();
    for setup in [Setup::new(engine), Setup::new(engine).plain()] {
        let proxy = setup.start(&app);
        let early = frame::from_client(TEXT, b"before the 101");
        let (whole, half) = (&early[..], &early[..5]);
        let mut client = proxy.client();
        client.send(&[upgrade(&[]).as_bytes(), whole, half].concat());
        let mut joined = app.accept();
        // Nothing is sent on before the app has agreed.
        let greeting = frame::from_app(TEXT, b"with the 101");
        let answer = [joined.switching(&[]).as_bytes(), &greeting[..], &greeting[..1]].concat();
        joined.send(&answer);
        assert_eq!(client.head().status(), 101);
        assert_eq!(client.frame().payload, b"with the 101");
        assert_eq!(joined.frame().payload, b"before the 101");
        client.send(&early[5..]);
        joined.send(&greeting[1..]);
        assert_eq!(client.frame().payload, b"with the 101");
        assert_eq!(joined.frame().payload, b"before the 101");
    }
}

fn counts_are_those_of_the_wire(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    let sent = conversation().concat();
    client.send(&sent);
    joined.receive(sent.len());
    let back = frame::from_app(BINARY, &[7; 1000]);
    joined.send(&back);
    client.frame();
    client.finish();
    joined.end();
    drop((client, joined));
    let record = proxy.connection();
    let from = record.from_client;
    assert_eq!((from.frames, from.messages, from.bytes), (8, 4, sent.len() as u64));
    let from = record.from_app;
    assert_eq!((from.frames, from.messages, from.bytes), (1, 1, back.len() as u64));
    assert_eq!(proxy.traffic(Side::Client).bytes, sent.len() as u64);
    assert_eq!(proxy.traffic(Side::App).messages, 1);
    assert_eq!((proxy.count(|counters| &counters.opened), proxy.ended()), (1, 1));
}
