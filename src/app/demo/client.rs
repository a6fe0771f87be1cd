//! The client of the scenes: a real one, which trusts the demo's certificate and nothing else.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::Response;
use tungstenite::http::Uri;
use tungstenite::{ClientRequestBuilder, Error, WebSocket};

/// How long an answer may take. It takes milliseconds; this is for what would never come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What comes before the token, in base64url, in Kubernetes' convention for clients that can set no header.
const KUBERNETES: &str = "base64url.bearer.authorization.k8s.io.";

/// A TLS connection to the proxy.
pub(super) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Connects to the proxy.
pub(super) struct Client {
    tls: Arc<ClientConfig>,
    address: SocketAddr,
}

/// What a client sends to be let in.
#[derive(Clone, Copy)]
pub(super) enum Credentials<'t> {
    /// Nothing.
    None,
    /// `Authorization: Bearer TOKEN`.
    Header(&'t str),
    /// The token as a subprotocol, beside one that is meant.
    Subprotocol { token: &'t str, protocol: &'t str },
}

/// What came of a handshake.
pub(super) enum Opening {
    /// A 101.
    Opened(Box<WebSocket<Tls>>, Response),
    /// Another answer.
    Refused(Response),
}

impl Client {
    pub(super) fn new(trusted: CertificateDer<'static>, address: SocketAddr) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls), address })
    }

    /// Asks for a WebSocket.
    pub(super) fn open(&self, credentials: Credentials<'_>) -> Result<Opening, Error> {
        let uri = Uri::builder().scheme("wss").authority(self.host()).path_and_query("/").build()?;
        let request = match credentials {
            Credentials::None => ClientRequestBuilder::new(uri),
            Credentials::Header(token) => {
                ClientRequestBuilder::new(uri).with_header("Authorization", format!("Bearer {token}"))
            }
            Credentials::Subprotocol { token, protocol } => {
                ClientRequestBuilder::new(uri).with_sub_protocol(as_subprotocol(token)).with_sub_protocol(protocol)
            }
        };
        match tungstenite::client(request, self.connect()?) {
            Ok((socket, response)) => Ok(Opening::Opened(Box::new(socket), response)),
            Err(HandshakeError::Failure(Error::Http(response))) => Ok(Opening::Refused(*response)),
            Err(HandshakeError::Failure(error)) => Err(error),
            Err(HandshakeError::Interrupted(_)) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    /// Asks for a page, and returns the whole answer.
    pub(super) fn get(&self) -> io::Result<String> {
        let mut tls = self.connect()?;
        write!(tls, "GET / HTTP/1.1\r\nHost: {}\r\n\r\n", self.host())?;
        let mut answer = String::new();
        tls.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn connect(&self) -> io::Result<Tls> {
        let tcp = TcpStream::connect(self.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(tls, tcp))
    }

    fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }
}

/// `token` as a browser can send it.
pub(super) fn as_subprotocol(token: &str) -> String {
    format!("{KUBERNETES}{}", URL_SAFE_NO_PAD.encode(token))
}
