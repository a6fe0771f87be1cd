//! Listening sockets: one per worker on the same address, between which the kernel spreads connections.

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
            Engine::Epoll => Kind::Epoll(epoll::register(bound.0)?),
        }))
    }

    /// Waits for a connection, and returns it with the client's address. When the future is dropped while the
    /// kernel hands a connection over, that connection is lost: drop it only to stop.
    ///
    /// # Errors
    /// Those of `accept(2)`. Some concern one connection only, some (out of descriptors) call for a pause.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (engine, socket) = match &self.0 {
            Kind::IoUring(listener) => {
                let (result, _) = op::accept(listener).await;
                (Engine::IoUring, op::accepted(result?)?)
            }
            Kind::Epoll(io) => (Engine::Epoll, epoll::accept(io).await?),
        };
        let peer = socket.peer_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet address"))?;
        // Frames are small and each is somebody's turn: never wait to fill a segment.
        socket.set_tcp_nodelay(true)?;
        Ok((Stream::new(engine, socket)?, peer))
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
    use std::net::{Ipv4Addr, TcpStream};
    use std::pin::pin;
    use std::task::Poll;

    use super::{Listener, bind};
    use crate::ring::engine::Engine;
    use crate::ring::runtime::Runtime;

    #[test]
    fn a_dropped_listener_takes_nobody_any_more() {
        for engine in [Engine::Epoll, Engine::IoUring] {
            let (address, mut bound) = bind((Ipv4Addr::LOCALHOST, 0).into(), 1).expect("a port");
            let runtime = Runtime::new(engine, 16).expect("an engine");
            runtime.block_on(async {
                let listener = Listener::new(engine, bound.remove(0)).expect("a listener");
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
}
