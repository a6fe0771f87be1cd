//! One connection of a load: what it sends next, and what must come back.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Instant;

use mio::net::TcpStream;
use rustls::client::UnbufferedClientConnection;

use crate::client::{self, CLOSE, Client, PING, PONG};
use crate::message::Message;
use crate::{Fault, tls};

/// One connection.
pub(super) struct Flow {
    pub(super) socket: TcpStream,
    pub(super) tls: UnbufferedClientConnection,
    /// The beginning of a record.
    pub(super) partial: Vec<u8>,
    pub(super) unsent: Unsent,
    /// The frame to send, number and all.
    request: Vec<u8>,
    next: u64,
    /// Where the number stands in `request`.
    number_at: usize,
    pub(super) expected: Expected,
}

impl Flow {
    pub(super) fn new(client: Client, message: Message, payload: &[u8]) -> io::Result<Self> {
        let Client { socket, tls, partial, .. } = client;
        socket.set_nonblocking(true)?;
        let request = client::request(message.opcode(), payload);
        let number_at = request.len() - payload.len();
        Ok(Self {
            socket: TcpStream::from_std(socket),
            tls,
            partial,
            unsent: Unsent::default(),
            request,
            next: 0,
            number_at,
            expected: Expected::new(message, payload),
        })
    }

    /// The next message, which is due at `due`.
    pub(super) fn next_request(&mut self, due: Instant) -> &[u8] {
        self.request[self.number_at..][..8].copy_from_slice(&client::number(self.next, true));
        self.next += 1;
        self.expected.sent.push_back(due);
        &self.request
    }

    /// Ends the connection in order; nothing is on the way any more.
    pub(super) fn close(mut self) -> Result<(), Fault> {
        let mut wire = [0; 128];
        let close = client::request(CLOSE, &1000_u16.to_be_bytes());
        let length = tls::seal(&mut self.tls, &close, &mut wire)?;
        let alert = tls::close(&mut self.tls, &mut wire[length..])?;
        self.socket.write_all(&wire[..length + alert])?;
        Ok(())
    }
}

/// Bytes that the socket did not take.
#[derive(Default)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    written: usize,
}

impl Unsent {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes what fits.
    pub(super) fn write(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        self.written += write(socket, &self.bytes[self.written..])?;
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        }
        Ok(())
    }
}

/// Writes what fits and returns how many bytes do.
pub(super) fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match socket.write(&bytes[written..]) {
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// What must come back next.
pub(super) struct Expected {
    frame: Vec<u8>,
    number_at: usize,
    number: u64,
    /// Bytes of `frame` that have come.
    come: usize,
    /// When the messages on the way were due to be sent.
    sent: VecDeque<Instant>,
    /// Answers to the Pings that have come.
    pub(super) pongs: Vec<u8>,
}

impl Expected {
    fn new(message: Message, payload: &[u8]) -> Self {
        let frame = client::reply(message.opcode(), payload);
        let number_at = frame.len() - payload.len();
        let (sent, pongs) = (VecDeque::new(), Vec::new());
        let mut expected = Self { frame, number_at, number: 0, come: 0, sent, pongs };
        expected.expect(0);
        expected
    }

    fn expect(&mut self, number: u64) {
        self.number = number;
        self.frame[self.number_at..][..8].copy_from_slice(&client::number(number, false));
        self.come = 0;
    }

    /// Compares `plain` with what must come. Returns how many messages it completed.
    pub(super) fn check(&mut self, mut plain: &[u8], now: Instant, latencies: &mut Vec<u32>) -> Result<usize, Fault> {
        let mut back = 0;
        while !plain.is_empty() {
            if self.come == 0 && plain[0] == 0x80 | PING {
                plain = self.take_ping(plain)?;
                continue;
            }
            let here = plain.len().min(self.frame.len() - self.come);
            let (part, rest) = plain.split_at(here);
            if part != &self.frame[self.come..self.come + here] {
                return Err(format!("message {} came back changed, late or twice", self.number).into());
            }
            self.come += here;
            plain = rest;
            if self.come == self.frame.len() {
                let sent = self.sent.pop_front().ok_or("a message that was never sent")?;
                latencies.push(u32::try_from((now - sent).as_nanos()).unwrap_or(u32::MAX));
                self.expect(self.number + 1);
                back += 1;
            }
        }
        Ok(back)
    }

    /// Takes the Ping at the front of `plain`; returns what is behind it.
    fn take_ping<'p>(&mut self, plain: &'p [u8]) -> Result<&'p [u8], Fault> {
        let end = 2 + usize::from(*plain.get(1).ok_or("a Ping in pieces")?);
        let payload = plain.get(2..end).ok_or("a Ping in pieces, or too long")?;
        self.pongs.extend(client::request(PONG, payload));
        Ok(&plain[end..])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::Expected;
    use crate::client::{BINARY, PING, PONG, number, reply, request};
    use crate::message::Message;

    fn frame(n: u64) -> Vec<u8> {
        reply(BINARY, &[&number(n, false)[..], b"rest"].concat())
    }

    fn expected() -> Expected {
        let mut expected = Expected::new(Message::Binary, b"12345678rest");
        expected.sent.extend([Instant::now(); 2]);
        expected
    }

    #[test]
    fn sees_what_is_lost_reordered_or_changed() {
        let check = |frames: &[u8]| expected().check(frames, Instant::now(), &mut Vec::new());
        assert_eq!(check(&[frame(0), frame(1)].concat()).unwrap(), 2);
        assert!(check(&frame(1)).is_err());
        assert!(check(&[frame(0), frame(0)].concat()).is_err());
        let mut changed = frame(0);
        *changed.last_mut().unwrap() ^= 1;
        assert!(check(&changed).is_err());
        assert!(check(&[frame(0), frame(1), frame(2)].concat()).is_err());
    }

    #[test]
    fn answers_a_ping_between_messages() {
        let mut expected = expected();
        let frames = [frame(0), reply(PING, b"there?"), frame(1)].concat();
        assert_eq!(expected.check(&frames, Instant::now(), &mut Vec::new()).unwrap(), 2);
        assert_eq!(expected.pongs, request(PONG, b"there?"));
    }
}
