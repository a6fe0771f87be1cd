//! How fast clients may send: beyond a rate they are closed, or not read from for a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ringside::peer::Side;
use ringside::ring::lease::CAPACITY;
use ringside::rule::Rule;
use ringside::telemetry::end::{By, End, Why};
use serde_json::json;

use crate::support::app::{App, Joined};
use crate::support::client::{Client, Seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CLOSE, FIN, TEXT};
use crate::support::material::token_with;
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(
    a_client_beyond_its_rate_is_closed,
    connections_of_a_subject_share_its_rate_across_workers,
    a_client_that_sends_too_fast_is_slowed_and_loses_nothing,
);

/// Bytes of a message that [`allowing`] is about.
const MESSAGE: usize = 1000;
/// How many messages may come at once.
const BURST: usize = 10;

/// A rate of one [`MESSAGE`] a second, by this key. So slow that a test sees nothing of it but the burst.
fn allowing(scope: &str, key: &str, setup: Setup) -> Setup {
    let rate = if key == "messages" { "messages = 1".to_owned() } else { format!("bytes = \"{MESSAGE}B\"") };
    setup.table(&format!("limits.{scope}"), &format!("{rate}\nburst = \"{BURST}s\""))
}

/// A client with a token of this subject.
fn join_as(proxy: &Proxy, app: &App, subject: &str) -> (Client, Joined) {
    let bearer = format!("Authorization: Bearer {}", token_with(json!({ "sub": subject })));
    proxy.join_with(app, &[&bearer])
}

/// So many messages.
fn messages(count: usize) -> Vec<u8> {
    frame::from_client(BINARY, &[7; MESSAGE]).repeat(count)
}

/// Counts what comes to the app until it is closed.
fn messages_before_the_close(joined: &mut Joined) -> usize {
    let mut count = 0;
    loop {
        let frame = joined.frame();
        if frame.first == FIN | CLOSE {
            assert_eq!(frame.close(), (1001, ""));
            return count;
        }
        assert_eq!(frame.payload, [7; MESSAGE]);
        count += 1;
    }
}

/// What came at once is the burst, and what has grown since `began`.
fn assert_is_burst(count: usize, began: Instant) {
    let grown = usize::try_from(began.elapsed().as_secs()).expect("not that long") + 1;
    assert!((BURST..BURST + grown).contains(&count), "{count} messages passed");
}

/// The client hears what it did, and the record has it.
fn is_told(proxy: &Proxy, client: &mut Client, rule: Rule) {
    assert_eq!(client.close(), (1008, format!("the client broke {rule} ({})", rule.source())));
    assert_eq!(client.end(), Seen::Orderly);
    client.finish();
    let end = End { by: By::Client, why: Why::Violation(rule), code_sent: Some(1008), code_received: None };
    assert_eq!(proxy.connection().end, end);
}

fn a_client_beyond_its_rate_is_closed(engine: Engine) {
    let app = App::unix();
    for (scope, key, rule) in [
        ("connection", "messages", Rule::MessageRate),
        ("connection", "bytes", Rule::ByteRate),
        ("subject", "messages", Rule::SubjectMessageRate),
        ("subject", "bytes", Rule::SubjectByteRate),
    ] {
        for setup in [Setup::new(engine), Setup::new(engine).plain()] {
            let proxy = allowing(scope, key, setup.jwt("")).start(&app);
            let began = Instant::now();
            let (mut client, mut joined) = join_as(&proxy, &app, "alice");
            client.send(&messages(3 * BURST));
            assert_is_burst(messages_before_the_close(&mut joined), began);
            drop(joined);
            is_told(&proxy, &mut client, rule);
        }
    }
}

fn connections_of_a_subject_share_its_rate_across_workers(engine: Engine) {
    let app = App::unix();
    for (key, rule) in [("messages", Rule::SubjectMessageRate), ("bytes", Rule::SubjectByteRate)] {
        let proxy = allowing("subject", key, Setup::new(engine).jwt("").workers(2)).start(&app);
        let began = Instant::now();
        let [(mut one, mut ones), (mut other, mut others)] = on_two_workers(&proxy, || join_as(&proxy, &app, "alice"));
        one.send(&messages(BURST - 1));
        assert!(ones.receive(messages(BURST - 1).len()) == messages(BURST - 1));
        other.send(&messages(2 * BURST));
        assert_is_burst(BURST - 1 + messages_before_the_close(&mut others), began);
        drop(others);
        is_told(&proxy, &mut other, rule);
        // Somebody else has an allowance of its own.
        let (mut bob, mut bobs) = join_as(&proxy, &app, "bob");
        bob.send(&messages(BURST));
        assert!(bobs.receive(messages(BURST).len()) == messages(BURST));
        // Who comes back comes back to the same bucket.
        one.send(&messages(2 * BURST));
        messages_before_the_close(&mut ones);
        drop(ones);
        is_told(&proxy, &mut one, rule);
    }
}

/// Joins until two workers have a connection each: the kernel spreads them by chance.
fn on_two_workers<T>(proxy: &Proxy, join: impl Fn() -> T) -> [T; 2] {
    let mut joined = HashMap::new();
    while joined.len() < 2 {
        let before = proxy.count_each(|counters| &counters.accepted);
        assert!(before.iter().sum::<u64>() < 100, "the kernel does not spread them");
        let pair = join();
        let after = proxy.count_each(|counters| &counters.accepted);
        let worker = before.iter().zip(&after).position(|(before, after)| before < after).expect("somebody took it");
        if let Some(spare) = joined.insert(worker, pair) {
            drop(spare);
            proxy.connection();
        }
    }
    joined.into_values().collect::<Vec<_>>().try_into().unwrap_or_else(|_| unreachable!("two of them"))
}

fn a_client_that_sends_too_fast_is_slowed_and_loses_nothing(engine: Engine) {
    const BYTES: usize = 100 << 10;
    // At most one lease is read at once: the rest of a large message comes only when all of it is paid for but the
    // burst, and of small ones no more come unpaid than a lease holds.
    let large = frame::from_client(BINARY, &frame::pattern(1, BYTES));
    assert!(large.len() > CAPACITY);
    let small: Vec<u8> = (0..40).flat_map(|n| frame::from_client(BINARY, &frame::pattern(n, 4096))).collect();
    let paid = 41 - u32::try_from(CAPACITY / 4096 + 1).expect("few");
    let app = App::unix();
    for (rate, sent, least) in [
        ("bytes = \"40KiB\"", &large, Duration::from_millis(2400)),
        ("messages = 20", &small, (paid - 3) * Duration::from_millis(50)),
    ] {
        // Without regard to the wait, silence would be deadly after two seconds.
        let setup = Setup::new(engine).table("keepalive", "client = \"1s\"\nmissed = 1");
        let limit = format!("{rate}\nburst = \"100ms\"\naction = \"throttle\"");
        let proxy = setup.table("limits.connection", &limit).start(&app);
        let (mut client, mut joined) = proxy.join(&app);
        client.send(&[&sent[..], &frame::from_client(TEXT, b"the last")].concat());
        // The other way is free.
        joined.send(&frame::from_app(TEXT, b"no hurry"));
        assert_eq!(client.frame().payload, b"no hurry");
        assert!(joined.receive(sent.len()) == *sent, "not what was sent");
        assert_eq!(joined.frame().payload, b"the last");
        joined.send(&frame::from_app(CLOSE, &frame::close(1000, "")));
        assert_eq!(client.close().0, 1000);
        client.send(&frame::from_client(CLOSE, &frame::close(1000, "")));
        assert_eq!((client.end(), joined.close().0, joined.end()), (Seen::Orderly, 1000, Seen::Orderly));
        drop((client, joined));
        let record = proxy.connection();
        assert_eq!((record.end.by, record.end.why), (By::App, Why::Closed));
        assert!(record.took >= least, "{rate}: {:?}, not {least:?}", record.took);
        assert!(proxy.count(|counters| &counters.throttled) > 0);
        assert_eq!(proxy.count(|counters| &counters.to(Side::Client).pings), 0, "its silence was ours");
    }
}
