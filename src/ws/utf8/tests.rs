//! `std::str::from_utf8` of the whole message is the oracle.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{BLOCK, SMALL_BLOCK, Utf8};
use crate::rule::Rule;
use crate::ws::mask;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Valid,
    /// The piece with this byte was refused.
    RefusedAt(usize),
    /// Every piece was accepted, the end was refused.
    EndsInsideCharacter,
}

/// What is to become of `message`. Only the first byte that no continuation can save decides.
fn expected(message: &[u8]) -> Verdict {
    let Err(error) = std::str::from_utf8(message) else { return Verdict::Valid };
    let Some(error_len) = error.error_len() else { return Verdict::EndsInsideCharacter };
    // The culprit is the byte behind those that could still have begun a character, or the first if it begins none.
    let start = error.valid_up_to();
    let begins_one = std::str::from_utf8(&message[start..=start]).is_err_and(|error| error.error_len().is_none());
    Verdict::RefusedAt(if begins_one { start + error_len } else { start })
}

/// Judges `message` in pieces that end before each of `cuts`, which ascend; masked as one payload if there is a key.
/// The byte reported is the last of the refused piece.
fn judge(message: &[u8], cuts: impl IntoIterator<Item = usize>, key: Option<[u8; 4]>) -> Verdict {
    let mut payload = message.to_vec();
    if let Some(key) = key {
        mask::apply(key, 0, &mut payload);
    }
    let mut utf8 = Utf8::new();
    let mut start = 0;
    for end in cuts.into_iter().chain([payload.len()]) {
        let rotated = key.map(|mut key| {
            key.rotate_left(start % 4);
            key
        });
        if let Err(rule) = utf8.check(&payload[start..end], rotated) {
            assert_eq!(rule, Rule::TextUtf8);
            return Verdict::RefusedAt(end - 1);
        }
        start = end;
    }
    match utf8.finish() {
        Ok(()) => Verdict::Valid,
        Err(rule) => {
            assert_eq!(rule, Rule::TextUtf8);
            assert_eq!(utf8.finish(), Ok(()), "the next message begins afresh");
            Verdict::EndsInsideCharacter
        }
    }
}

/// What [`judge`] is to say: the end of the piece in which the culprit lies.
fn expected_in_pieces(message: &[u8], cuts: &[usize]) -> Verdict {
    match expected(message) {
        Verdict::RefusedAt(at) => {
            Verdict::RefusedAt(cuts.iter().copied().find(|cut| *cut > at).unwrap_or(message.len()) - 1)
        }
        verdict => verdict,
    }
}

/// Judges `message` byte by byte, masked and not, and expects the same of both.
fn byte_by_byte(message: &[u8]) -> Verdict {
    let verdict = judge(message, 1..message.len(), None);
    assert_eq!(judge(message, 1..message.len(), Some(KEY)), verdict, "{message:02x?} masked");
    verdict
}

#[test]
fn accepts_every_class_of_characters() {
    for text in ["", "\0", "Hello", "\u{7f}\u{80}", "\u{7ff}\u{800}", "κόσμε", "天地玄黄", "\u{d7ff}\u{e000}"]
    {
        assert_eq!(byte_by_byte(text.as_bytes()), Verdict::Valid, "{text:?}");
    }
    for text in ["\u{feff}behind a byte order mark", "\u{fffe}\u{ffff}\u{fdd0}", "\u{ffff}\u{10000}", "\u{10ffff}"] {
        assert_eq!(byte_by_byte(text.as_bytes()), Verdict::Valid, "{text:?}");
    }
}

/// A byte that nothing can save is refused when it is there, not when its character would be complete.
#[test]
fn refuses_at_the_first_byte_that_nothing_can_save() {
    let refused: [(&str, &[u8], usize); 22] = [
        ("a lone continuation", b"\x80", 0),
        ("a lone continuation behind a character", b"\xc3\xbc\xbf", 2),
        ("two bytes for an ASCII character", b"\xc0\xaf", 0),
        ("two bytes for an ASCII character", b"\xc1\xbf", 0),
        ("three bytes for what needs one", b"\xe0\x80\xaf", 1),
        ("three bytes for what needs two", b"\xe0\x9f\xbf", 1),
        ("four bytes for what needs one", b"\xf0\x80\x80\xaf", 1),
        ("four bytes for what needs three", b"\xf0\x8f\xbf\xbf", 1),
        ("five bytes", b"\xf8\x88\x80\x80\x80", 0),
        ("six bytes", b"\xfc\x84\x80\x80\x80\x80", 0),
        ("the first surrogate", b"\xed\xa0\x80", 1),
        ("the last surrogate", b"\xed\xbf\xbf", 1),
        ("a pair of surrogates", b"\xed\xa0\x81\xed\xb0\x80", 1),
        ("more than U+10FFFF", b"\xf4\x90\x80\x80", 1),
        ("far more than U+10FFFF", b"\xf5\x80\x80\x80", 0),
        ("FE", b"\xfe", 0),
        ("FF", b"\xff", 0),
        ("ASCII for the second of two", b"\xc3a", 1),
        ("ASCII for the third of three", b"\xe2\x82a", 2),
        ("ASCII for the fourth of four", b"\xf0\x9f\x98a", 3),
        ("a character inside another", b"\xe2\x82\xc3\xbc", 2),
        ("a surrogate between characters", b"\xce\xba\xed\xa0\x80edited", 3),
    ];
    for (what, message, at) in refused {
        assert_eq!(byte_by_byte(message), Verdict::RefusedAt(at), "{what}");
        assert_eq!(expected(message), Verdict::RefusedAt(at), "the oracle on {what}");
        let prefix = &message[..=at];
        assert_eq!(judge(prefix, [], None), Verdict::RefusedAt(at), "{what}, nothing behind the culprit");
    }
}

#[test]
fn refuses_an_end_inside_a_character() {
    for message in [&b"\xc3"[..], b"\xe2", b"\xe2\x82", b"\xf0", b"\xf0\x9f", b"\xf0\x9f\x98", b"ok\xf4\x8f\xbf"] {
        assert_eq!(byte_by_byte(message), Verdict::EndsInsideCharacter, "{message:02x?}");
        assert_eq!(judge(message, [], Some(KEY)), Verdict::EndsInsideCharacter, "{message:02x?}");
    }
}

#[test]
fn empty_pieces_change_nothing() {
    let mut utf8 = Utf8::new();
    for piece in [&b""[..], b"\xf0", b"", b"\x9f\x98", b"", b"\x80", b""] {
        assert_eq!(utf8.check(piece, Some([0; 4])), Ok(()));
    }
    assert_eq!(utf8.finish(), Ok(()));
}

#[test]
fn unmasked_blocks_join_anywhere_in_a_character() {
    for edge in [SMALL_BLOCK, BLOCK, 2 * BLOCK] {
        for start in edge - 4..=edge {
            for (character, valid) in [(&b"\xf0\x9f\x98\x80"[..], true), (b"\xf0\x9f\x98\xc3", false)] {
                let message = [&vec![b'x'; start], character, &[b'y'; 70]].concat();
                let verdict = if valid { Verdict::Valid } else { Verdict::RefusedAt(message.len() - 1) };
                assert_eq!(judge(&message, [], Some(KEY)), verdict, "{character:02x?} at {start}");
            }
        }
    }
}

/// Judges `message` cut in every way there is.
fn assert_at_every_split(message: &[u8]) {
    let places = message.len() - 1;
    for chosen in 0..1_u32 << places {
        let cuts: Vec<_> = (1..=places).filter(|place| chosen >> (place - 1) & 1 == 1).collect();
        let verdict = judge(message, cuts.iter().copied(), None);
        assert_eq!(verdict, expected_in_pieces(message, &cuts), "{message:02x?} cut at {cuts:?}");
    }
}

#[test]
fn judges_all_sequences_of_two_bytes_like_std() {
    for first in 0..=u8::MAX {
        assert_at_every_split(&[first]);
        for second in 0..=u8::MAX {
            assert_at_every_split(&[first, second]);
        }
    }
}

/// The bytes on either side of every border in the table of RFC 3629 section 4.
#[test]
fn judges_longer_sequences_of_border_bytes_like_std() {
    let firsts = [0x7f, 0x80, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5];
    let others = [0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe1, 0xf1];
    for first in firsts {
        for second in others {
            for third in others {
                assert_at_every_split(&[first, second, third]);
                for fourth in others {
                    assert_at_every_split(&[first, second, third, fourth]);
                }
            }
        }
    }
}

#[test]
fn is_small_and_keeps_words_to_itself() {
    assert!(size_of::<Utf8>() <= 4);
    let mut utf8 = Utf8::new();
    assert_eq!(utf8.check(b"secret \xf0\x9f\x98", None), Ok(()));
    assert_eq!(format!("{utf8:?}"), "Utf8 { len: 3, .. }");
}

/// Text of all lengths of characters, and as long as several blocks.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let character = prop_oneof!["[ -~]", "[а-я]", "[一-龥]", "[😀-🙏]", any::<char>().prop_map(String::from)];
    let run =
        (character, prop_oneof![Just(1), 1..40_usize, 1..1500_usize]).prop_map(|(text, times)| text.repeat(times));
    prop::collection::vec(run, 0..8).prop_map(|runs| runs.concat().into_bytes())
}

/// Valid text in which some bytes were replaced or left out, or its end.
fn damaged_text() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::collection::vec((any::<Index>(), any::<Option<u8>>()), 0..3);
    (text(), damage, 0..4_usize).prop_map(|(mut bytes, damage, cut_off)| {
        for (at, replacement) in damage {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match replacement {
                Some(byte) => bytes[at] = byte,
                None => drop(bytes.remove(at)),
            }
        }
        bytes.truncate(bytes.len().saturating_sub(cut_off));
        bytes
    })
}

proptest! {
    /// Whatever the message, its cuts and its mask: std's verdict, in the piece where it is decided.
    #[test]
    fn judges_like_std(
        message in prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..40), 2 => text(), 4 => damaged_text()],
        cuts in prop::collection::vec(any::<Index>(), 0..8),
        key: Option<[u8; 4]>,
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(message.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(judge(&message, cuts.iter().copied(), key), expected_in_pieces(&message, &cuts));
    }
}
