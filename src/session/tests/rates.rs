//! Rates: how a session acts on its meter. The arithmetic is tested with `rate`.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::{APP, CLIENT, CONFIG, Pair, close, frame, ours, text};
use crate::rate::meter::Meter;
use crate::rate::subjects::Subjects;
use crate::rate::{Action, Limit, Limits, Rate};
use crate::rule::Rule;
use crate::session::Violation;
use crate::telemetry::end::Why;

/// The rules that are about rates.
pub(super) const RULES: [Rule; 4] =
    [Rule::MessageRate, Rule::ByteRate, Rule::SubjectMessageRate, Rule::SubjectByteRate];

const SECOND: Duration = Duration::from_secs(1);

fn rate(per_second: u64) -> Option<Rate> {
    NonZeroU64::new(per_second).map(|per_second| Rate { per_second, burst: SECOND })
}

fn metered(limits: Limits) -> Pair {
    let limits = Arc::new(limits);
    Pair::start(CONFIG, |start| start.meter = Meter::new(&limits, Some("ann"), &Subjects::new(), start.now))
}

fn messages(action: Action) -> Limit {
    Limit { messages: rate(10), bytes: None, action }
}

fn bytes(action: Action) -> Limit {
    Limit { messages: None, bytes: rate(1000), action }
}

#[test]
fn each_rate_has_its_rule() {
    let message = text(CLIENT, "x");
    let large = frame(CLIENT, 0x82, &[0; 100]);
    let (of_messages, of_bytes, none) = (messages(Action::Close), bytes(Action::Close), Limit::default());
    for (connection, subject, sent, rule) in [
        (of_messages, none, &message, Rule::MessageRate),
        (of_bytes, none, &large, Rule::ByteRate),
        (none, of_messages, &message, Rule::SubjectMessageRate),
        (none, of_bytes, &large, Rule::SubjectByteRate),
    ] {
        let mut pair = metered(Limits { connection, subject });
        pair.sends(CLIENT, &sent.repeat(10)).unwrap();
        assert_eq!(pair.sends(CLIENT, sent), Err(Violation { by: CLIENT, rule }));
        assert_eq!(
            pair.got(APP),
            [sent.repeat(10), ours(APP, 1001, "")].concat(),
            "{rule}: the one too many is not sent on"
        );
        let reason = format!("the client broke {rule} ({})", rule.source());
        assert_eq!(pair.got(CLIENT), ours(CLIENT, 1008, &reason));
        pair.at(5 * SECOND);
        assert_eq!(pair.end().1, Why::Violation(rule));
    }
}

#[test]
fn fragments_and_control_frames_are_no_messages() {
    let mut pair = metered(Limits { connection: messages(Action::Close), ..Limits::default() });
    let parts = [frame(CLIENT, 0x01, b"a"), frame(CLIENT, 0x89, b""), frame(CLIENT, 0x00, b"b").repeat(10)].concat();
    pair.sends(CLIENT, &[parts, frame(CLIENT, 0x80, b"")].concat()).unwrap();
    pair.sends(CLIENT, &text(CLIENT, "x").repeat(9)).unwrap();
    pair.sends(CLIENT, &text(CLIENT, "x")).unwrap_err();
}

#[test]
fn the_app_may_send_as_it_likes() {
    let mut pair = metered(Limits { connection: messages(Action::Close), ..Limits::default() });
    pair.sends(APP, &text(APP, "x").repeat(1000)).unwrap();
}

#[test]
fn a_throttled_client_is_not_read_from_for_a_while() {
    let mut pair = metered(Limits { connection: messages(Action::Throttle), ..Limits::default() });
    let burst = text(CLIENT, "x").repeat(15);
    pair.sends(CLIENT, &burst).unwrap();
    assert_eq!(pair.got(APP), burst, "what was read is relayed");
    assert!(!pair.session.may_read(CLIENT) && pair.session.may_read(APP) && !pair.session.is_steady());
    assert_eq!(pair.session.poll_timeout(), Some(pair.start + SECOND / 2), "five messages later");
    pair.sends(APP, &text(APP, "still talking")).unwrap();
    pair.at(SECOND / 2);
    assert!(pair.session.may_read(CLIENT) && pair.session.is_steady());
    assert_eq!(pair.session.poll_timeout(), None);
}

#[test]
fn a_throttled_client_is_heard_when_the_end_begins() {
    let mut pair = metered(Limits { connection: messages(Action::Throttle), ..Limits::default() });
    pair.sends(CLIENT, &text(CLIENT, "x").repeat(1000)).unwrap();
    assert!(!pair.session.may_read(CLIENT));
    pair.sends(APP, &close(APP, 1000)).unwrap();
    assert!(pair.session.may_read(CLIENT), "it is to answer");
}

#[test]
fn connections_of_a_subject_share_their_allowance() {
    let subjects = Subjects::new();
    let limits = Arc::new(Limits { subject: messages(Action::Throttle), ..Limits::default() });
    let join = || Pair::start(CONFIG, |start| start.meter = Meter::new(&limits, Some("ann"), &subjects, start.now));
    let (mut one, mut other) = (join(), join());
    one.sends(CLIENT, &text(CLIENT, "x").repeat(10)).unwrap();
    assert!(one.session.may_read(CLIENT));
    other.sends(CLIENT, &text(CLIENT, "x").repeat(10)).unwrap();
    assert!(!other.session.may_read(CLIENT));
    one.sends(CLIENT, &text(CLIENT, "x")).unwrap();
    assert!(!one.session.may_read(CLIENT));
}
