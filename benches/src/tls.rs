//! rustls over the caller's buffers, for the load (client) and the floor (server).

use std::sync::Arc;

use ringside::tls::records::Records;
use rustls::client::{ClientConfig, ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};

use crate::Fault;

/// Plaintext bytes in one record at the most.
const FRAGMENT: usize = 1 << 14;

/// Either side of a TLS connection.
pub trait Endpoint {
    /// What rustls keeps for that side.
    type Data;

    /// `process_tls_records` of that side.
    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Endpoint for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(wire)
    }
}

impl Endpoint for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(wire)
    }
}

/// Has a client shake hands with `server`, without a socket, until neither has more to say about it.
pub fn connect(server: &mut dyn Records, config: &Arc<ClientConfig>) -> Result<UnbufferedClientConnection, Fault> {
    let mut client = UnbufferedClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
    let (mut to_client, mut to_server, mut early) = (Vec::new(), Vec::new(), Vec::new());
    open(&mut client, &mut [], &mut to_server, |_| Ok(()))?;
    while client.is_handshaking() || !to_server.is_empty() {
        server.handshake(&mut to_server, &mut early, &mut to_client)?;
        let opened = open(&mut client, &mut to_client, &mut to_server, |_| Ok(()))?;
        to_client.drain(..opened.taken);
    }
    Ok(client)
}

/// What came of received bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opened {
    /// Wire bytes taken; the rest is the beginning of a record.
    pub taken: usize,
    /// Whether the peer's `close_notify` has come.
    pub closed: bool,
}

/// Takes the complete records of `wire`: plaintext goes to `plain`, what the peer must get behind `reply`.
pub fn open<E: Endpoint>(
    tls: &mut E,
    wire: &mut [u8],
    reply: &mut Vec<u8>,
    mut plain: impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<Opened, Fault> {
    let mut opened = Opened::default();
    loop {
        let UnbufferedStatus { discard, state } = tls.process(&mut wire[opened.taken..]);
        let go_on = match state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    plain(record?.payload)?;
                }
                true
            }
            ConnectionState::EncodeTlsData(data) => {
                encode(data, reply)?;
                true
            }
            ConnectionState::TransmitTlsData(sent) => {
                sent.done();
                true
            }
            ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake => false,
            ConnectionState::PeerClosed | ConnectionState::Closed => {
                opened.closed = true;
                false
            }
            other => return Err(format!("unexpected TLS state {other:?}").into()),
        };
        opened.taken += discard;
        if !go_on {
            return Ok(opened);
        }
    }
}

/// Bytes that `plain` bytes take at the most when sealed.
pub const fn sealed(plain: usize) -> usize {
    plain + (plain / FRAGMENT + 1) * (5 + 256)
}

/// Seals `plain` into records at the front of `wire`, which has room for [`sealed`]. Returns their length.
pub fn seal<E: Endpoint>(tls: &mut E, plain: &[u8], wire: &mut [u8]) -> Result<usize, Fault> {
    match tls.process(&mut []).state? {
        ConnectionState::WriteTraffic(mut traffic) => {
            traffic.encrypt(plain, wire).map_err(|error| error.to_string().into())
        }
        other => Err(format!("cannot seal in {other:?}").into()),
    }
}

/// Writes `close_notify` to the front of `wire`. Returns its length.
pub fn close<E: Endpoint>(tls: &mut E, wire: &mut [u8]) -> Result<usize, Fault> {
    match tls.process(&mut []).state? {
        ConnectionState::WriteTraffic(mut traffic) => {
            traffic.queue_close_notify(wire).map_err(|error| error.to_string().into())
        }
        other => Err(format!("cannot close in {other:?}").into()),
    }
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, reply: &mut Vec<u8>) -> Result<(), Fault> {
    let start = reply.len();
    if let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) {
        reply.resize(start + needed.required_size, 0);
        data.encode(&mut reply[start..]).map_err(|error| error.to_string())?;
    }
    Ok(())
}
