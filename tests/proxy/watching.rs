//! What is told of a connection while it lives: checkpoints, messages one by one, what happened, who is here.

use std::time::Duration;

use ringside::opcode::Opcode;
use ringside::peer::Side;
use ringside::rule::Rule;
use ringside::telemetry::end::{By, Why};
use ringside::telemetry::moment::What;
use ringside::telemetry::record::{Checkpoint, Counts, Event, Message};

use crate::support::app::App;
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, PONG, TEXT};
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(
    a_connection_is_seen_before_it_ends,
    chosen_messages_are_told_of_one_by_one,
    without_traces_nothing_is_told_meanwhile,
    what_happened_stands_in_the_record,
);

/// A collector that is not there: it is the taps that see.
const NOWHERE: &str = "endpoint = \"http://127.0.0.1:9\"\n";

fn checkpoint(proxy: &Proxy) -> Checkpoint {
    proxy.event(|event| match event {
        Event::Checkpoint(checkpoint) => Some(Checkpoint::clone(checkpoint)),
        _ => None,
    })
}

fn message(proxy: &Proxy) -> Message {
    proxy.event(|event| match event {
        Event::Message(message) => Some(Message::clone(message)),
        _ => None,
    })
}

fn a_connection_is_seen_before_it_ends(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).table("telemetry.traces", &format!("{NOWHERE}checkpoint = \"1s\"")).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    let handshake = proxy.handshake();
    let sent = frame::from_client(TEXT, b"hello");
    client.send(&sent);
    joined.receive(sent.len());
    let hello = Counts { frames: 1, messages: 1, bytes: sent.len() as u64, compressed: 0 };

    // The first may have come before the message.
    let first = std::iter::repeat_with(|| checkpoint(&proxy)).find(|seen| seen.from_client[1] == hello).expect("one");
    assert_eq!((first.id, Some(first.span.trace)), (handshake.id, Some(handshake.span.trace)));
    assert_eq!(first.span.parent, handshake.connection);
    let back = frame::from_app(BINARY, &[7; 300]);
    joined.send(&back);
    assert_eq!(client.frame().payload.len(), 300);
    // Each goes on where the one before ended, and one of them is the first to know the answer.
    let mut before = first;
    while before.from_app[1].bytes == 0 {
        let next = checkpoint(&proxy);
        assert_eq!((next.number, next.since), (before.number + 1, before.age));
        assert_eq!((next.from_client, next.from_app[0]), ([hello, hello], before.from_app[1]));
        assert!(next.age >= next.since + Duration::from_secs(1), "{next:?}");
        before = next;
    }
    assert_eq!(before.from_app[1].bytes, back.len() as u64);
    drop((client, joined));
    assert_eq!(Some(proxy.connection().span.id), handshake.connection);
}

fn chosen_messages_are_told_of_one_by_one(engine: Engine) {
    let app = App::unix();
    let setup = Setup::new(engine).table("telemetry.traces", &format!("{NOWHERE}checkpoint = \"off\""));
    let proxy = setup.table("telemetry.traces.messages", "sample_ratio = 1.0\nper_second = 1000").start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    client.send(&frame::from_client(TEXT, b"one frame"));
    let told = message(&proxy);
    assert_eq!((told.from, told.opcode, told.size, told.frames), (Side::Client, Opcode::Text, 9, 1));
    assert_eq!(told.span.parent, proxy.handshake().connection);

    // A message in three frames, of which the last comes late: its time is that from its first frame on.
    let fragment = |first: u8, payload: &[u8]| frame::bare(first, payload);
    joined.send(&fragment(BINARY, &[1; 10]));
    assert_eq!(client.frame().payload.len(), 10);
    joined.send(&[fragment(0, &[2; 20]), frame::from_app(PONG, b""), fragment(0x80, &[3; 70])].concat());
    let told = message(&proxy);
    assert_eq!((told.from, told.opcode, told.size, told.frames), (Side::App, Opcode::Binary, 100, 3));
    assert!(!told.compressed && told.took > Duration::ZERO, "{told:?}");
    drop((client, joined));
    assert_eq!(proxy.connection().from_app.messages, 1);
}

fn without_traces_nothing_is_told_meanwhile(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    let sent = frame::from_client(TEXT, b"hello");
    client.send(&sent);
    joined.receive(sent.len());
    drop((client, joined));
    proxy.connection();
    proxy.handshake();
    assert!(proxy.is_silent(), "neither checkpoints nor messages");
}

fn what_happened_stands_in_the_record(engine: Engine) {
    let app = App::unix();
    let setup = Setup::new(engine).table("keepalive", "client = \"1s\"\nmissed = 2");
    let proxy = setup.table("limits.connection", "messages = 1\nburst = \"1s\"\naction = \"throttle\"").start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    let three = frame::from_client(TEXT, b"x").repeat(3);
    client.send(&three);
    joined.receive(three.len());
    // It answers nothing from now on, until it breaks a rule.
    client.frame();
    client.frame();
    client.send(&frame::bare(0x80 | TEXT, b"not masked"));
    drop((client, joined));
    let record = proxy.connection();
    assert_eq!(record.end.why, Why::Violation(Rule::ClientUnmasked));
    let happened: Vec<_> = record.moments.kept.iter().map(|moment| moment.what).collect();
    let closing = What::Closing(By::Client, Why::Violation(Rule::ClientUnmasked));
    assert_eq!(happened, [What::Throttled, What::PingUnanswered(Side::Client), closing]);
    assert!(record.moments.kept.iter().all(|moment| moment.after <= record.took), "{record:?}");
}
