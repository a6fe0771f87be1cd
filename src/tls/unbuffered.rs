//! [`Records`] on `rustls::unbuffered` (rustls 0.23).

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, InsufficientSizeError, UnbufferedStatus};
use rustls::{HandshakeKind, ProtocolVersion};

use super::records::{Opened, Progress, Records, TlsError};
use crate::telemetry::record::TlsFacts;

/// A connection whose buffers belong to the caller.
///
/// rustls leaves the fragments of a handshake message in the caller's buffer and panics when it is then called with
/// less than them (0.23). But we write without the received bytes at hand. Therefore fragments never stay after the
/// handshake, see [`holds_fragment`], and nothing is written after an error.
pub(super) struct Unbuffered {
    connection: UnbufferedServerConnection,
    /// Whether the client's `close_notify` has come, which rustls says only once.
    closed: bool,
    broken: bool,
}

impl Records for Unbuffered {
    fn handshake(
        &mut self,
        wire: &mut Vec<u8>,
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<Progress, TlsError> {
        loop {
            let handshaking = self.connection.is_handshaking();
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(wire);
            let is_idle = !handshaking && matches!(state, Ok(ConnectionState::WriteTraffic(_)));
            self.closed |= matches!(state, Ok(ConnectionState::PeerClosed));
            let progress = match state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, reply).map(|()| None),
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    sent.done();
                    Ok(None)
                }
                // A server may write before the client has finished; we wait for the client.
                Ok(ConnectionState::WriteTraffic(_)) if handshaking => Ok(Some(Progress::Blocked)),
                // A client may have nothing to say: its close_notify comes together with its Finished. Before that,
                // rustls knows no close_notify.
                Ok(ConnectionState::WriteTraffic(_) | ConnectionState::PeerClosed) => Ok(Some(Progress::Done)),
                // rustls opens records before it says that the handshake is done.
                Ok(ConnectionState::ReadTraffic(mut traffic)) => take_all(&mut traffic, plain).map(Some),
                Ok(ConnectionState::BlockedHandshake) => Ok(Some(Progress::Blocked)),
                Ok(_) => Err(TlsError::State),
                Err(error) => Err(error.into()),
            };
            wire.drain(..discard);
            match progress {
                Ok(_) if is_idle && holds_fragment(wire) => return Err(self.fail(TlsError::Fragment, reply)),
                Ok(None) => {}
                Ok(Some(progress)) => return Ok(progress),
                Err(error) => return Err(self.fail(error, reply)),
            }
        }
    }

    fn facts(&self) -> TlsFacts {
        TlsFacts {
            version: match self.connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                _ => "1.3",
            },
            cipher: self
                .connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or("unknown"),
            resumed: self.connection.handshake_kind() == Some(HandshakeKind::Resumed),
            client_certificate: self.connection.peer_certificates().is_some(),
        }
    }

    fn open(&mut self, wire: &mut [u8], plain: &mut [u8], reply: &mut Vec<u8>) -> Result<Opened, TlsError> {
        let mut opened = Opened::default();
        loop {
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut wire[opened.taken..]);
            // What a client sends behind its close_notify is of no meaning, and not looked at.
            let is_idle = !self.closed && matches!(state, Ok(ConnectionState::WriteTraffic(_)));
            let result = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    let mut result = Ok(true);
                    while let Some(record) = traffic.next_record() {
                        result = record.map_err(TlsError::from).and_then(|record| {
                            let end = opened.written + record.payload.len();
                            let room = plain.get_mut(opened.written..end).ok_or(TlsError::Buffer)?;
                            room.copy_from_slice(record.payload);
                            opened.written = end;
                            Ok(true)
                        });
                    }
                    result
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, reply).map(|()| true),
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    sent.done();
                    Ok(true)
                }
                Ok(ConnectionState::WriteTraffic(_)) => Ok(false),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.closed = true;
                    Ok(false)
                }
                Ok(_) => Err(TlsError::State),
                Err(error) => Err(error.into()),
            };
            opened.taken += discard;
            let rest = &wire[opened.taken..];
            match result {
                Ok(_) if is_idle && holds_fragment(rest) => return Err(self.fail(TlsError::Fragment, reply)),
                Ok(true) => {}
                Ok(false) => return Ok(opened),
                Err(error) => return Err(self.fail(error, reply)),
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.closed
    }

    fn seal(&mut self, plain: &[u8], wire: &mut [u8]) -> Result<usize, TlsError> {
        self.write(wire, |traffic, wire| traffic.encrypt(plain, wire).map_err(|_| TlsError::Buffer))
    }

    fn close(&mut self, wire: &mut [u8]) -> Result<usize, TlsError> {
        self.write(wire, |traffic, wire| traffic.queue_close_notify(wire).map_err(|_| TlsError::Buffer))
    }
}

type ReadTraffic<'c, 'i> = rustls::unbuffered::ReadTraffic<'c, 'i, ServerConnectionData>;
type WriteTraffic<'c> = rustls::unbuffered::WriteTraffic<'c, ServerConnectionData>;

impl Unbuffered {
    /// A connection that has not begun.
    pub(super) const fn new(connection: UnbufferedServerConnection) -> Self {
        Self { connection, closed: false, broken: false }
    }

    /// Writes what rustls has to say first, and then what `write` adds.
    fn write(
        &mut self,
        wire: &mut [u8],
        write: impl FnOnce(&mut WriteTraffic<'_>, &mut [u8]) -> Result<usize, TlsError>,
    ) -> Result<usize, TlsError> {
        if self.broken {
            return Err(TlsError::State);
        }
        let mut written = 0;
        loop {
            match self.connection.process_tls_records(&mut []).state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return Ok(written + write(&mut traffic, &mut wire[written..])?);
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    written += data.encode(&mut wire[written..]).map_err(|_| TlsError::Buffer)?;
                }
                ConnectionState::TransmitTlsData(sent) => sent.done(),
                // The client's close_notify is reported once; we may still write after it.
                ConnectionState::PeerClosed => {}
                _ => return Err(TlsError::State),
            }
        }
    }

    /// Ends all writing because of `error`, and puts behind `reply` what rustls has to say about it: an alert, and what
    /// it had not said before. It is asked only as long as it has something; then it would go on with bytes that it is
    /// not given.
    fn fail(&mut self, error: TlsError, reply: &mut Vec<u8>) -> TlsError {
        self.broken = true;
        while self.connection.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(data)) = self.connection.process_tls_records(&mut []).state
            && encode(data, reply).is_ok()
        {}
        error
    }
}

fn take_all(traffic: &mut ReadTraffic<'_, '_>, plain: &mut Vec<u8>) -> Result<Progress, TlsError> {
    while let Some(record) = traffic.next_record() {
        plain.extend_from_slice(record?.payload);
    }
    Ok(Progress::Done)
}

/// Whether rustls, after processing all it could, has left a whole record: one with part of a handshake message.
///
/// After the handshake a client sends messages of five bytes (a key update, RFC 8446 section 4.6.3); only an attacker
/// divides those.
fn holds_fragment(wire: &[u8]) -> bool {
    matches!(wire, [_, _, _, high, low, rest @ ..] if rest.len() >= u16::from_be_bytes([*high, *low]).into())
}

fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, reply: &mut Vec<u8>) -> Result<(), TlsError> {
    let start = reply.len();
    let size = match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => required_size,
        Ok(0) => return Ok(()),
        _ => return Err(TlsError::State),
    };
    reply.resize(start + size, 0);
    data.encode(&mut reply[start..]).map(drop).map_err(|_| TlsError::State)
}
