//! One connection: TLS on the client's side, plain bytes on the app's.

use std::mem;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;

use super::outgoing::{Outgoing, Spare};
use super::ring::{Key, Ring, Side, Taken};
use crate::{Fault, tls};

/// Bytes of a record's header, the last two of which tell how much follows.
const HEADER: usize = 5;

/// Bytes that make a full record: so many need not wait for more.
const FULL: usize = 1 << 14;

/// What the ring does for one side.
#[derive(Default)]
struct Busy {
    receiving: bool,
    sending: bool,
}

/// A connection. Its buffers are without memory when there is nothing in them.
pub(super) struct Tunnel {
    client: TcpStream,
    app: UnixStream,
    tls: UnbufferedServerConnection,
    /// The beginning of a record.
    partial: Vec<u8>,
    /// Of the client, for the app.
    to_app: Outgoing,
    /// Of the app, not sealed yet, because a send to the client is on its way.
    from_app: Outgoing,
    /// Sealed, for the client.
    to_client: Outgoing,
    busy: [Busy; 2],
    /// One side has ended; what has come is still sent.
    ending: bool,
}

impl Tunnel {
    pub(super) fn open(
        slot: usize,
        client: TcpStream,
        app: UnixStream,
        tls: Arc<ServerConfig>,
        ring: &mut Ring,
    ) -> Result<Self, Fault> {
        let mut tunnel = Self {
            client,
            app,
            tls: UnbufferedServerConnection::new(tls)?,
            partial: Vec::new(),
            to_app: Outgoing::default(),
            from_app: Outgoing::default(),
            to_client: Outgoing::default(),
            busy: Default::default(),
            ending: false,
        };
        tunnel.receive(slot, ring)?;
        Ok(tunnel)
    }

    /// Takes what was received. Whatever is wrong with it ends the connection without a word.
    pub(super) fn handle_received(&mut self, side: Side, taken: Taken, ring: &mut Ring, spare: &mut Spare) {
        match taken {
            Taken::Bytes { mut lease, armed } => {
                self.busy[side as usize].receiving = armed;
                let bytes = ring.bytes(&mut lease);
                let handled = match side {
                    Side::Client => self.handle_client(bytes, spare),
                    Side::App => self.handle_app(bytes, spare),
                };
                self.ending |= handled.is_err();
                ring.give_back(lease);
            }
            Taken::NoBuffer => self.busy[side as usize].receiving = false,
            Taken::End => {
                self.busy[side as usize].receiving = false;
                self.ending = true;
            }
        }
    }

    /// Opens what has come: a record that began earlier is completed first, the rest is opened where it lies.
    fn handle_client(&mut self, mut wire: &mut [u8], spare: &mut Spare) -> Result<(), Fault> {
        spare.lend(&mut self.to_app);
        while !self.partial.is_empty() && !wire.is_empty() {
            let whole = match self.partial.get(HEADER - 2..HEADER) {
                Some(length) => HEADER + usize::from(u16::from_be_bytes([length[0], length[1]])),
                None => HEADER,
            };
            // A record that is whole and was not taken is part of a longer handshake message.
            let missing = match whole.saturating_sub(self.partial.len()) {
                0 => wire.len(),
                missing => missing,
            };
            let (part, rest) = wire.split_at_mut(missing.min(wire.len()));
            self.partial.extend_from_slice(part);
            wire = rest;
            let mut partial = mem::take(&mut self.partial);
            let taken = self.open_records(&mut partial)?;
            partial.drain(..taken);
            if !partial.is_empty() {
                self.partial = partial;
            }
        }
        let taken = self.open_records(wire)?;
        self.partial.extend_from_slice(&wire[taken..]);
        Ok(())
    }

    /// Opens the whole records in `wire`. Returns how many bytes they are.
    fn open_records(&mut self, wire: &mut [u8]) -> Result<usize, Fault> {
        if wire.is_empty() {
            return Ok(0);
        }
        let (to_app, mut reply) = (&mut self.to_app, Vec::new());
        let opened = tls::open(&mut self.tls, wire, &mut reply, |plain| {
            to_app.extend(plain);
            Ok(())
        })?;
        self.to_client.extend(&reply);
        self.ending |= opened.closed;
        Ok(opened.taken)
    }

    /// Seals at once what can go at once, or fills records by itself; the rest is gathered, for as few records as can be.
    fn handle_app(&mut self, plain: &[u8], spare: &mut Spare) -> Result<(), Fault> {
        let alone = !self.busy[Side::Client as usize].sending || plain.len() >= FULL;
        if alone && self.from_app.is_empty() {
            return self.seal(plain, spare);
        }
        spare.lend(&mut self.from_app);
        self.from_app.extend(plain);
        Ok(())
    }

    fn seal(&mut self, plain: &[u8], spare: &mut Spare) -> Result<(), Fault> {
        spare.lend(&mut self.to_client);
        let length = tls::seal(&mut self.tls, plain, self.to_client.room(tls::sealed(plain.len())))?;
        self.to_client.fill(length);
        Ok(())
    }

    /// Takes back what was sent.
    pub(super) fn handle_sent(&mut self, side: Side, mut bytes: Outgoing, all: bool, spare: &mut Spare) {
        self.busy[side as usize].sending = false;
        self.ending |= !all;
        spare.take_back(&mut bytes);
    }

    /// Sends what is there, receives on, or ends both sides.
    pub(super) fn go_on(&mut self, slot: usize, ring: &mut Ring, spare: &mut Spare) -> Result<(), Fault> {
        let [client, app] = &mut self.busy;
        if self.to_app.is_empty() {
            spare.take_back(&mut self.to_app);
        } else if !mem::replace(&mut app.sending, true) {
            ring.send(Key { slot, side: Side::App }, &self.app, mem::take(&mut self.to_app))?;
        }
        if !client.sending {
            if !self.from_app.is_empty() {
                let mut plain = mem::take(&mut self.from_app);
                let sealed = self.seal(plain.filled(), spare);
                self.ending |= sealed.is_err();
                spare.take_back(&mut plain);
            }
            if !self.to_client.is_empty() {
                self.busy[Side::Client as usize].sending = true;
                ring.send(Key { slot, side: Side::Client }, &self.client, mem::take(&mut self.to_client))?;
            }
        }
        if self.ending {
            if !self.busy.iter().any(|busy| busy.sending) {
                // Who is gone already needs no end.
                let _ = self.client.shutdown(Shutdown::Both);
                let _ = self.app.shutdown(Shutdown::Both);
            }
            return Ok(());
        }
        self.receive(slot, ring)
    }

    /// Receives from whom nothing is being received.
    fn receive(&mut self, slot: usize, ring: &mut Ring) -> Result<(), Fault> {
        let [client, app] = &mut self.busy;
        if !mem::replace(&mut client.receiving, true) {
            ring.receive(Key { slot, side: Side::Client }, &self.client)?;
        }
        if !mem::replace(&mut app.receiving, true) {
            ring.receive(Key { slot, side: Side::App }, &self.app)?;
        }
        Ok(())
    }

    /// Whether it has ended and the ring does nothing for it any more.
    pub(super) fn is_over(&self) -> bool {
        self.ending && !self.busy.iter().any(|busy| busy.receiving || busy.sending)
    }
}
