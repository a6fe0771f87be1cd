//! A ring for sockets that belongs to one thread: receives that stay armed, into buffers the kernel picks, and sends
//! that own their bytes until the kernel is done with them.
//!
//! What is `unsafe` about it stands in the files below; here nothing is.

mod buffers;
mod queue;

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};

use io_uring::cqueue;

use self::buffers::{Buffers, Lease};
use self::queue::{Queue, Reaped};
use super::outgoing::Outgoing;

/// Whose socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    App,
}

/// One socket of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) slot: usize,
    pub(super) side: Side,
}

impl Key {
    const fn index(self) -> usize {
        self.slot << 1 | self.side as usize
    }

    const fn of(index: usize) -> Self {
        Self { slot: index >> 1, side: if index & 1 == 0 { Side::Client } else { Side::App } }
    }
}

/// What a receive came to.
#[derive(Debug)]
pub(super) enum Taken {
    /// Bytes, to be given back; `armed` tells whether more will come by itself.
    Bytes { lease: Lease, armed: bool },
    /// There was no buffer: nothing is armed, and nothing lost.
    NoBuffer,
    /// The stream has ended, in order or not.
    End,
}

/// What has been done.
#[derive(Debug)]
pub(super) enum Done {
    Accepted(io::Result<OwnedFd>),
    Received {
        key: Key,
        taken: Taken,
    },
    /// `all` is false when the other side has taken less.
    Sent {
        key: Key,
        bytes: Outgoing,
        all: bool,
    },
}

/// A ring and its receive buffers.
pub(super) struct Ring {
    queue: Queue,
    buffers: Buffers,
}

impl Ring {
    pub(super) fn new() -> io::Result<Self> {
        let queue = Queue::new()?;
        let buffers = Buffers::register(&queue)?;
        Ok(Self { queue, buffers })
    }

    /// Accepts until there is a fault.
    pub(super) fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        self.queue.push_accept(listener.as_fd())
    }

    /// Receives until the stream ends or buffers run out.
    pub(super) fn receive(&mut self, key: Key, socket: &impl AsFd) -> io::Result<()> {
        self.queue.push_receive(key.index(), socket.as_fd())
    }

    /// Sends all that is in `bytes`; they come back with [`Done::Sent`]. One send per key at a time.
    pub(super) fn send(&mut self, key: Key, socket: &impl AsFd, bytes: Outgoing) -> io::Result<()> {
        self.queue.push_send(key.index(), socket.as_fd(), bytes)
    }

    /// Submits what was asked for, and sleeps until something is done.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        self.queue.wait()
    }

    /// Something that was done before the last [`wait`](Self::wait) was over.
    pub(super) fn next_done(&mut self) -> Option<Done> {
        Some(match self.queue.reaped()? {
            Reaped::Accepted(socket) => Done::Accepted(socket),
            Reaped::Received { index, completion } => {
                let taken = match (queue::result(&completion), Buffers::lease(&completion)) {
                    (Ok(_), Some(lease)) => Taken::Bytes { lease, armed: cqueue::more(completion.flags()) },
                    (Err(error), _) if error.raw_os_error() == Some(libc::ENOBUFS) => Taken::NoBuffer,
                    _ => Taken::End,
                };
                Done::Received { key: Key::of(index), taken }
            }
            Reaped::Sent { index, bytes, all } => Done::Sent { key: Key::of(index), bytes, all },
        })
    }

    /// The bytes of a lease.
    pub(super) fn bytes(&mut self, lease: &mut Lease) -> &mut [u8] {
        self.buffers.bytes(lease)
    }

    /// Gives the kernel back what it lent.
    pub(super) fn give_back(&mut self, lease: Lease) {
        self.buffers.give_back(lease);
    }
}
