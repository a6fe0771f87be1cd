//! One connection: what the pumps and the clock of a task do, a step at a time.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use socket2::Socket;

use super::direction::{Backlog, Directions, Lent, Receiver, Sending, Then};
use crate::peer::Side;
use crate::relay::deadlines::{Deadlines, moment};
use crate::relay::link::{Link, Taken, Work};
use crate::ring::direct::provided::{MOST, Received};
use crate::ring::direct::{Direct, Tag, calls_for_another_try};
use crate::ring::lease::Lease;
use crate::session::Ending;
use crate::tls::records::PLAIN;

/// What a step works with.
pub(super) struct Step<'s> {
    pub(super) ring: &'s mut Direct<Sending>,
    /// Whose step it is.
    pub(super) seat: u32,
    /// Who waits for a lease since.
    pub(super) asking: &'s mut Vec<Ask>,
    /// Who waits for a buffer to receive into.
    pub(super) thirsty: &'s mut VecDeque<(u32, Side)>,
    /// What the time is, as of the turn.
    pub(super) now: Instant,
}

/// A direction that waits for a lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) seat: u32,
    pub(super) serial: u64,
    pub(super) from: Side,
}

/// When to leave.
#[derive(Clone, Copy, Debug)]
pub struct Leave {
    /// When to begin.
    pub at: Instant,
    /// When to be gone.
    pub until: Instant,
}

pub(super) struct Connection<G> {
    pub(super) link: Link,
    directions: Directions,
    deadlines: Deadlines,
    /// The deadline for which the timer has yet to fire, and when it will.
    pub(super) armed: Option<(Instant, Instant)>,
    pub(super) leave: Option<Box<Leave>>,
    /// Tells it from who had its seat before.
    pub(super) serial: u64,
    pub(super) guest: G,
}

impl<G> Connection<G> {
    pub(super) fn new(link: Link, sockets: [Rc<Socket>; 2], serial: u64, guest: G) -> Self {
        Self {
            link,
            directions: Directions::new(sockets),
            deadlines: Deadlines::default(),
            armed: None,
            leave: None,
            serial,
            guest,
        }
    }

    /// What came together with the handshake is to be relayed first.
    pub(super) fn start(&mut self, from: Side, opened: Vec<u8>, wire: Vec<u8>) {
        self.directions.of_mut(from).backlog = Some(Box::new(Backlog::Early { opened, wire }));
    }

    /// A receive has come back.
    pub(super) fn received(&mut self, from: Side, result: io::Result<Option<Received>>, step: &mut Step<'_>) {
        self.link.stop_listening(from);
        let direction = self.directions.of_mut(from);
        direction.receiving = None;
        match result {
            Ok(Some(received)) if direction.is_free() => self.take(from, received, step),
            Ok(Some(received)) => direction.backlog = Some(Box::new(Backlog::Received(received))),
            Ok(None) => self.end(from, Some(self.link.eof(from))),
            Err(error) if calls_for_another_try(&error) => direction.at_once = true,
            Err(_) => self.end(from, Some(Ending::Reset)),
        }
    }

    /// A send has come back: whether the kernel took any of it, and what is left of it.
    pub(super) fn sent(&mut self, to: Side, taken: bool, lease: Lease, sending: Sending, step: &mut Step<'_>) {
        let from = to.other();
        self.directions.of_mut(from).sending = None;
        if !taken {
            self.lose(from);
        } else if lease.is_empty() {
            self.written(from, sending, step);
        } else {
            self.send(from, lease, sending, step);
        }
    }

    /// There are buffers to receive into again.
    pub(super) fn quench(&mut self, from: Side) {
        self.directions.of_mut(from).thirsty = false;
    }

    /// A lease that was waited for. Where all is done meanwhile, nobody needs it.
    pub(super) fn granted(&mut self, from: Side, lease: Lease) {
        let direction = self.directions.of_mut(from);
        direction.lent = if direction.is_done() { Lent::No } else { Lent::Granted(Box::new(lease)) };
    }

    /// Goes on with one direction, and with all else if that changed something for others. Whether the connection is over.
    pub(super) fn proceed(&mut self, from: Side, step: &mut Step<'_>) -> bool {
        self.advance(from, step);
        self.link.is_unsettled() && self.settle(step)
    }

    /// Lets everything happen that now can. Whether the connection is over.
    pub(super) fn settle(&mut self, step: &mut Step<'_>) -> bool {
        loop {
            self.link.settle();
            self.advance(Side::Client, step);
            self.advance(Side::App, step);
            self.link.look_after_ends();
            self.deadlines.note(&self.link);
            if self.directions.are_done() || self.link.is_cut() {
                return true;
            }
            // What one direction did may be work for the other, which has had its turn already.
            if !self.link.is_unsettled() {
                return false;
            }
        }
    }

    /// Lets what is due happen. Whether the connection must go now.
    pub(super) fn time_out(&mut self, now: Instant) -> bool {
        if let Some(leave) = self.leave.take_if(|leave| leave.at <= now) {
            self.link.drain(leave.until);
        }
        let due = self.deadlines.next(&self.link).is_some_and(|deadline| deadline <= now);
        due && self.deadlines.act(&self.link, now)
    }

    /// When the timer must be moved to, if it must: the deadline, and the moment to fire.
    pub(super) fn rearm(&self, now: Instant) -> Option<(Instant, Instant)> {
        let leave = self.leave.as_ref().map(|leave| leave.at);
        let next = [self.deadlines.next(&self.link), leave].into_iter().flatten().min()?;
        self.armed.is_none_or(|(deadline, _)| next < deadline).then(|| (next, moment(next, now)))
    }

    /// Goes on with one direction: with what waits to be relayed, with what else there is to do toward the receiver, and
    /// when there is nothing of either, with receiving.
    fn advance(&mut self, from: Side, step: &mut Step<'_>) {
        let to = from.other();
        loop {
            let direction = self.directions.of_mut(from);
            if direction.is_done() || direction.sending.is_some() {
                return;
            }
            if let Some(backlog) = direction.backlog.take() {
                if !self.relay(from, *backlog, step) {
                    return;
                }
                continue;
            }
            let todo = direction.todo.take().map(|work| *work);
            match todo.or_else(|| self.link.work(to)) {
                None => break,
                Some(Work::Leave) => self.directions.of_mut(from).receiver = Receiver::Done,
                Some(work) => {
                    if !self.work(from, work, step) {
                        return;
                    }
                }
            }
        }
        self.listen(from, step);
    }

    /// Receives what comes, if it may.
    fn listen(&mut self, from: Side, step: &mut Step<'_>) {
        let direction = self.directions.of_mut(from);
        if direction.ended || direction.receiving.is_some() || !self.link.listen(from) {
            return;
        }
        if step.ring.is_dry() {
            self.link.stop_listening(from);
            if !std::mem::replace(&mut direction.thirsty, true) {
                step.thirsty.push_back((step.seat, from));
            }
        } else {
            direction.thirsty = false;
            let at_once = std::mem::take(&mut direction.at_once);
            direction.receiving =
                Some(step.ring.receive(Tag { seat: step.seat, side: from }, &direction.socket, at_once));
        }
    }

    /// Relays what waited. Whether that is done.
    fn relay(&mut self, from: Side, backlog: Backlog, step: &mut Step<'_>) -> bool {
        match backlog {
            Backlog::Received(received) => {
                self.take(from, received, step);
                self.directions.of(from).backlog.is_none()
            }
            Backlog::Early { opened, wire } if opened.is_empty() && wire.is_empty() => {
                if !self.directions.of(from).ended {
                    self.end(from, self.link.early_end(from));
                }
                true
            }
            Backlog::Early { mut opened, mut wire } => {
                let Some(mut lease) = self.lend(from, step) else {
                    self.start(from, opened, wire);
                    return false;
                };
                let taken = if opened.is_empty() {
                    let part = wire.drain(..wire.len().min(MOST)).collect::<Vec<_>>();
                    self.link.take_copy(from, &part, &mut lease, step.now)
                } else {
                    let part = opened.drain(..opened.len().min(PLAIN)).collect::<Vec<_>>();
                    self.link.take_opened(from, &part, &mut lease, step.now)
                };
                self.start(from, opened, wire);
                self.pass(from, lease, taken, step);
                true
            }
        }
    }

    /// Takes in what was received, and sends on what may pass of it.
    fn take(&mut self, from: Side, mut received: Received, step: &mut Step<'_>) {
        let Some(mut lease) = self.lend(from, step) else {
            self.directions.of_mut(from).backlog = Some(Box::new(Backlog::Received(received)));
            return;
        };
        let taken = self.link.take(from, received.window(), &mut lease, step.now);
        drop(received);
        self.pass(from, lease, taken, step);
    }

    /// Does something toward the receiver besides relaying. Whether it is done.
    fn work(&mut self, from: Side, work: Work, step: &mut Step<'_>) -> bool {
        let to = from.other();
        if self.directions.of(from).receiver == Receiver::Gone {
            match work {
                Work::Finish => self.link.finished(to),
                _ => self.link.drop_replies(),
            }
            return true;
        }
        let Some(mut lease) = self.lend(from, step) else {
            self.directions.of_mut(from).todo = Some(Box::new(work));
            return false;
        };
        if self.link.put_work(to, &work, &mut lease).is_err() {
            self.lose(from);
            return true;
        }
        let then = if matches!(work, Work::Finish) { Then::Finish } else { Then::Nothing };
        self.transmit(from, lease, then, step);
        true
    }

    fn pass(&mut self, from: Side, lease: Lease, taken: io::Result<Taken>, step: &mut Step<'_>) {
        match taken {
            Ok(taken) if lease.is_empty() || self.directions.of(from).receiver != Receiver::Here => {
                self.end(from, taken.ending);
            }
            Ok(taken) => self.transmit(from, lease, Then::Passed(taken), step),
            Err(_) => self.lose(from),
        }
    }

    /// Sends all that is filled in `lease`.
    fn transmit(&mut self, from: Side, lease: Lease, then: Then, step: &mut Step<'_>) {
        let sending = Sending { began: step.now, then };
        if lease.is_empty() {
            self.written(from, sending, step);
        } else {
            self.send(from, lease, sending, step);
        }
    }

    fn send(&mut self, from: Side, lease: Lease, sending: Sending, step: &mut Step<'_>) {
        let to = from.other();
        self.link.socket(to).progress(lease.bytes().len(), step.now, self.link.means.counters.to(to));
        let tag = Tag { seat: step.seat, side: to };
        let flight = step.ring.send(tag, &self.directions.of(to).socket, lease, sending);
        self.directions.of_mut(from).sending = Some(flight);
    }

    /// All of a lease is with the kernel.
    fn written(&mut self, from: Side, Sending { began, then }: Sending, step: &mut Step<'_>) {
        let to = from.other();
        let took = step.now.saturating_duration_since(began);
        self.link.socket(to).sent(took, self.link.means.counters.to(to));
        match then {
            Then::Passed(taken) => {
                self.link.means.counters.from(from).delays.record_time(took);
                self.link.report(from, taken.to_tell, step.now);
                self.end(from, taken.ending);
            }
            Then::Finish => {
                if self.link.finish(to).is_err() {
                    self.lose(from);
                }
            }
            Then::Nothing => {}
        }
    }

    /// The receiver of what `from` sends is gone. What `from` still says is judged, its Close is seen, and nothing is sent
    /// on.
    fn lose(&mut self, from: Side) {
        self.directions.of_mut(from).receiver = Receiver::Gone;
        self.link.lost(from.other());
    }

    fn end(&mut self, from: Side, ending: Option<Ending>) {
        if let Some(how) = ending {
            self.directions.of_mut(from).ended = true;
            self.link.stopped(from, how);
        }
    }

    /// A lease, now or never: then one is asked for.
    fn lend(&mut self, from: Side, step: &mut Step<'_>) -> Option<Lease> {
        let serial = self.serial;
        let pool = &self.link.means.pool;
        let direction = self.directions.of_mut(from);
        match std::mem::replace(&mut direction.lent, Lent::Asked) {
            Lent::Granted(lease) => {
                direction.lent = Lent::No;
                return Some(*lease);
            }
            Lent::No => {
                if let Some(lease) = pool.lend_now() {
                    direction.lent = Lent::No;
                    return Some(lease);
                }
                step.asking.push(Ask { seat: step.seat, serial, from });
            }
            Lent::Asked => {}
        }
        None
    }

    /// Gives up what is in flight, and closes both sockets. Returns who is to be told how it ended.
    pub(super) fn leave(self, ring: &mut Direct<Sending>) -> G {
        self.directions.give_up(ring);
        self.link.part();
        self.guest
    }
}
