//! UTF-8 in pieces, masked or not: the standard library's verdict on the whole message is the oracle.
//!
//! The input: whether it is masked, the key, how much of plain text comes first (so that blocks end everywhere), then
//! pieces, each behind its length.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringside::ws::mask;
use ringside::ws::utf8::Utf8;

fuzz_target!(|input: &[u8]| {
    let Some((&[masked, a, b, c, d, plain], mut rest)) = input.split_first_chunk() else { return };
    let mut key = (masked & 1 == 1).then_some([a, b, c, d]);
    let mut message = vec![b'a'; usize::from(plain) * 17];
    let mut ends = vec![message.len()];
    while let Some((&len, behind)) = rest.split_first() {
        let (piece, behind) = behind.split_at(behind.len().min(len.into()));
        message.extend(piece);
        ends.push(message.len());
        rest = behind;
    }
    let culprit = culprit(&message);

    let mut utf8 = Utf8::new();
    let mut start = 0;
    for end in ends {
        let mut piece = message[start..end].to_vec();
        if let Some(key) = &mut key {
            mask::apply(*key, 0, &mut piece);
        }
        let is_refused = utf8.check(&piece, key).is_err();
        let expected = culprit.is_some_and(|culprit| (start..end).contains(&culprit));
        assert_eq!(is_refused, expected, "the piece with the first bad byte is refused, and no other");
        if is_refused {
            return;
        }
        if let Some(key) = &mut key {
            key.rotate_left(piece.len() % 4);
        }
        start = end;
    }
    assert_eq!(utf8.finish().is_ok(), str::from_utf8(&message).is_ok(), "it ends with a character");
    assert!(utf8.finish().is_ok(), "the next message begins afresh");
});

/// The first byte with which no continuation makes `message` good.
fn culprit(message: &[u8]) -> Option<usize> {
    let start = str::from_utf8(message).err()?.valid_up_to();
    let is_bad = |end: &usize| str::from_utf8(&message[start..=*end]).is_err_and(|error| error.error_len().is_some());
    (start..message.len().min(start + 4)).find(is_bad)
}
