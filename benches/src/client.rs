//! One WebSocket client over TLS: it opens, echoes and closes with blocking calls. `load` drives many at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustls::client::{ClientConfig, Resumption, UnbufferedClientConnection};
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{HandshakeKind, NamedGroup, RootCertStore, SupportedCipherSuite, version};

use crate::{Fault, tls};

/// No blocking call of a client takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every frame is masked with this: the cost of masking is real, the cost of drawing keys is spared.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// How a client shakes hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// In full, with the hybrid key exchange X25519MLKEM768, as today's browsers do.
    Hybrid,
    /// In full, with X25519, which every proxy has.
    Classic,
    /// X25519 and the ticket of the connection before.
    Resumed,
}

/// What clients offer, in the order of the browsers. What a proxy chooses is what its cryptography costs.
const SUITES: &[SupportedCipherSuite] =
    &[TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256, TLS13_AES_256_GCM_SHA384];

/// Whom clients connect to, and with what.
#[derive(Clone, Debug)]
pub struct Target {
    /// The proxy.
    pub address: SocketAddr,
    /// PEM of the certificate it must show.
    pub certificate: String,
    /// Token for `Authorization: Bearer`.
    pub token: String,
}

impl Target {
    /// TLS 1.3 for clients that shake hands like `handshake`.
    pub fn tls(&self, handshake: Handshake) -> Result<Arc<ClientConfig>, Fault> {
        let group = match handshake {
            Handshake::Hybrid => NamedGroup::X25519MLKEM768,
            Handshake::Classic | Handshake::Resumed => NamedGroup::X25519,
        };
        let mut provider = CryptoProvider {
            cipher_suites: SUITES.to_vec(),
            kx_groups: aws_lc_rs::ALL_KX_GROUPS.to_vec(),
            ..aws_lc_rs::default_provider()
        };
        provider.kx_groups.retain(|known| known.name() == group);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes())?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if handshake != Handshake::Resumed {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }
}

/// A connection that has its 101.
pub struct Client {
    /// Its socket.
    pub socket: TcpStream,
    /// Its TLS.
    pub tls: UnbufferedClientConnection,
    /// Received bytes that are not a whole record yet.
    pub partial: Vec<u8>,
    plain: Vec<u8>,
}

impl Client {
    /// Connects, shakes hands and upgrades.
    pub fn open(target: &Target, config: &Arc<ClientConfig>) -> Result<Self, Fault> {
        let socket = TcpStream::connect(target.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let tls = UnbufferedClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
        let mut client = Self { socket, tls, partial: Vec::new(), plain: Vec::new() };
        client.step()?;
        while client.tls.is_handshaking() {
            client.receive()?;
        }
        let head = format!(
            "GET /bench HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Authorization: Bearer {}\r\n\r\n",
            target.token
        );
        client.send(head.as_bytes())?;
        let is_whole = |plain: &[u8]| plain.windows(4).any(|four| four == b"\r\n\r\n");
        while !is_whole(&client.plain) {
            client.receive()?;
        }
        if !client.plain.starts_with(b"HTTP/1.1 101 ") {
            return Err(format!("refused: {}", String::from_utf8_lossy(&client.plain)).into());
        }
        client.plain = Vec::new();
        Ok(client)
    }

    /// Whether the handshake was resumed.
    pub fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Sends one message and waits until it is back.
    pub fn echo(&mut self, message: &[u8]) -> Result<(), Fault> {
        self.exchange(&request(BINARY, message), &reply(BINARY, message))
    }

    /// Sends `frames`, which need not be whole, in one write, and waits until `replies` are back.
    pub fn exchange(&mut self, frames: &[u8], replies: &[u8]) -> Result<(), Fault> {
        self.send(frames)?;
        self.expect(replies)
    }

    /// Sends one message. What comes back is for [`listen`](Self::listen).
    pub fn say(&mut self, message: &[u8]) -> Result<(), Fault> {
        self.send(&request(BINARY, message))
    }

    /// Takes what has come: Pings are answered, messages are dropped. Returns how many Pings there were. Waits if there
    /// is nothing. All must be shorter than 126 bytes.
    pub fn listen(&mut self) -> Result<u32, Fault> {
        self.receive()?;
        let mut pings = 0;
        while let [first, length @ 0..126, rest @ ..] = &*self.plain
            && let Some(payload) = rest.get(..usize::from(*length))
        {
            let taken = 2 + payload.len();
            let answer = match first & 0x0f {
                PING => Some(request(PONG, payload)),
                BINARY => None,
                opcode => return Err(format!("a frame with opcode {opcode} came").into()),
            };
            self.plain.drain(..taken);
            if let Some(pong) = answer {
                self.send(&pong)?;
                pings += 1;
            }
        }
        Ok(pings)
    }

    /// Closes as RFC 6455 section 7 wants it, and waits until the other side has done so too.
    pub fn close(mut self) -> Result<(), Fault> {
        let code = 1000_u16.to_be_bytes();
        self.exchange(&request(CLOSE, &code), &reply(CLOSE, &code))?;
        let mut alert = [0; 64];
        let length = tls::close(&mut self.tls, &mut alert)?;
        // The proxy may be gone already: it has its Close.
        let _ = self.socket.write_all(&alert[..length]);
        Ok(())
    }

    /// Ends it at once with a reset, so that nothing of it stays in the kernel for a minute.
    pub fn abort(self) -> Result<(), Fault> {
        Ok(set_socket_linger(&self.socket, Some(Duration::ZERO))?)
    }

    fn expect(&mut self, frame: &[u8]) -> Result<(), Fault> {
        while self.plain.len() < frame.len() {
            self.receive()?;
        }
        if self.plain != frame {
            return Err("something else came back".into());
        }
        self.plain.clear();
        Ok(())
    }

    fn send(&mut self, plain: &[u8]) -> Result<(), Fault> {
        let mut wire = vec![0; tls::sealed(plain.len())];
        let length = tls::seal(&mut self.tls, plain, &mut wire)?;
        Ok(self.socket.write_all(&wire[..length])?)
    }

    fn receive(&mut self) -> Result<(), Fault> {
        let mut taken = [0; 16 << 10];
        let n = self.socket.read(&mut taken)?;
        if n == 0 {
            return Err("the proxy ended the connection".into());
        }
        self.partial.extend_from_slice(&taken[..n]);
        self.step()
    }

    /// Lets TLS take what was received and say what it has to say.
    fn step(&mut self) -> Result<(), Fault> {
        let mut reply = Vec::new();
        let plain = &mut self.plain;
        let opened = tls::open(&mut self.tls, &mut self.partial, &mut reply, |bytes| {
            plain.extend_from_slice(bytes);
            Ok(())
        })?;
        self.partial.drain(..opened.taken);
        Ok(self.socket.write_all(&reply)?)
    }
}

/// Opcode of a fragment that goes on with a message.
pub const CONTINUATION: u8 = 0;
/// Opcode of a text frame.
pub const TEXT: u8 = 1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 2;
/// Opcode of a Close frame.
pub const CLOSE: u8 = 8;
/// Opcode of a Ping.
pub const PING: u8 = 9;
/// Opcode of a Pong.
pub const PONG: u8 = 10;

/// A frame from the client: masked.
pub fn request(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(opcode, payload.len(), 0x80);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The same frame from the app: not masked.
pub fn reply(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(opcode, payload.len(), 0);
    frame.extend(payload);
    frame
}

#[expect(clippy::cast_possible_truncation, reason = "each arm's range fits")]
fn header(opcode: u8, length: usize, masked: u8) -> Vec<u8> {
    let mut header = vec![0x80 | opcode];
    match length {
        0..126 => header.push(masked | length as u8),
        126..=0xffff => {
            header.push(masked | 0x7e);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(masked | 0x7f);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header
}

/// The number in the first eight payload bytes of a [`request`] or [`reply`], as it goes over the wire: the lower half
/// of it in hexadecimal digits, so that it may stand in a text.
pub fn number(n: u64, masked: bool) -> [u8; 8] {
    let mut bytes = std::array::from_fn(|at| {
        let digit = (n >> (28 - 4 * at) & 0xf) as u8;
        if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }
    });
    if masked {
        bytes.iter_mut().zip(MASK.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    bytes
}
