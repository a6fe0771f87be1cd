//! Pings of our own: when they go out, whose Pongs pass, who is dead.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{APP, CLIENT, CONFIG, ENTROPY, KEY, Pair, close, frame, ours, text};
use crate::peer::Side;
use crate::session::{Config, Ending, Keepalive, Parting};
use crate::telemetry::end::{By, Why};
use crate::ws::control::ControlFrame;

const SECOND: Duration = Duration::from_secs(1);
const MISSED: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// Asks a client after half a minute.
fn pinging() -> Pair {
    let keepalive = Keepalive { client: Some(30 * SECOND), app: None, missed: MISSED };
    Pair::with(Config { keepalive, ..CONFIG })
}

fn payload(number: u32) -> Vec<u8> {
    let mark = &ENTROPY.to_be_bytes()[4..];
    [b"ringside", mark, &number.to_be_bytes()].concat()
}

/// Our Ping of this number, as `to` sees it.
fn ping(to: Side, number: u32) -> Vec<u8> {
    ControlFrame::ping(&payload(number), (to == APP).then_some(KEY)).unwrap().as_bytes().to_vec()
}

fn pong(from: Side, number: u32) -> Vec<u8> {
    frame(from, 0x8A, &payload(number))
}

#[test]
fn a_silent_client_gets_a_ping_and_its_pong_is_ours() {
    let mut pair = pinging();
    pair.at(Duration::from_nanos(30_000_000_000 - 1));
    assert_eq!(pair.got(CLIENT), b"");
    pair.at(30 * SECOND);
    assert_eq!(pair.got(CLIENT), ping(CLIENT, 1));
    pair.at(30 * SECOND + SECOND / 4);
    pair.sends(CLIENT, &[text(CLIENT, "before"), pong(CLIENT, 1), text(CLIENT, "behind")].concat()).unwrap();
    assert_eq!(pair.got(APP), [text(CLIENT, "before"), text(CLIENT, "behind")].concat());
    assert_eq!(pair.session.counts(CLIENT).frames, 2);
    assert_eq!(pair.session.round_trip(CLIENT).map(|trip| trip.last), Some(SECOND / 4));
    assert_eq!(pair.counters.from(CLIENT).pongs.get(), 1);
    pair.at(60 * SECOND);
    assert_eq!(pair.got(CLIENT), b"", "the answer was a sign of life");
    pair.at(60 * SECOND + SECOND / 4);
    assert_eq!(pair.got(CLIENT), ping(CLIENT, 2));
}

#[test]
fn who_talks_is_not_pinged() {
    let mut pair = pinging();
    for second in 1..200 {
        pair.at(second * SECOND);
        pair.sends(CLIENT, &frame(CLIENT, 0x8A, b"a heartbeat of its own")).unwrap();
    }
    assert_eq!(pair.got(CLIENT), b"");
}

#[test]
fn pings_and_pongs_of_others_pass() {
    let mut pair = pinging();
    pair.sends(APP, &frame(APP, 0x89, b"from the app")).unwrap();
    pair.at(30 * SECOND);
    pair.got(CLIENT);
    let mut other_mark = payload(1);
    other_mark[8] ^= 1;
    let theirs = [
        frame(CLIENT, 0x8A, b"from the app"),
        frame(CLIENT, 0x8A, b""),
        frame(CLIENT, 0x8A, &other_mark),
        frame(CLIENT, 0x8A, &payload(1)[..15]),
        frame(CLIENT, 0x89, &payload(1)),
    ]
    .concat();
    pair.sends(CLIENT, &theirs).unwrap();
    assert_eq!(pair.got(APP), theirs);
}

#[test]
fn a_late_pong_is_ours_too_but_tells_no_round_trip() {
    let mut pair = pinging();
    pair.at(30 * SECOND);
    pair.at(60 * SECOND);
    assert_eq!(pair.got(CLIENT), [ping(CLIENT, 1), ping(CLIENT, 2)].concat());
    pair.sends(CLIENT, &pong(CLIENT, 1)).unwrap();
    assert_eq!(pair.session.round_trip(CLIENT), None);
    pair.at(61 * SECOND);
    pair.sends(CLIENT, &[pong(CLIENT, 2), pong(CLIENT, 2)].concat()).unwrap();
    assert_eq!(pair.session.round_trip(CLIENT).map(|trip| trip.last), Some(SECOND));
    assert_eq!(pair.got(APP), b"");
}

#[test]
fn a_pong_is_ours_however_it_is_cut() {
    let bytes = [text(CLIENT, "a"), pong(CLIENT, 1), text(CLIENT, "b")].concat();
    for cut in 0..bytes.len() {
        let mut pair = pinging();
        pair.at(30 * SECOND);
        pair.sends(CLIENT, &bytes[..cut]).unwrap();
        pair.sends(CLIENT, &bytes[cut..]).unwrap();
        assert_eq!(pair.got(APP), [text(CLIENT, "a"), text(CLIENT, "b")].concat(), "cut at {cut}");
    }
}

#[test]
fn a_client_that_misses_its_pings_is_dead_and_the_app_is_told() {
    let mut pair = pinging();
    pair.at(30 * SECOND);
    pair.at(60 * SECOND);
    pair.at(Duration::from_nanos(90_000_000_000 - 1));
    assert_eq!(pair.got(CLIENT), [ping(CLIENT, 1), ping(CLIENT, 2)].concat());
    assert!(!pair.session.is_lost(CLIENT));
    pair.at(90 * SECOND);
    assert!(pair.session.is_lost(CLIENT));
    assert_eq!(pair.got(CLIENT), b"", "nobody is there to be told");
    assert_eq!(pair.got(APP), ours(APP, 1001, ""));
    pair.sends(APP, &close(APP, 1001)).unwrap();
    assert_eq!(pair.finished, [APP]);
    pair.ends(APP, Ending::Eof);
    assert_eq!(pair.end(), (By::Client, Why::PeerDead, None, None));
    assert_eq!(pair.partings(), (Parting::Cut, Parting::Orderly));
}

#[test]
fn an_app_is_pinged_when_that_is_asked_for() {
    let keepalive = Keepalive { client: None, app: Some(10 * SECOND), missed: MISSED };
    let mut pair = Pair::with(Config { keepalive, ..CONFIG });
    pair.at(10 * SECOND);
    assert_eq!(pair.got(APP), ping(APP, 1));
    pair.at(11 * SECOND);
    pair.sends(APP, &pong(APP, 1)).unwrap();
    assert_eq!(pair.got(CLIENT), b"");
    assert_eq!(pair.session.round_trip(APP).map(|trip| trip.last), Some(SECOND));
    for seconds in [21, 31, 41] {
        pair.at(seconds * SECOND);
    }
    assert_eq!(pair.got(CLIENT), ours(CLIENT, 1011, "the app is gone; retry-after-ms=2500"));
    pair.at(46 * SECOND);
    assert_eq!(pair.end(), (By::App, Why::PeerDead, Some(1011), None));
}

#[test]
fn a_ping_waits_for_the_end_of_a_frame() {
    let mut pair = pinging();
    let long = text(APP, "a long story");
    pair.sends(APP, &long[..5]).unwrap();
    pair.at(300 * SECOND);
    assert_eq!(pair.got(CLIENT), long[..5]);
    pair.sends(APP, &long[5..]).unwrap();
    assert_eq!(pair.got(CLIENT), [&long[5..], &ping(CLIENT, 1)].concat(), "it has missed none yet");
    pair.at(330 * SECOND);
    pair.sends(CLIENT, &text(CLIENT, "here")).unwrap();
    assert!(!pair.session.is_lost(CLIENT));
}

#[test]
fn who_is_heard_before_its_ping_could_go_out_is_watched_on() {
    let mut pair = pinging();
    let long = text(APP, "a long story");
    pair.sends(APP, &long[..5]).unwrap();
    pair.at(30 * SECOND);
    pair.at(31 * SECOND);
    pair.sends(CLIENT, &text(CLIENT, "still here")).unwrap();
    pair.sends(APP, &long[5..]).unwrap();
    assert_eq!(pair.got(CLIENT), long, "it needs no Ping any more");
    assert_eq!(pair.session.poll_timeout(), Some(pair.start + 61 * SECOND));
    pair.at(61 * SECOND);
    assert_eq!(pair.got(CLIENT), ping(CLIENT, 1));
}

#[test]
fn silence_says_nothing_when_nobody_listens() {
    let mut pair = pinging();
    for seconds in [30, 60, 90, 120] {
        pair.session.handle_unheard(CLIENT, pair.start + seconds * SECOND);
        pair.at(seconds * SECOND);
    }
    assert_eq!(pair.got(CLIENT), b"");
    pair.at(150 * SECOND);
    assert_eq!(pair.got(CLIENT), ping(CLIENT, 1));
}

#[test]
fn no_ping_follows_a_close() {
    let mut pair = pinging();
    pair.at(29 * SECOND);
    pair.sends(APP, &close(APP, 1000)).unwrap();
    pair.at(31 * SECOND);
    assert_eq!(pair.got(CLIENT), close(APP, 1000));
}
