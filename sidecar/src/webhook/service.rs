//! One request of the API server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{info, warn};

use super::figures::{Figures, What};
use crate::review::{self, Answer, Decision};
use crate::settings::Settings;

/// A request must have come by then. API servers wait for the configuration's `timeoutSeconds`, which is more.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Largest body. The API server itself takes 3 MiB from a client, and sends it inside of a review.
const LARGEST: usize = 8 << 20;

/// Bodies that are held at once, all together.
const HELD: usize = 32 << 20;

const JSON: &str = "application/json";

/// Answers reviews.
pub(super) struct Service {
    settings: Settings,
    figures: Arc<Figures>,
    /// In bytes.
    room: Semaphore,
}

impl Service {
    pub(super) fn new(settings: Settings, figures: Arc<Figures>) -> Self {
        Self { settings, figures, room: Semaphore::new(HELD) }
    }

    /// The answer to `request`.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let began = Instant::now();
        let (what, response) = match self.review(request).await {
            Ok(answer) => {
                let what = match &answer.decision {
                    Decision::Injected => What::Injected,
                    Decision::Skipped(_) => What::Skipped,
                    Decision::Denied(_) => What::Denied,
                };
                log(&answer);
                (what, reply(StatusCode::OK, JSON, answer.body.to_string()))
            }
            Err((status, text)) => {
                warn!(status = status.as_u16(), reason = text, "a request is no review");
                let mut response = reply(status, "text/plain; charset=utf-8", format!("{text}\n"));
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                }
                (What::Malformed, response)
            }
        };
        self.figures.count(what, began.elapsed());
        Ok(response)
    }

    async fn review(&self, request: Request<Incoming>) -> Result<Answer, (StatusCode, String)> {
        if request.uri().path() != "/inject" {
            return Err((StatusCode::NOT_FOUND, "there is only /inject".into()));
        }
        if request.method() != Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "send the review with POST".into()));
        }
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().unwrap_or_default().trim() != JSON {
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("content-type is {kind:?}; send {JSON}")));
        }
        let body = self.body(request.into_body()).await?;
        review::answer(&body, &self.settings).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
    }

    async fn body(&self, body: Incoming) -> Result<Bytes, (StatusCode, String)> {
        let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {LARGEST} bytes"));
        let size = body.size_hint().upper().map_or(LARGEST, |size| usize::try_from(size).unwrap_or(usize::MAX));
        if size > LARGEST {
            return Err(too_large());
        }
        let all = async {
            let _room = self.room.acquire_many(u32::try_from(size).unwrap_or(u32::MAX)).await;
            Limited::new(body, LARGEST).collect().await
        };
        match timeout(PATIENCE, all).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, "the body breaks off".into())),
            Err(_) => {
                Err((StatusCode::REQUEST_TIMEOUT, format!("the body did not come within {} s", PATIENCE.as_secs())))
            }
        }
    }
}

/// One line a decision.
fn log(Answer { decision, subject, .. }: &Answer) {
    let (namespace, pod, owner) = (&subject.namespace, &subject.pod, &subject.owner);
    let (uid, dry_run) = (&subject.uid, subject.dry_run);
    match decision {
        Decision::Injected => info!(namespace, pod, owner, uid, dry_run, "injected"),
        Decision::Skipped(why) => info!(namespace, pod, owner, uid, dry_run, why, "left alone"),
        Decision::Denied(problems) => {
            warn!(namespace, pod, owner, uid, dry_run, problems = problems.join("; "), "denied");
        }
    }
}

pub(super) fn reply(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
