//! A connected stream socket, TCP or Unix, on either engine.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::engine::Engine;
use super::lease::{CAPACITY, Lease};
use super::op::Op;
use super::pool::Pool;
use super::usage::{self, Operation};
use super::{epoll, op};

/// A connected stream socket.
///
/// Dropping it closes the socket. Operations still in flight are cancelled; they, and the buffers lent to them,
/// live until the kernel says they are done.
pub struct Stream(Kind);

enum Kind {
    IoUring(Uring),
    /// Its operations are those of a [`Direct`](super::direct::Direct) ring.
    Direct(Rc<Socket>),
    Epoll(AsyncFd<Socket>),
}

struct Uring {
    socket: Rc<Socket>,
    /// The poll that waits for bytes. It outlives the futures that wait for it: dropping a wait loses nothing.
    readable: RefCell<Option<Op<Rc<Socket>>>>,
}

impl Stream {
    /// Takes over a connected socket, which on the epoll engine must be non-blocking.
    pub(super) fn new(engine: Engine, socket: Socket) -> io::Result<Self> {
        Ok(Self(match engine {
            Engine::IoUring => Kind::IoUring(Uring::new(socket)),
            Engine::Epoll => Kind::Epoll(epoll::register(socket)?),
        }))
    }

    /// Connects to `address`.
    pub async fn connect(engine: Engine, address: SockAddr) -> io::Result<Self> {
        let kind = match engine {
            Engine::IoUring => Type::STREAM,
            Engine::Epoll => Type::STREAM.nonblocking(),
        };
        let socket = Socket::new(Domain::from(i32::from(address.family())), kind, None)?;
        if address.is_ipv4() || address.is_ipv6() {
            socket.set_tcp_nodelay(true)?;
        }
        Ok(Self(match engine {
            Engine::IoUring => {
                let uring = Uring::new(socket);
                op::connect(&uring.socket, address).await.0?;
                Kind::IoUring(uring)
            }
            Engine::Epoll => Kind::Epoll(epoll::connect(socket, &address).await?),
        }))
    }

    /// Ready when bytes, the end of the stream, or an error can be received. May be ready for nothing.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::IoUring(uring) => {
                let mut slot = uring.readable.borrow_mut();
                let waiting = slot.get_or_insert_with(|| op::poll_readable(&uring.socket));
                let (result, _) = ready!(Pin::new(waiting).poll(cx));
                *slot = None;
                Poll::Ready(result.map(drop))
            }
            Kind::Epoll(io) => {
                ready!(io.poll_read_ready(cx))?.retain_ready();
                Poll::Ready(Ok(()))
            }
            Kind::Direct(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Takes it from the runtime's ring, so that another may have its operations, and returns its socket for them besides.
    ///
    /// # Panics
    /// On the epoll engine.
    pub fn into_direct(self) -> (Self, Rc<Socket>) {
        let Kind::IoUring(uring) = self.0 else { panic!("a stream of the io_uring engine") };
        let socket = Rc::clone(&uring.socket);
        // A wait that is in flight would take nothing away from others, but hold the socket.
        uring.readable.take();
        (Self(Kind::Direct(Rc::clone(&socket))), socket)
    }

    /// Receives what is there into `buf`, without waiting. `Ok(0)` is the end of the stream; `WouldBlock` says that nothing
    /// is there: wait until it is [readable](Self::poll_readable).
    ///
    /// # Errors
    /// Those of `recv(2)`.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Epoll(io) => epoll::recv(io, buf),
            Kind::IoUring(Uring { socket, .. }) | Kind::Direct(socket) => {
                usage::count(Operation::Recv);
                Ok(rustix::net::recv(socket, buf, RecvFlags::DONTWAIT)?.0)
            }
        }
    }

    /// Waits until bytes, the end of the stream, or an error can be received.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Receives what is there, at most `limit` bytes, behind what is filled in `lease`. `Ok(0)` is the end of
    /// the stream; `WouldBlock` says that nothing is there: wait until [`readable`](Self::readable).
    pub async fn recv(&self, mut lease: Lease, limit: usize) -> (io::Result<usize>, Lease) {
        let (result, mut lease) = match &self.0 {
            Kind::IoUring(uring) => {
                let (result, (lease, _)) = op::recv(&uring.socket, lease, limit).await;
                (result, lease)
            }
            Kind::Epoll(io) => (epoll::recv(io, lease.spare(limit)), lease),
            Kind::Direct(_) => (Err(io::ErrorKind::Unsupported.into()), lease),
        };
        if let Ok(n) = result {
            lease.fill(n);
        }
        (result, lease)
    }

    /// Sends from the filled bytes of `lease` as many as the kernel takes, waiting until it takes some.
    /// What it took is no longer filled.
    pub async fn send(&self, lease: Lease) -> (io::Result<usize>, Lease) {
        let (result, mut lease) = match &self.0 {
            Kind::IoUring(uring) => {
                let (result, (lease, _)) = op::send(&uring.socket, lease).await;
                (result, lease)
            }
            Kind::Epoll(io) => (epoll::send(io, lease.bytes()).await, lease),
            Kind::Direct(_) => (Err(io::ErrorKind::Unsupported.into()), lease),
        };
        if let Ok(n) = result {
            lease.consume(n);
        }
        (result, lease)
    }

    /// Waits for bytes and appends what is there to `received`. Returns how many; 0 is the end of the stream.
    /// For bytes that are to be kept: relaying works on leases.
    ///
    /// Looks before it waits: while a connection is opening, each side's next word is often there already, and a system
    /// call is cheaper than a turn of the loop.
    pub async fn read(&self, pool: &Rc<Pool>, received: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let mut lease = pool.lend().await;
            match self.try_recv(lease.spare(usize::MAX)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    lease.fill(*result.as_ref().unwrap_or(&0));
                    received.extend_from_slice(lease.bytes());
                    return result;
                }
            }
            drop(lease);
            self.readable().await?;
        }
    }

    /// Sends all of `bytes`, which are copied.
    pub async fn write(&self, pool: &Rc<Pool>, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(CAPACITY) {
            let mut lease = pool.lend().await;
            lease.append(part);
            self.send_all(lease).await?;
        }
        Ok(())
    }

    /// Sends everything filled in `lease`. Waits only for what the kernel does not take at once: the few bytes of an opening
    /// nearly always fit, and then no turn of the loop is needed.
    pub async fn send_all(&self, mut lease: Lease) -> io::Result<()> {
        match self.try_send(lease.bytes()) {
            Ok(n) => lease.consume(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        while !lease.is_empty() {
            let (result, rest) = self.send(lease).await;
            lease = rest;
            result?;
        }
        Ok(())
    }

    /// Sends as many of `bytes` as the kernel takes, without waiting.
    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        usage::count(Operation::Send);
        Ok(rustix::net::send(self.socket(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
    }

    /// Receives and drops whatever still comes, until the peer's end or for at most `patience`.
    pub async fn discard(&self, pool: &Rc<Pool>, patience: Duration) {
        let drain = async {
            let mut dropped = Vec::new();
            while self.read(pool, &mut dropped).await.is_ok_and(|n| n > 0) {
                dropped.clear();
            }
        };
        // An end, an error or the end of our patience: the peer's bytes are of no more use either way.
        let _ = tokio::time::timeout(patience, drain).await;
    }

    /// Ends one or both directions in order (FIN). A waiting receive or send comes back.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket().shutdown(how)
    }

    /// Makes the close that follows a reset (RST) where the protocol has one (TCP).
    pub fn reset_on_close(&self) {
        // Refused by the kernel only for sockets without a notion of lingering: nothing to reset there.
        let _ = SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
    }

    fn socket(&self) -> &Socket {
        match &self.0 {
            Kind::IoUring(Uring { socket, .. }) | Kind::Direct(socket) => socket,
            Kind::Epoll(io) => io.get_ref(),
        }
    }
}

impl Uring {
    fn new(socket: Socket) -> Self {
        Self { socket: Rc::new(socket), readable: RefCell::new(None) }
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // Each operation in flight holds the socket: without this, a poll on a silent peer would keep it open.
        if Rc::strong_count(&self.socket) > 1 {
            op::cancel_all(&self.socket);
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match self.0 {
            Kind::IoUring(_) | Kind::Direct(_) => Engine::IoUring,
            Kind::Epoll(_) => Engine::Epoll,
        };
        f.debug_struct("Stream").field("engine", &engine).field("socket", self.socket()).finish()
    }
}
