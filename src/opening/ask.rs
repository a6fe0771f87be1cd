//! Asking the app.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::Means;
use super::refuse::Refusal;
use crate::bytesize::ByteSize;
use crate::http1::answer::Answer;
use crate::http1::body::Framing;
use crate::http1::head::HeadEnd;
use crate::policy::permit::Permit;
use crate::ring::pool::Pool;
use crate::ring::stream::Stream;
use crate::upstream::{self, Address};

/// Largest head of an answer; more than any client may send us, since cookies and policies grow on this side.
const HEAD: ByteSize = ByteSize::kib(64);

/// Largest body of a refusal that is passed on.
const BODY: ByteSize = ByteSize::kib(64);

/// What the app answered.
pub(super) struct Asked {
    pub(super) stream: Stream,
    /// The answer's status.
    pub(super) status: u16,
    /// The answer's head.
    pub(super) head: Vec<u8>,
    /// The whole body, if the answer is a refusal.
    pub(super) body: Vec<u8>,
    /// What came behind the head of a 101.
    pub(super) early: Vec<u8>,
}

/// Dials the app, sends it `question`, and waits for its answer. `tried` is what it is of [`upstream::dial`].
pub(super) async fn ask(
    permit: &Permit,
    question: &[u8],
    means: &Means,
    address: &Address,
    max_fields: usize,
    tried: &Cell<Option<SocketAddr>>,
) -> Result<Asked, Refusal> {
    let stream = upstream::dial(permit, means.engine, address, tried).await.map_err(Refusal::AppUnreachable)?;
    let mut app = App { stream, pool: Rc::clone(&means.pool), received: Vec::new() };
    app.stream.write(&app.pool, question).await.map_err(Refusal::AppBroke)?;
    let head = app.head().await?;
    let (status, framing) = {
        let answer = Answer::parse(&head, max_fields)?;
        // Whether a refusal may be passed on is judged later; here it only matters where it ends.
        let refusal = matches!(answer.status, 300..=599);
        (answer.status, refusal.then(|| Framing::of(answer.status, &answer.fields)).transpose()?)
    };
    let body = match framing {
        Some(framing) => app.body(framing).await?,
        None => Vec::new(),
    };
    Ok(Asked { stream: app.stream, status, head, body, early: app.received })
}

struct App {
    stream: Stream,
    pool: Rc<Pool>,
    received: Vec<u8>,
}

impl App {
    /// The answer's head; what came behind it stays in `received`.
    async fn head(&mut self) -> Result<Vec<u8>, Refusal> {
        let mut end = HeadEnd::default();
        loop {
            if let Some(length) = end.find(&self.received) {
                let behind = self.received.split_off(length);
                return Ok(std::mem::replace(&mut self.received, behind));
            }
            if self.received.len() > HEAD.len() {
                return Err(Refusal::AppTooLarge);
            }
            if !self.receive().await? {
                return Err(Refusal::AppBroke(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    async fn body(&mut self, framing: Framing) -> Result<Vec<u8>, Refusal> {
        let mut closed = false;
        loop {
            if let Some(body) = framing.body(&self.received, closed)? {
                return Ok(body);
            }
            if self.received.len() > BODY.len() {
                return Err(Refusal::AppTooLarge);
            }
            closed = !self.receive().await?;
        }
    }

    /// Waits for bytes. `false` when the app has closed.
    async fn receive(&mut self) -> Result<bool, Refusal> {
        let received = self.stream.read(&self.pool, &mut self.received).await;
        received.map(|n| n > 0).map_err(Refusal::AppBroke)
    }
}
