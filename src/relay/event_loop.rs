//! All connections of a worker in one loop, on a ring of their own.
//!
//! ```text
//!   the runtime                          the loop
//!   accept, open, timers  --enter-->  seats: | 0 | 1 | . | 3 |      due: when, who
//!          <--- ended ---                turn --> events --> what is due --> turn --> ...
//!          <--- its turn ---             nothing more: sleeps in the runtime until the bell rings
//! ```
//!
//! A connection is a value in a slab: no task, no future, no timer of its own. The loop takes whatever has come on all
//! of them with one system call, and hands over with the next all that is to be sent: a peer that is woken by the first
//! send need not be woken for the others.
//!
//! **Sleeping.** The thread belongs to the runtime, which sleeps in epoll and is woken by the bell. When there is much to
//! do, the loop gives the runtime its turn once in a while.

mod connection;
mod direction;

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep_until};

use super::link::Link;
use super::{App, Client, Means};
use crate::peer::Side;
use crate::ring::direct::{Direct, Event};
use crate::ring::lease::Lease;
use crate::ring::runtime;
use crate::session::Session;
use crate::telemetry::end::End;
use crate::telemetry::live::Live;

pub use connection::Leave;
use connection::{Ask, Connection, Step};
use direction::Sending;

/// How long the loop keeps the thread while it has something to do.
const SLICE: Duration = Duration::from_micros(500);

/// Who is told how a connection ended.
pub trait Guest: 'static {
    /// It ended like this.
    fn ended(self, end: End);
}

/// The loop of a worker.
pub struct EventLoop<G> {
    state: RefCell<State<G>>,
    means: Rc<Means>,
    /// Something was put in from outside: it is to be submitted.
    entered: Notify,
}

struct State<G> {
    ring: Direct<Sending>,
    seats: Slab<Box<Connection<G>>>,
    /// When to look at whom.
    due: BTreeSet<(Instant, u32)>,
    /// On whom something was done since the last turn.
    touched: Vec<u32>,
    /// On whom something was done before it.
    before: Vec<u32>,
    asking: Vec<Ask>,
    thirsty: VecDeque<(u32, Side)>,
    /// How many connections there ever were.
    serial: u64,
    /// What the time is, as of the turn.
    now: Instant,
    closed: bool,
}

impl<G: Guest> EventLoop<G> {
    /// A loop for the connections of the calling thread, which must be inside a runtime. It moves while
    /// [`run`](Self::run) does.
    ///
    /// # Errors
    /// When the kernel refuses the ring.
    pub fn new(means: Rc<Means>) -> io::Result<Rc<Self>> {
        let state = State {
            ring: Direct::new()?,
            seats: Slab::new(),
            due: BTreeSet::new(),
            touched: Vec::new(),
            before: Vec::new(),
            asking: Vec::new(),
            thirsty: VecDeque::new(),
            serial: 0,
            now: Instant::now(),
            closed: false,
        };
        Ok(Rc::new(Self { state: RefCell::new(state), means, entered: Notify::new() }))
    }

    /// Relays from now on, until the connection is over, and closes both sockets. `live` is told how it goes, `guest` how it
    /// ended. With `leave`, it is to end at that time.
    pub fn enter(
        self: &Rc<Self>,
        client: Client,
        app: App,
        session: Session,
        live: Rc<Live>,
        leave: Option<Leave>,
        guest: G,
    ) {
        let streams = [client.stream.into_direct(), app.stream.into_direct()];
        let sockets = [Rc::clone(&streams[0].1), Rc::clone(&streams[1].1)];
        let link = Link::new(streams.map(|(stream, _)| stream), client.tls, session, Rc::clone(&self.means), live);
        let mut state = self.state.borrow_mut();
        if state.closed {
            return;
        }
        state.serial += 1;
        let mut connection = Connection::new(link, sockets, state.serial, guest);
        connection.start(Side::Client, client.early, client.wire);
        connection.start(Side::App, app.early, Vec::new());
        connection.leave = leave.map(Box::new);
        let seat = seat(state.seats.insert(Box::new(connection)));
        state.now = Instant::now();
        state.settle(seat);
        self.ask(&mut state);
        self.entered.notify_one();
    }

    /// Leaves all connections as they are, and those that are still to come.
    pub fn close(&self) {
        let mut state = self.state.borrow_mut();
        state.closed = true;
        state.due.clear();
        let connections = std::mem::take(&mut state.seats);
        drop(state);
        drop(connections);
    }

    /// All connections are to end, each when `draw` says.
    pub fn disperse(self: &Rc<Self>, mut draw: impl FnMut() -> Leave) {
        let mut state = self.state.borrow_mut();
        state.now = Instant::now();
        let seats: Vec<_> = state.seats.iter().map(|(at, _)| seat(at)).collect();
        for seat in seats {
            state.seats[seat as usize].leave = Some(Box::new(draw()));
            state.touched.push(seat);
        }
        self.entered.notify_one();
    }

    /// Moves bytes, for ever.
    ///
    /// # Errors
    /// When the ring is broken.
    pub async fn run(self: Rc<Self>) -> io::Result<()> {
        let mut timer = pin!(sleep_until(Instant::now().into()));
        loop {
            self.sleep(timer.as_mut()).await?;
            self.spin()?;
        }
    }

    /// Sleeps in the runtime until there is something to do.
    async fn sleep(&self, mut timer: Pin<&mut Sleep>) -> io::Result<()> {
        let due = self.state.borrow().due.first().map(|(moment, _)| *moment);
        if let Some(due) = due
            && timer.deadline() != due.into()
        {
            timer.as_mut().reset(due.into());
        }
        let mut entered = pin!(self.entered.notified());
        poll_fn(|cx| {
            if self.state.borrow().ring.poll_bell(cx)?.is_ready()
                || entered.as_mut().poll(cx).is_ready()
                || (due.is_some() && timer.as_mut().poll(cx).is_ready())
            {
                return Poll::Ready(Ok(()));
            }
            Poll::Pending
        })
        .await
    }

    /// Works off all there is, for as long as the loop may keep the thread.
    fn spin(self: &Rc<Self>) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let woken = Instant::now();
        loop {
            state.ring.turn(None)?;
            state.now = Instant::now();
            let worked = state.work_off();
            state.look_after();
            self.ask(&mut state);
            if !worked && state.before.is_empty() {
                return Ok(());
            }
            if state.now.duration_since(woken) >= SLICE {
                // There may be more: back at once.
                return state.ring.ring();
            }
        }
    }

    /// Has those who wait for a lease wait in line with everybody else.
    fn ask(self: &Rc<Self>, state: &mut State<G>) {
        for Ask { seat, serial, from } in state.asking.drain(..) {
            let this = Rc::clone(self);
            runtime::spawn(async move {
                let lease = this.means.pool.lend().await;
                this.grant(seat, serial, from, lease);
            });
        }
    }

    fn grant(self: &Rc<Self>, seat: u32, serial: u64, from: Side, lease: Lease) {
        let mut state = self.state.borrow_mut();
        if let Some(connection) = state.seats.get_mut(seat as usize)
            && connection.serial == serial
        {
            connection.granted(from, lease);
            state.now = Instant::now();
            state.settle(seat);
            self.ask(&mut state);
            self.entered.notify_one();
        }
    }
}

impl<G: Guest> State<G> {
    /// Works off what has come and what is due. Whether there was anything.
    fn work_off(&mut self) -> bool {
        let mut worked = false;
        while let Some(event) = self.ring.event() {
            worked = true;
            self.handle(event);
        }
        while !self.ring.is_dry()
            && let Some((seat, from)) = self.thirsty.pop_front()
        {
            worked = true;
            self.step(seat, |connection, step| {
                connection.quench(from);
                connection.proceed(from, step)
            });
        }
        while let Some((moment, seat)) = self.due.first().copied()
            && moment <= self.now
        {
            worked = true;
            self.due.pop_first();
            self.time_out(seat);
        }
        worked
    }

    fn handle(&mut self, event: Event<Sending>) {
        let (Event::Received(tag, _) | Event::Sent(tag, ..)) = event;
        self.step(tag.seat, |connection, step| {
            let from = match event {
                Event::Received(tag, result) => {
                    connection.received(tag.side, result, step);
                    tag.side
                }
                Event::Sent(tag, result, lease, sending) => {
                    connection.sent(tag.side, result.is_ok(), lease, sending, step);
                    tag.side.other()
                }
            };
            connection.proceed(from, step)
        });
    }

    fn time_out(&mut self, seat: u32) {
        self.step(seat, |connection, step| {
            connection.armed = None;
            connection.time_out(step.now) || connection.settle(step)
        });
    }

    /// Lets everything happen on a connection that now can.
    fn settle(&mut self, seat: u32) {
        self.step(seat, Connection::settle);
    }

    /// Does something on a connection, which says whether it is over. A fault of ours is the end of this one only.
    fn step(&mut self, seat: u32, step: impl FnOnce(&mut Connection<G>, &mut Step<'_>) -> bool) {
        // Who is gone has cancelled what was in flight, and gets no events.
        let Some(connection) = self.seats.get_mut(seat as usize) else { return };
        let Self { ring, asking, thirsty, now, .. } = self;
        let mut with = Step { ring, seat, asking, thirsty, now: *now };
        let over = panic::catch_unwind(AssertUnwindSafe(|| step(connection, &mut with)));
        if over.unwrap_or(true) {
            self.leave(seat);
        } else {
            self.touched.push(seat);
        }
    }

    /// Looks after the deadlines of those on whom something was done before the last turn: by now nearly all that was to be
    /// sent is with the kernel, and no deadline of a send has to be set to be given up again.
    fn look_after(&mut self) {
        while let Some(seat) = self.before.pop() {
            self.schedule(seat);
        }
        std::mem::swap(&mut self.touched, &mut self.before);
    }

    /// Looks after a connection at its next deadline, if that has come nearer.
    fn schedule(&mut self, seat: u32) {
        let Some(connection) = self.seats.get_mut(seat as usize) else { return };
        if let Some((deadline, moment)) = connection.rearm(self.now) {
            if let Some((_, before)) = connection.armed.replace((deadline, moment)) {
                self.due.remove(&(before, seat));
            }
            self.due.insert((moment, seat));
        }
    }

    /// A connection is over.
    fn leave(&mut self, seat: u32) {
        let Some(connection) = self.seats.try_remove(seat as usize) else { return };
        if let Some((_, moment)) = connection.armed {
            self.due.remove(&(moment, seat));
        }
        let end = connection.link.end();
        connection.leave(&mut self.ring).ended(end);
    }
}

/// The number of a place in the slab. Each connection takes descriptors, of which there are fewer.
fn seat(at: usize) -> u32 {
    u32::try_from(at).expect("fewer connections than descriptors")
}

#[cfg(test)]
mod tests;
