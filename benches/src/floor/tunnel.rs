//! One connection: TLS on the client's side, plain bytes on the app's.

use std::io;
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;

use super::ring::{Key, Ring, Side, Taken};
use crate::{Fault, tls};

/// Bytes of a record's header, the last two of which tell how much follows.
const HEADER: usize = 5;

/// Buffers that wait for their next use, whoever needs one: an idle connection keeps none.
#[derive(Default)]
pub(super) struct Spare(Vec<Vec<u8>>);

impl Spare {
    /// Buffers that are kept.
    const KEPT: usize = 256;
    /// The largest that is.
    const LARGEST: usize = 256 << 10;

    /// Makes sure that `buffer` has memory if there is some.
    fn lend(&mut self, buffer: &mut Vec<u8>) {
        if buffer.capacity() == 0 {
            *buffer = self.0.pop().unwrap_or_default();
        }
    }

    fn take_back(&mut self, mut buffer: Vec<u8>) {
        if (1..=Self::LARGEST).contains(&buffer.capacity()) && self.0.len() < Self::KEPT {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

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
    to_app: Vec<u8>,
    /// Of the app, not sealed yet, because a send to the client is on its way.
    from_app: Vec<u8>,
    /// Sealed, for the client.
    to_client: Vec<u8>,
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
            to_app: Vec::new(),
            from_app: Vec::new(),
            to_client: Vec::new(),
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
                    Side::Client => self.open_records(bytes, spare),
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
    fn open_records(&mut self, mut wire: &mut [u8], spare: &mut Spare) -> Result<(), Fault> {
        spare.lend(&mut self.to_app);
        while !self.partial.is_empty() && !wire.is_empty() {
            let whole = match self.partial.get(HEADER - 2..HEADER) {
                Some(length) => HEADER + usize::from(u16::from_be_bytes([length[0], length[1]])),
                None => HEADER,
            };
            // A record that is whole and not taken is part of a longer handshake message.
            let missing = match whole.saturating_sub(self.partial.len()) {
                0 => wire.len(),
                missing => missing,
            };
            let (part, rest) = wire.split_at_mut(missing.min(wire.len()));
            self.partial.extend_from_slice(part);
            wire = rest;
            let taken = self.open_whole(None)?;
            self.partial.drain(..taken);
        }
        if self.partial.is_empty() {
            spare.take_back(mem::take(&mut self.partial));
            let taken = self.open_whole(Some(wire))?;
            if taken < wire.len() {
                spare.lend(&mut self.partial);
                self.partial.extend_from_slice(&wire[taken..]);
            }
        }
        Ok(())
    }

    /// Opens the whole records in `wire`, or in what began earlier. Returns how many bytes they are.
    fn open_whole(&mut self, wire: Option<&mut [u8]>) -> Result<usize, Fault> {
        let to_app = &mut self.to_app;
        let wire = wire.unwrap_or(&mut self.partial);
        let opened = tls::open(&mut self.tls, wire, &mut self.to_client, |plain| {
            to_app.extend_from_slice(plain);
            Ok(())
        })?;
        self.ending |= opened.closed;
        Ok(opened.taken)
    }

    /// Seals at once what can go at once, and gathers the rest, for as few records as can be.
    fn handle_app(&mut self, plain: &[u8], spare: &mut Spare) -> Result<(), Fault> {
        if self.busy[Side::Client as usize].sending {
            spare.lend(&mut self.from_app);
            self.from_app.extend_from_slice(plain);
            return Ok(());
        }
        self.seal(plain, spare)
    }

    fn seal(&mut self, plain: &[u8], spare: &mut Spare) -> Result<(), Fault> {
        spare.lend(&mut self.to_client);
        let start = self.to_client.len();
        self.to_client.resize(start + tls::sealed(plain.len()), 0);
        let length = tls::seal(&mut self.tls, plain, &mut self.to_client[start..])?;
        self.to_client.truncate(start + length);
        Ok(())
    }

    /// Takes back what was sent. A short send is one that failed.
    pub(super) fn handle_sent(&mut self, side: Side, bytes: Vec<u8>, sent: io::Result<usize>, spare: &mut Spare) {
        self.busy[side as usize].sending = false;
        if sent.ok() != Some(bytes.len()) {
            self.ending = true;
        }
        spare.take_back(bytes);
    }

    /// Sends what is there, receives on, or ends both sides.
    pub(super) fn go_on(&mut self, slot: usize, ring: &mut Ring, spare: &mut Spare) -> Result<(), Fault> {
        let [client, app] = &mut self.busy;
        if !app.sending && !self.to_app.is_empty() {
            app.sending = true;
            ring.send(Key { slot, side: Side::App }, &self.app, mem::take(&mut self.to_app))?;
        } else if self.to_app.is_empty() {
            spare.take_back(mem::take(&mut self.to_app));
        }
        if !client.sending {
            if !self.from_app.is_empty() {
                let plain = mem::take(&mut self.from_app);
                self.ending |= self.seal(&plain, spare).is_err();
                spare.take_back(plain);
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
