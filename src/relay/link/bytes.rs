//! What becomes of bytes on their way: opened, judged, sealed.
//!
//! ```text
//!   received, where the kernel or the driver put it            a lease, which is sent
//!   | ROOM . . [ partial ]| wire . . . . . . . |  --open-->   | HEADROOM | plain . . . . . |  judged there
//!   | ROOM . . . [ held ] | plain . . . . . .  |  --seal-->   | wire . . . . . . . . . . . |  judged before
//! ```
//!
//! What was received is never what is sent: the buffers that all connections receive into are free again at once, and a
//! slow receiver holds none of them.

use std::cell::RefCell;
use std::io;
use std::time::Instant;

use super::{Link, ToTell, Work};
use crate::peer::Side;
use crate::ring::direct::provided::{MOST, ROOM};
use crate::ring::lease::{CAPACITY, Lease};
use crate::session::{Ear, Ending, HEADROOM, Injected};
use crate::telemetry::chooser::Chooser;
use crate::telemetry::moment::What;
use crate::tls::records::{PLAIN, RECORD, Records, SEALED};
use crate::window::Window;

// What is left of the bytes before fits in front of a receive: of a client the beginning of a record, of an app what the
// session holds. And what those become together fits into a lease, opened or sealed.
const _: () = assert!(ROOM >= RECORD && ROOM >= HEADROOM);
const _: () = assert!(HEADROOM + RECORD + MOST <= CAPACITY);
const _: () = assert!(HEADROOM + MOST <= 2 * PLAIN && 2 * SEALED <= CAPACITY);

/// What became of received bytes, besides those that are sent.
#[derive(Default)]
pub(in crate::relay) struct Taken {
    /// Messages to tell of once they are sent.
    pub(in crate::relay) to_tell: ToTell,
    /// The end of the sender, if that came with them.
    pub(in crate::relay) ending: Option<Ending>,
}

impl Taken {
    /// Nothing but the end.
    pub(in crate::relay) const fn ending(how: Ending) -> Self {
        Self { to_tell: None, ending: Some(how) }
    }
}

impl Link {
    /// Takes in what `from` sent, which lies in `received` with [`ROOM`] in front, and fills `lease` with what is to be sent
    /// to the other side for it.
    ///
    /// # Errors
    /// When it cannot be sealed: the other side is gone.
    pub(in crate::relay) fn take(
        &self,
        from: Side,
        mut received: Window<'_>,
        lease: &mut Lease,
        now: Instant,
    ) -> io::Result<Taken> {
        lease.start_at(HEADROOM);
        if let Some(tls) = self.tls(from) {
            received.prepend(&self.partial.take());
            let ending = self.open(tls, received.bytes_mut(), lease);
            return Ok(Taken { to_tell: self.judge(from, &mut lease.window(), now), ending });
        }
        if self.tls(from.other()).is_some() {
            let to_tell = self.judge(from, &mut received, now);
            self.seal(received.bytes(), lease)?;
            return Ok(Taken { to_tell, ending: None });
        }
        lease.append(received.bytes());
        Ok(Taken { to_tell: self.judge(from, &mut lease.window(), now), ending: None })
    }

    /// The same with bytes that lie elsewhere, at most [`MOST`].
    ///
    /// # Errors
    /// Like [`take`](Self::take).
    pub(in crate::relay) fn take_copy(
        &self,
        from: Side,
        bytes: &[u8],
        lease: &mut Lease,
        now: Instant,
    ) -> io::Result<Taken> {
        let mut scratch = self.means.scratch.borrow_mut();
        let mut filled = ROOM..ROOM + bytes.len();
        scratch[filled.clone()].copy_from_slice(bytes);
        self.take(from, Window::new(&mut scratch, &mut filled), lease, now)
    }

    /// The same with bytes that came together with the handshake, and were opened with it.
    ///
    /// # Errors
    /// Like [`take`](Self::take).
    pub(in crate::relay) fn take_opened(
        &self,
        from: Side,
        opened: &[u8],
        lease: &mut Lease,
        now: Instant,
    ) -> io::Result<Taken> {
        if self.tls(from).is_none() {
            return self.take_copy(from, opened, lease, now);
        }
        lease.start_at(HEADROOM);
        lease.append(opened);
        Ok(Taken { to_tell: self.judge(from, &mut lease.window(), now), ending: None })
    }

    /// Opens the records of `wire` into `lease`, and keeps the beginning of one.
    fn open(&self, tls: &RefCell<Box<dyn Records>>, wire: &mut [u8], lease: &mut Lease) -> Option<Ending> {
        let mut tls = tls.borrow_mut();
        let Ok(opened) = tls.open(wire, lease.spare(CAPACITY), &mut self.replies.borrow_mut()) else {
            return Some(Ending::TlsBroken);
        };
        lease.fill(opened.written);
        if self.has_replies() {
            // For the other direction to say.
            self.unsettled.set(true);
        }
        if opened.taken < wire.len() {
            self.partial.replace(wire[opened.taken..].to_vec());
        }
        tls.is_closed().then_some(Ending::Eof)
    }

    /// Lets the session judge what `from` sent, and leaves filled in `window` what may pass. While both sides are just
    /// talking nobody else need know: this is the hot path.
    fn judge(&self, from: Side, window: &mut Window<'_>, now: Instant) -> ToTell {
        if window.is_empty() {
            return None;
        }
        let mut session = self.session.borrow_mut();
        let messages = self.messages();
        let chooser = messages.map(|messages| &messages.chooser);
        let ear = Ear { traffic: self.means.counters.from(from), chooser };
        if session.handle_bytes(from, window, ear, now).is_err() || !session.is_steady() {
            self.unsettled.set(true);
            if !session.may_read(from) {
                self.means.counters.throttled.add(1);
                self.live.note(What::Throttled, now);
            }
        }
        self.live.relayed(from, session.counts(from), session.round_trip(from));
        chooser.map(Chooser::take).filter(|chosen| !chosen.is_empty()).map(Box::new)
    }

    /// Fills `lease` with what `work` has to say to `to`: maybe nothing.
    ///
    /// # Errors
    /// When TLS cannot say it.
    pub(in crate::relay) fn put_work(&self, to: Side, work: &Work, lease: &mut Lease) -> io::Result<()> {
        match work {
            Work::Reply => self.put_replies(lease),
            Work::Inject(frame) => self.put_injected(to, frame, lease),
            Work::Finish => self.put_last(to, lease),
            Work::Leave => Ok(()),
        }
    }

    /// Fills `lease` with a frame of the session's own.
    fn put_injected(&self, to: Side, frame: &Injected, lease: &mut Lease) -> io::Result<()> {
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
        self.put(to, frame.as_bytes(), lease)
    }

    /// Fills `lease` with `plain`, sealed if TLS is in play.
    fn put(&self, to: Side, plain: &[u8], lease: &mut Lease) -> io::Result<()> {
        if self.tls(to).is_some() {
            return self.seal(plain, lease);
        }
        lease.append(plain);
        Ok(())
    }

    /// Fills `lease` with `plain`, sealed for the client, behind what TLS has to say on its own.
    fn seal(&self, plain: &[u8], lease: &mut Lease) -> io::Result<()> {
        let Some(tls) = &self.tls else { return Err(io::ErrorKind::NotConnected.into()) };
        lease.start_at(0);
        if self.has_replies() {
            self.put_replies(lease)?;
        }
        let mut tls = tls.borrow_mut();
        for part in plain.chunks(PLAIN) {
            let sealed = tls.seal(part, lease.spare(CAPACITY)).map_err(io::Error::other)?;
            lease.fill(sealed);
        }
        Ok(())
    }

    pub(super) fn has_replies(&self) -> bool {
        !self.replies.borrow().is_empty()
    }

    /// Fills `lease` with what TLS has to tell the client on its own, or fails when that is more than fits.
    fn put_replies(&self, lease: &mut Lease) -> io::Result<()> {
        let replies = self.replies.take();
        let room = lease.spare(replies.len());
        if room.len() < replies.len() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        room.copy_from_slice(&replies);
        lease.fill(replies.len());
        Ok(())
    }

    /// What TLS has to tell the client on its own is of no use any more.
    pub(in crate::relay) fn drop_replies(&self) {
        self.replies.take();
    }

    /// Fills `lease` with what ends the direction toward `to` in order, if that takes bytes: `close_notify`.
    fn put_last(&self, to: Side, lease: &mut Lease) -> io::Result<()> {
        let Some(tls) = self.tls(to) else { return Ok(()) };
        let alert = tls.borrow_mut().close(lease.spare(SEALED)).map_err(io::Error::other)?;
        lease.fill(alert);
        Ok(())
    }
}
