//! What a TLS connection does for us, whoever implements it.

use crate::telemetry::record::TlsFacts;

/// Most plaintext bytes that one [`seal`](Records::seal) takes: two full records (RFC 8446 section 5.1).
pub const PLAIN: usize = 2 * (1 << 14);

/// Bytes that [`PLAIN`] may become: per record a header of 5 and at most 256 of expansion (RFC 8446 section 5.2),
/// and room for a key update in front.
pub const SEALED: usize = PLAIN + 3 * (5 + 256);

/// Most wire bytes of one record: TLS 1.2 allows the larger expansion (RFC 5246 section 6.2.3).
pub const RECORD: usize = 5 + (1 << 14) + 2048;

/// One server-side TLS connection as records in buffers.
pub trait Records {
    /// Takes what of `wire` is complete, and puts what the client must get behind `reply` (also on an error: the
    /// alert). What the client already says behind its handshake may be opened on the way: that is put behind `plain`.
    fn handshake(&mut self, wire: &mut Vec<u8>, plain: &mut Vec<u8>, reply: &mut Vec<u8>)
    -> Result<Progress, TlsError>;

    /// What was agreed on. Call it after the handshake.
    fn facts(&self) -> TlsFacts;

    /// Opens the complete records of `wire` and writes their plaintext to `plain`, which must be as long as
    /// `wire`. What the client must get for it (a key update, an alert) is put behind `reply`.
    fn open(&mut self, wire: &mut [u8], plain: &mut [u8], reply: &mut Vec<u8>) -> Result<Opened, TlsError>;

    /// Whether the client's `close_notify` was opened: it will send nothing more.
    fn is_closed(&self) -> bool;

    /// Seals `plain`, at most [`PLAIN`] bytes, into records in `wire`, at least [`SEALED`] bytes long. Returns how
    /// many bytes the records take.
    fn seal(&mut self, plain: &[u8], wire: &mut [u8]) -> Result<usize, TlsError>;

    /// Writes the `close_notify` alert to `wire` and returns its length. Nothing can be sealed after it.
    fn close(&mut self, wire: &mut [u8]) -> Result<usize, TlsError>;
}

/// How far a handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes from the client are needed.
    Blocked,
    /// The handshake is done. What is left of the wire bytes are records to open.
    Done,
}

/// What opening came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Wire bytes taken. The rest is the beginning of a record.
    pub taken: usize,
    /// Plaintext bytes written.
    pub written: usize,
}

/// The client broke the TLS protocol, or nothing could be agreed on.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// What rustls says.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// A buffer was smaller than this trait asks for.
    #[error("buffer too small")]
    Buffer,
    /// The client divided a handshake message after the handshake.
    #[error("a divided handshake message after the handshake")]
    Fragment,
    /// The connection is in a state that the call does not allow.
    #[error("not possible in this state")]
    State,
}
