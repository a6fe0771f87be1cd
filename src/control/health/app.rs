//! A probe of an app on loopback, made for who cannot reach it.
//!
//! ```text
//! kubelet --GET /app/ready, its fields--> Ringside --GET /healthz, the same fields--> app
//! kubelet <-----200, or 503 and why------ Ringside <--------any answer--------------- app
//! ```
//!
//! As kubelet would do it: a status of 200 to 399 is good, and so is, for `tcp://`, a connection. Of the app's answer nothing
//! but the status is passed on, and its body is not read.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use humantime::format_duration;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http1::fields::{folded, is_hop_by_hop};
use crate::http1::syntax::elements;
use crate::policy::identity::HeaderName;

/// A probe is over by then, whatever the app does. Kubelet gives up before, and its connection takes the probe with it.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Most bytes of the head of an app's answer.
pub(super) const LONGEST_HEAD: usize = 16 << 10;

/// What is asked: `http://127.0.0.1:3000/healthz` or `tcp://127.0.0.1:3000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    authority: Authority,
    /// Those that the host stands for, all on loopback; never empty.
    addresses: Vec<SocketAddr>,
    question: Question,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Question {
    /// Whether somebody listens.
    Connect,
    /// What the answer to a GET is.
    Get(PathAndQuery),
}

/// Why a text is not a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No URL at all, or one of another scheme.
    #[error("begins neither with \"http://\" nor with \"tcp://\"")]
    Scheme,
    /// Nothing that could be asked.
    #[error("is no URL of a host, a port and a path")]
    Form,
    /// The host is not this machine.
    #[error("is not on loopback, which is all that is asked here")]
    Elsewhere,
    /// There is no port to connect to.
    #[error("has no port between 1 and 65535")]
    Port,
    /// A path, where there is no request.
    #[error("has a path, which tcp:// has no use for")]
    Path,
}

/// That the app is well.
#[derive(Debug)]
pub(super) enum Well {
    Answered(StatusCode),
    Connected,
}

/// Why the app is not well.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwell {
    #[error("the app answered {}", .0.as_u16())]
    Answered(StatusCode),
    #[error("nobody can be reached at {0}: {1}")]
    Unreachable(Authority, io::Error),
    #[error("the app did not answer with HTTP: {0}")]
    Unreadable(#[from] hyper::Error),
    #[error("the app did not answer within {}", format_duration(DEADLINE))]
    Late,
}

impl Target {
    /// Where it may connect to, one after the other.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Asks the app, with these fields of who wants to know. What is under way is dropped with the future.
    pub(super) async fn probe(&self, fields: &HeaderMap, identity: &[HeaderName]) -> Result<Well, Unwell> {
        timeout(DEADLINE, self.ask(fields, identity)).await.unwrap_or(Err(Unwell::Late))
    }

    async fn ask(&self, fields: &HeaderMap, identity: &[HeaderName]) -> Result<Well, Unwell> {
        let connected = TcpStream::connect(&self.addresses[..]).await;
        let stream = connected.map_err(|error| Unwell::Unreachable(self.authority.clone(), error))?;
        let Question::Get(path) = &self.question else { return Ok(Well::Connected) };
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = Uri::from(path.clone());
        *request.headers_mut() = self.passed_on(fields, identity);
        match status(stream, request).await? {
            status if status.is_success() || status.is_redirection() => Ok(Well::Answered(status)),
            status => Err(Unwell::Answered(status)),
        }
    }

    /// The fields of our request: those of who asks us, unless they are about the connection to us or say who a client is.
    fn passed_on(&self, fields: &HeaderMap, identity: &[HeaderName]) -> HeaderMap {
        let connection = fields.get_all(CONNECTION);
        let named: Vec<_> = connection.iter().flat_map(|value| elements(value.as_bytes())).collect();
        let ends_here = |name: &str| {
            is_hop_by_hop(name)
                || named.iter().any(|named| named.eq_ignore_ascii_case(name.as_bytes()))
                || identity.iter().any(|identity| *identity.as_str() == *folded(name))
        };
        let passed = fields.iter().filter(|(name, _)| !ends_here(name.as_str()));
        let mut passed: HeaderMap = passed.map(|(name, value)| (name.clone(), value.clone())).collect();
        if !passed.contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(self.authority.as_str())
        {
            passed.insert(HOST, host);
        }
        passed.insert(CONNECTION, HeaderValue::from_static("close"));
        passed
    }
}

/// The status that `request` is answered with.
async fn status(stream: TcpStream, request: Request<Empty<Bytes>>) -> Result<StatusCode, hyper::Error> {
    let mut http = http1::Builder::new();
    let (mut sender, connection) = http.max_buf_size(LONGEST_HEAD).handshake(TokioIo::new(stream)).await?;
    let (mut answer, connection) = (pin!(sender.send_request(request)), pin!(connection));
    let answer = tokio::select! {
        answer = answer.as_mut() => answer,
        // Its last act may have been to hand over the answer.
        _ = connection => answer.await,
    };
    Ok(answer?.status())
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let is_http = text.starts_with("http://");
        if !is_http && !text.starts_with("tcp://") {
            return Err(TargetError::Scheme);
        }
        // A fragment is for browsers; the parser would drop it.
        let url = Some(text).filter(|text| !text.contains('#')).and_then(|text| text.parse::<Uri>().ok());
        let (authority, path) =
            url.map(Uri::into_parts).map_or((None, None), |url| (url.authority, url.path_and_query));
        let authority = authority.filter(|authority| !authority.as_str().contains('@')).ok_or(TargetError::Form)?;
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") if is_http => 80,
            written => written.and_then(port).ok_or(TargetError::Port)?,
        };
        let addresses = loopback(authority.host()).ok_or(TargetError::Elsewhere)?;
        let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        let question = match path {
            path if is_http => Question::Get(path.unwrap_or_else(|| PathAndQuery::from_static("/"))),
            _ if text.ends_with(&format!("://{authority}")) => Question::Connect,
            _ => return Err(TargetError::Path),
        };
        Ok(Self { authority, addresses, question })
    }
}

/// The port in `:3000`.
fn port(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(':').filter(|port| port.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok().filter(|port| *port != 0)
}

/// What `host` stands for, when that is this machine and nobody has to be asked.
fn loopback(host: &str) -> Option<Vec<IpAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let ip: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
    ip.is_loopback().then(|| vec![ip])
}

impl fmt::Display for Well {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "the app answered {}", status.as_u16()),
            Self::Connected => f.write_str("the app listens"),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{Target, TargetError};

    fn target(text: &str) -> Target {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_target_is_on_loopback_and_nowhere_else() {
        for (text, addresses) in [
            ("http://127.0.0.1:3000/healthz?deep=1", "127.0.0.1:3000"),
            ("http://127.1.2.3/", "127.1.2.3:80"),
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("http://[::1]:3000/healthz", "[::1]:3000"),
            ("http://LocalHost:3000", "127.0.0.1:3000 [::1]:3000"),
            ("tcp://localhost:3000", "127.0.0.1:3000 [::1]:3000"),
            ("tcp://[::1]:65535", "[::1]:65535"),
        ] {
            let found: Vec<_> = target(text).addresses().iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), addresses, "{text}");
        }
        for (text, expected) in [
            ("", TargetError::Scheme),
            ("127.0.0.1:3000", TargetError::Scheme),
            ("https://127.0.0.1:3000/", TargetError::Scheme),
            ("HTTP://127.0.0.1:3000/", TargetError::Scheme),
            ("unix:app.sock", TargetError::Scheme),
            ("http://", TargetError::Form),
            ("http:///healthz", TargetError::Form),
            ("http://127.0.0.1:3000/a b", TargetError::Form),
            ("http://127.0.0.1:3000/\r\nx: y", TargetError::Form),
            ("http://127.0.0.1:3000/#a", TargetError::Form),
            ("http://user@127.0.0.1:3000/", TargetError::Form),
            ("http://127.0.0.1@10.0.0.1/", TargetError::Form),
            ("http://10.0.0.1:3000/", TargetError::Elsewhere),
            ("http://169.254.169.254/latest/meta-data", TargetError::Elsewhere),
            ("http://0.0.0.0:3000/", TargetError::Elsewhere),
            ("http://[::]:3000/", TargetError::Elsewhere),
            ("http://[::ffff:127.0.0.1]:3000/", TargetError::Elsewhere),
            ("http://127.1:3000/", TargetError::Elsewhere),
            ("http://127.0.0.1.nip.io:3000/", TargetError::Elsewhere),
            ("http://localhost.:3000/", TargetError::Elsewhere),
            ("http://app:3000/", TargetError::Elsewhere),
            ("tcp://127.0.0.1", TargetError::Port),
            ("tcp://127.0.0.1:0", TargetError::Port),
            ("http://127.0.0.1:0/", TargetError::Port),
            ("http://127.0.0.1:/", TargetError::Port),
            ("http://127.0.0.1:65536/", TargetError::Port),
            ("http://127.0.0.1:+80/", TargetError::Port),
            ("tcp://127.0.0.1:3000/healthz", TargetError::Path),
            ("tcp://127.0.0.1:3000/", TargetError::Path),
            ("tcp://127.0.0.1:3000?a", TargetError::Path),
        ] {
            assert_eq!(text.parse::<Target>().unwrap_err(), expected, "{text:?}");
        }
    }

    #[test]
    fn fields_travel_on_unless_they_end_here() {
        let fields = |lines: &[(&str, &str)]| -> HeaderMap {
            let field = |(name, value): &(&str, &str)| {
                (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
            };
            lines.iter().map(field).collect()
        };
        let identity = ["x-ringside-subject".parse().unwrap()];
        let target = target("http://127.0.0.1:3000/");
        let sent = [
            ("host", "10.1.2.3:9902"),
            ("user-agent", "kube-probe/1.36"),
            ("x-forwarded-proto", "https"),
            ("accept", "a"),
            ("accept", "b"),
            ("connection", "keep-alive, X-Hop"),
            ("connection", "upgrade"),
            ("x-hop", "1"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("te", "trailers"),
            ("x-ringside-subject", "root"),
            ("x_ringside_subject", "root"),
        ];
        let mut expected = sent[..5].to_vec();
        expected.push(("connection", "close"));
        assert_eq!(target.passed_on(&fields(&sent), &identity), fields(&expected));
        let own = [("host", "127.0.0.1:3000"), ("connection", "close")];
        assert_eq!(target.passed_on(&fields(&[("connection", "host"), ("host", "x")]), &identity), fields(&own));
    }
}
