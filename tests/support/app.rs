//! Apps: one that the test plays itself, move by move, and one that echoes.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::WebSocketConfig;

use super::PATIENCE;
use super::client::{Seen, seen};
use super::frame::{self, Frame};
use super::http::Message;

/// An app that does what the test does.
pub(crate) struct App {
    listener: Socket,
    address: String,
    _dir: Option<TempDir>,
}

impl App {
    /// On a Unix socket.
    pub(crate) fn unix() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("app.sock");
        let listener = listen(Domain::UNIX, &SockAddr::unix(&path).expect("a short path"));
        Self { listener, address: format!("unix:{}", path.display()), _dir: Some(dir) }
    }

    /// On TCP, where an end can be a reset.
    pub(crate) fn tcp() -> Self {
        let listener = listen(Domain::IPV4, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into());
        let address = listener.local_addr().expect("bound").as_socket().expect("TCP").to_string();
        Self { listener, address, _dir: None }
    }

    /// On a socket that listens already.
    pub(crate) fn listening(listener: Socket) -> Self {
        Self { listener, address: String::new(), _dir: None }
    }

    /// As the configuration wants it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The same listening socket once more, for who accepts by other means.
    pub(crate) fn listener(&self) -> Socket {
        self.listener.try_clone().expect("a descriptor")
    }

    /// The next connection, whose request is still to be read.
    pub(crate) fn accept_only(&self) -> Joined {
        let (socket, _) = self.listener.accept().expect("the proxy dials");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
        Joined { socket, request: None }
    }

    /// The next connection and its request.
    pub(crate) fn accept(&self) -> Joined {
        let mut joined = self.accept_only();
        joined.read_request();
        joined
    }
}

/// The 101 that answers `request`, with these fields more.
pub(crate) fn switching(request: &Message, fields: &[&str]) -> String {
    let key = request.field("sec-websocket-key").expect("a key");
    let accept = derive_accept_key(key.as_bytes());
    let own = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        &format!("Sec-WebSocket-Accept: {accept}"),
    ];
    own.iter().chain(fields).map(|line| format!("{line}\r\n")).chain(["\r\n".to_owned()]).collect()
}

/// The app's end of a connection. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) socket: Socket,
    request: Option<Message>,
}

impl Joined {
    pub(crate) fn read_request(&mut self) {
        self.request = Some(Message::read(&mut self.socket).expect("a request"));
    }

    /// What the proxy asked.
    pub(crate) fn request(&self) -> &Message {
        self.request.as_ref().expect("read before")
    }

    /// The 101 that answers the request, with these fields more.
    pub(crate) fn switching(&self, fields: &[&str]) -> String {
        switching(self.request(), fields)
    }

    /// Accepts the connection.
    pub(crate) fn answer(&mut self, fields: &[&str]) {
        let answer = self.switching(fields);
        self.send(answer.as_bytes());
    }

    /// Sends all of `bytes`.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the proxy takes it");
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Frame {
        let frame = frame::read(&mut self.socket).expect("a frame");
        assert!(frame.masked, "what comes to an app is masked");
        frame
    }

    /// Code and reason of the next frame, which is a Close.
    pub(crate) fn close(&mut self) -> (u16, String) {
        let frame = self.frame();
        let (code, reason) = frame.close();
        (code, reason.to_owned())
    }

    /// Exactly so many bytes.
    pub(crate) fn receive(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.socket.read_exact(&mut bytes).expect("bytes");
        bytes
    }

    /// Waits until something has come, and leaves it unread.
    pub(crate) fn wait_readable(&self) {
        let mut byte = [MaybeUninit::uninit()];
        assert_eq!(self.socket.peek(&mut byte).expect("bytes"), 1);
    }

    /// All that still comes, and the end.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Seen) {
        let mut rest = Vec::new();
        let end = seen(self.socket.read_to_end(&mut rest).map(|_| 0));
        (rest, end)
    }

    /// The end, with nothing before it.
    pub(crate) fn end(&mut self) -> Seen {
        let (rest, end) = self.rest();
        assert!(rest.is_empty(), "{rest:02x?} instead of an end");
        end
    }

    /// Ends what it sends (FIN).
    pub(crate) fn finish(&self) {
        self.socket.shutdown(Shutdown::Write).expect("a connection");
    }

    /// RST, where there is one.
    pub(crate) fn reset(self) {
        self.socket.set_linger(Some(Duration::ZERO)).expect("a socket");
    }
}

/// An app that sends back every message, on a Unix socket, for as long as this lives.
pub(crate) struct Echo(App);

impl Echo {
    pub(crate) fn start() -> Self {
        let app = App::unix();
        let listener = app.listener();
        thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                thread::spawn(move || echo(socket));
            }
        });
        Self(app)
    }

    pub(crate) fn app(&self) -> &App {
        &self.0
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // Wakes the thread that accepts.
        let _ = self.0.listener.shutdown(Shutdown::Both);
    }
}

/// Until the other side is gone.
fn echo(socket: Socket) {
    let timeouts = socket.set_read_timeout(Some(PATIENCE)).and_then(|()| socket.set_write_timeout(Some(PATIENCE)));
    timeouts.expect("a socket");
    let Ok(mut socket) = tungstenite::accept_with_config(socket, Some(unbounded())) else { return };
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            return;
        }
    }
}

/// tungstenite without bounds of its own: those of the proxy are under test.
pub(crate) fn unbounded() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(None).max_frame_size(None)
}

fn listen(domain: Domain, address: &SockAddr) -> Socket {
    let open = || -> io::Result<Socket> {
        let listener = Socket::new(domain, Type::STREAM, None)?;
        listener.bind(address)?;
        listener.listen(4096)?;
        // Bounds accept.
        listener.set_read_timeout(Some(PATIENCE))?;
        Ok(listener)
    };
    open().expect("a listener")
}
