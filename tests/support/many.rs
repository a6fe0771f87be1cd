//! Hundreds of clients and apps on one thread: the moves of `client` and `app`, on an event loop.

use std::future::{Future, pending};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::ClientConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UnixListener};
use tokio::time::timeout;

use super::PATIENCE;
use super::app::{App, switching};
use super::client::{Security, Seen, seen, tls};
use super::frame::{self, CLOSE, FIN, Frame};
use super::http::{Message, upgrade_to};

/// What a client of small buffers is ready to receive, and its segments: those of Ethernet. Loopback's are so large
/// that Linux gives each sender megabytes to buffer.
const SMALL_BUFFER: u32 = 16 << 10;
const SMALL_SEGMENT: u32 = 1400;

/// One crowd at a time: two would need more descriptors than many machines give, and each other's CPU.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `test` on an event loop of this thread.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test)
}

/// Waits for something that has to happen.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("it happens in time")
}

/// A client or an app. Dropping it closes its socket and says nothing.
pub(crate) struct Peer {
    socket: Box<dyn Socket>,
    tls: Option<Box<ClientConnection>>,
    /// A client's frames are masked.
    masks: bool,
    received: Vec<u8>,
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

impl Peer {
    /// A client of the proxy at `address`, with its 101. Returns also the port that it connected from.
    pub(crate) async fn join(address: SocketAddr, security: &Security, target: &str, fields: &[&str]) -> (Self, u16) {
        let tcp = soon(TcpStream::connect(address)).await.expect("the proxy listens");
        Self::join_by(tcp, security, target, fields).await
    }

    /// The same, with room for little.
    pub(crate) async fn join_small(address: SocketAddr, security: &Security, target: &str) -> (Self, u16) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(SMALL_BUFFER).expect("a socket");
        SockRef::from(&socket).set_tcp_mss(SMALL_SEGMENT).expect("a socket");
        let tcp = soon(socket.connect(address)).await.expect("the proxy listens");
        Self::join_by(tcp, security, target, &[]).await
    }

    async fn join_by(tcp: TcpStream, security: &Security, target: &str, fields: &[&str]) -> (Self, u16) {
        tcp.set_nodelay(true).expect("a socket");
        let port = tcp.local_addr().expect("connected").port();
        let tls = match security {
            Security::None => None,
            Security::Tls(config) => Some(Box::new(tls(config.clone()))),
        };
        let mut client = Self { socket: Box::new(tcp), tls, masks: true, received: Vec::new() };
        client.send_bytes(upgrade_to(target, fields).as_bytes()).await.expect("the proxy takes it");
        let answer = client.head().await;
        assert_eq!(answer.status(), 101, "{answer:?}");
        (client, port)
    }

    /// Sends a whole message.
    pub(crate) async fn send(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let frame = if self.masks { frame::from_client(opcode, payload) } else { frame::from_app(opcode, payload) };
        self.send_bytes(&frame).await
    }

    /// Sends all of `bytes`.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.tls.is_none() {
            return soon(self.socket.write_all(bytes)).await;
        }
        // No more at a time than TLS takes unsent.
        for part in bytes.chunks(16 << 10) {
            if let Some(tls) = &mut self.tls {
                tls.writer().write_all(part)?;
            }
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends `bytes` until something comes, be it in the middle of a frame. Without TLS.
    pub(crate) async fn send_until_told(&mut self, bytes: &[u8]) {
        let (mut from, mut into) = tokio::io::split(&mut self.socket);
        let mut wire = vec![0; 1 << 10];
        let send = async {
            // Nobody takes it any more: then something comes all the same, be it the end.
            let _ = into.write_all(bytes).await;
            pending::<()>().await;
        };
        tokio::select! {
            () = send => {}
            n = soon(from.read(&mut wire)) => self.received.extend(&wire[..n.unwrap_or(0)]),
        }
    }

    /// The next frame; or the end, which may not cut one in the middle.
    pub(crate) async fn frame(&mut self) -> Result<Frame, Seen> {
        loop {
            let mut rest = self.received.as_slice();
            if let Ok(frame) = frame::read(&mut rest) {
                assert_eq!(frame.masked, !self.masks);
                let taken = self.received.len() - rest.len();
                self.received.drain(..taken);
                return Ok(frame);
            }
            if let Err(end) = self.receive().await {
                assert!(self.received.is_empty() || end != Seen::Orderly, "an orderly end inside a frame");
                return Err(end);
            }
        }
    }

    /// Answers a Close frame with the same code, and waits for the end. There is to be nothing before it.
    pub(crate) async fn answer(&mut self, close: &Frame) -> Seen {
        let (code, _) = close.close();
        // Who does not wait for the answer is gone.
        let _ = self.send(CLOSE, &frame::close(code, "")).await;
        match self.frame().await {
            Ok(frame) => panic!("a frame behind the Close: {:02x} with {} bytes", frame.first, frame.payload.len()),
            Err(end) => end,
        }
    }

    async fn head(&mut self) -> Message {
        loop {
            let mut rest = self.received.as_slice();
            if let Ok(head) = Message::read(&mut rest) {
                let taken = self.received.len() - rest.len();
                self.received.drain(..taken);
                return head;
            }
            self.receive().await.expect("a head");
        }
    }

    /// Receives more, or the end.
    async fn receive(&mut self) -> Result<(), Seen> {
        let mut wire = vec![0; 16 << 10];
        let n = soon(self.socket.read(&mut wire)).await.map_err(|error| seen(Err(error)))?;
        let Some(tls) = &mut self.tls else {
            self.received.extend(&wire[..n]);
            return if n == 0 { Err(Seen::Orderly) } else { Ok(()) };
        };
        let mut rest = &wire[..n];
        loop {
            tls.read_tls(&mut rest).expect("room");
            tls.process_new_packets().expect("TLS");
            match tls.reader().read_to_end(&mut self.received) {
                Ok(0) => return Err(Seen::Orderly),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(seen(Err(error))),
            }
            if rest.is_empty() {
                break;
            }
        }
        // A handshake goes on by itself. That the other side takes nothing any more shows again in the next read.
        let _ = self.flush().await;
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let mut wire = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut wire)?;
        }
        soon(self.socket.write_all(&wire)).await
    }
}

/// Has `app` echo for as long as the event loop runs.
pub(crate) fn echo(app: &App) {
    serve(app, |mut peer, _| async move { converse(&mut peer).await });
}

/// Has `converse` talk to each client of `app`, whose target it is given, for as long as the event loop runs.
pub(crate) fn serve<F>(app: &App, converse: impl Fn(Peer, String) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = StdUnixListener::from(app.listener());
    listener.set_nonblocking(true).expect("a socket");
    let listener = UnixListener::from_std(listener).expect("an event loop");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let mut peer = Peer { socket: Box::new(socket), tls: None, masks: false, received: Vec::new() };
            let request = peer.head().await;
            peer.send_bytes(switching(&request, &[]).as_bytes()).await.expect("the proxy takes it");
            let target = request.line.split(' ').nth(1).expect("a target").to_owned();
            tokio::spawn(converse(peer, target));
        }
    });
}

/// Echoes until the client closes or goes.
pub(crate) async fn converse(peer: &mut Peer) {
    while let Ok(frame) = peer.frame().await {
        if frame.first == FIN | CLOSE {
            peer.answer(&frame).await;
            return;
        }
        if peer.send_bytes(&frame::bare(frame.first, &frame.payload)).await.is_err() {
            return;
        }
    }
}
