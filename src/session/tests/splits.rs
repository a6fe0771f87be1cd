//! The same stream cut in any way gives the same result.
//!
//! But for text that turns out bad in a later read than its header: of that frame has passed what came before. There the
//! result is the same up to this: all frames before it pass, of it a part, and neither the byte that makes it bad nor
//! what follows. Its receiver gets our Close when no part of it passed, and is given up otherwise.

use std::time::Duration;

use proptest::prelude::*;

use super::{APP, CLIENT, CONFIG, ENTROPY, Pair, close, frame, text};
use crate::opcode::Opcode;
use crate::peer::Side;
use crate::rule::Rule;
use crate::session::{Config, Ending, Keepalive, Violation};
use crate::telemetry::end::End;
use crate::telemetry::record::Counts;
use crate::ws::header::Header;
use crate::ws::mask;

const SECOND: Duration = Duration::from_secs(1);
/// Characters of one to four bytes.
const CHARACTERS: &str = "aß€🦀";

/// The answer of `from` to the first of our Pings.
fn our_pong(from: Side) -> Vec<u8> {
    frame(from, 0x8A, &[b"ringside", &ENTROPY.to_be_bytes()[4..], &1_u32.to_be_bytes()].concat())
}

/// A text message in two fragments with a Ping between them, cut at a byte.
fn fragments(from: Side, message: &[u8], at: usize) -> Vec<u8> {
    let (first, second) = message.split_at(at.min(message.len()));
    [frame(from, 0x01, first), frame(from, 0x89, b"in between"), frame(from, 0x80, second)].concat()
}

/// Frames of `from`, `pong` among them, mostly good, and possibly a few bytes of anything at the end.
pub(super) fn stream(from: Side, pong: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let payload = || prop::collection::vec(any::<u8>(), 0..140);
    let words = || "[a-zß€🦀]{0,40}".prop_map(String::into_bytes);
    // At most one byte of it may be bad.
    let doubtful = || {
        (words(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut words, at, byte)| {
            words.push(b'!');
            let at = at.index(words.len());
            words[at] = byte;
            words
        })
    };
    let piece = prop_oneof![
        6 => payload().prop_map(move |p| frame(from, 0x82, &p)),
        4 => words().prop_map(move |w| frame(from, 0x81, &w)),
        4 => (words(), 0..60_usize).prop_map(move |(w, at)| fragments(from, &w, at)),
        1 => doubtful().prop_map(move |w| frame(from, 0x81, &w)),
        1 => (doubtful(), 0..60_usize).prop_map(move |(w, at)| fragments(from, &w, at)),
        1 => payload().prop_map(move |p| [frame(from, 0x41, &p), frame(from, 0x80, &p)].concat()),
        3 => payload().prop_map(move |p| [frame(from, 0x02, &p), frame(from, 0x89, b"in between"),
            frame(from, 0x00, b""), frame(from, 0x80, &p)].concat()),
        3 => prop::collection::vec(any::<u8>(), 0..126).prop_map(move |p| frame(from, 0x8A, &p)),
        2 => Just(pong),
        1 => (90..110_usize).prop_map(move |n| frame(from, 0x89, b"").repeat(n)),
        1 => (65_536..70_000_usize).prop_map(move |len| frame(from, 0x82, &vec![0; len])),
        1 => prop_oneof![Just(1000_u16), Just(1006), Just(4000)].prop_map(move |code| close(from, code)),
        1 => (any::<u8>(), payload()).prop_map(move |(first, p)| frame(from, first, &p)),
    ];
    let tail = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any::<u8>(), 0..20)];
    (prop::collection::vec(piece, 0..8), tail).prop_map(|(pieces, tail)| [pieces.concat(), tail].concat())
}

#[derive(Debug, PartialEq)]
struct Outcome {
    /// By receiver: what it got of the other side, and the Close that it got of us behind that.
    got: [(Vec<u8>, Option<Vec<u8>>); 2],
    verdicts: Vec<Violation>,
    /// By sender.
    counts: [Counts; 2],
    pongs: [u64; 2],
    /// Sides that were given up.
    lost: Vec<Side>,
    finished: Vec<Side>,
    end: Option<End>,
}

/// Plays one stream after the other, each cut by `cuts` (lengths, over and over). Both sides have got a Ping before.
fn play(streams: &[(Side, &[u8])], cuts: &[usize]) -> Outcome {
    let keepalive = Keepalive { client: Some(30 * SECOND), app: Some(30 * SECOND), ..CONFIG.keepalive };
    let mut pair = Pair::start(Config { keepalive, ..CONFIG }, |start| start.deflate = true);
    pair.at(30 * SECOND);
    for (to, ping) in std::mem::take(&mut pair.injected) {
        assert_eq!(pair.got(to), ping.as_bytes());
    }
    let mut verdicts = Vec::new();
    let mut cuts = cuts.iter().copied().cycle();
    for (from, bytes) in streams {
        let mut rest = *bytes;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(cuts.next().unwrap_or(usize::MAX).min(rest.len()));
            verdicts.extend(pair.sends(*from, piece).err());
            rest = later;
        }
    }
    let lost = [CLIENT, APP].into_iter().filter(|side| pair.session.is_lost(*side)).collect();
    for side in [CLIENT, APP] {
        pair.ends(side, Ending::Eof);
    }
    Outcome {
        got: [CLIENT, APP].map(|to| relayed_and_ours(&mut pair, to)),
        verdicts,
        counts: [CLIENT, APP].map(|from| pair.session.counts(from)),
        pongs: [CLIENT, APP].map(|from| pair.counters.from(from).pongs.get()),
        lost,
        finished: pair.finished.clone(),
        end: pair.session.end(),
    }
}

fn relayed_and_ours(pair: &mut Pair, to: Side) -> (Vec<u8>, Option<Vec<u8>>) {
    let close = pair.injected.iter().find(|(side, _)| *side == to).map(|(_, frame)| frame.as_bytes().to_vec());
    let mut relayed = pair.got(to);
    if let Some(close) = &close {
        assert_eq!(relayed.split_off(relayed.len() - close.len()), *close, "our Close is the last");
    }
    (relayed, close)
}

/// A frame that makes a text message bad.
#[derive(Debug)]
struct Offence {
    /// Where the frame starts.
    frame: usize,
    /// Where its payload starts.
    payload: usize,
    /// The byte that does it; the last when something is missing behind it. Before `payload` when there is none.
    byte: usize,
}

/// The first offence in `stream`, whose frames are good.
fn offence(stream: &[u8]) -> Offence {
    let is_bad = |text: &[u8]| str::from_utf8(text).is_err_and(|error| error.error_len().is_some());
    let (mut message, mut is_text, mut start) = (Vec::new(), false, 0);
    loop {
        let header = Header::parse(&stream[start..]).unwrap().unwrap();
        let payload = start + header.header_len;
        let end = start + usize::try_from(header.frame_len()).unwrap();
        if matches!(header.opcode, Opcode::Text | Opcode::Binary) {
            is_text = header.opcode == Opcode::Text && header.rsv == 0;
            message.clear();
        }
        if is_text && !header.opcode.is_control() {
            let mut clear = stream[payload..end.min(stream.len())].to_vec();
            mask::apply(header.mask.unwrap_or_default(), 0, &mut clear);
            for (byte, clear) in (payload..).zip(clear) {
                message.push(clear);
                if is_bad(&message) {
                    return Offence { frame: start, payload, byte };
                }
            }
            if header.fin && str::from_utf8(&message).is_err() {
                return Offence { frame: start, payload, byte: end - 1 };
            }
        }
        start = end;
    }
}

/// Whether `streams` end the same whole and cut.
fn check(streams: &[(Side, &[u8])], cuts: &[usize]) {
    let (whole, cut) = (play(streams, &[]), play(streams, cuts));
    let bad_text = whole.verdicts.iter().find(|violation| violation.rule == Rule::TextUtf8);
    let Some(Violation { by, .. }) = bad_text else {
        assert_eq!(cut, whole);
        return;
    };
    let (from, to) = (*by as usize, by.other() as usize);
    let (before, part) = (&whole.got[to].0, &cut.got[to].0);
    if part == before {
        assert_eq!(cut, whole, "between frames it is told");
        return;
    }
    let up_to_offence = |&(side, bytes): &(Side, _)| {
        let bytes: &[u8] = bytes;
        (side, if side == *by { &bytes[..offence(bytes).byte] } else { bytes })
    };
    let most = play(&streams.iter().map(up_to_offence).collect::<Vec<_>>(), &[1]);
    assert!(part.starts_with(before), "all frames before it pass");
    assert!(most.got[to].0.starts_with(part), "what makes it bad does not");
    assert_eq!(cut.got[to].1, None, "nothing is put into a frame");
    assert_eq!(cut.lost, [by.other()]);

    assert_eq!(cut.verdicts, whole.verdicts);
    assert_eq!(cut.got[from], whole.got[from], "the offender is told the same");
    assert_eq!((cut.counts[to], cut.pongs), (whole.counts[to], whole.pongs));
    let counts = Counts { frames: whole.counts[from].frames + 1, bytes: part.len() as u64, ..whole.counts[from] };
    assert_eq!(cut.counts[from], counts);
    let cause = |outcome: &Outcome| outcome.end.map(|end| (end.by, end.why, end.code_received));
    assert_eq!(cause(&cut), cause(&whole));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_split_gives_the_same_result(
        client in stream(CLIENT, our_pong(CLIENT)), app in stream(APP, our_pong(APP)),
        cuts in prop::collection::vec(1..40_usize, 1..12),
    ) {
        check(&[(CLIENT, &client), (APP, &app)], &cuts);
        check(&[(APP, &app), (CLIENT, &client)], &cuts);
    }
}

#[test]
fn every_split_point_of_a_whole_story() {
    for from in [CLIENT, APP] {
        let good = [
            text(from, CHARACTERS),
            our_pong(from),
            (0..=CHARACTERS.len()).flat_map(|at| fragments(from, CHARACTERS.as_bytes(), at)).collect(),
            frame(from, 0xC1, b"\xFF compressed"),
            our_pong(from),
            frame(from, 0x02, &[1; 200]),
            frame(from, 0x89, &[2; 125]),
        ]
        .concat();
        let judged = [&good[..], &frame(from, 0x80, &vec![3; 65_536])[..14]].concat();
        let whole = play(&[(from, &judged)], &[]);
        assert_eq!(whole.verdicts, [Violation { by: from, rule: Rule::MessageTooBig }]);
        assert_eq!(whole.got[from.other() as usize].0.len(), good.len() - 2 * our_pong(from).len());
        assert_eq!(whole.pongs[from as usize], 2);
        for cut in 1..judged.len() {
            assert_eq!(play(&[(from, &judged)], &[cut, usize::MAX]), whole, "cut at {cut}");
        }
        assert_eq!(play(&[(from, &judged)], &[1]), whole, "byte by byte");
    }
}

/// By a byte, by a surrogate, by the end of the message; in a frame, and in fragments cut at every byte.
#[test]
fn every_split_point_of_a_text_that_is_bad() {
    for from in [CLIENT, APP] {
        let good = [our_pong(from), text(from, CHARACTERS)].concat();
        let (ours, to) = (our_pong(from).len(), from.other() as usize);
        for bad in
            [&b"a\xC3\x9F\xFF, and more"[..], b"\xE2\x82\xACa\xE2\x82!", b"\xF0\x9F\xA6", b"\xED\xA0\x80", b"\xC3"]
        {
            let fragments = (0..=bad.len()).map(|at| fragments(from, bad, at));
            for story in fragments.chain([frame(from, 0x81, bad)]) {
                let stream = [&good[..], &story, &text(from, "never")].concat();
                let Offence { frame, payload, byte } = offence(&stream);
                for cut in 1..stream.len() {
                    check(&[(from, &stream)], &[cut, usize::MAX]);
                    let outcome = play(&[(from, &stream)], &[cut, usize::MAX]);
                    assert_eq!(outcome.verdicts, [Violation { by: from, rule: Rule::TextUtf8 }]);
                    let passed = if (payload..=byte).contains(&cut) { cut } else { frame };
                    assert_eq!(outcome.got[to].0, stream[ours..passed], "cut at {cut}");
                }
                check(&[(from, &stream)], &[1]);
                let outcome = play(&[(from, &stream)], &[1]);
                let passed = if byte < payload { frame } else { byte };
                assert_eq!(outcome.got[to].0, stream[ours..passed], "byte by byte");
            }
        }
    }
}

#[test]
fn a_control_flood_is_one_however_it_is_cut() {
    for from in [CLIENT, APP] {
        let flood = [text(from, CHARACTERS), our_pong(from), frame(from, 0x89, b"x").repeat(100)].concat();
        let whole = play(&[(from, &flood)], &[]);
        assert_eq!(whole.verdicts, [Violation { by: from, rule: Rule::ControlFlood }]);
        assert_eq!(whole.counts[from as usize].frames, 1 + 99, "our Pong was one of a hundred");
        for cut in 1..flood.len() {
            assert_eq!(play(&[(from, &flood)], &[cut, usize::MAX]), whole, "cut at {cut}");
        }
    }
}
