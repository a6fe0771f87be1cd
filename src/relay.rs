//! The driver that moves bytes between two sockets and a session.
//!
//! ```text
//!            receive        open          judge           send
//!   client ----------> TLS ------> Session ------> app          one pump, `from` the client
//!   client <---------- TLS <------ Session <------ app          one pump, `from` the app
//!            send         seal        judge         receive
//! ```
//!
//! Each direction is one `pump`: it waits for bytes, takes all that is there into one lease, sends all that may
//! pass in one send, and only then receives again. So one send is in flight per direction, a slow receiver stops
//! its sender (there is nothing else to fill), and what gathers meanwhile is taken in one step. A pump is the only
//! writer to its receiver; what the session itself has to say to that side goes out between two sends.
//!
//! Both pumps and the clock are polled by one task and share a `Link`. Nothing here knows frames; nothing in the
//! session knows sockets.

mod clock;
mod link;
mod pump;
mod socket;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::peer::Side;
use crate::ring::pool::Pool;
use crate::ring::stream::Stream;
use crate::session::Session;
use crate::telemetry::chooser::Chooser;
use crate::telemetry::counters::Counters;
use crate::telemetry::end::{By, End, Why};
use crate::telemetry::live::Live;
use crate::telemetry::report::Reporter;
use crate::telemetry::trace::Ids;
use crate::tls::records::Records;

use clock::Clock;
use link::Link;

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

/// Relays until the connection is over, and closes both sockets. `live` is told how it goes, `ended` how it ended.
///
/// When `stop` is done, the session is told to close, and to be over by the time that it gives.
///
/// Not an `async fn`, and one block: the future lives as long as the connection, and would keep room for each argument of
/// each function besides what became of it.
pub fn run(
    client: Client,
    app: App,
    session: Session,
    means: Rc<Means>,
    live: Rc<Live>,
    stop: impl Future<Output = Instant>,
    ended: impl FnOnce(End),
) -> impl Future<Output = ()> {
    let link = Link::new([client.stream, app.stream], client.tls, session, means, live);
    let (wire, early, app_early) = (client.wire, client.early, app.early);
    async move {
        {
            let mut from_client = pin!(pump::run(&link, Side::Client, wire, early));
            let mut from_app = pin!(pump::run(&link, Side::App, Vec::new(), app_early));
            let mut stop = pin!(stop);
            let mut clock = Clock::default();
            let (mut client_done, mut app_done, mut stopping) = (false, false, false);
            poll_fn(|cx| {
                loop {
                    link.settle();
                    client_done = client_done || from_client.as_mut().poll(cx).is_ready();
                    app_done = app_done || from_app.as_mut().poll(cx).is_ready();
                    if !stopping && let Poll::Ready(until) = stop.as_mut().poll(cx) {
                        stopping = true;
                        link.drain(until);
                    }
                    link.look_after_ends();
                    if (client_done && app_done) || link.is_cut() || clock.poll(&link, cx).is_ready() {
                        return Poll::Ready(());
                    }
                    // What one of them did may be work for another that has had its turn already.
                    if !link.is_unsettled() {
                        return Poll::Pending;
                    }
                }
            })
            .await;
        }
        let end = link.end();
        link.part();
        ended(end);
    }
}
