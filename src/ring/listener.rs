//! Listening sockets: one per worker on the same address, between which the kernel spreads connections by their addresses:
//! that is, by chance.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use socket2::{Domain, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::engine::Engine;
use super::stream::Stream;
use super::{epoll, op};

/// Connections the kernel may hold for us until they are accepted (it caps this at `net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// A bound, listening socket that no engine runs yet. Made on the main thread, so that a taken address is an
/// error before any worker starts.
#[derive(Debug)]
pub struct Bound(Socket);

/// Binds `count` sockets to `address` with `SO_REUSEPORT`. A port of 0 gets one free port for all.
///
/// # Errors
/// When the address is in use, also by another process that would share it: two sidecars on one port by mistake
/// would each get half of the clients.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<Bound>)> {
    let refuse_sharing = socket(address, false)?;
    let address = local(&refuse_sharing)?;
    drop(refuse_sharing);
    let listeners = (0..count)
        .map(|_| {
            let socket = socket(address, true)?;
            // Frames are small and each is somebody's turn: never wait to fill a segment. Linux hands this down to the
            // connections that are accepted.
            socket.set_tcp_nodelay(true)?;
            socket.listen(BACKLOG)?;
            Ok(Bound(socket))
        })
        .collect::<io::Result<_>>()?;
    Ok((address, listeners))
}

fn socket(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    if address.is_ipv6() {
        // "[::]" also takes IPv4, as users expect of a wildcard.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn local(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
}

/// A listening socket on a worker's engine.
pub struct Listener(Kind);

enum Kind {
    IoUring(Rc<Socket>),
    Epoll(AsyncFd<Socket>),
}

impl Listener {
    /// Takes over a bound socket. Call this inside the engine's runtime.
    pub fn new(engine: Engine, bound: Bound) -> io::Result<Self> {
        Ok(Self(match engine {
            Engine::IoUring => Kind::IoUring(Rc::new(bound.0)),
            Engine::Epoll => {
                bound.0.set_nonblocking(true)?;
                Kind::Epoll(epoll::register(bound.0)?)
            }
        }))
    }

    /// Waits for a connection. When the future is dropped while the kernel hands a connection over, that connection is
    /// lost: drop it only to stop.
    ///
    /// # Errors
    /// Those of `accept(2)`. Some concern one connection only, some (out of descriptors) call for a pause.
    pub async fn accept(&self) -> io::Result<Accepted> {
        match &self.0 {
            Kind::IoUring(listener) => {
                let (result, _) = op::accept(listener).await;
                let socket = op::accepted(result?)?;
                let client = socket.peer_addr()?.as_socket();
                let client = client.ok_or_else(|| io::Error::other("not an internet address"))?;
                Ok(Accepted { socket, client, engine: Engine::IoUring })
            }
            Kind::Epoll(io) => {
                let (socket, client) = epoll::accept(io).await?;
                Ok(Accepted { socket, client, engine: Engine::Epoll })
            }
        }
    }
}

/// A connection that was accepted. No runtime has it yet: any worker of the same engine can take it.
#[derive(Debug)]
pub struct Accepted {
    socket: Socket,
    client: SocketAddr,
    engine: Engine,
}

impl Accepted {
    /// Takes it, and returns it with the client's address. Call this inside the engine's runtime.
    ///
    /// # Errors
    /// When the runtime cannot watch one more.
    pub fn take(self) -> io::Result<(Stream, SocketAddr)> {
        Ok((Stream::new(self.engine, self.socket)?, self.client))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A waiting accept holds the socket until its completion, and would go on taking connections that nobody is
        // told of. This ends both at once: the socket does not listen any more, and the accept fails.
        if let Kind::IoUring(listener) = &self.0 {
            // It can only fail when it does not listen.
            let _ = listener.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};
    use std::pin::pin;
    use std::task::Poll;

    use super::{Bound, Listener, bind};
    use crate::ring::engine::Engine;
    use crate::ring::runtime::Runtime;

    /// A listener of each engine, inside its runtime.
    fn on_each_engine(test: impl AsyncFn(Engine, SocketAddr, Listener)) {
        for engine in [Engine::Epoll, Engine::IoUring] {
            let (address, mut bound) = bind((Ipv4Addr::LOCALHOST, 0).into(), 1).expect("a port");
            let bound: Bound = bound.remove(0);
            let runtime = Runtime::new(engine, 16).expect("an engine");
            runtime.block_on(async { test(engine, address, Listener::new(engine, bound).expect("a listener")).await });
        }
    }

    #[test]
    fn who_is_accepted_has_an_address_and_is_never_waited_for_to_fill_a_segment() {
        on_each_engine(async |engine, address, listener| {
            let client = TcpStream::connect(address).expect("connected");
            let accepted = listener.accept().await.expect("accepted");
            assert!(accepted.socket.tcp_nodelay().expect("a socket"), "{engine}");
            let (_stream, address) = accepted.take().expect("taken");
            assert_eq!(address, client.local_addr().expect("bound"), "{engine}");
        });
    }

    #[test]
    fn a_dropped_listener_takes_nobody_any_more() {
        on_each_engine(async |engine, address, listener| {
            {
                let mut accepting = pin!(listener.accept());
                let pending = poll_fn(|cx| Poll::Ready(accepting.as_mut().poll(cx).is_pending())).await;
                assert!(pending, "{engine}");
                // Lets the kernel have the accept.
                tokio::task::yield_now().await;
            }
            drop(listener);
            assert!(TcpStream::connect(address).is_err(), "{engine}");
        });
    }
}
