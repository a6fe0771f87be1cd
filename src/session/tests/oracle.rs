//! tungstenite as the oracle: the same frames, the same verdict, but where we differ on purpose.

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, WebSocket};

use super::{APP, CLIENT, CONFIG, Pair, encode};
use crate::bytesize::ByteSize;
use crate::peer::Side;
use crate::session::Config;
use crate::ws::close::may_be_sent;

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
        10 => "[a-zé]{0,50}".prop_map(String::into_bytes),
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

/// Why we may judge `piece`, which follows a Close frame or not, unlike tungstenite.
fn difference(piece: &Piece, after_close: bool, error: Option<&Error>) -> Option<Difference> {
    if after_close {
        return Some(Difference::AfterClose);
    }
    if error.is_some() {
        return None;
    }
    if piece.length_field > 0 {
        return Some(Difference::LengthNotMinimal);
    }
    let code = piece.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
    if piece.first == 0x88 && code.is_some_and(|code| !may_be_sent(code)) {
        return Some(Difference::CloseCode);
    }
    None
}

/// Whether the two agree up to each frame in turn, till one refuses.
fn compare(from: Side, pieces: &[Piece]) -> Result<Option<Difference>, TestCaseError> {
    let config = Config { message: ByteSize::bytes(MESSAGE as u64), fragments: u32::MAX, ..CONFIG };
    let mut pair = Pair::with(config);
    let mut bytes = Vec::new();
    for piece in pieces {
        let after_close = pair.session.poll_timeout().is_some();
        bytes.extend(piece.bytes());
        let ours = pair.sends(from, &piece.bytes());
        let theirs = theirs(from, bytes.clone());
        if ours.is_err() != theirs.is_some() || after_close {
            let difference = difference(piece, after_close, theirs.as_ref());
            prop_assert!(difference.is_some(), "{piece:?}: we say {ours:?}, tungstenite {theirs:?}");
            return Ok(difference);
        }
        if ours.is_err() {
            return Ok(None);
        }
    }
    Ok(None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn agrees_on_what_clients_send(pieces in prop::collection::vec(piece(CLIENT), 0..12)) {
        compare(CLIENT, &pieces)?;
    }

    #[test]
    fn agrees_on_what_apps_send(pieces in prop::collection::vec(piece(APP), 0..12)) {
        compare(APP, &pieces)?;
    }
}

/// Each difference exists: one that vanished (a newer tungstenite, a rule of ours) must leave the list.
#[test]
fn differs_where_it_says() {
    let good = Piece { first: 0x81, masked: false, length_field: 0, payload: b"x".to_vec() };
    let closing = Piece { first: 0x88, payload: vec![], ..good.clone() };
    let find = |pieces: &[Piece]| compare(APP, pieces).unwrap();
    assert_eq!(find(std::slice::from_ref(&good)), None);
    assert_eq!(find(&[Piece { length_field: 2, ..good.clone() }]), Some(Difference::LengthNotMinimal));
    assert_eq!(find(&[Piece { length_field: 8, ..good.clone() }]), Some(Difference::LengthNotMinimal));
    let reserved = 1005_u16.to_be_bytes().to_vec();
    assert_eq!(find(&[Piece { payload: reserved, ..closing.clone() }]), Some(Difference::CloseCode));
    assert_eq!(find(&[closing, good]), Some(Difference::AfterClose));
}
