//! A second reading of what passed, on tungstenite's frame header: whole, legal frames, the last one perhaps begun.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// What a stream must keep to.
#[derive(Clone, Copy)]
pub struct Terms {
    /// Whether its frames are masked.
    pub masked: bool,
    /// Whether RSV1 has a meaning.
    pub deflate: bool,
    /// Most bytes of a message.
    pub message: u64,
    /// Most frames of a message.
    pub fragments: u32,
}

/// What a stream came to.
#[derive(Clone, Copy, Default)]
pub struct Stream {
    /// Frames, the begun one included.
    pub frames: u64,
    /// Whole data messages.
    pub messages: u64,
    /// Of those, the compressed.
    pub compressed: u64,
    /// Whether it ends inside a frame.
    pub is_cut: bool,
    /// Whether it ends with a Close frame.
    pub is_closed: bool,
}

/// A data message that is not whole yet.
struct Message {
    size: u64,
    fragments: u32,
    compressed: bool,
    /// Unmasked, if it is to be UTF-8.
    text: Option<Vec<u8>>,
}

/// Reads `bytes`.
///
/// # Panics
/// When they are not what `terms` allow.
pub fn read(bytes: &[u8], terms: Terms) -> Stream {
    let mut stream = Stream::default();
    let mut message = None;
    let mut cursor = Cursor::new(bytes);
    loop {
        let start = usize::try_from(cursor.position()).expect("a length");
        if start == bytes.len() {
            return stream;
        }
        assert!(!stream.is_closed, "something follows a Close frame");
        let (header, length) = FrameHeader::parse(&mut cursor).expect("a good header").expect("a whole header");
        let body = usize::try_from(cursor.position()).expect("a length");
        assert_eq!(header.len(length), body - start, "the shortest form");
        assert_eq!(header.mask.is_some(), terms.masked);
        let is_first = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        assert!(!header.rsv1 || is_first && terms.deflate, "RSV1");
        assert!(!header.rsv2 && !header.rsv3, "RSV2 or RSV3");
        stream.frames += 1;

        let end = usize::try_from(length).ok().and_then(|length| body.checked_add(length));
        let whole = end.filter(|end| *end <= bytes.len());
        let payload = unmask(&bytes[body..whole.unwrap_or(bytes.len())], header.mask.unwrap_or_default());
        if let OpCode::Control(control) = header.opcode {
            assert!(header.is_final && length <= 125, "a control frame is short and in one piece");
            assert!(whole.is_some(), "a control frame passes whole");
            stream.is_closed = control == Control::Close;
            if stream.is_closed {
                close(&payload.collect::<Vec<_>>());
            }
        } else {
            assert_ne!(is_first, message.is_some(), "a message begins, or goes on");
            let mut whole_message = message.take().unwrap_or_else(|| {
                let text = header.opcode == OpCode::Data(Data::Text) && !header.rsv1;
                Message { size: 0, fragments: 0, compressed: header.rsv1, text: text.then(Vec::new) }
            });
            whole_message.go_on(length, payload, terms);
            if !header.is_final || whole.is_none() {
                message = Some(whole_message);
            } else {
                stream.messages += 1;
                stream.compressed += u64::from(whole_message.compressed);
                assert!(whole_message.text.is_none_or(|text| str::from_utf8(&text).is_ok()), "text that ends badly");
            }
        }
        let Some(end) = whole else { return Stream { is_cut: true, ..stream } };
        cursor.set_position(end as u64);
    }
}

/// `payload` masked or unmasked.
pub fn unmask(payload: &[u8], key: [u8; 4]) -> impl Iterator<Item = u8> {
    payload.iter().zip(key.into_iter().cycle()).map(|(byte, key)| byte ^ key)
}

impl Message {
    /// Another fragment, of `length` bytes, of which `payload` is there.
    fn go_on(&mut self, length: u64, payload: impl Iterator<Item = u8>, terms: Terms) {
        self.size += length;
        self.fragments += 1;
        assert!(self.size <= terms.message && self.fragments <= terms.fragments, "a message beyond its bounds");
        if let Some(text) = &mut self.text {
            text.extend(payload);
            let is_bad = str::from_utf8(text).is_err_and(|error| error.error_len().is_some());
            assert!(!is_bad, "text that no continuation makes good");
        }
    }
}

/// The payload of a Close frame.
fn close(payload: &[u8]) {
    if let Some((code, reason)) = payload.split_first_chunk() {
        let code = u16::from_be_bytes(*code);
        assert!(matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999), "{code} may not be sent");
        assert!(str::from_utf8(reason).is_ok(), "a reason is UTF-8");
    } else {
        assert!(payload.is_empty(), "half a code");
    }
}
