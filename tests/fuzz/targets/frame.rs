//! Frame headers: tungstenite is the oracle, but where we are stricter by name.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use ringside::rule::Rule;
use ringside::ws::header::Header;
use tungstenite::protocol::frame::FrameHeader;

/// What tungstenite reads: the header, the payload's length and the header's own.
fn oracle(bytes: &[u8]) -> Result<Option<(FrameHeader, u64, usize)>, tungstenite::Error> {
    let mut cursor = Cursor::new(bytes);
    let found = FrameHeader::parse(&mut cursor)?;
    Ok(found.map(|(header, length)| (header, length, usize::try_from(cursor.position()).unwrap())))
}

/// Whether the header at the start of `bytes` really breaks `rule`. tungstenite leaves all but the first to its callers,
/// or takes them.
fn breaks(bytes: &[u8], rule: Rule) -> bool {
    let opcode = bytes[0] & 0x0F;
    let short = || bytes[1] & 0x7F;
    let long = || u64::from_be_bytes(bytes[2..10].try_into().unwrap());
    match rule {
        Rule::ReservedOpcode => matches!(opcode, 3..=7 | 11..=15),
        Rule::ControlFragmented => opcode >= 8 && bytes[0] & 0x80 == 0,
        Rule::ControlTooLong => opcode >= 8 && short() > 125,
        Rule::LengthNotMinimal if short() == 126 => u16::from_be_bytes([bytes[2], bytes[3]]) < 126,
        Rule::LengthNotMinimal => short() == 127 && long() <= 0xFFFF,
        Rule::LengthTooLarge => short() == 127 && long() >> 63 == 1,
        _ => false,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let verdict = Header::parse(bytes);
    match verdict {
        Ok(Some(ours)) => {
            let (theirs, length, header_len) = oracle(bytes).expect("a header to both").expect("a whole one");
            assert_eq!(ours.fin, theirs.is_final);
            assert_eq!(ours.rsv, u8::from(theirs.rsv1) << 2 | u8::from(theirs.rsv2) << 1 | u8::from(theirs.rsv3));
            assert_eq!(ours.opcode.bits(), u8::from(theirs.opcode));
            assert_eq!(ours.mask, theirs.mask);
            assert_eq!((ours.length, ours.header_len), (length, header_len));
            assert_eq!(theirs.len(length), header_len, "the shortest form");
            assert!(ours.header_len <= Header::MAX_LEN);
            assert!(!ours.opcode.is_control() || ours.length <= 125 && ours.fin);
        }
        Ok(None) => assert!(oracle(bytes).is_ok_and(|found| found.is_none()), "both miss bytes"),
        Err(rule) => assert!(breaks(bytes, rule), "{rule} is not broken"),
    }
    // However the stream was cut into reads, the verdict is the same.
    for cut in 0..bytes.len().min(Header::MAX_LEN + 1) {
        let early = Header::parse(&bytes[..cut]);
        assert!(early == Ok(None) || early == verdict, "cut at {cut}");
    }
});
