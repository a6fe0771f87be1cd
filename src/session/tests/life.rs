//! Ends that time brings, and those it must not bring.

use std::time::Duration;

use super::{APP, CLIENT, CONFIG, Pair, close, frame, ours, text};
use crate::session::{Config, Ending};
use crate::telemetry::end::{By, Why};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_token_expires_on_the_live_socket() {
    let config = Config { expiry: Some(4401), ..CONFIG };
    let mut pair = Pair::start(config, |start| start.expires = Some(start.now + 60 * SECOND));
    for second in 1..60 {
        pair.at(second * SECOND);
        pair.sends(CLIENT, &text(CLIENT, "busy")).unwrap();
        pair.sends(APP, &text(APP, "busy")).unwrap();
    }
    pair.got(CLIENT);
    pair.got(APP);
    pair.at(Duration::from_nanos(60_000_000_000 - 1));
    assert_eq!(pair.got(CLIENT), b"", "not a moment too early");
    pair.at(60 * SECOND);
    assert_eq!(pair.got(CLIENT), ours(CLIENT, 4401, "the token has expired"));
    assert_eq!(pair.got(APP), ours(APP, 4401, "the token has expired"));
    for side in [CLIENT, APP] {
        pair.sends(side, &close(side, 4401)).unwrap();
        pair.ends(side, Ending::Eof);
    }
    assert_eq!(pair.end(), (By::Ringside, Why::Expired, Some(4401), Some(4401)));
}

#[test]
fn an_expiry_may_be_ignored() {
    let mut pair = Pair::start(CONFIG, |start| start.expires = Some(start.now + SECOND));
    assert_eq!(pair.session.poll_timeout(), None);
    pair.at(10 * SECOND);
    assert_eq!(pair.got(CLIENT), b"");
}

#[test]
fn an_expiry_waits_for_the_end_of_a_frame() {
    let config = Config { expiry: Some(4401), ..CONFIG };
    let mut pair = Pair::start(config, |start| start.expires = Some(start.now + SECOND));
    let long = text(APP, "a long story");
    pair.sends(APP, &long[..5]).unwrap();
    pair.at(SECOND);
    assert_eq!(pair.got(CLIENT), long[..5]);
    pair.sends(APP, &long[5..]).unwrap();
    assert_eq!(pair.got(CLIENT), [&long[5..], &ours(CLIENT, 4401, "the token has expired")].concat());
}

#[test]
fn a_maximum_age_is_shorter_by_up_to_a_tenth() {
    let config = Config { max_age: Some(100 * SECOND), ..CONFIG };
    for (entropy, age) in [(0, 100), (u64::MAX, 90)] {
        let mut pair = Pair::start(config.clone(), |start| start.entropy = entropy);
        assert_eq!(pair.session.poll_timeout(), Some(pair.start + age * SECOND));
        pair.at(age * SECOND);
        assert_eq!(pair.got(CLIENT), ours(CLIENT, 1001, "the connection has reached its maximum age"));
        pair.at((age + 5) * SECOND);
        assert_eq!(pair.end(), (By::Ringside, Why::MaxAge, Some(1001), None));
    }
}

#[test]
fn the_nearer_of_two_ends_comes() {
    let config = Config { expiry: Some(4401), max_age: Some(100 * SECOND), ..CONFIG };
    for (expires, why) in [(10, Why::Expired), (200, Why::MaxAge)] {
        let mut pair = Pair::start(config.clone(), |start| start.expires = Some(start.now + expires * SECOND));
        pair.at(300 * SECOND);
        pair.at(305 * SECOND);
        assert_eq!(pair.end().1, why);
    }
}

#[test]
fn silence_ends_what_has_no_data_and_pings_are_none() {
    let mut pair = Pair::with(Config { idle: Some(10 * SECOND), ..CONFIG });
    for second in 1..30 {
        pair.at(second * SECOND);
        let from = if second % 2 == 0 { CLIENT } else { APP };
        pair.sends(from, &text(from, "data")).unwrap();
    }
    for second in 30..39 {
        pair.at(second * SECOND);
        pair.sends(CLIENT, &frame(CLIENT, 0x89, b"")).unwrap();
    }
    pair.got(CLIENT);
    pair.got(APP);
    pair.at(39 * SECOND);
    assert_eq!(pair.got(CLIENT), ours(CLIENT, 1000, "no data for too long"));
    assert_eq!(pair.got(APP), ours(APP, 1000, "no data for too long"));
    pair.at(44 * SECOND);
    assert_eq!(pair.end(), (By::Ringside, Why::Idle, Some(1000), None));
}

#[test]
fn a_long_frame_is_data_as_long_as_it_comes() {
    let mut pair = Pair::with(Config { idle: Some(10 * SECOND), ..CONFIG });
    let long = frame(CLIENT, 0x82, &[7; 100]);
    for (second, byte) in (1..).zip(&long) {
        pair.at(second * SECOND);
        pair.sends(CLIENT, &[*byte]).unwrap();
    }
    assert_eq!(pair.got(APP), long);
    assert_eq!(pair.got(CLIENT), b"");
}

#[test]
fn what_lies_beyond_all_time_never_comes() {
    let config = Config { max_age: Some(Duration::MAX), idle: Some(Duration::MAX), ..CONFIG };
    let pair = Pair::with(config);
    assert_eq!(pair.session.poll_timeout(), None);
}
