//! One direction of a connection: from one side to the other.

use std::rc::Rc;
use std::time::Instant;

use socket2::Socket;

use crate::peer::Side;
use crate::relay::link::{Taken, Work};
use crate::ring::direct::provided::Received;
use crate::ring::direct::{Direct, Flight};
use crate::ring::lease::Lease;

/// Both directions of a connection.
pub(super) struct Directions {
    client: Direction,
    app: Direction,
}

/// One direction. What is seldom there is on the heap while it is.
pub(super) struct Direction {
    /// The sender's.
    pub(super) socket: Rc<Socket>,
    /// The receive that waits for bytes.
    pub(super) receiving: Option<Flight>,
    /// The send that is under way.
    pub(super) sending: Option<Flight>,
    /// What has come and is not relayed yet.
    pub(super) backlog: Option<Box<Backlog>>,
    /// What there is to do toward the receiver and waits for a lease.
    pub(super) todo: Option<Box<Work>>,
    pub(super) lent: Lent,
    pub(super) receiver: Receiver,
    /// Whether there may be bytes to receive already.
    pub(super) at_once: bool,
    /// Whether it waits for a buffer to receive into.
    pub(super) thirsty: bool,
    /// Whether the sender has ended its stream.
    pub(super) ended: bool,
}

/// Whether a lease was waited for.
pub(super) enum Lent {
    /// No: nothing has to wait as long as there are leases.
    No,
    /// It is waited for.
    Asked,
    /// It has come.
    Granted(Box<Lease>),
}

/// What is to be done for the receiver.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiver {
    /// It gets what passes.
    Here,
    /// It is gone: nothing.
    Gone,
    /// All is done.
    Done,
}

/// What goes with a send.
pub(super) struct Sending {
    pub(super) began: Instant,
    pub(super) then: Then,
}

/// What is to happen when all is sent.
pub(super) enum Then {
    /// What was relayed is counted, and the sender's end, if it has come, becomes known.
    Passed(Taken),
    /// The write half is ended.
    Finish,
    /// Nothing.
    Nothing,
}

/// What has come and is not relayed yet.
pub(super) enum Backlog {
    /// What was received while the last of it was being sent, or while there was no lease.
    Received(Received),
    /// What came together with the handshake.
    Early {
        /// Opened.
        opened: Vec<u8>,
        /// Not opened.
        wire: Vec<u8>,
    },
}

impl Directions {
    pub(super) fn new([client, app]: [Rc<Socket>; 2]) -> Self {
        Self { client: Direction::new(client), app: Direction::new(app) }
    }

    /// That of what `sender` sends.
    pub(super) const fn of(&self, sender: Side) -> &Direction {
        match sender {
            Side::Client => &self.client,
            Side::App => &self.app,
        }
    }

    /// The same, to change it.
    pub(super) const fn of_mut(&mut self, sender: Side) -> &mut Direction {
        match sender {
            Side::Client => &mut self.client,
            Side::App => &mut self.app,
        }
    }

    /// Whether everything due to both sides is written.
    pub(super) fn are_done(&self) -> bool {
        self.client.is_done() && self.app.is_done()
    }

    /// Gives up what is in flight.
    pub(super) fn give_up(self, ring: &mut Direct<Sending>) {
        self.client.give_up(ring);
        self.app.give_up(ring);
    }
}

impl Direction {
    const fn new(socket: Rc<Socket>) -> Self {
        Self {
            socket,
            receiving: None,
            sending: None,
            backlog: None,
            todo: None,
            lent: Lent::No,
            receiver: Receiver::Here,
            at_once: true,
            thirsty: false,
            ended: false,
        }
    }

    /// Whether what comes can be relayed at once: nothing is before it.
    pub(super) const fn is_free(&self) -> bool {
        self.sending.is_none() && self.backlog.is_none() && self.todo.is_none()
    }

    /// Whether everything due to the receiver is written.
    pub(super) fn is_done(&self) -> bool {
        self.receiver == Receiver::Done
    }

    fn give_up(self, ring: &mut Direct<Sending>) {
        for flight in self.receiving.into_iter().chain(self.sending) {
            ring.cancel(flight);
        }
    }
}
