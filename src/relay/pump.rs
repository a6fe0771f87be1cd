//! One direction of a connection.
//!
//! Its future lives as long as the connection, so what is seldom done (starting, a frame of the session's own, the end)
//! is boxed while it is done: the room for it would otherwise be kept by every idle connection. For the same reason no
//! function that is called once is an `async fn`: its future keeps its arguments besides what became of them.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Instant;

use super::link::{Link, SPLIT, Work};
use crate::peer::Side;
use crate::ring::lease::{CAPACITY, Lease};
use crate::session::{Ending, HEADROOM};
use crate::tls::records::PLAIN;

/// Relays what `from` sends until the session has ended and everything due to the other side is written.
///
/// `wire` is what was received before and not opened; `early` what was opened and not relayed.
pub(super) fn run(link: &Link, from: Side, wire: Vec<u8>, early: Vec<u8>) -> impl Future<Output = ()> {
    let mut pump = Pump { link, from, partial: wire, now: Instant::now(), ended: false };
    async move {
        if Box::pin(pump.start(early)).await.is_ok() && pump.relay().await.is_ok() {
            return;
        }
        // The receiver is gone. What the sender still says is judged, its Close is seen, and nothing is sent on.
        pump.link.lost(pump.from.other());
        pump.listen().await;
    }
}

struct Pump<'l> {
    link: &'l Link,
    from: Side,
    /// The beginning of a TLS record that is not complete yet. Owns memory only while there is one.
    partial: Vec<u8>,
    /// When what is being relayed came. Here, and not an argument that each future on the way would keep room for.
    now: Instant,
    /// Whether `from` has ended its stream.
    ended: bool,
}

/// Why a wait is over.
enum Wake {
    /// Something can be received.
    Readable,
    /// There is something to do toward the receiver.
    Work(Work),
}

impl Pump<'_> {
    /// Takes in what came together with the handshake.
    async fn start(&mut self, early: Vec<u8>) -> io::Result<()> {
        let to = self.from.other();
        for part in early.chunks(PLAIN) {
            let mut lease = self.link.means.pool.lend().await;
            lease.start_at(self.link.plain_start(to));
            lease.append(part);
            self.now = Instant::now();
            self.pass(lease, None).await?;
        }
        let wire = std::mem::take(&mut self.partial);
        if wire.is_empty() {
            // The client may have ended its stream already, behind its request.
            let ending = self.link.tls(self.from).is_some_and(|tls| tls.borrow().is_closed()).then_some(Ending::Eof);
            self.end(ending);
            return Ok(());
        }
        let mut lease = self.link.means.pool.lend().await;
        lease.start_at(SPLIT);
        lease.append(&wire);
        self.now = Instant::now();
        let ending = self.open(&mut lease);
        self.pass(lease, ending).await
    }

    /// Relays until the session is over.
    async fn relay(&mut self) -> io::Result<()> {
        let to = self.from.other();
        loop {
            match self.wait().await {
                Wake::Readable => {
                    let (lease, ending) = self.receive().await;
                    self.pass(lease, ending).await?;
                }
                Wake::Work(Work::Reply) => Box::pin(self.link.send_replies()).await?,
                Wake::Work(Work::Inject(frame)) => Box::pin(self.link.inject(to, frame)).await?,
                Wake::Work(Work::Finish) => Box::pin(self.link.finish(to)).await?,
                Wake::Work(Work::Leave) => return Ok(()),
            }
        }
    }

    /// Like [`relay`](Self::relay), for nobody.
    async fn listen(&mut self) {
        loop {
            match self.wait().await {
                Wake::Readable => {
                    let (mut lease, ending) = self.receive().await;
                    self.link.judge(self.from, &mut lease, self.now);
                    self.end(ending);
                }
                Wake::Work(Work::Finish) => self.link.tell(|session| session.handle_finished(self.from.other())),
                Wake::Work(Work::Reply | Work::Inject(_)) => self.link.replies().borrow_mut().clear(),
                Wake::Work(Work::Leave) => return,
            }
        }
    }

    async fn wait(&self) -> Wake {
        let wake = poll_fn(|cx| {
            if let Some(work) = self.link.work(self.from.other()) {
                return Poll::Ready(Wake::Work(work));
            }
            if self.ended || !self.link.listen(self.from) {
                return Poll::Pending;
            }
            // An error of the wait shows again, with its reason, in the receive.
            self.link.stream(self.from).poll_readable(cx).map(|_| Wake::Readable)
        })
        .await;
        self.link.stop_listening(self.from);
        wake
    }

    /// Receives all that is there, as plaintext, and the end if it has come.
    async fn receive(&mut self) -> (Lease, Option<Ending>) {
        let sealed = self.link.tls(self.from).is_some();
        let start = if sealed { SPLIT + self.partial.len() } else { self.link.plain_start(self.from.other()) };
        let limit = if self.link.tls(self.from.other()).is_some() { PLAIN - HEADROOM } else { CAPACITY };
        let mut lease = self.link.means.pool.lend().await;
        lease.start_at(start);
        let (result, mut lease) = self.link.stream(self.from).recv(lease, limit).await;
        self.now = Instant::now();
        let ending = match result {
            Ok(0) if sealed => Some(Ending::Truncated),
            Ok(0) => Some(Ending::Eof),
            Ok(_) if sealed => {
                lease.window().prepend(&std::mem::take(&mut self.partial));
                self.open(&mut lease)
            }
            Ok(_) => None,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
            Err(_) => Some(Ending::Reset),
        };
        (lease, ending)
    }

    /// Opens the records filled in `lease` and leaves their plaintext filled.
    fn open(&mut self, lease: &mut Lease) -> Option<Ending> {
        let tls = self.link.tls(self.from)?;
        let (front, wire) = lease.split_at(SPLIT);
        let opened = tls.borrow_mut().open(wire, &mut front[HEADROOM..], &mut self.link.replies().borrow_mut());
        let Ok(opened) = opened else {
            lease.start_at(HEADROOM);
            return Some(Ending::TlsBroken);
        };
        self.partial = wire[opened.taken..].to_vec();
        lease.replace(HEADROOM..HEADROOM + opened.written);
        tls.borrow().is_closed().then_some(Ending::Eof)
    }

    /// Sends on what may pass of the filled bytes, and then lets the end, if it has come, be known.
    async fn pass(&mut self, mut lease: Lease, ending: Option<Ending>) -> io::Result<()> {
        let to_tell = self.link.judge(self.from, &mut lease, self.now);
        if !lease.is_empty() {
            let took = self.link.write(self.from.other(), lease, self.now).await?;
            self.link.means.counters.from(self.from).delays.record_time(took);
            self.link.report(self.from, to_tell, self.now + took);
        }
        self.end(ending);
        Ok(())
    }

    fn end(&mut self, ending: Option<Ending>) {
        if let Some(how) = ending {
            self.ended = true;
            self.link.tell(|session| session.handle_end(self.from, how, Instant::now()));
        }
    }
}
