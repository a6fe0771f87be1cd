//! What the epoll engine needs beyond tokio's `AsyncFd`.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{SockAddr, Socket};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::usage::{self, Operation};

/// How long to wait before a Unix connect is tried again while the app's backlog is full. Only here: a ring's
/// connect waits in the kernel.
const BACKLOG_RETRY: Duration = Duration::from_millis(2);

/// Registers `socket`, which must be non-blocking, with this thread's epoll instance.
pub(super) fn register(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
    // SAFETY: `Socket` owns its descriptor, gives the same one at every call and closes it only when dropped,
    // and the `AsyncFd` owns the `Socket`.
    let registered = unsafe { AsyncFd::register(socket) };
    registered.map_err(|error| error.into_parts().1)
}

/// Registers `bell` with this thread's epoll instance, to wait until it can be read.
pub(super) fn watch(bell: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
    // SAFETY: an `OwnedFd` gives the same descriptor at every call and closes it only when dropped, and the `AsyncFd` owns
    // it.
    let registered = unsafe { AsyncFd::register_with_interest(bell, Interest::READABLE) };
    registered.map_err(|error| error.into_parts().1)
}

/// Receives what is there, without waiting.
pub(super) fn recv(io: &AsyncFd<Socket>, buf: &mut [u8]) -> io::Result<usize> {
    let result = io.try_io(Interest::READABLE, |mut socket| {
        usage::count(Operation::Recv);
        socket.read(buf)
    });
    if let Ok(n) = result
        && 0 < n
        && n < buf.len()
    {
        // All that was there: what comes next is a new event. Without this, each wait would be over at once, and end in
        // one more call that finds nothing. (A stream's end stays known: tokio keeps that.)
        let _ = io.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
    result
}

/// Sends as many of `bytes` as the kernel takes, waiting until it takes some.
pub(super) async fn send(io: &AsyncFd<Socket>, bytes: &[u8]) -> io::Result<usize> {
    let write = |mut socket: &Socket| {
        usage::count(Operation::Send);
        socket.write(bytes)
    };
    io.async_io(Interest::WRITABLE, write).await
}

/// Waits for a connection, and returns it non-blocking, with the client's address.
pub(super) async fn accept(listener: &AsyncFd<Socket>) -> io::Result<(Socket, SocketAddr)> {
    let accept = |listener: &Socket| {
        usage::count(Operation::Accept);
        Ok(acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?)
    };
    let (socket, client) = listener.async_io(Interest::READABLE, accept).await?;
    let client = client.ok_or(io::ErrorKind::NotConnected)?;
    Ok((socket.into(), client.try_into()?))
}

/// Connects `socket` to `address`, and registers it only then, or when the kernel goes on connecting by itself: of a
/// socket that is not connecting epoll says that its peer has hung up, and tokio never forgets a hang-up. Such a
/// socket would be readable for ever, and whoever waits for its bytes would spin. `socket` is non-blocking.
pub(super) async fn connect(socket: Socket, address: &SockAddr) -> io::Result<AsyncFd<Socket>> {
    loop {
        usage::count(Operation::Connect);
        match socket.connect(address) {
            Ok(()) => return register(socket),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(BACKLOG_RETRY).await,
            Err(error) => return Err(error),
        }
    }
    let io = register(socket)?;
    loop {
        let mut guard = io.writable().await?;
        if let Some(error) = io.get_ref().take_error()? {
            return Err(error);
        }
        // A fresh socket is writable before it connects; only one that is connected has a peer.
        if io.get_ref().peer_addr().is_ok() {
            break;
        }
        guard.clear_ready();
    }
    Ok(io)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use socket2::{Domain, SockAddr, Socket, Type};

    use super::connect;

    fn unix(kind: Type) -> Socket {
        Socket::new(Domain::UNIX, kind, None).expect("a socket")
    }

    #[tokio::test]
    async fn a_connection_that_waited_for_room_is_not_readable_before_there_is_something() {
        let directory = tempfile::tempdir().expect("a directory");
        let address = SockAddr::unix(directory.path().join("app.sock")).expect("an address");
        let listener = unix(Type::STREAM);
        listener.bind(&address).expect("bound");
        listener.listen(0).expect("listening");
        // With a backlog of 0 there is room for one.
        unix(Type::STREAM).connect(&address).expect("the first");

        let accepted = async {
            drop(listener.accept().expect("the first"));
            tokio::task::spawn_blocking(move || listener.accept()).await.expect("no panic").expect("the second").0
        };
        let (connected, peer) = tokio::join!(biased; connect(unix(Type::STREAM.nonblocking()), &address), accepted);
        let connected = connected.expect("connected");
        let early = poll_fn(|cx| Poll::Ready(connected.poll_read_ready(cx).is_ready())).await;
        assert!(!early, "readable, but nothing was sent");

        peer.send(b"x").expect("sent");
        let _ = connected.readable().await.expect("readable");
    }
}
