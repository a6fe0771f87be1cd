//! From accept to the 101, or to exactly one refusal.
//!
//! ```text
//!   accept -> TLS -> request head -> upgrade? -> permit? -> dial the app -> its answer -> our 101
//!      |       |          |              |           |             |             |
//!      +-------+----------+--------------+-----------+-------------+-------------+--> one refusal, close
//! ```
//!
//! Straight-line code under one absolute deadline. Each step fails with its own error; `refuse` is the one place
//! that turns errors into what the client is told. While the app is asked nothing is read from the client: what it
//! sends early waits in the kernel, and what came together with its head is held, within a bound.

mod ask;
mod client;
pub mod gate;
mod refuse;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::bytesize::ByteSize;
use crate::http1::answer::{Answer, Expected, Verdict};
use crate::http1::forward::{Forward, Strip};
use crate::http1::head::Request;
use crate::http1::respond;
use crate::http1::route::Routes;
use crate::http1::syntax::exactly_one;
use crate::http1::upgrade::Upgrade;
use crate::jwt::verify::Verified;
use crate::peer::Peer;
use crate::policy::permit::{self, Permit, Policy};
use crate::ring::engine::Engine;
use crate::ring::pool::Pool;
use crate::ring::stream::Stream;
use crate::telemetry::record::{ConnectionId, Handshake, Outcome, RequestFacts};
use crate::telemetry::step::{Dial, Dialled, Step};
use crate::telemetry::trace::{self, Ids, Remote, SpanId, TraceState};
use crate::tls::acceptor::Acceptor;
use crate::tls::records::Records;
use crate::upstream::{self, Address};

use ask::Asked;
use client::Client;
use gate::Gate;
use refuse::Refusal;

/// Bounds of the opening phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// From accept to the 101, absolute.
    pub deadline: Duration,
    /// From accept to the end of the TLS handshake.
    pub tls: Duration,
    /// Largest request head.
    pub head: ByteSize,
    /// Most field lines in a request head.
    pub fields: usize,
    /// Most bytes a client may send behind its request head before the 101.
    pub early: ByteSize,
}

/// What all workers decide by. Immutable.
#[derive(Debug)]
pub struct Snapshot {
    /// Bounds.
    pub config: Config,
    /// TLS; `None` on a plain listener.
    pub tls: Option<Acceptor>,
    /// Who may come in.
    pub policy: Policy,
    /// The way to the app.
    pub app: upstream::Config,
    /// Which spans there are.
    pub traces: trace::Config,
    /// What spans call the paths that clients ask for.
    pub routes: Routes,
}

/// What a worker lends to the connections it opens.
#[derive(Clone, Debug)]
pub struct Means {
    /// Its engine.
    pub engine: Engine,
    /// Its buffers.
    pub pool: Rc<Pool>,
    /// Its source of unpredictable numbers.
    pub ids: Rc<RefCell<Ids>>,
    /// What keeps openings from taking the thread all together.
    pub gate: Rc<Gate>,
    /// Whether it is about to stop: then who is still opening is turned away.
    pub stopping: Rc<Cell<bool>>,
}

/// A connection just accepted.
#[derive(Debug)]
pub struct Arrival {
    /// Its socket.
    pub stream: Stream,
    /// Who connected.
    pub client: Peer,
    /// Its number.
    pub id: ConnectionId,
    /// Whether it is one more than there is room for: then it is turned away.
    pub surplus: bool,
}

/// A connection that has its 101.
pub struct Opened {
    /// The client's socket.
    pub client: Stream,
    /// The client's TLS.
    pub tls: Option<Box<dyn Records>>,
    /// What the client sent that is not opened yet.
    pub wire: Vec<u8>,
    /// What the client sent behind its request head.
    pub early: Vec<u8>,
    /// The app's socket.
    pub app: Stream,
    /// What the app sent behind its 101.
    pub app_early: Vec<u8>,
    /// Whether permessage-deflate was agreed on.
    pub deflate: bool,
    /// The evidence that this connection may be.
    pub permit: Permit,
}

/// A connection that was refused. Its client may still be reading why.
pub struct Refused(Client);

impl Refused {
    /// Closes the connection when the client has gone, or has had time enough.
    pub async fn leave(self) {
        self.0.leave().await;
    }
}

/// Opens a connection or refuses it. The record says what happened in either case.
pub async fn open(arrival: Arrival, snapshot: &Snapshot, means: &Means) -> (Handshake, Result<Opened, Refused>) {
    let Arrival { stream, client, id, surplus } = arrival;
    let started = Instant::now();
    let span = snapshot.traces.handshake(None, &mut means.ids.borrow_mut());
    let record = Handshake::begin(id, client, span, SystemTime::now());
    let mut opening = Opening { client: Client::new(stream, means), snapshot, means, record, started };
    let joined = opening.run(surplus).await;
    let Opening { mut client, mut record, .. } = opening;
    let opened = match joined {
        Ok(joined) => Ok(client.join(joined)),
        Err(refusal) => {
            record.detail = Some(refusal.to_string());
            record.outcome = Outcome::Refused { reason: refusal.reason(), status: client.refuse(refusal).await };
            Err(Refused(client))
        }
    };
    record.took = started.elapsed();
    (record, opened)
}

/// One connection on its way to the 101.
struct Opening<'o> {
    client: Client,
    snapshot: &'o Snapshot,
    means: &'o Means,
    record: Handshake,
    started: Instant,
}

/// The app's side of a connection that has its 101.
struct Joined {
    app: Stream,
    early: Vec<u8>,
    deflate: bool,
    permit: Permit,
}

impl Opening<'_> {
    async fn run(&mut self, surplus: bool) -> Result<Joined, Refusal> {
        let config = self.snapshot.config;
        let deadline = self.started + config.deadline;
        self.secure(deadline).await?;
        let secured = Instant::now();
        let head = within(deadline, self.client.head(config.head.len())).await.ok_or(Refusal::Timeout)??;
        self.record.request_took = Some(secured.elapsed());
        let request = Request::parse(&head, config.fields)?;
        self.client.answers_head(request.method == "HEAD");
        self.trace(&request);
        if self.means.stopping.get() {
            return Err(Refusal::Draining);
        }
        if surplus {
            return Err(Refusal::Overloaded);
        }
        let upgrade = Upgrade::check(&request)?;
        if self.client.early() > config.early.len() {
            return Err(Refusal::EarlyDataTooLarge);
        }
        let permit = self.admit(&request, upgrade.origin)?;
        let (asked, reply, deflate) = self.ask(&request, &upgrade, &permit, deadline).await?;
        within(deadline, self.client.send(&reply)).await.ok_or(Refusal::Timeout)?.map_err(Refusal::ClientGone)?;
        Ok(Joined { app: asked.stream, early: asked.early, deflate, permit })
    }

    async fn secure(&mut self, deadline: Instant) -> Result<(), Refusal> {
        let Some(acceptor) = &self.snapshot.tls else { return Ok(()) };
        let deadline = deadline.min(self.started + self.snapshot.config.tls);
        let step = self.begin();
        let facts = within(deadline, self.client.secure(acceptor)).await.unwrap_or(Err(Refusal::TlsTimeout));
        self.record.steps.tls = Some(self.end(step, facts.is_err()));
        self.record.tls = Some(facts?);
        Ok(())
    }

    /// Notes what was asked for, and puts the handshake into the client's trace, if it named one.
    fn trace(&mut self, request: &Request<'_>) {
        let route = self.snapshot.routes.find(request.target);
        self.record.request = Some(RequestFacts { method: request.known_method(), route });
        // Two parents are none: which one would be ours is anybody's guess. A state without its parent says nothing.
        if let Some(remote) = exactly_one(request.values("traceparent")).and_then(Remote::parse) {
            self.record.span = self.snapshot.traces.handshake(Some(remote), &mut self.means.ids.borrow_mut());
            self.record.tracestate = TraceState::combine(request.values("tracestate"));
        }
    }

    /// Asks the policy.
    fn admit(&mut self, request: &Request<'_>, origin: Option<&[u8]>) -> Result<Permit, Refusal> {
        let policy = &self.snapshot.policy;
        let step = self.begin();
        let admitted = policy.admit(request, origin, SystemTime::now().into());
        // An origin is judged first: then no token was looked for.
        if policy.asks_for_token() && !matches!(admitted, Err(permit::Refused::Origin)) {
            self.record.steps.token = Some(self.end(step, admitted.is_err()));
        }
        let permit = admitted?;
        self.record.subject = permit.verified().and_then(Verified::subject).map(str::to_owned);
        Ok(permit)
    }

    /// Asks the app and judges its answer. Returns that, our own 101, and whether compression was agreed on.
    async fn ask(
        &mut self,
        request: &Request<'_>,
        upgrade: &Upgrade<'_>,
        permit: &Permit,
        deadline: Instant,
    ) -> Result<(Asked, Vec<u8>, bool), Refusal> {
        let upstream::Config { address, timeout } = &self.snapshot.app;
        let deadline = deadline.min(Instant::now() + *timeout);
        let (step, tried) = (self.begin(), Cell::new(None));
        let key = websocket_key(&mut self.means.ids.borrow_mut());
        let question = self.question(request, upgrade, permit, &key, step.id);
        let answer = ask::ask(permit, &question, self.means, address, self.snapshot.config.fields, &tried);
        let asked = within(deadline, answer).await.unwrap_or(Err(Refusal::AppTimeout));
        let status = asked.as_ref().ok().map(|asked| asked.status);
        let judged = asked.and_then(|asked| {
            let (reply, deflate) = self.accept(&asked, upgrade, permit, &key)?;
            Ok((asked, reply, deflate))
        });
        let to = match address {
            _ if !self.record.span.sampled => None,
            Address::Unix(path) => Some(Dialled::Unix(path.clone())),
            Address::Tcp(_) => tried.get().map(Dialled::Tcp),
        };
        self.record.steps.dial = Some(Dial { step: self.end(step, judged.is_err()), to, status });
        judged
    }

    /// A step that begins now.
    fn begin(&self) -> Step {
        let (id, after) = (self.means.ids.borrow_mut().span(), self.started.elapsed());
        Step { id, after, took: Duration::ZERO, failed: false }
    }

    /// A step that ends now.
    fn end(&self, step: Step, failed: bool) -> Step {
        Step { took: self.started.elapsed().saturating_sub(step.after), failed, ..step }
    }

    /// Our own upgrade request, made in this span.
    fn question(
        &self,
        request: &Request<'_>,
        upgrade: &Upgrade<'_>,
        permit: &Permit,
        key: &str,
        span: SpanId,
    ) -> Vec<u8> {
        let forward = Forward {
            key,
            strip: permit.strip(),
            client: self.record.client.ip(),
            secure: self.snapshot.tls.is_some(),
            host: upgrade.host,
            traceparent: &self.record.span.above(span).traceparent(),
            tracestate: self.record.tracestate.as_ref().map(TraceState::as_str),
            identity: permit.identity(),
            reserved: self.snapshot.policy.reserved(),
        };
        let mut question = Vec::new();
        forward.write(request, &mut question);
        question
    }

    /// Verifies the app's answer. Returns our own 101, and whether compression was agreed on.
    fn accept(
        &mut self,
        asked: &Asked,
        upgrade: &Upgrade<'_>,
        permit: &Permit,
        key: &str,
    ) -> Result<(Vec<u8>, bool), Refusal> {
        let answer = Answer::parse(&asked.head, self.snapshot.config.fields)?;
        let token: &[String] = match permit.strip() {
            Strip::Protocols(entries) => entries,
            _ => &[],
        };
        let offered: Vec<&str> =
            upgrade.protocols.iter().copied().filter(|name| !token.iter().any(|entry| entry == name)).collect();
        let expected = Expected { key, protocols: &offered, extensions: &upgrade.extensions };
        match answer.verify(&expected)? {
            Verdict::Accepted(accepted) => {
                let mut reply = Vec::new();
                respond::switching(upgrade.key, &accepted, &answer, &mut reply);
                self.record.protocol = accepted.protocol().map(str::to_owned);
                Ok((reply, accepted.deflate()))
            }
            Verdict::Refused(_) => {
                let mut reply = Vec::new();
                respond::relayed_refusal(&answer, &asked.body, &mut reply);
                Err(Refusal::App { status: answer.status, reply })
            }
        }
    }
}

/// `Sec-WebSocket-Key`: "a nonce consisting of a randomly selected 16-byte value" (RFC 6455 section 4.1).
fn websocket_key(ids: &mut Ids) -> String {
    STANDARD.encode(ids.unpredictable::<16>())
}

/// What `future` yields, or `None` when `deadline` comes first.
async fn within<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    tokio::time::timeout_at(deadline.into(), future).await.ok()
}
