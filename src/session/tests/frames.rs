//! What passes and what does not.

use std::sync::Arc;
use std::time::Duration;

use super::{APP, CLIENT, CONFIG, Ending, HEADROOM, KEY, Pair, Parting, close, frame, ours, text};
use crate::bytesize::ByteSize;
use crate::peer::Side;
use crate::rule::Rule;
use crate::session::{Config, Session, Start, Violation};
use crate::telemetry::counters::Traffic;
use crate::telemetry::end::{By, Why};
use crate::telemetry::record::Counts;
use crate::window::Window;

#[test]
fn relays_frames_verbatim_both_ways() {
    let mut pair = Pair::new();
    let stream = [
        text(CLIENT, "hello"),
        frame(CLIENT, 0x89, b"ping"),
        frame(CLIENT, 0x02, &[7; 5000]),
        frame(CLIENT, 0x8A, b""),
        frame(CLIENT, 0x80, &[8; 300]),
    ]
    .concat();
    pair.sends(CLIENT, &stream).unwrap();
    assert_eq!(pair.got(APP), stream);
    let counts = Counts { frames: 5, messages: 2, bytes: stream.len() as u64, compressed: 0 };
    assert_eq!(pair.session.counts(CLIENT), counts);

    let answer = text(APP, "hi");
    pair.sends(APP, &answer).unwrap();
    assert_eq!(pair.got(CLIENT), answer);
    assert_eq!(pair.session.counts(APP), Counts { frames: 1, messages: 1, bytes: 4, compressed: 0 });
    assert_eq!(pair.session.end(), None);
    assert_eq!(pair.session.poll_timeout(), None);
}

#[test]
fn lets_payload_pass_before_its_frame_is_complete() {
    let mut pair = Pair::new();
    let bytes = text(CLIENT, "hello");
    pair.sends(CLIENT, &bytes[..5]).unwrap();
    assert_eq!(pair.got(APP), b"", "the header is not complete");
    pair.sends(CLIENT, &bytes[5..8]).unwrap();
    assert_eq!(pair.got(APP), bytes[..8]);
    assert_eq!(pair.session.counts(CLIENT), Counts { frames: 1, messages: 0, bytes: 8, compressed: 0 });
    pair.sends(CLIENT, &bytes[8..]).unwrap();
    assert_eq!(pair.got(APP), bytes[8..]);
    assert_eq!(pair.session.counts(CLIENT).messages, 1);
}

#[test]
fn relays_control_frames_whole() {
    let mut pair = Pair::new();
    let ping = frame(CLIENT, 0x89, &[1; 125]);
    assert_eq!(ping.len(), HEADROOM + 1);
    pair.sends(CLIENT, &ping[..ping.len() - 1]).unwrap();
    assert_eq!(pair.got(APP), b"");
    let rest = [&ping[ping.len() - 1..], &text(CLIENT, "x")].concat();
    pair.sends(CLIENT, &rest).unwrap();
    assert_eq!(pair.got(APP), [ping, text(CLIENT, "x")].concat());
}

/// The bytes of one offending frame per rule, sent behind one good frame.
fn offences(by: Side) -> Vec<(Rule, Vec<u8>)> {
    let flipped = |mut bytes: Vec<u8>| {
        bytes[1] ^= 0x80;
        bytes.extend(KEY);
        bytes
    };
    let mask_bit = if by == CLIENT { 0x80 } else { 0 };
    let first = |first: u8| frame(by, first, b"x");
    vec![
        (if by == CLIENT { Rule::ClientUnmasked } else { Rule::AppMasked }, flipped(text(by, "x"))),
        (Rule::ReservedBits, first(0xC1)),
        (Rule::ReservedOpcode, first(0x83)),
        (Rule::ControlFragmented, first(0x09)),
        (Rule::ControlTooLong, frame(by, 0x89, &[0; 126])),
        (Rule::ContinuationWithoutStart, first(0x80)),
        (Rule::LengthNotMinimal, vec![0x82, mask_bit | 0x7E, 0, 125]),
        (Rule::LengthTooLarge, vec![0x82, mask_bit | 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        (Rule::ClosePayload, frame(by, 0x88, b"x")),
        (Rule::CloseCode, close(by, 1006)),
        (Rule::CloseReason, frame(by, 0x88, b"\x03\xe8\xff")),
        (Rule::TextUtf8, frame(by, 0x81, b"\xC3\x28")),
        (Rule::TextUtf8, frame(by, 0x81, b"cut \xE2\x82")),
        (Rule::ControlFlood, frame(by, 0x8A, b"").repeat(101)),
        (Rule::MessageTooBig, frame(by, 0x82, &vec![0; 65_537])),
        (Rule::TooManyFragments, [frame(by, 0x02, b""), frame(by, 0x00, b"").repeat(16)].concat()),
        (Rule::DataInsideMessage, [frame(by, 0x01, b"a"), frame(by, 0x82, b"b")].concat()),
        (Rule::AfterClose, [close(by, 1000), frame(by, 0x81, b"late")].concat()),
    ]
}

#[test]
fn every_rule_has_its_offence() {
    let told: Vec<_> = [CLIENT, APP].into_iter().flat_map(offences).map(|(rule, _)| rule).collect();
    for rule in Rule::ALL {
        assert!(told.contains(&rule) || super::rates::RULES.contains(&rule), "{rule}");
    }
}

#[test]
fn stops_at_an_offence_and_tells_both_sides() {
    for by in [CLIENT, APP] {
        for (rule, offence) in offences(by) {
            let mut pair = Pair::new();
            let good = text(by, "good");
            let verdict = pair.sends(by, &[&good[..], &offence, &text(by, "never")].concat());
            assert_eq!(verdict, Err(Violation { by, rule }));

            let got = pair.got(by.other());
            let (before, rest) = got.split_at(good.len());
            assert_eq!(before, good, "{rule}: what came before is delivered");
            let closes_other = ours(by.other(), if by == CLIENT { 1001 } else { 1011 }, "");
            let (other, is_told) = match rule {
                // Frames of the message that had passed, then our Close.
                Rule::TooManyFragments => {
                    let passed = [frame(by, 0x02, b""), frame(by, 0x00, b"").repeat(15)].concat();
                    ([passed, closes_other].concat(), true)
                }
                Rule::ControlFlood => ([frame(by, 0x8A, b"").repeat(100), closes_other].concat(), true),
                Rule::DataInsideMessage => ([frame(by, 0x01, b"a"), closes_other].concat(), true),
                // Its Close passed; it gets the other side's answer.
                Rule::AfterClose => (close(by, 1000), false),
                _ => (closes_other, true),
            };
            assert_eq!(rest, other, "{rule}");
            let reason = format!("the {by} broke {rule} ({})", rule.source());
            let told = if is_told { ours(by, rule.close_code(), &reason) } else { Vec::new() };
            assert_eq!(pair.got(by), told, "{rule}");

            pair.sends(by, &text(by, "deaf")).unwrap();
            assert_eq!(pair.got(by.other()), b"", "{rule}: nothing passes after a violation");
        }
    }
}

#[test]
fn counts_what_passed_before_an_offence() {
    let mut pair = Pair::new();
    let bytes = [text(CLIENT, "one"), frame(CLIENT, 0x83, b"bad"), text(CLIENT, "two")].concat();
    pair.sends(CLIENT, &bytes).unwrap_err();
    assert_eq!(pair.session.counts(CLIENT), Counts { frames: 1, messages: 1, bytes: 9, compressed: 0 });
}

#[test]
fn drops_what_was_held_of_an_offending_frame() {
    let mut pair = Pair::new();
    pair.sends(APP, &[0x88, 3, 0x03, 0xE8]).unwrap();
    pair.sends(APP, &[0xFF]).unwrap_err();
    assert_eq!(pair.got(CLIENT), ours(CLIENT, 1011, ""));
}

#[test]
fn text_is_checked_across_fragments_and_reads() {
    let euro = "\u{20AC}".as_bytes();
    for by in [CLIENT, APP] {
        for cut in 1..3 {
            let good =
                [frame(by, 0x01, &euro[..cut]), frame(by, 0x89, b"between"), frame(by, 0x80, &euro[cut..])].concat();
            let mut pair = Pair::new();
            for byte in good.chunks(1) {
                pair.sends(by, byte).unwrap();
            }
            assert_eq!(pair.got(by.other()), good);

            let bad = [frame(by, 0x01, &euro[..cut]), frame(by, 0x80, b"!")].concat();
            let mut pair = Pair::new();
            assert_eq!(pair.sends(by, &bad), Err(Violation { by, rule: Rule::TextUtf8 }));
            let code = if by == CLIENT { 1001 } else { 1011 };
            let passed = [frame(by, 0x01, &euro[..cut]), ours(by.other(), code, "")].concat();
            assert_eq!(pair.got(by.other()), passed, "the fragment that was good had passed");
        }
    }
}

#[test]
fn a_receiver_amid_bad_text_is_cut_at_once() {
    let long = frame(CLIENT, 0x81, b"good so far, then \xFF, and more");
    let mut pair = Pair::new();
    pair.sends(CLIENT, &long[..20]).unwrap();
    assert_eq!(pair.sends(CLIENT, &long[20..]), Err(Violation { by: CLIENT, rule: Rule::TextUtf8 }));
    assert_eq!(pair.got(APP), long[..20], "nothing of what was found bad, and nothing forged");
    assert!(pair.session.is_lost(APP), "its socket is to be shut");
    assert_eq!(pair.got(CLIENT), ours(CLIENT, 1007, "the client broke text_utf8 (RFC 6455 section 8.1)"));
    assert_eq!(pair.finished, [CLIENT]);
    pair.ends(CLIENT, Ending::Eof);
    assert_eq!(pair.end(), (By::Client, Why::Violation(Rule::TextUtf8), Some(1007), None));
    assert_eq!(pair.partings(), (Parting::Orderly, Parting::Cut));
}

#[test]
fn bad_text_from_within_a_frame_to_within_a_frame_leaves_nothing_to_say() {
    let mut pair = Pair::new();
    pair.sends(APP, &text(APP, "a long story")[..5]).unwrap();
    let long = frame(CLIENT, 0x81, b"good so far, then \xFF, and more");
    pair.sends(CLIENT, &long[..20]).unwrap();
    pair.sends(CLIENT, &long[20..]).unwrap_err();
    assert_eq!(pair.end(), (By::Client, Why::Violation(Rule::TextUtf8), None, None));
    assert_eq!(pair.partings(), (Parting::Cut, Parting::Cut));
}

#[test]
fn what_is_no_text_may_be_anything() {
    let mut pair = Pair::start(CONFIG, |start| start.deflate = true);
    let compressed = [frame(CLIENT, 0x41, b"\xFF"), frame(CLIENT, 0x80, b"\xFE")].concat();
    let bytes = [frame(CLIENT, 0x82, b"\xFF"), compressed, frame(CLIENT, 0x89, b"\xFF")].concat();
    pair.sends(CLIENT, &bytes).unwrap();
    assert_eq!(pair.got(APP), bytes);
    assert_eq!(pair.session.counts(CLIENT).compressed, 1);
    pair.sends(CLIENT, &frame(CLIENT, 0x81, b"\xFF")).unwrap_err();

    let mut pair = Pair::with(Config { validate_utf8: false, ..CONFIG });
    pair.sends(CLIENT, &frame(CLIENT, 0x81, b"\xFF")).unwrap();
}

#[test]
fn control_frames_may_come_as_long_as_data_comes_or_time_goes_by() {
    let pongs = |n| frame(CLIENT, 0x8A, b"").repeat(n);
    let mut pair = Pair::new();
    for _ in 0..5 {
        pair.sends(CLIENT, &[pongs(100), text(CLIENT, "x")].concat()).unwrap();
    }
    pair.sends(CLIENT, &pongs(100)).unwrap();
    pair.at(Duration::from_millis(500));
    pair.sends(CLIENT, &pongs(50)).unwrap();
    assert_eq!(pair.sends(CLIENT, &pongs(1)), Err(Violation { by: CLIENT, rule: Rule::ControlFlood }));
}

#[test]
fn passes_compressed_messages_where_deflate_was_agreed() {
    let mut pair = Pair::start(CONFIG, |start| start.deflate = true);
    let bytes = [frame(APP, 0x41, b"abc"), frame(APP, 0x80, b"def")].concat();
    pair.sends(APP, &bytes).unwrap();
    assert_eq!(pair.got(CLIENT), bytes);
}

#[test]
fn ignores_pings_and_pongs_behind_a_close() {
    let mut pair = Pair::new();
    pair.sends(CLIENT, &[close(CLIENT, 1000), frame(CLIENT, 0x8A, b"pong"), frame(CLIENT, 0x89, b"ping")].concat())
        .unwrap();
    assert_eq!(pair.got(APP), close(CLIENT, 1000));
    pair.sends(APP, &close(APP, 1000)).unwrap();
    pair.ends(CLIENT, Ending::Eof);
    pair.ends(APP, Ending::Eof);
    assert_eq!(pair.end(), (By::Client, Why::Closed, Some(1000), Some(1000)));
}

#[test]
fn a_huge_payload_in_flight_is_not_looked_at() {
    let config = Config { message: ByteSize::mib(1 << 20), ..CONFIG };
    let mut pair = Pair::with(config);
    let length: u64 = 1 << 40;
    pair.sends(APP, &[&[0x82, 127][..], &length.to_be_bytes()].concat()).unwrap();
    // What would be frames of any kind, were they not payload.
    let payload: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    pair.got(CLIENT);
    pair.sends(APP, &payload).unwrap();
    assert_eq!(pair.got(CLIENT), payload);
}

#[test]
fn needs_no_room_while_nothing_is_held() {
    let start = Start { deflate: false, expires: None, meter: None, entropy: 0, now: std::time::Instant::now() };
    let mut session = Session::new(Arc::new(CONFIG), start);
    let mut buf = text(APP, "hello");
    let mut filled = 0..buf.len();
    let mut window = Window::new(&mut buf, &mut filled);
    session.handle_bytes(APP, &mut window, (&Traffic::default()).into(), std::time::Instant::now()).unwrap();
    assert_eq!(window.len(), 7);
}
