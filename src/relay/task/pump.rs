//! One direction of a connection.
//!
//! Its future lives as long as the connection, so what is seldom done (starting, a frame of the session's own, the end)
//! is boxed while it is done: the room for it would otherwise be kept by every idle connection. For the same reason no
//! function that is called once is an `async fn`: its future keeps its arguments besides what became of them.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::peer::Side;
use crate::relay::link::{Link, Taken, Work};
use crate::ring::direct::provided::{MOST, ROOM};
use crate::ring::lease::Lease;
use crate::session::Ending;
use crate::tls::records::PLAIN;
use crate::window::Window;

/// Relays what `from` sends until the session has ended and everything due to the other side is written.
///
/// `wire` is what was received before and not opened; `early` what was opened and not relayed.
pub(super) fn run(link: &Link, from: Side, wire: Vec<u8>, early: Vec<u8>) -> impl Future<Output = ()> {
    let mut pump = Pump { link, from, now: Instant::now(), ended: false };
    async move {
        if Box::pin(pump.start(wire, early)).await.is_ok() && pump.relay().await.is_ok() {
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
    async fn start(&mut self, wire: Vec<u8>, early: Vec<u8>) -> io::Result<()> {
        for part in early.chunks(PLAIN) {
            let mut lease = self.link.means.pool.lend().await;
            self.now = Instant::now();
            let taken = self.link.take_opened(self.from, part, &mut lease, self.now)?;
            self.pass(lease, taken).await?;
        }
        for part in wire.chunks(MOST) {
            let mut lease = self.link.means.pool.lend().await;
            self.now = Instant::now();
            let taken = self.link.take_copy(self.from, part, &mut lease, self.now)?;
            self.pass(lease, taken).await?;
        }
        if !self.ended {
            self.end(self.link.early_end(self.from));
        }
        Ok(())
    }

    /// Relays until the session is over.
    async fn relay(&mut self) -> io::Result<()> {
        loop {
            match self.wait().await {
                Wake::Readable => {
                    let mut lease = self.link.means.pool.lend().await;
                    let taken = self.receive(&mut lease)?;
                    self.pass(lease, taken).await?;
                }
                Wake::Work(Work::Leave) => return Ok(()),
                Wake::Work(work) => Box::pin(self.work(work)).await?,
            }
        }
    }

    /// Like [`relay`](Self::relay), for nobody.
    async fn listen(&mut self) {
        loop {
            match self.wait().await {
                Wake::Readable => {
                    let mut lease = self.link.means.pool.lend().await;
                    let ending = self.receive(&mut lease).map_or(None, |taken| taken.ending);
                    self.end(ending);
                }
                Wake::Work(Work::Finish) => self.link.finished(self.from.other()),
                Wake::Work(Work::Reply | Work::Inject(_)) => self.link.drop_replies(),
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

    /// Does something toward the receiver besides relaying.
    async fn work(&mut self, work: Work) -> io::Result<()> {
        let to = self.from.other();
        let mut lease = self.link.means.pool.lend().await;
        self.link.put_work(to, &work, &mut lease)?;
        if !lease.is_empty() {
            self.send(lease, Instant::now()).await?;
        }
        if matches!(work, Work::Finish) { self.link.finish(to) } else { Ok(()) }
    }

    /// Receives all that is there, and fills `lease` with what may pass of it.
    fn receive(&mut self, lease: &mut Lease) -> io::Result<Taken> {
        let mut scratch = self.link.means.scratch.borrow_mut();
        let received = self.link.stream(self.from).try_recv(&mut scratch[ROOM..ROOM + MOST]);
        self.now = Instant::now();
        match received {
            Ok(0) => Ok(Taken::ending(self.link.eof(self.from))),
            Ok(n) => {
                let mut filled = ROOM..ROOM + n;
                self.link.take(self.from, Window::new(&mut scratch, &mut filled), lease, self.now)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Taken::default())
            }
            Err(_) => Ok(Taken::ending(Ending::Reset)),
        }
    }

    /// Sends on what may pass of received bytes, and then lets the end, if it has come, be known.
    async fn pass(&mut self, lease: Lease, taken: Taken) -> io::Result<()> {
        if !lease.is_empty() {
            let took = self.send(lease, self.now).await?;
            self.link.means.counters.from(self.from).delays.record_time(took);
            self.link.report(self.from, taken.to_tell, self.now + took);
        }
        self.end(taken.ending);
        Ok(())
    }

    /// Sends all that is filled in `lease`, beginning `now`. What waits meanwhile is counted, and for how long. Returns how
    /// long that was.
    async fn send(&self, mut lease: Lease, now: Instant) -> io::Result<Duration> {
        let to = self.from.other();
        let (socket, toward) = (self.link.socket(to), self.link.means.counters.to(to));
        socket.progress(lease.bytes().len(), now, toward);
        loop {
            let (result, rest) = socket.stream.send(lease).await;
            lease = rest;
            let took = now.elapsed();
            if lease.is_empty() || result.is_err() {
                socket.sent(took, toward);
                return result.map(|_| took);
            }
            socket.progress(lease.bytes().len(), now + took, toward);
        }
    }

    fn end(&mut self, ending: Option<Ending>) {
        if let Some(how) = ending {
            self.ended = true;
            self.link.stopped(self.from, how);
        }
    }
}
