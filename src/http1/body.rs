//! The body of an app's refusal (RFC 9112 section 6). A handshake has no body; a refusal may explain itself.

use thiserror::Error;

use super::head::{Field, values};
use super::syntax::exactly_one;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// When the app closes.
    UntilClose,
}

/// Why a body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// Two lengths, a length beside a transfer coding, or a coding other than `chunked`: nobody knows where it ends.
    #[error("the body's length is ambiguous")]
    Ambiguous,
    /// A chunk breaks the grammar.
    #[error("the body's chunks break their grammar")]
    Chunk,
    /// The app closed before the end.
    #[error("the body is cut short")]
    Cut,
}

impl Framing {
    /// How the body behind an answer's head is framed. Statuses that never have a body are 1xx, 204 and 304.
    pub fn of(status: u16, fields: &[Field<'_>]) -> Result<Self, BodyError> {
        if matches!(status, 100..=199 | 204 | 304) {
            return Ok(Self::Length(0));
        }
        let mut lengths = values(fields, "content-length");
        let mut codings = values(fields, "transfer-encoding").peekable();
        if codings.peek().is_some() {
            let coding = exactly_one(codings).filter(|coding| coding.eq_ignore_ascii_case(b"chunked"));
            return coding.filter(|_| lengths.next().is_none()).map(|_| Self::Chunked).ok_or(BodyError::Ambiguous);
        }
        let Some(length) = lengths.next() else { return Ok(Self::UntilClose) };
        if lengths.next().is_some() {
            return Err(BodyError::Ambiguous);
        }
        decimal(length).map(Self::Length).ok_or(BodyError::Ambiguous)
    }

    /// The whole body once `received`, all bytes since the head, holds it; `None` while more must come. `closed` says
    /// that no more will. Bytes behind the body are not looked at. The bound on `received` is the caller's.
    pub fn body(self, received: &[u8], closed: bool) -> Result<Option<Vec<u8>>, BodyError> {
        let body = match self {
            Self::Length(length) => {
                usize::try_from(length).ok().and_then(|length| received.get(..length)).map(Vec::from)
            }
            Self::Chunked => chunks(received)?,
            Self::UntilClose => closed.then(|| received.to_vec()),
        };
        if body.is_none() && closed { Err(BodyError::Cut) } else { Ok(body) }
    }
}

/// Digits only: no sign, no list, no white space inside.
fn decimal(text: &[u8]) -> Option<u64> {
    text.iter().all(u8::is_ascii_digit).then(|| str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// The joined chunks; `None` while the last one has not come. Trailers are not waited for: they would be dropped.
fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>, BodyError> {
    let mut body = Vec::new();
    loop {
        // httparse takes a size without digits for 0.
        if rest.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
            return Err(BodyError::Chunk);
        }
        let (start, length) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::InvalidChunkSize) => return Err(BodyError::Chunk),
        };
        if length == 0 {
            return Ok(Some(body));
        }
        let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length)).ok_or(BodyError::Chunk)?;
        let Some(chunk) = rest.get(start..end) else { return Ok(None) };
        body.extend_from_slice(chunk);
        rest = match &rest[end..] {
            [b'\r', b'\n', rest @ ..] => rest,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(BodyError::Chunk),
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framing(status: u16, fields: &[(&'static str, &'static str)]) -> Result<Framing, BodyError> {
        let fields: Vec<_> = fields.iter().map(|&(name, value)| Field { name, value: value.as_bytes() }).collect();
        Framing::of(status, &fields)
    }

    #[test]
    fn framings() {
        assert_eq!(framing(403, &[("Content-Length", "12")]), Ok(Framing::Length(12)));
        assert_eq!(framing(403, &[("Transfer-Encoding", "Chunked")]), Ok(Framing::Chunked));
        assert_eq!(framing(403, &[]), Ok(Framing::UntilClose));
        assert_eq!(framing(304, &[("Content-Length", "12")]), Ok(Framing::Length(0)));
    }

    #[test]
    fn an_ambiguous_length_is_refused() {
        // Response splitting: where one parser sees the body's end, another sees a second response.
        for fields in [
            &[("Content-Length", "1"), ("Content-Length", "2")][..],
            &[("Content-Length", "1"), ("Transfer-Encoding", "chunked")],
            &[("Transfer-Encoding", "gzip, chunked")],
            &[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
            &[("Content-Length", "1, 1")],
            &[("Content-Length", "+1")],
            &[("Content-Length", "0x1")],
            &[("Content-Length", "")],
            &[("Content-Length", "99999999999999999999")],
        ] {
            assert_eq!(framing(403, fields), Err(BodyError::Ambiguous), "{fields:?}");
        }
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        assert_eq!(Framing::Length(2).body(b"no more", false), Ok(Some(b"no".to_vec())));
        assert_eq!(Framing::Length(0).body(b"", false), Ok(Some(vec![])));
        assert_eq!(Framing::Length(3).body(b"no", false), Ok(None));
        assert_eq!(Framing::Length(3).body(b"no", true), Err(BodyError::Cut));
        assert_eq!(Framing::UntilClose.body(b"no", false), Ok(None));
        assert_eq!(Framing::UntilClose.body(b"no", true), Ok(Some(b"no".to_vec())));
    }

    #[test]
    fn chunks_are_joined_over_any_split() {
        let received = b"2\r\nno\r\n5;x=y\r\n entr\r\n1\r\ny\r\n0\r\nTrailer: x\r\n\r\n";
        let complete = received.len() - b"Trailer: x\r\n\r\n".len();
        for length in 0..received.len() {
            let expected = (length >= complete).then(|| b"no entry".to_vec());
            assert_eq!(Framing::Chunked.body(&received[..length], false), Ok(expected), "after {length} bytes");
        }
        assert_eq!(Framing::Chunked.body(&received[..9], true), Err(BodyError::Cut));
        for broken in [&b"x\r\n"[..], b"\r\n\r\n", b";\r\n", b"1\r\nabc", b"ffffffffffffffff\r\n", b"1\nab", b"-1\r\n"]
        {
            assert_eq!(Framing::Chunked.body(broken, false), Err(BodyError::Chunk), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes: Vec<u8>, hex in "[0-9a-f;\r\n]{0,20}", closed: bool) {
            let _ = Framing::Chunked.body(&bytes, closed);
            let _ = Framing::Chunked.body(hex.as_bytes(), closed);
        }
    }
}
