//! HTTP/1.1 heads, written and read by hand.

use std::io::{self, Read};

/// A client's key: the example of RFC 6455 section 1.3.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The answer to [`KEY`].
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request or a response: its first line, its fields in order, and a response's body.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) line: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

/// The upgrade request of a client with these fields behind the ones it needs.
pub(crate) fn upgrade(fields: &[&str]) -> String {
    upgrade_to("/chat?room=1", fields)
}

/// The same for another target.
pub(crate) fn upgrade_to(target: &str, fields: &[&str]) -> String {
    let mut head = format!(
        "GET {target} HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    );
    for field in fields {
        head += field;
        head += "\r\n";
    }
    head + "\r\n"
}

impl Message {
    /// Reads a head byte by byte, so that nothing behind it is lost, and the body that it announces.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            from.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("a head is ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().expect("a first line").to_owned();
        let fields = lines.map(|line| line.split_once(": ").expect("name: value")).map(|(n, v)| (n.into(), v.into()));
        let mut message = Self { line, fields: fields.collect(), body: String::new() };
        if let Some(length) = message.field("content-length").and_then(|length| length.parse().ok()) {
            from.take(length).read_to_string(&mut message.body)?;
        }
        Ok(message)
    }

    /// The value of the field with this name, which may stand there once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        value
    }

    pub(crate) fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
    }

    /// The proxy's own word for why it refused.
    pub(crate) fn reason(&self) -> &str {
        self.field("ringside-reason").unwrap_or("none")
    }
}
