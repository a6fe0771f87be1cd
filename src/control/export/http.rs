//! The HTTP client that carries OTLP: blocking, on a thread that has no async runtime.
//!
//! An async client would panic on the SDK's batch thread, and every span would be lost with it. This one blocks its
//! thread alone, and only until its timeout, which bounds all tries of a request together: [`Retry`] says when each
//! is. The SDK could retry too, but it sleeps where nothing can wake it, gives every try the whole timeout, and tells
//! nobody why a request failed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use opentelemetry_http::Request;
use rand::Rng;
use rustls::crypto::aws_lc_rs;
use thiserror::Error;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::closing::Closing;
use super::retry::{self, Retry, Step};

/// Most bytes of a collector's answer that are read. A real one is a few bytes.
const ANSWER: u64 = 64 * 1024;

/// A client for one collector.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    timeout: Duration,
    closing: Arc<Closing>,
    /// Until when the collector wants to be left alone.
    quiet: Mutex<Option<Instant>>,
}

/// Why a request did not succeed.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// The collector answered something else than 2xx.
    #[error("the collector answers {status}")]
    Status {
        /// What.
        status: u16,
        /// How long the collector wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// It did not answer, or not in HTTP.
    #[error("no answer: {0}")]
    Transport(#[from] ureq::Error),
    /// Its answer has more than [`ANSWER`] bytes.
    #[error("the answer is longer than {ANSWER} bytes")]
    TooLong,
    /// It asked for more time than the request has.
    #[error("the collector wants to be left alone")]
    Quiet,
    /// There was no time left to send it in.
    #[error("no time is left")]
    TooLate,
}

impl Client {
    /// `timeout` bounds a whole request, from the first name's resolution to the last answer's last byte; it is over
    /// sooner when `closing` says so. Over `https://`, the collector must have a certificate from one of the `roots`.
    pub(super) fn new(timeout: Duration, roots: RootCerts, closing: Arc<Closing>) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(roots)
            // Named, because ureq panics when it has to guess.
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A collector that redirects would be sent what was meant for another.
            .max_redirects(0)
            // The collector stands beside us: a proxy for the app's own traffic is not meant for it.
            .proxy(None)
            .tls_config(tls)
            .build();
        Self { agent: Agent::new_with_config(config), timeout, closing, quiet: Mutex::default() }
    }

    /// The same, for a collector at `url`.
    pub(super) fn for_url(url: &str, timeout: Duration, closing: Arc<Closing>) -> Self {
        // Without TLS nobody is to be trusted, and the bundle need not be read.
        let roots = if url.starts_with("http://") { Vec::new().into() } else { system_roots() };
        Self::new(timeout, roots, closing)
    }

    /// Sends `request` until an answer of 2xx comes, whose body this is.
    pub(super) fn send(&self, request: &Request<Bytes>) -> Result<Bytes, Failure> {
        let quiet = |value| *self.quiet.lock().unwrap_or_else(PoisonError::into_inner) = value;
        let mut retry = Retry::new(*self.quiet.lock().unwrap_or_else(PoisonError::into_inner));
        let timeout = Instant::now() + self.timeout;
        let mut last = None;
        loop {
            let closing = self.closing.deadline();
            let (now, deadline) = (Instant::now(), closing.map_or(timeout, |closing| closing.min(timeout)));
            match retry.step(now, deadline) {
                Step::Wait(due) => self.closing.wait_until(due, closing),
                Step::GiveUp => {
                    quiet(retry.quiet());
                    let unsent = if retry.quiet().is_some() { Failure::Quiet } else { Failure::TooLate };
                    return Err(last.unwrap_or(unsent));
                }
                Step::Try => match self.once(request, deadline - now) {
                    Err(failure) if failure.may_pass() => {
                        retry.failed(Instant::now(), failure.retry_after(), rand::rng().random());
                        last = Some(failure);
                    }
                    answered => {
                        quiet(None);
                        return answered;
                    }
                },
            }
        }
    }

    fn once(&self, request: &Request<Bytes>, within: Duration) -> Result<Bytes, Failure> {
        let (head, body) = request.clone().into_parts();
        let request = Request::from_parts(head, body.as_ref());
        let request = self.agent.configure_request(request).timeout_global(Some(within)).build();
        let (head, mut body) = self.agent.run(request)?.into_parts();
        let body = body.with_config().limit(ANSWER).read_to_vec().map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => Failure::TooLong,
            error => error.into(),
        })?;
        if head.status.is_success() {
            return Ok(body.into());
        }
        let retry_after = head.headers.get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| retry::retry_after(value, SystemTime::now()));
        Err(Failure::Status { status: head.status.as_u16(), retry_after })
    }
}

impl Failure {
    /// Whether the same request may succeed later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Status { status, .. } => retry::may_pass(*status),
            Self::Transport(ureq::Error::Io(error)) => {
                // What TLS refuses, such as a certificate, it refuses again.
                error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_none()
            }
            Self::Transport(error) => matches!(
                error,
                ureq::Error::Protocol(_)
                    | ureq::Error::Timeout(_)
                    | ureq::Error::HostNotFound
                    | ureq::Error::ConnectionFailed
            ),
            Self::TooLong | Self::Quiet | Self::TooLate => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Transport(_) | Self::TooLong | Self::Quiet | Self::TooLate => None,
        }
    }
}

/// The authorities this system trusts: `SSL_CERT_FILE`, `SSL_CERT_DIR`, else where distributions keep them. May be empty.
fn system_roots() -> RootCerts {
    let found = rustls_native_certs::load_native_certs().certs;
    RootCerts::from(found.iter().map(|root| Certificate::from_der(root).to_owned()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::net::{Shutdown, TcpListener};
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};
    use std::thread;
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use opentelemetry_http::Request;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use ureq::tls::Certificate;

    use super::{ANSWER, Client, Closing, Failure, aws_lc_rs};

    /// Longer than anything takes.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Answers each request with the next of `answers`, or says nothing when none is left. Tells when the client has gone
    /// from the connection, so has read the answer. Returns its URL.
    fn collector(answers: impl IntoIterator<Item = Vec<u8>> + Send + 'static, told: Sender<Instant>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        thread::spawn(move || {
            let mut answers = answers.into_iter();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                if let Some(answer) = answers.next() {
                    let _ = stream.write_all(&answer);
                    let _ = stream.shutdown(Shutdown::Write);
                }
                let _ = io::copy(&mut stream, &mut io::sink());
                let _ = told.send(Instant::now());
            }
        });
        url
    }

    fn answer(status: u16, fields: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status} x\r\n{fields}connection: close\r\ncontent-length: 3\r\n\r\nabc").into()
    }

    fn request(url: &str) -> Request<Bytes> {
        Request::post(url).body(Bytes::from_static(b"spans")).unwrap()
    }

    fn client(timeout: Duration, closing: &Arc<Closing>) -> Client {
        Client::new(timeout, Vec::new().into(), Arc::clone(closing))
    }

    fn send(timeout: Duration, answers: impl IntoIterator<Item = Vec<u8>> + Send + 'static) -> Result<Bytes, Failure> {
        client(timeout, &Arc::default()).send(&request(&collector(answers, channel().0)))
    }

    #[test]
    fn an_answer_of_success_is_given_back() {
        for status in [200, 202] {
            assert_eq!(&send(PATIENCE, [answer(status, "")]).unwrap()[..], b"abc");
        }
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        for status in [307, 400, 401, 404, 413, 500] {
            let failure = send(PATIENCE, [answer(status, "location: /\r\n"), answer(200, "")]).unwrap_err();
            assert!(failure.to_string().ends_with(&status.to_string()), "{failure}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for status in [429, 502, 503, 504] {
            let answers =
                [answer(status, ""), answer(status, "retry-after: 0\r\n"), b"odd\r\n\r\n".into(), answer(200, "")];
            assert_eq!(&send(PATIENCE, answers).unwrap()[..], b"abc");
        }
    }

    #[test]
    fn the_collector_is_not_asked_before_the_time_it_named() {
        let (told, asked) = channel();
        let url = collector([answer(429, "retry-after: 1\r\n"), answer(200, "")], told);
        client(PATIENCE, &Arc::default()).send(&request(&url)).unwrap();
        let [first, second] = [(); 2].map(|()| asked.recv_timeout(PATIENCE).unwrap());
        assert!(second - first >= Duration::from_millis(900), "{:?}", second - first);
    }

    #[test]
    fn a_collector_that_wants_quiet_for_longer_than_a_request_has_is_left_alone() {
        let (told, asked) = channel();
        let url = collector([answer(503, "retry-after: 3600\r\n")], told);
        let (client, began) = (client(Duration::from_secs(20), &Arc::default()), Instant::now());
        assert!(matches!(client.send(&request(&url)), Err(Failure::Status { status: 503, .. })));
        asked.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(client.send(&request(&url)), Err(Failure::Quiet)));
        assert!(asked.try_recv().is_err(), "it was asked");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[test]
    fn a_wait_is_over_when_all_must_end_before_the_next_try() {
        let (told, asked) = channel();
        let url = collector([answer(503, "retry-after: 20\r\n")], told);
        let closing = Arc::default();
        let (client, began) = (client(PATIENCE, &closing), Instant::now());
        let waiting = thread::spawn(move || client.send(&request(&url)));
        asked.recv_timeout(PATIENCE).unwrap();
        closing.end_by(began + Duration::from_secs(5));
        assert!(matches!(waiting.join().unwrap(), Err(Failure::Status { status: 503, .. })));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }

    #[test]
    fn nothing_is_sent_after_the_end() {
        let (told, asked) = channel();
        let (url, closing) = (collector([answer(200, "")], told), Arc::<Closing>::default());
        closing.end_by(Instant::now());
        assert!(matches!(client(PATIENCE, &closing).send(&request(&url)), Err(Failure::TooLate)));
        assert!(asked.try_recv().is_err(), "it was asked");
    }

    #[test]
    fn an_answer_that_is_too_long_is_not_read() {
        let length = usize::try_from(ANSWER).unwrap() + 1;
        let mut long = format!("HTTP/1.1 200 x\r\ncontent-length: {length}\r\n\r\n").into_bytes();
        long.resize(long.len() + length, 0);
        let failure = send(PATIENCE, [long]).unwrap_err();
        assert!(matches!(failure, Failure::TooLong), "{failure}");
    }

    #[test]
    fn an_answer_that_does_not_come_or_end_is_not_waited_for() {
        let (began, timeout) = (Instant::now(), Duration::from_millis(50));
        let failure = send(timeout, []).unwrap_err();
        assert!(matches!(failure, Failure::Transport(ureq::Error::Timeout(_))), "{failure}");
        let short = b"HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n".to_vec();
        send(timeout, std::iter::repeat(short)).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }

    #[test]
    fn a_collector_behind_tls_must_be_one_we_trust() {
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (der, key) = (identity.cert.der().clone(), identity.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der.clone()], PrivateKeyDer::try_from(key).unwrap());
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let collector = thread::spawn(move || {
            for _ in 0..2 {
                let (socket, _) = listener.accept().unwrap();
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(tls, socket);
                // The client that does not trust us goes away within the handshake.
                let Ok(1..) = stream.read(&mut [0; 4096]) else { continue };
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").unwrap();
            }
        });
        let send = |roots: Vec<Certificate<'static>>| {
            let request =
                Request::post(format!("https://localhost:{port}/v1/traces")).body(Bytes::from("spans")).unwrap();
            Client::new(PATIENCE, roots.into(), Arc::default()).send(&request)
        };
        let error = send(Vec::new()).unwrap_err().to_string();
        assert!(error.contains("UnknownIssuer"), "{error}");
        assert_eq!(&send(vec![Certificate::from_der(&der).to_owned()]).unwrap()[..], b"good");
        collector.join().unwrap();
    }
}
