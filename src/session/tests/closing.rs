//! Every way to the end, on simulated time.

use std::time::Duration;

use super::{APP, CLIENT, CONFIG, DRAIN, Ending, KEY, Pair, Parting, close, frame, ours, text};
use crate::rule::Rule;
use crate::session::{Config, Notice};
use crate::telemetry::end::{By, Why};
use crate::telemetry::record::Counts;

use Parting::{Cut, Orderly};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn either_side_closes_and_the_other_answers() {
    for by in [CLIENT, APP] {
        let other = by.other();
        let mut pair = Pair::new();
        pair.sends(by, &frame(by, 0x88, b"\x0f\xa1bye")).unwrap();
        assert_eq!(pair.got(other), frame(by, 0x88, b"\x0f\xa1bye"), "code and reason pass through");
        assert_eq!(pair.session.poll_timeout(), Some(pair.start + 5 * SECOND));
        assert_eq!(pair.finished, []);

        pair.sends(other, &text(other, "still on its way")).unwrap();
        pair.sends(other, &close(other, 1000)).unwrap();
        assert_eq!(pair.got(by), [text(other, "still on its way"), close(other, 1000)].concat());
        assert_eq!(pair.finished, [CLIENT, APP], "after both Closes we are the first to end the streams");
        assert_eq!(pair.session.end(), None, "the peers' own ends are awaited");

        pair.ends(by, Ending::Eof);
        pair.ends(other, Ending::Eof);
        let (sent, received) = if by == CLIENT { (1000, 4001) } else { (4001, 1000) };
        assert_eq!(pair.end(), (by.into(), Why::Closed, Some(sent), Some(received)));
        assert_eq!(pair.partings(), (Orderly, Orderly));
    }
}

#[test]
fn closes_may_cross_and_be_empty() {
    let mut pair = Pair::new();
    pair.sends(APP, &frame(APP, 0x88, b"")).unwrap();
    pair.sends(CLIENT, &frame(CLIENT, 0x88, b"")).unwrap();
    pair.ends(CLIENT, Ending::Eof);
    pair.ends(APP, Ending::Eof);
    assert_eq!(pair.end(), (By::App, Why::Closed, Some(1005), Some(1005)));
}

#[test]
fn does_not_wait_forever_for_a_fin() {
    let mut pair = Pair::new();
    pair.sends(CLIENT, &close(CLIENT, 1000)).unwrap();
    pair.sends(APP, &close(APP, 1000)).unwrap();
    pair.ends(APP, Ending::Eof);
    pair.at(4 * SECOND);
    assert_eq!(pair.session.end(), None);
    pair.at(5 * SECOND);
    assert_eq!(pair.end(), (By::Client, Why::Closed, Some(1000), Some(1000)), "the handshake itself was done");
    assert_eq!(pair.partings(), (Orderly, Orderly));
    assert_eq!(pair.session.poll_timeout(), None);
}

#[test]
fn an_app_that_does_not_answer_a_close_is_cut_off() {
    let mut pair = Pair::new();
    pair.sends(CLIENT, &close(CLIENT, 1000)).unwrap();
    pair.at(3 * SECOND);
    pair.sends(APP, &text(APP, "chatting on")).unwrap();
    pair.at(5 * SECOND);
    assert_eq!(pair.end(), (By::App, Why::CloseTimeout, None, Some(1000)));
    assert_eq!(pair.got(CLIENT), text(APP, "chatting on"), "no Close is forged");
    assert_eq!(pair.partings(), (Cut, Orderly));
}

#[test]
fn an_app_that_ends_its_stream_instead_of_answering_ends_the_clients() {
    let mut pair = Pair::new();
    pair.sends(CLIENT, &close(CLIENT, 1000)).unwrap();
    pair.ends(APP, Ending::Eof);
    assert_eq!(pair.finished, [CLIENT, APP]);
    assert_eq!(pair.got(CLIENT), b"");
    pair.ends(CLIENT, Ending::Eof);
    assert_eq!(pair.end(), (By::Client, Why::Closed, None, Some(1000)));
}

#[test]
fn an_end_does_not_change_any_more() {
    let mut pair = Pair::new();
    pair.sends(CLIENT, &close(CLIENT, 1000)).unwrap();
    pair.ends(APP, Ending::Eof);
    pair.ends(CLIENT, Ending::Eof);
    let end = pair.end();
    assert_eq!(end, (By::Client, Why::Closed, None, Some(1000)));
    pair.at(5 * SECOND);
    assert_eq!(pair.end(), end, "while the last bytes are written, the deadline passes");

    let mut pair = Pair::new();
    pair.ends(CLIENT, Ending::WriteStalled);
    pair.ends(APP, Ending::Eof);
    let end = pair.end();
    assert_eq!(end, (By::Client, Why::WriteStalled, None, None));
    pair.sends(CLIENT, &close(CLIENT, 1000)).unwrap();
    assert_eq!(pair.end(), end, "what a lost side had sent is read from its socket");
}

#[test]
fn a_client_ends_its_stream_in_order_without_a_close_and_the_app_goes_on() {
    let mut pair = Pair::new();
    pair.sends(CLIENT, &text(CLIENT, "last words")).unwrap();
    pair.ends(CLIENT, Ending::Eof);
    assert_eq!(pair.got(APP), text(CLIENT, "last words"), "no Close is forged");
    assert_eq!(pair.finished, [APP]);
    pair.at(4 * SECOND);
    pair.sends(APP, &text(APP, "answer")).unwrap();
    assert_eq!(pair.got(CLIENT), text(APP, "answer"));
    pair.sends(APP, &close(APP, 1000)).unwrap();
    pair.ends(APP, Ending::Eof);
    assert_eq!(pair.finished, [APP, CLIENT]);
    assert_eq!(pair.end(), (By::Client, Why::Eof, Some(1000), None));
    assert_eq!(pair.partings(), (Orderly, Orderly));
}

/// The client's hint is half of the five seconds, which is its chance in these tests.
const RETRY: &str = "the app is gone; retry-after-ms=2500";

#[test]
fn a_client_learns_between_two_frames_that_its_app_died() {
    for (how, why) in [(Ending::Eof, Why::Eof), (Ending::Truncated, Why::Truncated), (Ending::Reset, Why::Reset)] {
        let mut pair = Pair::new();
        pair.sends(APP, &text(APP, "last words")).unwrap();
        pair.ends(APP, how);
        assert_eq!(pair.got(CLIENT), [text(APP, "last words"), ours(CLIENT, 1012, RETRY)].concat());
        assert_eq!(pair.finished, [], "its answer is awaited");
        pair.sends(CLIENT, &[text(CLIENT, "crossing"), close(CLIENT, 1012)].concat()).unwrap();
        assert_eq!(pair.got(APP).is_empty(), how == Ending::Reset, "a socket that only said no more may still listen");
        pair.ends(CLIENT, Ending::Eof);
        assert_eq!(pair.end(), (By::App, why, Some(1012), Some(1012)), "{how:?}");
        assert_eq!(pair.session.parting(CLIENT), Orderly);
    }
}

#[test]
fn what_was_held_of_a_dead_app_is_no_obstacle() {
    let mut pair = Pair::new();
    pair.sends(APP, &text(APP, "last words")[..1]).unwrap();
    pair.ends(APP, Ending::Eof);
    assert_eq!(pair.got(CLIENT), ours(CLIENT, 1012, RETRY));
    pair.at(5 * SECOND);
    assert_eq!(pair.end(), (By::App, Why::Truncated, Some(1012), None));
}

#[test]
fn a_client_inside_a_frame_of_a_dead_app_is_cut() {
    for (how, why) in [(Ending::Eof, Why::Truncated), (Ending::Reset, Why::Reset)] {
        let mut pair = Pair::new();
        let long = text(APP, "a long story");
        pair.sends(APP, &long[..5]).unwrap();
        pair.ends(APP, how);
        assert_eq!(pair.got(CLIENT), long[..5], "nothing is forged");
        assert_eq!(pair.end(), (By::App, why, None, None));
        assert_eq!(pair.partings(), (Cut, Cut));
    }
}

#[test]
fn the_other_side_of_a_stalled_one_is_told() {
    for by in [CLIENT, APP] {
        let other = by.other();
        let mut pair = Pair::new();
        pair.sends(by, &text(by, "hello")).unwrap();
        pair.ends(by, Ending::WriteStalled);
        assert!(pair.session.is_lost(by));
        let notice = if by == CLIENT { ours(APP, 1001, "") } else { ours(CLIENT, 1011, RETRY) };
        assert_eq!(pair.got(other), [text(by, "hello"), notice].concat());
        pair.ends(by, Ending::Reset);
        pair.sends(other, &[text(other, "too late"), close(other, 1001)].concat()).unwrap();
        assert_eq!(pair.got(by), b"", "nothing more for who does not read");
        pair.ends(other, Ending::Eof);
        let (by, why, ..) = pair.end();
        assert_eq!((by, why), (by, Why::WriteStalled));
        assert_eq!(pair.session.parting(other), Orderly);
        assert_eq!(pair.session.parting(other.other()), Cut);
    }
}

#[test]
fn who_was_lost_inside_a_frame_does_not_get_the_rest() {
    for (how, by) in [(Ending::Reset, APP), (Ending::WriteStalled, APP), (Ending::WriteStalled, CLIENT)] {
        let from = by.other();
        let long = text(from, "a long story");
        let mut pair = Pair::new();
        pair.sends(from, &long[..10]).unwrap();
        pair.ends(by, how);
        assert!(pair.session.is_lost(by));
        pair.sends(from, &[&long[10..], &close(from, 1001)].concat()).unwrap();
        assert_eq!(pair.got(by), long[..10]);
        assert_eq!(pair.session.counts(from), Counts { frames: 1, messages: 0, bytes: 10, compressed: 0 });
        pair.ends(from, Ending::Eof);
        assert_eq!(pair.end().0, by.into());
    }
}

#[test]
fn a_half_open_connection_has_a_deadline() {
    let mut pair = Pair::new();
    pair.ends(CLIENT, Ending::Eof);
    pair.at(5 * SECOND);
    assert_eq!(pair.end(), (By::Client, Why::Eof, None, None));
    assert_eq!(pair.partings(), (Cut, Orderly), "the client misses what the app had yet to say");
}

#[test]
fn a_close_answers_an_end_of_stream() {
    let mut pair = Pair::new();
    pair.ends(CLIENT, Ending::Eof);
    pair.sends(APP, &close(APP, 1000)).unwrap();
    assert_eq!(pair.got(CLIENT), close(APP, 1000));
    assert_eq!(pair.finished, [APP, CLIENT]);
    pair.ends(APP, Ending::Eof);
    assert_eq!(pair.end(), (By::Client, Why::Eof, Some(1000), None));
}

#[test]
fn an_end_inside_a_frame_is_a_truncation() {
    for sent in [1, 5, 8] {
        let mut pair = Pair::new();
        pair.sends(CLIENT, &text(CLIENT, "hello")[..sent]).unwrap();
        pair.ends(CLIENT, Ending::Eof);
        assert_eq!(pair.end(), (By::Client, Why::Truncated, None, None), "after {sent} bytes");
        assert_eq!(pair.partings(), (Cut, Cut));
    }
}

#[test]
fn a_client_that_breaks_off_is_a_cut_to_the_app() {
    for (how, why) in
        [(Ending::Truncated, Why::Truncated), (Ending::Reset, Why::Reset), (Ending::TlsBroken, Why::TlsBroken)]
    {
        let mut pair = Pair::new();
        pair.sends(CLIENT, &text(CLIENT, "hello")).unwrap();
        pair.ends(CLIENT, how);
        assert_eq!(pair.end(), (By::Client, why, None, None));
        assert_eq!(pair.partings(), (Cut, Cut));
        assert_eq!(pair.finished, []);
        pair.sends(APP, &text(APP, "too late")).unwrap();
        assert_eq!(pair.got(CLIENT), b"");
    }
}

#[test]
fn a_close_makes_the_end_of_its_stream_safe() {
    for how in [Ending::Eof, Ending::Truncated] {
        let mut pair = Pair::new();
        pair.sends(CLIENT, &close(CLIENT, 1000)).unwrap();
        pair.ends(CLIENT, how);
        pair.sends(APP, &close(APP, 1000)).unwrap();
        pair.ends(APP, how);
        assert_eq!(pair.end(), (By::Client, Why::Closed, Some(1000), Some(1000)), "{how:?}");
        assert_eq!(pair.partings(), (Orderly, Orderly));
    }
}

#[test]
fn an_app_that_resets_behind_its_close_does_not_take_it_back() {
    let mut pair = Pair::new();
    pair.sends(APP, &close(APP, 1000)).unwrap();
    pair.ends(APP, Ending::Reset);
    assert_eq!(pair.session.end(), None, "the client is still to answer");
    pair.sends(CLIENT, &close(CLIENT, 1000)).unwrap();
    pair.ends(CLIENT, Ending::Eof);
    assert_eq!(pair.end(), (By::App, Why::Closed, Some(1000), Some(1000)));
    assert_eq!(pair.session.parting(CLIENT), Orderly);
}

#[test]
fn a_client_that_resets_behind_its_close_got_no_answer() {
    let mut pair = Pair::new();
    pair.sends(CLIENT, &close(CLIENT, 1000)).unwrap();
    pair.ends(CLIENT, Ending::Reset);
    pair.sends(APP, &close(APP, 1000)).unwrap();
    assert_eq!(pair.got(CLIENT), b"");
    pair.ends(APP, Ending::Eof);
    assert_eq!(pair.end(), (By::Client, Why::Closed, None, Some(1000)));
}

#[test]
fn a_drain_closes_both_sides() {
    let mut pair = Pair::new();
    pair.drains();
    assert_eq!(pair.got(CLIENT), ours(CLIENT, 1001, ""));
    assert_eq!(pair.got(APP), ours(APP, 1001, ""));
    pair.sends(CLIENT, &text(CLIENT, "crossing")).unwrap();
    pair.sends(CLIENT, &close(CLIENT, 1001)).unwrap();
    assert_eq!(pair.got(APP), b"", "our Close was the last it gets");
    assert_eq!(pair.session.counts(CLIENT), Counts::default(), "what does not pass is not counted");
    assert_eq!(pair.finished, [CLIENT]);
    pair.sends(APP, &close(APP, 1001)).unwrap();
    pair.ends(APP, Ending::Eof);
    pair.ends(CLIENT, Ending::Eof);
    assert_eq!(pair.end(), (By::Ringside, Why::Drain, Some(1001), Some(1001)));
    assert_eq!(pair.partings(), (Orderly, Orderly));
}

#[test]
fn our_close_waits_for_the_end_of_a_frame() {
    let mut pair = Pair::new();
    let long = text(APP, "a long story");
    pair.sends(APP, &long[..5]).unwrap();
    pair.drains();
    assert_eq!(pair.got(CLIENT), long[..5]);
    assert_eq!(pair.got(APP), ours(APP, 1001, ""), "the other direction is between frames");
    pair.sends(APP, &long[5..7]).unwrap();
    assert_eq!(pair.got(CLIENT), long[5..7]);
    pair.sends(APP, &[&long[7..], &text(APP, "the next one")].concat()).unwrap();
    assert_eq!(pair.got(CLIENT), [&long[7..], &ours(CLIENT, 1001, "")].concat());
    pair.sends(APP, &close(APP, 1001)).unwrap();
    assert_eq!(pair.finished, [APP]);
    pair.at(5 * SECOND);
    assert_eq!(pair.end(), (By::Ringside, Why::Drain, Some(1001), None));
    assert_eq!(pair.partings(), (Orderly, Orderly));
}

#[test]
fn a_frame_that_does_not_end_is_cut_at_the_deadline() {
    let mut pair = Pair::new();
    let long = text(APP, "a long story");
    pair.sends(APP, &long[..5]).unwrap();
    pair.drains();
    pair.at(5 * SECOND);
    assert_eq!(pair.got(CLIENT), long[..5], "nothing is forged");
    assert_eq!(pair.end(), (By::Ringside, Why::Drain, None, None));
    assert_eq!(pair.partings(), (Cut, Orderly));
}

#[test]
fn a_drain_leaves_a_closing_alone() {
    let mut pair = Pair::new();
    pair.sends(CLIENT, &close(CLIENT, 1000)).unwrap();
    pair.at(SECOND);
    pair.drains();
    pair.sends(APP, &close(APP, 1000)).unwrap();
    assert_eq!(pair.got(CLIENT), close(APP, 1000));
    assert_eq!(pair.session.poll_timeout(), Some(pair.start + 5 * SECOND));
}

#[test]
fn a_violator_is_left_once_it_was_told() {
    let mut pair = Pair::new();
    pair.sends(CLIENT, &frame(CLIENT, 0x83, b"")).unwrap_err();
    assert_eq!(pair.got(CLIENT), ours(CLIENT, 1002, "the client broke reserved_opcode (RFC 6455 section 5.2)"));
    assert_eq!(pair.got(APP), ours(APP, 1001, ""));
    assert_eq!(pair.finished, [CLIENT]);
    pair.sends(APP, &close(APP, 1001)).unwrap();
    assert_eq!(pair.finished, [CLIENT, APP]);
    pair.ends(CLIENT, Ending::Reset);
    pair.ends(APP, Ending::Eof);
    assert_eq!(pair.end(), (By::Client, Why::Violation(Rule::ReservedOpcode), Some(1002), None));
    assert_eq!(pair.partings(), (Orderly, Orderly));
}

#[test]
fn an_app_that_violates_amid_the_clients_frame() {
    let mut pair = Pair::new();
    let long = text(CLIENT, "a long story");
    pair.sends(CLIENT, &long[..9]).unwrap();
    pair.sends(APP, &frame(APP, 0x83, b"")).unwrap_err();
    assert_eq!(pair.got(CLIENT), ours(CLIENT, 1011, ""));
    assert_eq!(pair.got(APP), long[..9]);
    pair.sends(CLIENT, &[&long[9..], &close(CLIENT, 1000)].concat()).unwrap();
    assert_eq!(
        pair.got(APP),
        [&long[9..], &ours(APP, 1002, "the app broke reserved_opcode (RFC 6455 section 5.2)")].concat()
    );
    assert_eq!(pair.finished, [CLIENT, APP]);
    pair.ends(CLIENT, Ending::Eof);
    pair.ends(APP, Ending::Eof);
    assert_eq!(pair.end(), (By::App, Why::Violation(Rule::ReservedOpcode), Some(1011), Some(1000)));
}

#[test]
fn a_fault_replaces_an_orderly_cause_but_not_a_fault() {
    let mut pair = Pair::new();
    pair.sends(CLIENT, &close(CLIENT, 1000)).unwrap();
    pair.sends(APP, &frame(APP, 0x83, b"")).unwrap_err();
    assert_eq!(pair.got(CLIENT), ours(CLIENT, 1011, ""), "it owes the client an answer, we give it");
    pair.ends(APP, Ending::Reset);
    pair.ends(CLIENT, Ending::WriteStalled);
    assert_eq!(pair.end(), (By::App, Why::Violation(Rule::ReservedOpcode), Some(1011), Some(1000)));
}

#[test]
fn a_frame_behind_a_close_does_not_cost_its_sender_the_answer() {
    let mut pair = Pair::new();
    pair.sends(CLIENT, &[close(CLIENT, 1000), text(CLIENT, "late")].concat()).unwrap_err();
    pair.sends(APP, &close(APP, 1000)).unwrap();
    assert_eq!(pair.got(CLIENT), close(APP, 1000));
    pair.ends(CLIENT, Ending::Eof);
    pair.ends(APP, Ending::Eof);
    assert_eq!(pair.end(), (By::Client, Why::Violation(Rule::AfterClose), Some(1000), Some(1000)));
}

#[test]
fn a_wish_is_told_once() {
    let mut pair = Pair::new();
    pair.session.handle_drain(pair.now, pair.start + DRAIN);
    assert!(pair.session.poll_inject(CLIENT, pair.now, KEY).is_some());
    assert!(pair.session.poll_inject(CLIENT, pair.now, KEY).is_none());
    assert!(!pair.session.poll_finish(CLIENT), "its answer is still to come");
    pair.sends(CLIENT, &close(CLIENT, 1001)).unwrap();
    assert_eq!(pair.finished, [CLIENT]);
    assert!(!pair.session.poll_finish(CLIENT));
}

#[test]
fn a_drain_is_over_in_time() {
    let mut pair = Pair::new();
    pair.at(28 * SECOND);
    pair.drains();
    assert_eq!(pair.session.poll_timeout(), Some(pair.start + DRAIN), "less than a closing is given");

    let mut pair = Pair::new();
    pair.at(28 * SECOND);
    pair.sends(CLIENT, &close(CLIENT, 1000)).unwrap();
    pair.drains();
    pair.at(DRAIN);
    assert_eq!(pair.end(), (By::App, Why::CloseTimeout, None, Some(1000)));
}

#[test]
fn a_drain_says_what_it_is_configured_to() {
    let notice = Notice { code: 4000, reason: "moving house".into() };
    let mut pair = Pair::with(Config { drain: notice, ..CONFIG });
    pair.drains();
    assert_eq!(pair.got(CLIENT), ours(CLIENT, 4000, "moving house"));
    assert_eq!(pair.got(APP), ours(APP, 4000, "moving house"));
}
