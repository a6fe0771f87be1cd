//! The drivers that move bytes between two sockets and a session.
//!
//! ```text
//!            receive        open          judge           send
//!   client ----------> TLS ------> Session ------> app          one direction, `from` the client
//!   client <---------- TLS <------ Session <------ app          one direction, `from` the app
//!            send         seal        judge         receive
//! ```
//!
//! Each direction waits for bytes, takes what is there, sends all that may pass in one send, and only then receives again.
//! So one send is in flight per direction, a slow receiver stops its sender (there is nothing else to fill), and what
//! gathers meanwhile is taken in one step. Nobody else writes to its receiver; what the session itself has to say to that
//! side goes out between two sends.
//!
//! There are two drivers, and both share what a connection is ([`link`](self)) and when to look after it (`deadlines`):
//!
//! | driver | engine | a connection is | waits for |
//! |---|---|---|---|
//! | [`event_loop`] | `io_uring` | a value in a slab | one turn of a ring of its own, for all connections |
//! | [`task`] | epoll | a task with two pumps and a timer | readiness, by the runtime |
//!
//! Nothing here knows frames; nothing in the session knows sockets.

mod deadlines;
pub mod event_loop;
mod link;
mod socket;
pub mod task;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::ring::lease::CAPACITY;
use crate::ring::pool::Pool;
use crate::ring::stream::Stream;
use crate::telemetry::chooser::Chooser;
use crate::telemetry::counters::Counters;
use crate::telemetry::end::{By, End, Why};
use crate::telemetry::report::Reporter;
use crate::telemetry::trace::Ids;
use crate::tls::records::Records;

/// Bounds of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a peer may take none of what we write to it.
    pub write_stall: Duration,
    /// How long what is still to be written when a session is over may take.
    pub closing: Duration,
}

/// The client's side of a connection that has its 101.
pub struct Client {
    /// Its socket.
    pub stream: Stream,
    /// Its TLS; `None` on a plain listener.
    pub tls: Option<Box<dyn Records>>,
    /// Bytes received and not opened yet: the beginning of a record, or more.
    pub wire: Vec<u8>,
    /// Opened bytes that stood behind the request head.
    pub early: Vec<u8>,
}

/// The app's side.
pub struct App {
    /// Its socket.
    pub stream: Stream,
    /// Bytes that stood behind the app's 101.
    pub early: Vec<u8>,
}

/// What the driver needs of the worker it runs on. One for all connections of a worker.
#[derive(Debug)]
pub struct Means {
    /// Its bounds.
    pub config: Config,
    /// Where buffers come from.
    pub pool: Rc<Pool>,
    /// Where traffic is counted.
    pub counters: Arc<Counters>,
    /// Where masking keys come from.
    pub ids: Rc<RefCell<Ids>>,
    /// Which messages are told of one by one, and where.
    pub messages: Option<Rc<Messages>>,
    /// Where bytes lie that are not in a lease yet: [`scratch`].
    pub scratch: RefCell<Box<[u8]>>,
}

/// Messages that are told of one by one.
#[derive(Debug)]
pub struct Messages {
    /// Which.
    pub chooser: Chooser,
    /// Where.
    pub reporter: Reporter,
}

/// The end of a connection whose driver was left in the middle, which only a fault of ours can do.
pub const LOST: End = End { by: By::Ringside, why: Why::Internal, code_sent: None, code_received: None };

/// A buffer for what lies elsewhere or only passes through: once for all connections of a worker.
pub fn scratch() -> RefCell<Box<[u8]>> {
    RefCell::new(vec![0; CAPACITY].into_boxed_slice())
}
