//! A blocking client, raw enough to do everything wrong.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::pki_types::ServerName;
use rustls::{ALL_VERSIONS, ClientConfig, ClientConnection, ConnectionTrafficSecrets, StreamOwned};
use socket2::SockRef;

use super::PATIENCE;
use super::frame::{self, Frame};
use super::http::Message;
use super::material::{self, Shows};

/// The content type of handshake messages (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// How a client secures its connection.
#[derive(Clone, Debug)]
pub(crate) enum Security {
    None,
    Tls(Arc<ClientConfig>),
}

impl Security {
    /// TLS as most clients do it.
    pub(crate) fn usual() -> Self {
        static USUAL: LazyLock<Arc<ClientConfig>> =
            LazyLock::new(|| Arc::new(material::client(ALL_VERSIONS, &["http/1.1"], Shows::Nothing)));
        Self::Tls(Arc::clone(&USUAL))
    }
}

impl From<ClientConfig> for Security {
    fn from(config: ClientConfig) -> Self {
        Self::Tls(Arc::new(config))
    }
}

/// A client. The TLS handshake happens with its first byte. Dropping it closes its socket and says nothing.
#[derive(Debug)]
pub(crate) struct Client(Wire);

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// How a side sees its connection end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// With FIN; over TLS behind a `close_notify`.
    Orderly,
    /// Over TLS, with FIN alone.
    Truncated,
    /// With a reset.
    Reset,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, security: Security) -> Self {
        let tcp = tcp(address);
        Self(match security {
            Security::None => Wire::Plain(tcp),
            Security::Tls(config) => Wire::Tls(Box::new(StreamOwned::new(tls(config), tcp))),
        })
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match &self.0 {
            Wire::Plain(tcp) => tcp,
            Wire::Tls(tls) => &tls.sock,
        }
    }

    /// Its TLS.
    pub(crate) fn tls(&mut self) -> &mut StreamOwned<ClientConnection, TcpStream> {
        match &mut self.0 {
            Wire::Plain(_) => panic!("a client without TLS"),
            Wire::Tls(tls) => tls,
        }
    }

    /// Waits no longer than this, from now on. Reads are meant, too: rustls reads when it cannot write.
    pub(crate) fn be_patient(&self, patience: Duration) {
        bound(self.tcp(), patience);
    }

    /// Sends all of `bytes`.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.write_all(bytes).and_then(|()| self.flush()).expect("the proxy takes it");
    }

    /// Sends each of `parts` in a TLS record of its own, and all of them in one write.
    pub(crate) fn send_records<'p>(&mut self, parts: impl IntoIterator<Item = &'p [u8]>) {
        let sealed = self.seal(parts);
        self.tls().sock.write_all(&sealed).expect("the proxy takes it");
    }

    /// Sends each of `parts` in a TLS record of its own, the end of what it sends behind them, and all of it in one
    /// write; then FIN.
    pub(crate) fn send_and_finish<'p>(&mut self, parts: impl IntoIterator<Item = &'p [u8]>) {
        let mut sealed = self.seal(parts);
        let tls = self.tls();
        tls.conn.send_close_notify();
        tls.conn.write_tls(&mut sealed).expect("memory");
        tls.sock.write_all(&sealed).expect("the proxy takes it");
        self.hang_up();
    }

    /// Puts `bytes` on the wire as they are.
    pub(crate) fn send_wire(&mut self, bytes: &[u8]) {
        self.tls().sock.write_all(bytes).expect("the proxy takes it");
    }

    /// Sends part of a TLS handshake message, and never the rest: the beginning of a `KeyUpdate` (RFC 8446 section
    /// 4.6.3) in a record of its own. Leaves the bare connection.
    pub(crate) fn split_key_update(self) -> TcpStream {
        let Wire::Tls(tls) = self.0 else { panic!("a client without TLS") };
        let StreamOwned { conn, mut sock } = *tls;
        let (sequence, secrets) = conn.dangerous_extract_secrets().expect("extraction is enabled").tx;
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else { panic!("another cipher") };
        // The record's inner type stands behind its content (RFC 8446 section 5.2).
        let mut record = vec![24, 0, 0, HANDSHAKE];
        let header = [23, 3, 3, 0, u8::try_from(record.len() + AES_256_GCM.tag_len()).expect("short")];
        let mut nonce: [u8; 12] = iv.as_ref().try_into().expect("12 bytes");
        nonce[4..].iter_mut().zip(sequence.to_be_bytes()).for_each(|(byte, sequence)| *byte ^= sequence);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("32 bytes"));
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(header), &mut record).expect("sealed");
        sock.write_all(&[&header[..], &record].concat()).expect("the proxy takes it");
        sock
    }

    /// Shakes hands in TLS, before there is anything to send.
    pub(crate) fn complete_handshake(&mut self) {
        let tls = self.tls();
        tls.conn.complete_io(&mut tls.sock).expect("a handshake");
    }

    /// Sends `bytes` in as few TLS records as possible, one byte per write to the socket.
    pub(crate) fn trickle(&mut self, bytes: &[u8]) {
        let sealed = self.seal([bytes]);
        for byte in sealed {
            self.tls().sock.write_all(&[byte]).expect("the proxy takes it");
        }
    }

    fn seal<'p>(&mut self, parts: impl IntoIterator<Item = &'p [u8]>) -> Vec<u8> {
        let tls = &mut self.tls().conn;
        assert!(!tls.is_handshaking(), "the records are of a connection that stands");
        let mut sealed = Vec::new();
        for part in parts {
            tls.writer().write_all(part).expect("room");
            while tls.wants_write() {
                tls.write_tls(&mut sealed).expect("memory");
            }
        }
        sealed
    }

    /// The response's head, and its body if one is announced.
    pub(crate) fn head(&mut self) -> Message {
        Message::read(self).expect("a response")
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Frame {
        frame::read(self).expect("a frame")
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
        self.read_exact(&mut bytes).expect("bytes");
        bytes
    }

    /// The end, with nothing before it.
    pub(crate) fn end(&mut self) -> Seen {
        self.rest().1
    }

    /// All that still comes, and the end.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Seen) {
        let mut rest = Vec::new();
        let end = seen(self.read_to_end(&mut rest).map(|_| 0));
        (rest, end)
    }

    /// Ends what it sends in order: over TLS a `close_notify`, then FIN.
    pub(crate) fn finish(&mut self) {
        self.notify();
        self.hang_up();
    }

    /// Says that it will send nothing more, in TLS, and leaves TCP open.
    pub(crate) fn notify(&mut self) {
        if let Wire::Tls(tls) = &mut self.0 {
            tls.conn.send_close_notify();
            while tls.conn.wants_write() {
                tls.conn.write_tls(&mut tls.sock).expect("the proxy takes it");
            }
        }
    }

    /// FIN and nothing else.
    pub(crate) fn hang_up(&self) {
        self.tcp().shutdown(Shutdown::Write).expect("a connection");
    }

    /// RST.
    pub(crate) fn reset(self) {
        SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO)).expect("a socket");
    }
}

impl Read for Client {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Wire::Plain(tcp) => tcp.read(into),
            Wire::Tls(tls) => tls.read(into),
        }
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Wire::Plain(tcp) => tcp.write(bytes),
            Wire::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Wire::Plain(tcp) => tcp.flush(),
            Wire::Tls(tls) => tls.flush(),
        }
    }
}

/// A TCP connection whose every operation is bounded.
pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect_timeout(&address, PATIENCE).expect("the proxy listens");
    tcp.set_nodelay(true).expect("a socket");
    bound(&tcp, PATIENCE);
    tcp
}

fn bound(tcp: &TcpStream, patience: Duration) {
    tcp.set_read_timeout(Some(patience)).expect("a socket");
    tcp.set_write_timeout(Some(patience)).expect("a socket");
}

/// The client's half of TLS, without a socket.
pub(crate) fn tls(config: Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(config, name).expect("a configuration")
}

/// What a read that met the end says about it.
pub(crate) fn seen(end: io::Result<usize>) -> Seen {
    match end {
        Ok(0) => Seen::Orderly,
        Ok(n) => panic!("{n} bytes instead of an end"),
        Err(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof => Seen::Truncated,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Seen::Reset,
            _ => panic!("no end but {error:?}"),
        },
    }
}
