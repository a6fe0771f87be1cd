//! Every rule of one frame and of the order of frames, in the bytes of the wire.

use proptest::prelude::*;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::close::{CloseFrame, NO_STATUS, may_be_sent};
use super::control::ControlFrame;
use super::header::Header;
use super::mask;
use super::sequence::{Sequence, Terms};
use crate::opcode::Opcode;
use crate::peer::Side;
use crate::rule::Rule;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn header(bytes: &[u8]) -> Header {
    Header::parse(bytes).unwrap().unwrap()
}

#[test]
fn reads_the_headers_of_the_rfc_examples() {
    let text = Header { fin: true, rsv: 0, opcode: Opcode::Text, mask: None, length: 5, header_len: 2 };
    assert_eq!(header(&[0x81, 0x05]), text);
    assert_eq!(header(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d]), Header { mask: Some(KEY), header_len: 6, ..text });
    assert_eq!(header(&[0x01, 0x03]), Header { fin: false, length: 3, ..text });
    assert_eq!(header(&[0x80, 0x02]), Header { opcode: Opcode::Continuation, length: 2, ..text });
    assert_eq!(header(&[0x89, 0x05]), Header { opcode: Opcode::Ping, ..text });
    let binary = Header { opcode: Opcode::Binary, ..text };
    assert_eq!(header(&[0x82, 0x7E, 0x01, 0x00]), Header { length: 256, header_len: 4, ..binary });
    let long = [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0];
    assert_eq!(header(&long), Header { length: 65536, header_len: 10, ..binary });
}

#[test]
fn reads_rsv_bits() {
    assert_eq!(header(&[0xC1, 0]).rsv, Header::RSV1);
    assert_eq!(header(&[0xA1, 0]).rsv, 2);
    assert_eq!(header(&[0x91, 0]).rsv, 1);
}

#[test]
fn refuses_reserved_opcodes_at_their_byte() {
    for bits in (0x3..=0x7).chain(0xB..=0xF) {
        assert_eq!(Header::parse(&[0x80 | bits]), Err(Rule::ReservedOpcode), "{bits:x}");
    }
}

#[test]
fn refuses_control_frames_by_their_first_two_bytes() {
    for bits in [0x8, 0x9, 0xA] {
        assert_eq!(Header::parse(&[bits]), Err(Rule::ControlFragmented));
        assert_eq!(Header::parse(&[0x80 | bits]), Ok(None));
        assert!(Header::parse(&[0x80 | bits, 125]).unwrap().is_some());
        for short in [126, 127, 0xFE, 0xFF] {
            assert_eq!(Header::parse(&[0x80 | bits, short]), Err(Rule::ControlTooLong));
        }
    }
}

#[test]
fn refuses_lengths_that_are_not_minimal() {
    for (field, verdict) in [(0_u16, false), (125, false), (126, true), (u16::MAX, true)] {
        let [a, b] = field.to_be_bytes();
        assert_eq!(Header::parse(&[0x82, 126, a, b]).is_ok(), verdict, "{field}");
    }
    let long = |length: u64| {
        let mut bytes = vec![0x82, 127];
        bytes.extend(length.to_be_bytes());
        Header::parse(&bytes).map(|header| header.unwrap().length)
    };
    assert_eq!(long(65535), Err(Rule::LengthNotMinimal));
    assert_eq!(long(65536), Ok(65536));
    assert_eq!(long(i64::MAX as u64), Ok(i64::MAX as u64));
    assert_eq!(long(1 << 63), Err(Rule::LengthTooLarge));
    assert_eq!(long(u64::MAX), Err(Rule::LengthTooLarge));
}

const TERMS: Terms = Terms { sender: Side::App, deflate: false, message: 10, fragments: 3 };

/// Judges unmasked headers, each given by its first byte and a length below 126, up to the first violation.
fn judge(terms: Terms, frames: &[(u8, u8)]) -> Result<(), Rule> {
    let mut sequence = Sequence::new(terms);
    frames.iter().try_for_each(|(first, length)| sequence.judge(&header(&[*first, *length])))
}

#[test]
fn demands_masks_of_clients_and_refuses_those_of_apps() {
    let masked = [0x82, 0x80, 1, 2, 3, 4];
    let mut client = Sequence::new(Terms { sender: Side::Client, ..TERMS });
    let mut app = Sequence::new(TERMS);
    assert_eq!(client.judge(&header(&masked)), Ok(()));
    assert_eq!(client.judge(&header(&[0x82, 0])), Err(Rule::ClientUnmasked));
    assert_eq!(client.judge(&header(&[0x89, 0])), Err(Rule::ClientUnmasked));
    assert_eq!(app.judge(&header(&masked)), Err(Rule::AppMasked));
    assert_eq!(app.judge(&header(&[0x82, 0])), Ok(()));
}

#[test]
fn keeps_messages_in_order() {
    assert_eq!(judge(TERMS, &[(0x81, 1), (0x82, 1), (0x02, 1), (0x00, 1), (0x80, 1), (0x81, 1)]), Ok(()));
    assert_eq!(judge(TERMS, &[(0x01, 1), (0x89, 1), (0x8A, 1), (0x80, 1)]), Ok(()), "control frames in between");
    assert_eq!(judge(TERMS, &[(0x80, 1)]), Err(Rule::ContinuationWithoutStart));
    assert_eq!(judge(TERMS, &[(0x81, 1), (0x00, 1)]), Err(Rule::ContinuationWithoutStart));
    assert_eq!(judge(TERMS, &[(0x01, 1), (0x81, 1)]), Err(Rule::DataInsideMessage));
    assert_eq!(judge(TERMS, &[(0x02, 0), (0x02, 0)]), Err(Rule::DataInsideMessage));
}

#[test]
fn bounds_a_message() {
    assert_eq!(judge(TERMS, &[(0x82, 10), (0x82, 10)]), Ok(()));
    assert_eq!(judge(TERMS, &[(0x82, 11)]), Err(Rule::MessageTooBig));
    assert_eq!(judge(TERMS, &[(0x02, 6), (0x89, 100), (0x80, 4)]), Ok(()), "control frames do not count");
    assert_eq!(judge(TERMS, &[(0x02, 6), (0x80, 5)]), Err(Rule::MessageTooBig));
    assert_eq!(judge(TERMS, &[(0x02, 0), (0x00, 0), (0x80, 0), (0x82, 0)]), Ok(()));
    assert_eq!(judge(TERMS, &[(0x02, 0), (0x00, 0), (0x00, 0), (0x80, 0)]), Err(Rule::TooManyFragments));
}

#[test]
fn allows_rsv1_where_permessage_deflate_gives_it_a_meaning() {
    let deflate = Terms { deflate: true, ..TERMS };
    assert_eq!(judge(TERMS, &[(0xC1, 1)]), Err(Rule::ReservedBits));
    assert_eq!(judge(deflate, &[(0xC1, 1), (0x81, 1), (0x42, 1), (0x80, 1)]), Ok(()));
    assert_eq!(judge(deflate, &[(0x41, 1), (0xC0, 1)]), Err(Rule::ReservedBits), "not on a continuation");
    assert_eq!(judge(deflate, &[(0xC9, 1)]), Err(Rule::ReservedBits), "not on a control frame");
    assert_eq!(judge(deflate, &[(0xA1, 1)]), Err(Rule::ReservedBits), "RSV2");
    assert_eq!(judge(deflate, &[(0xD1, 1)]), Err(Rule::ReservedBits), "RSV1 and RSV3");
}

#[test]
fn reads_close_payloads() {
    assert_eq!(CloseFrame::parse(b""), Ok(CloseFrame { code: NO_STATUS, reason: "" }));
    assert_eq!(CloseFrame::parse(b"\x03\xe8"), Ok(CloseFrame { code: 1000, reason: "" }));
    assert_eq!(CloseFrame::parse(b"\x0f\xa1gr\xc3\xbc\xc3\x9f"), Ok(CloseFrame { code: 4001, reason: "grüß" }));
    assert_eq!(CloseFrame::parse(b"\x03"), Err(Rule::ClosePayload));
    assert_eq!(CloseFrame::parse(b"\x03\xed"), Err(Rule::CloseCode), "1005 is only ever told, never sent");
    assert_eq!(CloseFrame::parse(b"\x03\xe8\xc3"), Err(Rule::CloseReason));
    assert_eq!(CloseFrame::parse(b"\x03\xe8\xed\xa0\x80"), Err(Rule::CloseReason), "a surrogate is not UTF-8");
}

#[test]
fn knows_which_close_codes_may_be_sent() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        assert!(!may_be_sent(code), "{code}");
    }
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        assert!(may_be_sent(code), "{code}");
    }
}

#[test]
fn every_answer_to_a_violation_may_be_sent() {
    for rule in Rule::ALL {
        assert!(may_be_sent(rule.close_code()), "{rule}");
    }
}

#[test]
fn writes_control_frames() {
    assert_eq!(ControlFrame::close(1001, "", None).as_bytes(), b"\x88\x02\x03\xe9");
    assert_eq!(ControlFrame::close(1001, "bye", None).as_bytes(), b"\x88\x05\x03\xe9bye");
    // RFC 6455 section 5.7: an unmasked Ping and a masked Pong with the body "Hello".
    assert_eq!(ControlFrame::ping(b"Hello", None).unwrap().as_bytes(), b"\x89\x05Hello");
    let pong = ControlFrame::pong(b"Hello", Some(KEY)).unwrap();
    assert_eq!(pong.as_bytes(), b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert!(ControlFrame::ping(&[0; 126], None).is_none());
}

#[test]
fn cuts_a_long_reason_at_a_character() {
    for reason in ["x".repeat(200), "ü".repeat(100), "x".to_owned() + &"ü".repeat(100)] {
        let frame = ControlFrame::close(1000, &reason, Some(KEY));
        let header = header(frame.as_bytes());
        let mut payload = frame.as_bytes()[header.header_len..].to_vec();
        mask::apply(KEY, 0, &mut payload);
        assert_eq!(payload.len() as u64, header.length);
        let read = CloseFrame::parse(&payload).unwrap();
        assert!(reason.starts_with(read.reason) && (122..=123).contains(&read.reason.len()));
    }
}

proptest! {
    /// Whatever tungstenite writes is read as it was meant, and consumes nothing before it is complete.
    #[test]
    fn reads_what_tungstenite_writes(
        is_final: bool, rsv1: bool, rsv2: bool, rsv3: bool, kind in 0..6_u8, mask: Option<[u8; 4]>,
        length in prop_oneof![0..200_u64, 65_500..65_600_u64, 0..=i64::MAX as u64],
    ) {
        let (opcode, theirs) = [
            (Opcode::Continuation, OpCode::Data(Data::Continue)),
            (Opcode::Text, OpCode::Data(Data::Text)),
            (Opcode::Binary, OpCode::Data(Data::Binary)),
            (Opcode::Close, OpCode::Control(Control::Close)),
            (Opcode::Ping, OpCode::Control(Control::Ping)),
            (Opcode::Pong, OpCode::Control(Control::Pong)),
        ][usize::from(kind)];
        let (length, is_final) = if opcode.is_control() { (length % 126, true) } else { (length, is_final) };
        let mut bytes = Vec::new();
        let written = FrameHeader { is_final, rsv1, rsv2, rsv3, opcode: theirs, mask };
        written.format(length, &mut bytes).unwrap();
        for end in 0..bytes.len() {
            prop_assert_eq!(Header::parse(&bytes[..end]), Ok(None));
        }
        let rsv = u8::from(rsv1) << 2 | u8::from(rsv2) << 1 | u8::from(rsv3);
        let header_len = bytes.len();
        let expected = Header { fin: is_final, rsv, opcode, mask, length, header_len };
        bytes.extend(b"payload");
        prop_assert_eq!(Header::parse(&bytes), Ok(Some(expected)));
    }

    /// A verdict, once there, stays whatever follows: this is what makes judging independent of the reads.
    #[test]
    fn judges_a_prefix_like_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let whole = Header::parse(&bytes);
        for end in 0..=bytes.len() {
            let part = Header::parse(&bytes[..end]);
            prop_assert!(part == Ok(None) || part == whole, "{:?} of {} bytes, {:?} of all", part, end, whole);
        }
    }
}
