//! The HTTP client that carries OTLP: blocking, on the SDK's batch thread, which has no async runtime.
//!
//! An async client would panic on that thread, and every span would be lost with it. This one blocks the batch
//! thread alone, and only until its timeout.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use rustls::crypto::aws_lc_rs;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Most bytes of a collector's answer that are read. A real one is a few bytes.
const ANSWER: u64 = 64 * 1024;

/// A client for one collector.
#[derive(Debug)]
pub(super) struct Client(Agent);

impl Client {
    /// `timeout` bounds a whole request, from the name's resolution to the answer's last byte.
    /// Over `https://`, the collector must have a certificate from one of the `roots`.
    pub(super) fn new(timeout: Duration, roots: RootCerts) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(roots)
            // Named, because ureq panics when it has to guess.
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // A collector that redirects would be sent spans that were meant for another.
            .max_redirects(0)
            // The collector stands beside us: a proxy for the app's own traffic is not meant for it.
            .proxy(None)
            .tls_config(tls)
            .build();
        Self(Agent::new_with_config(config))
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let (head, mut body) = self.0.run(Request::from_parts(head, body.as_ref()))?.into_parts();
        let body = body.with_config().limit(ANSWER).read_to_vec().map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => HttpError::from(ResponseBodyTooLarge::new()),
            error => error.into(),
        })?;
        Ok(Response::from_parts(head, body.into()))
    }
}

/// The authorities this system trusts: `SSL_CERT_FILE`, `SSL_CERT_DIR`, else where distributions keep them. May be empty.
pub(super) fn system_roots() -> RootCerts {
    let found = rustls_native_certs::load_native_certs().certs;
    RootCerts::from(found.iter().map(|root| Certificate::from_der(root).to_owned()).collect::<Vec<_>>())
}

type Sent<'f> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>;

/// What `#[async_trait]` makes of the trait's `async fn`, without its macro: the future is ready when it is returned.
impl HttpClient for Client {
    fn send_bytes<'a, 'f>(&'a self, request: Request<Bytes>) -> Sent<'f>
    where
        'a: 'f,
        Self: 'f,
    {
        Box::pin(ready(self.send(request)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use opentelemetry_http::{HttpError, Request, Response, ResponseBodyTooLarge};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use ureq::tls::Certificate;

    use super::{ANSWER, Client, aws_lc_rs};

    /// One request to a server that answers with `head` and then `length` bytes.
    fn send(timeout: Duration, head: String, length: usize) -> Result<Response<Bytes>, HttpError> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let url = format!("http://{}/v1/traces", listener.local_addr().expect("address"));
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![0; length]));
            let _ = stream.read_to_end(&mut Vec::new());
        });
        Client::new(timeout, Vec::new().into())
            .send(Request::post(url).body(Bytes::from_static(b"spans")).expect("request"))
    }

    #[test]
    fn an_answer_is_given_back_whatever_its_status() {
        for status in [200, 307, 404, 503] {
            let head = format!("HTTP/1.1 {status} x\r\nretry-after: 1\r\nlocation: /\r\ncontent-length: 3\r\n\r\n");
            let response = send(Duration::from_secs(10), head, 3).expect("an answer");
            assert_eq!((response.status().as_u16(), response.body().len()), (status, 3));
            assert_eq!(response.headers()["retry-after"], "1");
        }
    }

    #[test]
    fn an_answer_that_is_too_long_is_not_read() {
        let length = usize::try_from(ANSWER).expect("small") + 1;
        let head = format!("HTTP/1.1 200 x\r\ncontent-length: {length}\r\n\r\n");
        let error = send(Duration::from_secs(10), head, length).expect_err("too long");
        assert!(error.is::<ResponseBodyTooLarge>(), "{error}");
    }

    #[test]
    fn an_answer_that_does_not_come_or_end_is_not_waited_for() {
        for head in ["", "HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n"] {
            let began = Instant::now();
            send(Duration::from_millis(50), head.to_owned(), 0).expect_err("too late");
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        }
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
            Client::new(Duration::from_secs(30), roots.into()).send(request)
        };
        let error = send(Vec::new()).unwrap_err().to_string();
        assert!(error.contains("UnknownIssuer"), "{error}");
        assert_eq!(&send(vec![Certificate::from_der(&der).to_owned()]).unwrap().into_body()[..], b"good");
        collector.join().unwrap();
    }
}
