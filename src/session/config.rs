//! What a session is told by the configuration, the same for all.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::bytesize::ByteSize;

/// Bounds on what a session relays, and how it ends what must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Largest message, the payloads of its fragments added up.
    pub message: ByteSize,
    /// Most fragments in a message.
    pub fragments: u32,
    /// Most control frames a second from one side while it sends no data.
    pub control_frames: NonZeroU32,
    /// Whether text messages must be UTF-8 (RFC 6455 section 8.1). Compressed ones are not looked into.
    pub validate_utf8: bool,
    /// Pings of our own.
    pub keepalive: Keepalive,
    /// How long both sides may be without data; `None`: for ever.
    pub idle: Option<Duration>,
    /// How long a connection may be open, less up to a tenth by chance; `None`: for ever.
    pub max_age: Option<Duration>,
    /// The close code when the token has expired; `None`: it may.
    pub expiry: Option<u16>,
    /// How long a closing handshake, or the other direction after one has ended, may take.
    pub closing: Duration,
    /// What both sides are told when this process is to stop.
    pub drain: Notice,
    /// A client that lost its app is told to wait for a random time up to this before it tries again.
    pub retry: Duration,
}

/// How silence is probed (RFC 6455 section 5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence of a client after which it gets a Ping; `None`: never.
    pub client: Option<Duration>,
    /// Silence of the app after which it gets a Ping; `None`: never.
    pub app: Option<Duration>,
    /// A side that lets so many Pings in a row pass in silence is dead.
    pub missed: NonZeroU32,
}

/// What a Close frame of ours says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The close code (RFC 6455 section 7.4).
    pub code: u16,
    /// Why, in words: at most [`REASON`](crate::ws::close::REASON) bytes.
    pub reason: String,
}
