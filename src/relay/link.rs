//! What both directions of a connection share.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::socket::Socket;
use super::{LOST, Means, Messages};
use crate::peer::Side;
use crate::ring::lease::{CAPACITY, Lease};
use crate::ring::stream::Stream;
use crate::session::{Ear, Ending, HEADROOM, Injected, Parting, Session};
use crate::telemetry::chooser::{Chooser, Chosen};
use crate::telemetry::end::End;
use crate::telemetry::live::Live;
use crate::telemetry::moment::What;
use crate::telemetry::record::Event;
use crate::tls::records::{PLAIN, RECORD, Records, SEALED};

/// Where a lease is split when TLS is in play: sealed bytes behind it when opening, before it when sealing.
///
/// ```text
///   0       HEADROOM            SPLIT     SPLIT + HEADROOM           CAPACITY
///   | . . . . | opened plaintext | received records . . . . . . . . . . |    opening
///   | sealed records . . . . . . |. . . . . . . | plaintext to seal . . |    sealing
/// ```
pub(super) const SPLIT: usize = CAPACITY / 2 + HEADROOM;

// What is opened fits before the split, and what is sealed too; a whole record fits behind it.
const _: () = assert!(SPLIT - HEADROOM >= CAPACITY - SPLIT);
const _: () = assert!(SPLIT >= SEALED && CAPACITY - SPLIT >= RECORD && CAPACITY - SPLIT - HEADROOM >= PLAIN);

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
    /// What TLS has to tell the client on its own: a key update, an alert.
    replies: RefCell<Vec<u8>>,
    /// Whether something happened that the other pump, or the clock, must look at.
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
            replies: RefCell::default(),
            unsettled: Cell::new(false),
            until: Cell::new(None),
            means,
            live,
        }
    }

    const fn socket(&self, side: Side) -> &Socket {
        match side {
            Side::Client => &self.client,
            Side::App => &self.app,
        }
    }

    pub(super) const fn stream(&self, side: Side) -> &Stream {
        &self.socket(side).stream
    }

    /// The TLS that stands between us and `side`.
    pub(super) fn tls(&self, side: Side) -> Option<&RefCell<Box<dyn Records>>> {
        self.tls.as_ref().filter(|_| side == Side::Client)
    }

    pub(super) fn replies(&self) -> &RefCell<Vec<u8>> {
        &self.replies
    }

    /// Tells the session something, and everybody else that it may have changed its mind.
    pub(super) fn tell(&self, event: impl FnOnce(&mut Session)) {
        self.unsettled.set(true);
        event(&mut self.session.borrow_mut());
    }

    /// Lets the session judge what `from` sent, and leaves filled in `lease` what may pass. While both sides are just
    /// talking nobody else need know: this is the hot path.
    pub(super) fn judge(&self, from: Side, lease: &mut Lease, now: Instant) -> ToTell {
        if lease.is_empty() {
            return None;
        }
        let mut session = self.session.borrow_mut();
        let messages = self.messages();
        let chooser = messages.map(|messages| &messages.chooser);
        let ear = Ear { traffic: self.means.counters.from(from), chooser };
        if session.handle_bytes(from, &mut lease.window(), ear, now).is_err() || !session.is_steady() {
            self.unsettled.set(true);
            if !session.may_read(from) {
                self.means.counters.throttled.add(1);
                self.live.note(What::Throttled, now);
            }
        }
        self.live.relayed(from, session.counts(from), session.round_trip(from));
        chooser.map(Chooser::take).filter(|chosen| !chosen.is_empty()).map(Box::new)
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

    /// Sends a frame of the session's own.
    pub(super) async fn inject(&self, to: Side, frame: Injected) -> io::Result<()> {
        let frame = match frame {
            Injected::Close(frame) => frame,
            Injected::Ping(frame) => {
                self.means.counters.to(to).pings.add(1);
                if self.session.borrow().missed(to) > 1 {
                    self.live.note(What::PingUnanswered(to), Instant::now());
                }
                frame
            }
        };
        let mut lease = self.means.pool.lend().await;
        lease.start_at(self.plain_start(to));
        lease.append(frame.as_bytes());
        self.write(to, lease, Instant::now()).await.map(drop)
    }

    /// Where plaintext toward `to` is put in a lease.
    pub(super) fn plain_start(&self, to: Side) -> usize {
        if self.tls(to).is_some() { SPLIT + HEADROOM } else { HEADROOM }
    }

    /// Seals what is filled in `lease` if TLS is in play, and sends it. Returns how long that took, from `now`.
    pub(super) async fn write(&self, to: Side, mut lease: Lease, now: Instant) -> io::Result<Duration> {
        if let Some(tls) = self.tls(to) {
            let (wire, plain) = lease.split_at(SPLIT);
            // In the same lease: waiting for a second one while holding the first could wait for ever.
            let replied = self.put_replies(wire)?;
            let sealed = tls.borrow_mut().seal(plain, &mut wire[replied..]).map_err(io::Error::other)?;
            lease.replace(0..replied + sealed);
        }
        self.socket(to).send(lease, now, self.means.counters.to(to)).await
    }

    fn has_replies(&self) -> bool {
        !self.replies.borrow().is_empty()
    }

    /// Puts what TLS has to tell the client on its own at the front of `wire`; returns how long it is.
    fn put_replies(&self, wire: &mut [u8]) -> io::Result<usize> {
        if !self.has_replies() {
            return Ok(0);
        }
        let replies = self.replies.take();
        let front = wire.get_mut(..replies.len()).ok_or(io::ErrorKind::OutOfMemory)?;
        front.copy_from_slice(&replies);
        Ok(replies.len())
    }

    /// Sends what TLS has to tell the client on its own.
    pub(super) async fn send_replies(&self) -> io::Result<()> {
        let replies = self.replies.take();
        for part in replies.chunks(CAPACITY) {
            let mut lease = self.means.pool.lend().await;
            lease.append(part);
            self.client.send(lease, Instant::now(), self.means.counters.to(Side::Client)).await?;
        }
        Ok(())
    }

    /// Ends the direction toward `to` in order: `close_notify`, then FIN.
    pub(super) async fn finish(&self, to: Side) -> io::Result<()> {
        if let Some(tls) = self.tls(to) {
            let mut lease = self.means.pool.lend().await;
            let alert = tls.borrow_mut().close(lease.spare(SEALED)).map_err(io::Error::other)?;
            lease.fill(alert);
            self.socket(to).send(lease, Instant::now(), self.means.counters.to(to)).await?;
        }
        self.stream(to).shutdown(Shutdown::Write)?;
        self.tell(|session| session.handle_finished(to));
        Ok(())
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
