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
pub struct Stream {
    /// Frames, the begun one included.
    pub frames: u64,
    /// Whole data messages.
    pub messages: u64,
    /// Whether it ends with a whole frame.
    pub is_whole: bool,
    /// Whether it ends with a Close frame.
    pub is_closed: bool,
}

/// Reads `bytes`.
///
/// # Panics
/// When they are not what `terms` allow.
pub fn read(bytes: &[u8], terms: Terms) -> Stream {
    let mut stream = Stream { frames: 0, messages: 0, is_whole: true, is_closed: false };
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

        let payload = usize::try_from(length).ok().and_then(|length| bytes.get(body..body.checked_add(length)?));
        if let OpCode::Control(control) = header.opcode {
            assert!(header.is_final && length <= 125, "a control frame is short and in one piece");
            let payload = payload.expect("a control frame passes whole");
            stream.is_closed = control == Control::Close;
            if stream.is_closed {
                close(payload, header.mask.unwrap_or_default());
            }
        } else {
            assert_ne!(is_first, message.is_some(), "a message begins, or goes on");
            let (size, fragments) = message.unwrap_or((0, 0));
            let (size, fragments) = (size + length, fragments + 1);
            assert!(size <= terms.message && fragments <= terms.fragments, "a message beyond its bounds");
            message = (!header.is_final).then_some((size, fragments));
            stream.messages += u64::from(header.is_final && payload.is_some());
        }
        match payload {
            Some(payload) => cursor.set_position((body + payload.len()) as u64),
            None => {
                stream.is_whole = false;
                return stream;
            }
        }
    }
}

/// The payload of a Close frame.
fn close(payload: &[u8], key: [u8; 4]) {
    let clear: Vec<_> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    if let Some((code, reason)) = clear.split_first_chunk() {
        let code = u16::from_be_bytes(*code);
        assert!(matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999), "{code} may not be sent");
        assert!(str::from_utf8(reason).is_ok(), "a reason is UTF-8");
    } else {
        assert!(clear.is_empty(), "half a code");
    }
}
