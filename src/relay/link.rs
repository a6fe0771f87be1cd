//! What both directions of a connection share.

mod bytes;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Instant;

use super::socket::Socket;
use super::{LOST, Means, Messages};
use crate::peer::Side;
use crate::ring::stream::Stream;
use crate::session::{Ending, Injected, Parting, Session};
use crate::telemetry::chooser::Chosen;
use crate::telemetry::end::End;
use crate::telemetry::live::Live;
use crate::telemetry::record::Event;
use crate::tls::records::Records;

pub(super) use bytes::Taken;

/// Messages that are to be told of one by one, once they are sent. As small as can be where there are none.
pub(super) type ToTell = Option<Box<Vec<Chosen>>>;

/// Something to do toward a side besides relaying.
pub(super) enum Work {
    /// TLS has something to say.
    Reply,
    /// The session has a frame of its own.
    Inject(Injected),
    /// That direction is to be ended in order.
    Finish,
    /// The session is over.
    Leave,
}

/// Both sockets, the TLS and the session of one connection.
pub(super) struct Link {
    client: Socket,
    app: Socket,
    tls: Option<RefCell<Box<dyn Records>>>,
    session: RefCell<Session>,
    /// The beginning of a TLS record that is not complete yet. Owns memory only while there is one.
    partial: RefCell<Vec<u8>>,
    /// What TLS has to tell the client on its own: a key update, an alert.
    replies: RefCell<Vec<u8>>,
    /// Whether something happened that the other direction, or the clock, must look at.
    unsettled: Cell<bool>,
    /// When all must be over, because this process stops.
    until: Cell<Option<Instant>>,
    pub(super) means: Rc<Means>,
    live: Rc<Live>,
}

impl Link {
    pub(super) fn new(
        [client, app]: [Stream; 2],
        tls: Option<Box<dyn Records>>,
        session: Session,
        means: Rc<Means>,
        live: Rc<Live>,
    ) -> Self {
        Self {
            client: Socket::new(client),
            app: Socket::new(app),
            tls: tls.map(RefCell::new),
            session: RefCell::new(session),
            partial: RefCell::default(),
            replies: RefCell::default(),
            unsettled: Cell::new(false),
            until: Cell::new(None),
            means,
            live,
        }
    }

    pub(super) const fn socket(&self, side: Side) -> &Socket {
        match side {
            Side::Client => &self.client,
            Side::App => &self.app,
        }
    }

    pub(super) const fn stream(&self, side: Side) -> &Stream {
        &self.socket(side).stream
    }

    /// The TLS that stands between us and `side`.
    fn tls(&self, side: Side) -> Option<&RefCell<Box<dyn Records>>> {
        self.tls.as_ref().filter(|_| side == Side::Client)
    }

    /// Tells the session something, and everybody else that it may have changed its mind.
    fn tell(&self, event: impl FnOnce(&mut Session)) {
        self.unsettled.set(true);
        event(&mut self.session.borrow_mut());
    }

    /// Whether the client has ended its stream already, behind its request.
    pub(super) fn early_end(&self, from: Side) -> Option<Ending> {
        self.tls(from).is_some_and(|tls| tls.borrow().is_closed()).then_some(Ending::Eof)
    }

    /// What it means when `from` has nothing more to receive.
    pub(super) fn eof(&self, from: Side) -> Ending {
        if self.tls(from).is_some() { Ending::Truncated } else { Ending::Eof }
    }

    /// Which messages of this connection are told of one by one.
    fn messages(&self) -> Option<&Messages> {
        self.means.messages.as_deref().filter(|_| self.live.span().sampled)
    }

    /// Messages of `from` that were chosen were handed to their receiver's socket `now`.
    pub(super) fn report(&self, from: Side, to_tell: ToTell, now: Instant) {
        let (Some(to_tell), Some(Messages { reporter, .. })) = (to_tell, self.messages()) else { return };
        for chosen in *to_tell {
            let message = self.live.message(from, chosen, now, &mut self.means.ids.borrow_mut());
            reporter.report(Event::Message(Box::new(message)));
        }
    }

    /// What there is to do toward `to` besides relaying.
    pub(super) fn work(&self, to: Side) -> Option<Work> {
        let mut session = self.session.borrow_mut();
        if to == Side::Client && self.has_replies() {
            return Some(Work::Reply);
        }
        if session.has_inject(to) {
            let mask = self.means.ids.borrow_mut().unpredictable();
            return session.poll_inject(to, Instant::now(), mask).map(Work::Inject);
        }
        if session.poll_finish(to) {
            return Some(Work::Finish);
        }
        session.end().map(|_| Work::Leave)
    }

    /// Whether what `from` sends is to be waited for. Notes that it is.
    pub(super) fn listen(&self, from: Side) -> bool {
        let listening = self.session.borrow().may_read(from);
        self.socket(from).listening.set(listening);
        listening
    }

    /// What `from` sends is not waited for any more, be it for a moment.
    pub(super) fn stop_listening(&self, from: Side) {
        self.socket(from).listening.set(false);
    }

    /// A deadline of the session has come.
    pub(super) fn time_out(&self, now: Instant) {
        self.tell(|session| {
            for side in [Side::Client, Side::App] {
                if !self.socket(side).listening.get() {
                    session.handle_unheard(side, now);
                }
            }
            session.handle_timeout(now);
        });
    }

    /// A write toward `side` has taken too long.
    pub(super) fn give_up(&self, side: Side, now: Instant) {
        self.socket(side).sending.set(None);
        self.tell(|session| session.handle_end(side, Ending::WriteStalled, now));
    }

    /// Notes that the end has begun, and shuts the sockets that the session has given up, which ends what waits for them.
    pub(super) fn look_after_ends(&self) {
        let session = self.session.borrow();
        if session.is_steady() {
            return;
        }
        if let Some(cause) = session.closing() {
            self.live.close(cause, Instant::now());
        }
        for side in [Side::Client, Side::App] {
            if session.is_lost(side) {
                self.socket(side).shut();
            }
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.session.borrow().end().is_some()
    }

    /// Whether there is nothing left to wait for, not even for what is being written.
    pub(super) fn is_cut(&self) -> bool {
        let session = self.session.borrow();
        session.end().is_some() && [Side::Client, Side::App].iter().all(|side| session.parting(*side) == Parting::Cut)
    }

    /// This process is to stop, and the connection to be over by `until`.
    pub(super) fn drain(&self, until: Instant) {
        self.until.set(Some(until));
        self.tell(|session| session.handle_drain(Instant::now(), until));
    }

    /// When all must be over, if the session has ended at `since` and what is due is still being written.
    pub(super) fn last_moment(&self, since: Instant) -> Instant {
        let last = since + self.means.config.closing;
        self.until.get().map_or(last, |until| until.min(last))
    }

    pub(super) fn settle(&self) {
        self.unsettled.set(false);
    }

    pub(super) fn is_unsettled(&self) -> bool {
        self.unsettled.get()
    }

    pub(super) fn session_deadline(&self) -> Option<Instant> {
        self.session.borrow().poll_timeout()
    }

    /// The side that has taken nothing for longest, and since when.
    pub(super) fn stalled(&self) -> Option<(Side, Instant)> {
        [Side::Client, Side::App]
            .into_iter()
            .filter_map(|side| Some((side, self.socket(side).sending.get()?)))
            .min_by_key(|(_, since)| *since)
    }

    /// Ends the write half toward `to`: all that was due is written.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    pub(super) fn finish(&self, to: Side) -> io::Result<()> {
        self.stream(to).shutdown(Shutdown::Write)?;
        self.finished(to);
        Ok(())
    }

    /// Nothing more is to be written to `to`.
    pub(super) fn finished(&self, to: Side) {
        self.tell(|session| session.handle_finished(to));
    }

    /// `from` has stopped.
    pub(super) fn stopped(&self, from: Side, how: Ending) {
        self.tell(|session| session.handle_end(from, how, Instant::now()));
    }

    /// A write toward `to` failed: that side is gone.
    pub(super) fn lost(&self, to: Side) {
        self.socket(to).sending.set(None);
        self.tell(|session| session.handle_end(to, Ending::Reset, Instant::now()));
    }

    /// How the connection ended.
    pub(super) fn end(&self) -> End {
        self.session.borrow().end().unwrap_or(LOST)
    }

    /// Closes both sockets, so that a cut looks like one.
    pub(super) fn part(self) {
        for side in [Side::Client, Side::App] {
            if self.session.borrow().parting(side) == Parting::Cut {
                self.stream(side).reset_on_close();
            }
        }
    }
}

impl Drop for Link {
    /// What was not sent waits no more.
    fn drop(&mut self) {
        for side in [Side::Client, Side::App] {
            self.means.counters.to(side).queued.sub(self.socket(side).queued());
        }
    }
}
