//! `/connections`: who is connected, and why those are gone who are not.
//!
//! ```text
//! curl '127.0.0.1:9901/connections?most=20'
//! ```
//!
//! [`shape`] says what is in the answer. Each worker relays nothing while it looks through its connections and lists those
//! that are asked for. So there is one answer at a time, until its reader has taken it, and who asks meanwhile waits a
//! little and is sent away then. A worker that does not answer is named, and not waited for.
//!
//! It is not for web pages. Besides those that say who they are by their `Origin`, it refuses those that have had their
//! own name resolve to our address (DNS rebinding), for which a browser sends no `Origin`, but their name as `Host`: that
//! must be an IP address or `localhost`.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue, RETRY_AFTER};
use hyper::http::uri::Authority;
use hyper::{Request, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Sources, is_from_a_page, not_for_pages};
use crate::control::http::{Answer, JSON, TEXT, only, reads, respond};
use crate::control::recent::Recent;
use crate::control::subject::Subjects;
use crate::peer::Side;
use crate::telemetry::counters::Counters;
use crate::telemetry::live::Row;
use crate::telemetry::reason::Reason;
use crate::telemetry::record::Counts;
use shape::{Connections, Sent, Time, Totals};

pub mod shape;
mod tell;

/// Most connections that are listed when it is not said how many.
pub const USUAL: usize = 1000;

/// Most connections that can be asked for.
pub const MOST: usize = 10_000;

/// How long a worker may take to answer. One that is well does within a millisecond.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long who asks waits for those who have asked before.
const TURN: Duration = Duration::from_secs(2);

/// Asks a worker for at most so many of its connections, those that have relayed most before the others. `None` when it
/// cannot answer. It may take for ever.
pub type Ask = Box<dyn Fn(usize) -> Asked + Send + Sync>;

/// What a worker says.
pub type Asked = Pin<Box<dyn Future<Output = Option<Vec<Row>>> + Send>>;

/// What is asked for connections.
pub struct Means {
    asks: Vec<Ask>,
    recent: Recent,
    subjects: Subjects,
    turn: Arc<Semaphore>,
}

impl Means {
    /// One [`Ask`] for each worker, in the order of their numbers; the latest who went; and how subjects are shown.
    pub fn new(asks: Vec<Ask>, recent: Recent, subjects: Subjects) -> Self {
        Self { asks, recent, subjects, turn: Arc::new(Semaphore::new(1)) }
    }
}

impl fmt::Debug for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Means").finish_non_exhaustive()
    }
}

/// The answer's body, and the turn of who asked for it.
struct Listing {
    json: Vec<u8>,
    _turn: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Listing {
    fn as_ref(&self) -> &[u8] {
        &self.json
    }
}

pub(super) async fn answer(request: &Request<Incoming>, sources: &Sources) -> Answer {
    if !reads(request.method()) {
        return only("GET, HEAD");
    }
    if is_from_a_page(request) {
        return not_for_pages();
    }
    if !names_an_address(request) {
        let help = "ask by address, such as http://127.0.0.1:9901/connections, not by a name\n";
        return respond(StatusCode::MISDIRECTED_REQUEST, TEXT, help);
    }
    let Some(most) = most(request.uri().query()) else {
        let help = format!("write /connections?most=N, where N is 0 to {MOST}; without it, it is {USUAL}\n");
        return respond(StatusCode::BAD_REQUEST, TEXT, help);
    };
    let Ok(Ok(turn)) = timeout(TURN, Arc::clone(&sources.connections.turn).acquire_owned()).await else {
        let mut response = respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "others ask, too: try again\n");
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    match serde_json::to_vec(&look(sources, most).await) {
        Ok(json) => respond(StatusCode::OK, JSON, Bytes::from_owner(Listing { json, _turn: turn })),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

/// Whether who sends this calls us by an address, or by the name of this machine for itself. No name of a stranger
/// resolves to us then.
fn names_an_address<B>(request: &Request<B>) -> bool {
    let Some(host) = request.headers().get(HOST) else { return true };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let host = authority.host();
    host.eq_ignore_ascii_case("localhost") || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// How many are asked for; `None` when the query is none of ours.
fn most(query: Option<&str>) -> Option<usize> {
    let query = query.unwrap_or_default();
    if query.is_empty() {
        return Some(USUAL);
    }
    query.strip_prefix("most=")?.parse().ok().filter(|most| *most <= MOST)
}

async fn look(sources: &Sources, most: usize) -> Connections {
    let Means { asks, recent, subjects, .. } = &sources.connections;
    let answers = ask(asks, most).await;
    let vitals = &sources.vitals;
    let process = (vitals.process)();
    let draining = vitals.is_draining();
    let is_silent = |&(worker, answer): &(usize, &Option<Vec<Row>>)| {
        // In a drain, a worker ends when its last connection is gone.
        let is_over = draining && vitals.workers.get(worker).is_some_and(|counters| counters.held.get() == 0);
        answer.is_none() && !is_over
    };
    let workers_silent = answers.iter().enumerate().filter(is_silent).map(|(worker, _)| worker).collect();
    let recent = recent.latest();
    // Who has ended since its worker answered is told of once.
    let ended: HashSet<_> = recent.iter().filter(|gone| gone.is_end()).map(|gone| gone.id).collect();
    let rows = answers.into_iter().flatten().flatten();
    let mut rows: Vec<_> = rows.filter(|row| !ended.contains(&row.id)).collect();
    rows.sort_unstable_by_key(|row| Reverse(row.from_client.bytes.saturating_add(row.from_app.bytes)));
    rows.truncate(most);
    Connections {
        at: Time(SystemTime::now()),
        version: env!("CARGO_PKG_VERSION").into(),
        engine: process.engine.into(),
        engine_why: process.engine_why,
        started: Time(process.started),
        totals: totals(&vitals.workers, process.connections_limit, draining),
        shown: rows.len(),
        workers_silent,
        connections: rows.iter().map(|row| tell::connection(row, subjects)).collect(),
        recent: recent.into_iter().map(|gone| tell::gone(gone, subjects)).collect(),
    }
}

/// Asks all workers at once. What each answers, in their order.
async fn ask(asks: &[Ask], most: usize) -> Vec<Option<Vec<Row>>> {
    let mut asked = JoinSet::new();
    for (worker, ask) in asks.iter().enumerate() {
        let answer = timeout(PATIENCE, ask(most));
        asked.spawn(async move { (worker, answer.await.ok().flatten()) });
    }
    let mut answers = vec![None; asks.len()];
    while let Some(answer) = asked.join_next().await {
        if let Ok((worker, rows)) = answer {
            answers[worker] = rows;
        }
    }
    answers
}

fn totals(workers: &[Arc<Counters>], limit: u64, draining: bool) -> Totals {
    let sum = |of: &dyn Fn(&Counters) -> u64| workers.iter().map(|counters| of(counters)).sum();
    let sent = |side| {
        workers.iter().map(|counters| counters.from(side).total()).fold(Sent::default(), |sum, more: Counts| Sent {
            frames: sum.frames + more.frames,
            messages: sum.messages + more.messages,
            bytes: sum.bytes + more.bytes,
        })
    };
    Totals {
        open: sum(&|counters| counters.open.get()),
        held: sum(&|counters| counters.held.get()),
        limit,
        draining,
        accepted: sum(&|counters| counters.accepted.get()),
        opened: sum(&|counters| counters.opened.get()),
        refused: sum(&|counters| Reason::ALL.iter().map(|reason| counters.refused(*reason).get()).sum()),
        from_client: sent(Side::Client),
        from_app: sent(Side::App),
    }
}
