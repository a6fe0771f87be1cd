//! A head: its end found, parsed once, looked into.

use std::fmt;

use memchr::{memchr2_iter, memmem};
use thiserror::Error;

use super::target;

const END: &[u8] = b"\r\n\r\n";

/// Finds the end of a head in a buffer that grows.
///
/// Only `CRLF CRLF` ends a head. RFC 9112 section 2.2 lets a server skip empty lines before a request line, for clients
/// that append one to a body; ours is the first request on its connection, so there is no such body. An empty line in
/// front is therefore handed out as part of the head, and [`Request::parse`] refuses it.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadEnd {
    /// So many bytes from the front were searched in vain.
    searched: usize,
}

impl HeadEnd {
    /// How long the head at the front of `received` is, its empty line included; `None` when its end has not come yet.
    /// `received` is everything since the head's first byte; what earlier calls have searched is not searched again.
    pub fn find(&mut self, received: &[u8]) -> Option<usize> {
        // The end may have begun in the last three bytes of the earlier search.
        let from = self.searched.saturating_sub(END.len() - 1).min(received.len());
        let found = memmem::find(&received[from..], END).map(|at| from + at + END.len());
        if found.is_none() {
            self.searched = received.len();
        }
        found
    }
}

/// Why a request head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeadError {
    /// A CR or LF stands alone: some parsers would end the line there, others not (RFC 9112 section 2.2).
    #[error("a line does not end in CR LF")]
    LineEnd,
    /// The request line or a field line breaks the grammar (RFC 9112 sections 3 and 5).
    #[error("the head breaks the grammar of HTTP/1.1")]
    Syntax,
    /// The target is not a path with an optional query (RFC 9112 section 3.2.1).
    #[error("the request target is not a path")]
    Target,
    /// There are more field lines than the bound.
    #[error("too many field lines")]
    TooManyFields,
    /// The version is not HTTP/1.1.
    #[error("the version is not HTTP/1.1")]
    Version,
}

/// One field line, in the order it came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'h> {
    /// The name as it was written; compare without case.
    pub name: &'h str,
    /// The value without the white space around it. It holds no control byte but tab.
    pub value: &'h [u8],
}

/// A parsed request head, borrowing from the bytes it was read from.
#[derive(Clone)]
pub struct Request<'h> {
    /// As it was written; not judged yet.
    pub method: &'h str,
    /// Path and query as they were written: visible ASCII that begins with `/` and has no `#`.
    pub target: &'h str,
    /// All field lines in order.
    pub fields: Vec<Field<'h>>,
}

impl<'h> Request<'h> {
    /// Parses a complete head, from the first byte of the request line to its empty line, of at most `max_fields` fields.
    ///
    /// Stricter than RFC 9112 allows a server to be: lines end in CRLF only, a folded line is an error, and so is a
    /// target in absolute form (which a gateway that is not a proxy is never sent by a WebSocket client, and which would
    /// name the host a second time).
    pub fn parse(head: &'h [u8], max_fields: usize) -> Result<Self, HeadError> {
        let count = field_lines(head).ok_or(HeadError::LineEnd)?;
        if count > max_fields {
            return Err(HeadError::TooManyFields);
        }
        let mut headers = vec![httparse::EMPTY_HEADER; count];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Err(httparse::Error::Version) => return Err(HeadError::Version),
            _ => return Err(HeadError::Syntax),
        }
        // httparse skips empty lines in front of the request line.
        let (Some(b'!'..=b'~'), Some(method), Some(target), Some(minor)) =
            (head.first(), parsed.method, parsed.path, parsed.version)
        else {
            return Err(HeadError::Syntax);
        };
        if minor != 1 {
            return Err(HeadError::Version);
        }
        if !target::is_origin_form(target) {
            return Err(HeadError::Target);
        }
        Ok(Self { method, target, fields: collect(parsed.headers) })
    }

    /// The method when it is one that RFC 9110 section 9.3 or RFC 5789 defines. They are case-sensitive.
    pub fn known_method(&self) -> Option<&'static str> {
        const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
        KNOWN.into_iter().find(|known| *known == self.method)
    }

    /// The values of every field line called `name`, in order.
    pub fn values<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'h [u8]> + 'r {
        values(&self.fields, name)
    }
}

/// The values of every field line in `fields` called `name`, in order.
pub fn values<'r, 'h>(fields: &'r [Field<'h>], name: &'r str) -> impl Iterator<Item = &'h [u8]> + 'r {
    fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}

/// How many lines stand between the first line and the empty line; `None` when a CR or LF stands alone.
pub(super) fn field_lines(head: &[u8]) -> Option<usize> {
    let mut lines = 0_usize;
    let mut open = None;
    for at in memchr2_iter(b'\r', b'\n', head) {
        open = match (head[at], open) {
            (b'\r', None) => Some(at),
            (b'\n', Some(cr)) if cr + 1 == at => {
                lines += 1;
                None
            }
            _ => return None,
        };
    }
    open.is_none().then(|| lines.saturating_sub(2))
}

pub(super) fn collect<'h>(headers: &[httparse::Header<'h>]) -> Vec<Field<'h>> {
    headers.iter().map(|header| Field { name: header.name, value: header.value }).collect()
}

/// The name, and only the length of the value: it may be a token or a cookie.
impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ({} bytes)", self.name, self.value.len())
    }
}

/// Without the query, which may hold a token.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &target::redacted_path(self.target))
            .field("fields", &self.fields)
            .finish()
    }
}

#[cfg(test)]
mod tests;
