//! tungstenite as the oracle: the same frames, the same verdict, but where we differ on purpose.

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use proptest::sample::Index;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, WebSocket};

use super::{APP, CLIENT, CONFIG, Pair, close, encode, frame};
use crate::bytesize::ByteSize;
use crate::peer::Side;
use crate::rule::Rule;
use crate::session::Config;
use crate::ws::close::may_be_sent;
use crate::ws::mask;

const MESSAGE: usize = 200;

/// Where we differ on purpose, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// We refuse a length in more bytes than it needs (RFC 6455 section 5.2); tungstenite takes it.
    LengthNotMinimal,
    /// We refuse a close code that must not be sent (section 7.4); tungstenite answers it with 1002 by itself, and
    /// counts 1014, which IANA has assigned since, among them.
    CloseCode,
    /// We judge data behind a Close frame and drop a Pong there; tungstenite as a server stops reading, as a client
    /// refuses all.
    AfterClose,
    /// We judge a frame by its header, and text as it comes; tungstenite when the frame is whole.
    Early,
}

/// A frame with its faults.
#[derive(Clone, Debug)]
struct Piece {
    first: u8,
    masked: bool,
    /// Bytes of the length field: 0, 2 or 8; at least as many as the payload needs.
    length_field: usize,
    payload: Vec<u8>,
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        let least = if self.payload.len() > 125 { 2 } else { 0 };
        encode(self.first, self.masked, self.length_field.max(least), &self.payload)
    }
}

fn piece(from: Side) -> impl Strategy<Value = Piece> {
    let first = prop_oneof![
        20 => prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x00, 0x80, 0x89, 0x8A]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let masked = prop::bool::weighted(if from == CLIENT { 0.99 } else { 0.01 });
    let length_field = prop_oneof![60 => Just(0), 1 => Just(2), 1 => Just(8)];
    let payload = prop_oneof![
        10 => "[a-zé€🦀]{0,50}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..130),
        2 => (995..1020_u16).prop_map(|code| code.to_be_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
        1 => Just(vec![b'x'; MESSAGE + 1]),
    ];
    (first, masked, length_field, payload).prop_map(|(first, masked, length_field, payload)| Piece {
        first,
        masked,
        length_field,
        payload,
    })
}

/// Good messages and control frames; fragments are cut at any byte. Perhaps a Close frame behind them.
fn good(from: Side) -> impl Strategy<Value = Vec<u8>> {
    let words = || "[a-zé€🦀]{0,30}".prop_map(String::into_bytes);
    let piece = prop_oneof![
        4 => words().prop_map(move |words| frame(from, 0x81, &words)),
        4 => (words(), any::<Index>(), 0..3_usize).prop_map(move |(words, at, pings)| {
            let (first, second) = words.split_at(at.index(words.len() + 1));
            let pings = frame(from, 0x89, b"").repeat(pings);
            [frame(from, 0x01, first), pings, frame(from, 0x80, second)].concat()
        }),
        2 => prop::collection::vec(any::<u8>(), 0..MESSAGE).prop_map(move |bytes| frame(from, 0x82, &bytes)),
        1 => words().prop_map(move |words| frame(from, 0x8A, &words)),
    ];
    let end = prop_oneof![Just(Vec::new()), Just(close(from, 1000)), Just(frame(from, 0x88, b""))];
    (prop::collection::vec(piece, 0..6), end).prop_map(|(pieces, end)| [pieces.concat(), end].concat())
}

/// A change of one byte.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Insert(Index, u8),
    Delete(Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, 1 << bit)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Flip(at, byte)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        1 => any::<Index>().prop_map(Change::Delete),
    ]
}

fn mutated(from: Side) -> impl Strategy<Value = Vec<u8>> {
    (good(from), prop::collection::vec(change(), 0..4)).prop_map(|(mut bytes, changes)| {
        for change in changes {
            match change {
                Change::Insert(at, byte) => bytes.insert(at.index(bytes.len() + 1), byte),
                _ if bytes.is_empty() => {}
                Change::Flip(at, bits) => *at.get_mut(&mut bytes) ^= bits,
                Change::Delete(at) => _ = bytes.remove(at.index(bytes.len())),
            }
        }
        bytes
    })
}

/// Bytes to read; what is written is forgotten.
struct Wire(Cursor<Vec<u8>>);

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// tungstenite's verdict on all of `bytes`: `Some` error, or `None` when it read to their end.
fn theirs(from: Side, bytes: Vec<u8>) -> Option<Error> {
    let role = match from {
        Side::Client => Role::Server,
        Side::App => Role::Client,
    };
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(bytes)), role, Some(config));
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return None,
            // The end of the bytes behind a Close frame, or a server's end of reading.
            Err(Error::ConnectionClosed) => {
                let wire = socket.get_ref();
                let all_read = wire.0.position() == wire.0.get_ref().len() as u64;
                return if all_read { None } else { Some(Error::ConnectionClosed) };
            }
            Err(error) => return Some(error),
        }
    }
}

/// A header as far as it is there, and what it needs to be whole: its length, and the payload's.
fn lengths(bytes: &[u8]) -> Option<(usize, u64)> {
    let second = *bytes.get(1)?;
    let field = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut length = [0; 8];
    length[8 - field..].copy_from_slice(bytes.get(2..2 + field)?);
    let length = if field == 0 { u64::from(second & 0x7F) } else { u64::from_be_bytes(length) };
    Some((2 + field + usize::from(second >> 7) * 4, length))
}

/// `stream` in frames, going by their lengths. The last may be cut.
fn frames(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let end = lengths(stream).and_then(|(header, length)| header.checked_add(length.try_into().ok()?));
        let (frame, rest) = stream.split_at(end.unwrap_or(usize::MAX).min(stream.len()));
        frames.push(frame);
        stream = rest;
    }
    frames
}

/// `frame`, which may be cut, made whole, or longer than a message may be.
fn completed(from: Side, frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame.len() == 1 {
        frame.push(if from == CLIENT { 0x80 } else { 0 });
    }
    if lengths(&frame).is_none() {
        // A length that needs the field it stands in.
        frame.resize(if frame[1] & 0x7F == 127 { 10 } else { 4 }, 0xFF);
    }
    let (header, length) = lengths(&frame).unwrap();
    let whole = header + usize::try_from(length).unwrap_or(MESSAGE).min(MESSAGE + 1);
    frame.resize(whole.max(frame.len()), 0);
    frame
}

/// Whether `frame`, a whole one, says its length in more bytes than it needs.
fn is_not_minimal(frame: &[u8]) -> bool {
    matches!((frame[1] & 0x7F, lengths(frame)), (126, Some((_, 0..126))) | (127, Some((_, 0..65_536))))
}

/// Whether `frame`, a whole one, is a Close frame with a code that must not be sent.
fn has_bad_code(frame: &[u8]) -> bool {
    let (header, _) = lengths(frame).unwrap();
    let mut payload = frame[header..].to_vec();
    if let (0x80.., Some(key)) = (frame[1], frame[..header].last_chunk()) {
        mask::apply(*key, 0, &mut payload);
    }
    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
    frame[0] == 0x88 && code.is_some_and(|code| !may_be_sent(code))
}

/// Why we may refuse `frame`, which tungstenite takes, because of `rule`. `read` ends with it.
fn difference(from: Side, read: &[u8], frame: &[u8], rule: Rule) -> Option<Difference> {
    match rule {
        // A control frame is short by the byte that says so.
        Rule::LengthNotMinimal | Rule::ControlTooLong if is_not_minimal(frame) => Some(Difference::LengthNotMinimal),
        Rule::CloseCode if has_bad_code(frame) => Some(Difference::CloseCode),
        _ => {
            let before = &read[..read.len() - frame.len()];
            let refused = theirs(from, [before, &completed(from, frame)].concat()).is_some();
            refused.then_some(Difference::Early)
        }
    }
}

/// Whether the two agree up to each frame in turn, till one refuses.
fn compare(from: Side, stream: &[u8]) -> Result<Option<Difference>, TestCaseError> {
    let config = Config { message: ByteSize::bytes(MESSAGE as u64), fragments: u32::MAX, ..CONFIG };
    let mut pair = Pair::with(config);
    let mut read = Vec::new();
    for frame in frames(stream) {
        if pair.session.poll_timeout().is_some() {
            return Ok(Some(Difference::AfterClose));
        }
        read.extend(frame);
        let ours = pair.sends(from, frame);
        let theirs = theirs(from, read.clone());
        match ours {
            Ok(()) => prop_assert!(theirs.is_none(), "{frame:02x?}: tungstenite says {theirs:?}"),
            Err(_) if theirs.is_some() => return Ok(None),
            Err(violation) => {
                let difference = difference(from, &read, frame, violation.rule);
                prop_assert!(difference.is_some(), "{frame:02x?}: we say {violation}");
                return Ok(difference);
            }
        }
    }
    Ok(None)
}

fn bytes(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(Piece::bytes).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn agrees_on_what_clients_send(pieces in prop::collection::vec(piece(CLIENT), 0..12)) {
        compare(CLIENT, &bytes(&pieces))?;
    }

    #[test]
    fn agrees_on_what_apps_send(pieces in prop::collection::vec(piece(APP), 0..12)) {
        compare(APP, &bytes(&pieces))?;
    }

    #[test]
    fn agrees_on_good_streams(client in good(CLIENT), app in good(APP)) {
        for (from, stream) in [(CLIENT, client), (APP, app)] {
            prop_assert_eq!(Pair::new().sends(from, &stream), Ok(()));
            prop_assert!(theirs(from, stream).is_none());
        }
    }

    #[test]
    fn agrees_on_mutated_streams(client in mutated(CLIENT), app in mutated(APP)) {
        compare(CLIENT, &client)?;
        compare(APP, &app)?;
    }
}

/// Each difference exists: one that vanished (a newer tungstenite, a rule of ours) must leave the list.
#[test]
fn differs_where_it_says() {
    let good = Piece { first: 0x81, masked: false, length_field: 0, payload: b"x".to_vec() };
    let closing = Piece { first: 0x88, payload: vec![], ..good.clone() };
    let find = |pieces: &[Piece]| compare(APP, &bytes(pieces)).unwrap();
    assert_eq!(find(std::slice::from_ref(&good)), None);
    assert_eq!(find(&[Piece { length_field: 2, ..good.clone() }]), Some(Difference::LengthNotMinimal));
    assert_eq!(find(&[Piece { length_field: 8, ..good.clone() }]), Some(Difference::LengthNotMinimal));
    let reserved = 1005_u16.to_be_bytes().to_vec();
    assert_eq!(find(&[Piece { payload: reserved, ..closing.clone() }]), Some(Difference::CloseCode));
    assert_eq!(find(&[closing, good]), Some(Difference::AfterClose));
    assert_eq!(compare(APP, &[0x81, 0x85, 0, 0, 0, 0]).unwrap(), Some(Difference::Early));
    assert_eq!(compare(APP, b"\x81\x06good\xFF").unwrap(), Some(Difference::Early));
}
