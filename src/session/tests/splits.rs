//! The same stream cut in any way gives the same result.

use proptest::prelude::*;

use super::{APP, CLIENT, Pair, close, frame, text};
use crate::peer::Side;
use crate::session::{Ending, Violation};
use crate::telemetry::end::End;
use crate::telemetry::record::Counts;

/// Frames of `from`, mostly good, and possibly a few bytes of anything at the end.
pub(super) fn stream(from: Side) -> impl Strategy<Value = Vec<u8>> {
    let payload = || prop::collection::vec(any::<u8>(), 0..140);
    let piece = prop_oneof![
        8 => payload().prop_map(move |p| frame(from, 0x82, &p)),
        4 => payload().prop_map(move |p| [frame(from, 0x02, &p), frame(from, 0x89, b"in between"),
            frame(from, 0x00, b""), frame(from, 0x80, &p)].concat()),
        4 => prop::collection::vec(any::<u8>(), 0..126).prop_map(move |p| frame(from, 0x8A, &p)),
        1 => (65_536..70_000_usize).prop_map(move |len| frame(from, 0x82, &vec![0; len])),
        1 => prop_oneof![Just(1000_u16), Just(1006), Just(4000)].prop_map(move |code| close(from, code)),
        1 => (any::<u8>(), payload()).prop_map(move |(first, p)| frame(from, first, &p)),
    ];
    let tail = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any::<u8>(), 0..20)];
    (prop::collection::vec(piece, 0..8), tail).prop_map(|(pieces, tail)| [pieces.concat(), tail].concat())
}

#[derive(Debug, PartialEq)]
struct Outcome {
    to_client: Vec<u8>,
    to_app: Vec<u8>,
    verdicts: Vec<Violation>,
    counts: (Counts, Counts),
    finished: Vec<Side>,
    end: Option<End>,
}

/// Plays one stream after the other, each cut by `cuts` (lengths, over and over).
fn play(streams: &[(Side, &[u8])], cuts: &[usize]) -> Outcome {
    let mut pair = Pair::new();
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
    let end_of_stream = |pair: &mut Pair, side| pair.ends(side, Ending::Eof);
    end_of_stream(&mut pair, CLIENT);
    end_of_stream(&mut pair, APP);
    Outcome {
        to_client: pair.got(CLIENT),
        to_app: pair.got(APP),
        verdicts,
        counts: (pair.session.counts(CLIENT), pair.session.counts(APP)),
        finished: pair.finished.clone(),
        end: pair.session.end(),
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_result(
        client in stream(CLIENT), app in stream(APP), cuts in prop::collection::vec(1..40_usize, 1..12),
    ) {
        let streams = [(CLIENT, &client[..]), (APP, &app[..])];
        let whole = play(&streams, &[]);
        prop_assert_eq!(&play(&streams, &cuts), &whole);
        let streams = [(APP, &app[..]), (CLIENT, &client[..])];
        let whole = play(&streams, &[]);
        prop_assert_eq!(&play(&streams, &cuts), &whole);
    }
}

#[test]
fn every_split_point_of_a_whole_story() {
    let client = [
        text(CLIENT, "hello"),
        frame(CLIENT, 0x02, &[1; 200]),
        frame(CLIENT, 0x89, &[2; 125]),
        frame(CLIENT, 0x80, &vec![3; 65_536]),
        frame(CLIENT, 0x88, b"\x03\xe8bye"),
    ]
    .concat();
    let streams = [(CLIENT, &client[..])];
    let whole = play(&streams, &[]);
    assert_eq!(whole.verdicts, [Violation { by: CLIENT, rule: crate::rule::Rule::MessageTooBig }]);
    let judged = 11 + 208 + 131 + 14;
    for cut in 1..judged {
        assert_eq!(play(&streams, &[cut, usize::MAX]), whole, "cut at {cut}");
    }
    assert_eq!(play(&streams, &[1]), whole, "byte by byte");
}
