//! The listeners: HTTPS for the API server, plain HTTP for kubelet and Prometheus.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::certificate::Certificates;
use super::figures::Figures;
use super::service::{Service, reply};

/// Connections at once, per listener; the next waits.
const CONNECTIONS: usize = 256;

/// A TLS handshake, and the head of a request, must be there within this time.
const HEAD: Duration = Duration::from_secs(3);

/// API servers keep connections and use them again; so long may one last, so that a new certificate is seen.
const AGE: Duration = Duration::from_secs(600);

/// A connection that was asked to end is cut after this time.
const GRACE: Duration = Duration::from_secs(5);

/// How long accepting pauses after it failed, for want of descriptors most likely.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers the API server, for ever.
pub(super) async fn hook(listener: TcpListener, certificates: Arc<Certificates>, service: Arc<Service>) {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = match config {
        Ok(config) => config.with_no_client_auth().with_cert_resolver(certificates),
        Err(error) => return tracing::error!(%error, "no TLS"),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    accept(listener, move |stream, permit| {
        let (acceptor, service) = (acceptor.clone(), Arc::clone(&service));
        tokio::spawn(async move {
            match timeout(HEAD, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => connection(stream, move |request| answer(Arc::clone(&service), request)).await,
                Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
                Err(_) => debug!("a TLS handshake took too long"),
            }
            drop(permit);
        });
    })
    .await;
}

async fn answer(
    service: Arc<Service>,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    service.answer(request).await
}

/// Answers kubelet and Prometheus, for ever.
pub(super) async fn health(listener: TcpListener, figures: Arc<Figures>, certificates: Arc<Certificates>) {
    accept(listener, move |stream, permit| {
        let (figures, certificates) = (Arc::clone(&figures), Arc::clone(&certificates));
        tokio::spawn(async move {
            connection(stream, move |request| {
                let response = state(&request, &figures, certificates.is_ready());
                async move { Ok(response) }
            })
            .await;
            drop(permit);
        });
    })
    .await;
}

fn state<B>(request: &Request<B>, figures: &Figures, is_ready: bool) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "send a GET\n".into());
    }
    match request.uri().path() {
        "/livez" => reply(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" if is_ready => reply(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" => {
            reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, "there is no certificate, or the end has begun\n".into())
        }
        "/metrics" => reply(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", figures.text(is_ready)),
        _ => reply(StatusCode::NOT_FOUND, TEXT, "there are /livez, /readyz and /metrics\n".into()),
    }
}

async fn accept(listener: TcpListener, serve: impl Fn(TcpStream, OwnedSemaphorePermit)) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                // An answer of several segments would wait for acknowledgements. A socket that is gone says so later.
                let _ = stream.set_nodelay(true);
                serve(stream, place);
            }
            Err(error) => {
                warn!(%error, "cannot accept");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Serves one connection until it ends, or is too old.
async fn connection<S, F, A>(stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<hyper::body::Incoming>) -> A,
    A: Future<Output = Result<Response<Full<Bytes>>, Infallible>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let mut connection = pin!(connection);
    if timeout(AGE, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(GRACE, connection).await;
    }
}
