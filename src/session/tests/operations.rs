//! Any sequence of events, in any order: no panic, and what every session promises.

use std::time::Duration;

use proptest::prelude::*;

use super::splits::stream;
use super::{APP, CLIENT, CONFIG, Pair};
use crate::peer::Side;
use crate::session::{Ending, Parting};
use crate::ws::header::{Header, Opcode};

#[derive(Clone, Debug)]
enum Operation {
    Sends(Side, Vec<u8>),
    Ends(Side, Ending),
    Waits(Duration),
    Drains,
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![CLIENT, APP])
}

fn operation() -> impl Strategy<Value = Operation> {
    let ending = prop::sample::select(vec![
        Ending::Eof,
        Ending::Eof,
        Ending::Eof,
        Ending::Truncated,
        Ending::Reset,
        Ending::WriteStalled,
        Ending::TlsBroken,
    ]);
    let part = |from| {
        (stream(from), 0..1000_usize, 0..1000_usize).prop_map(move |(bytes, skip, keep)| {
            let bytes = if skip < 100 { &bytes[skip.min(bytes.len())..] } else { &bytes[..] };
            Operation::Sends(from, bytes[..keep.min(bytes.len())].to_vec())
        })
    };
    prop_oneof![
        6 => part(CLIENT),
        6 => part(APP),
        1 => (side(), prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(s, b)| Operation::Sends(s, b)),
        2 => (side(), ending).prop_map(|(side, how)| Operation::Ends(side, how)),
        2 => (0..3000_u64).prop_map(|ms| Operation::Waits(Duration::from_millis(ms))),
        1 => Just(Operation::Drains),
    ]
}

/// What `to` has got: whether it ends at a frame boundary, and whether a Close frame is the last.
///
/// Panics when a header is broken, a control frame is not whole, or something follows a Close frame.
fn read_back(written: &[u8], to: Side) -> (bool, bool) {
    let mut rest = written;
    let mut closed = false;
    while !rest.is_empty() {
        assert!(!closed, "something follows a Close frame");
        let header = Header::parse(rest).expect("a good header").expect("a whole header");
        assert_eq!(header.mask.is_some(), to == APP, "masked toward the app only");
        closed = header.opcode == Opcode::Close;
        let end = usize::try_from(header.frame_len()).unwrap();
        let Some(after) = rest.get(end..) else {
            assert!(!header.opcode.is_control(), "a control frame is whole");
            return (false, false);
        };
        rest = after;
    }
    (true, closed)
}

/// Finds what is promised of a session broken at any moment.
fn check(pair: &Pair) {
    for (to, written) in [(CLIENT, &pair.to_client), (APP, &pair.to_app)] {
        let (at_boundary, closed) = read_back(written, to);
        let finished = pair.finished.contains(&to);
        assert!(!finished || at_boundary, "ended in order inside a frame");
        let has_closed = pair.session.poll_timeout().is_some() || pair.session.end().is_some();
        assert!(!closed || has_closed, "a Close went out and nothing bounds the rest");
        // A peer that was gone before has nothing to be told.
        if !pair.session.flow(to).ends.has_had_its_say() {
            assert_eq!(pair.session.parting(to) == Parting::Orderly, closed || finished, "{to}: a cut told as an end");
        }
    }
    let bytes = pair.session.counts(CLIENT).bytes;
    assert!(bytes <= pair.to_app.len() as u64, "counted more than passed");
}

proptest! {
    #[test]
    fn keeps_its_promises(operations in prop::collection::vec(operation(), 0..24)) {
        let mut pair = Pair::new();
        let mut elapsed = Duration::ZERO;
        for operation in operations {
            let end = pair.session.end().map(|_| (pair.to_client.len(), pair.to_app.len()));
            match operation {
                Operation::Sends(from, bytes) => drop(pair.sends(from, &bytes)),
                Operation::Ends(from, how) => pair.ends(from, how),
                Operation::Waits(time) => {
                    elapsed += time;
                    pair.at(elapsed);
                }
                Operation::Drains => pair.drains(),
            }
            check(&pair);
            if let Some(before) = end {
                prop_assert_eq!((pair.to_client.len(), pair.to_app.len()), before, "something passed after the end");
            }
        }
        if pair.session.poll_timeout().is_some() || pair.session.end().is_some() {
            pair.at(elapsed + CONFIG.closing);
            prop_assert!(pair.session.end().is_some(), "a closing outlived its deadline");
        }
    }
}
