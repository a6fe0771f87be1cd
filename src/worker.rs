//! One thread, one core, one ring, one listener.
//!
//! Workers share nothing that changes: each has its own listener, buffers and counters, and reads one immutable
//! [`Snapshot`]. A worker accepts, starts a task that opens the connection, and when that has its 101, another
//! that relays: what opening needed is gone by then.

mod connection;
mod crowd;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::bytesize::ByteSize;
use crate::lifecycle::drain::DrainWatch;
use crate::opening::{self, Snapshot};
use crate::peer::Peer;
use crate::ring::engine::{Choice, Engine};
use crate::ring::listener::{Bound, Listener};
use crate::ring::pool::Pool;
use crate::ring::runtime::{self, Runtime};
use crate::telemetry::counters::Counters;
use crate::telemetry::report::Reporter;
use crate::telemetry::trace::Ids;
use crate::{relay, session};

use connection::Local;
use crowd::Crowd;

/// What the workers need to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Most connections over all workers; `None`: derived from `RLIMIT_NOFILE`.
    pub connections: Option<NonZeroUsize>,
    /// How many workers; `None`: one per available core.
    pub workers: Option<NonZeroUsize>,
    /// Which engine.
    pub engine: Choice,
    /// Most memory a worker's pool of buffers may take.
    pub buffers: ByteSize,
    /// How to stop.
    pub drain: Drain,
}

/// How connections leave when this process is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Each connection gets its Close at a random time within this.
    pub spread: Duration,
    /// Who is still here after this time is cut.
    pub timeout: Duration,
}

/// Connections past the bound that are still taken in, to be told that there is no room. Past them, accepting pauses
/// and the kernel holds who comes.
const TURNED_AWAY: usize = 64;

/// How long accepting pauses when the system is out of something.
const PAUSE: Duration = Duration::from_millis(100);

/// How long connections may take to close when this process stops.
const STOPPING: Duration = Duration::from_secs(8);

/// Everything one worker needs.
#[derive(Debug)]
pub struct Plan {
    /// Which worker, from 0.
    pub index: usize,
    /// The engine of all workers.
    pub engine: Engine,
    /// Its listening socket.
    pub listener: Bound,
    /// Most connections of this worker.
    pub connections: usize,
    /// Most memory of its buffers.
    pub buffers: ByteSize,
    /// What connections are decided by.
    pub snapshot: Arc<Snapshot>,
    /// Bounds of a session.
    pub session: session::Config,
    /// Bounds of the relay driver.
    pub relay: relay::Config,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// Where it reports handshakes and ends.
    pub reporter: Reporter,
    /// When to stop. The worker holds on to it until its last connection is gone.
    pub drain: DrainWatch,
}

/// Starts a worker. Returns when it accepts connections.
///
/// # Errors
/// When its thread, its engine or its listener cannot start.
pub fn start(plan: Plan) -> io::Result<JoinHandle<()>> {
    let (started, outcome) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(format!("worker-{}", plan.index)).spawn(move || {
        match Runtime::new(plan.engine, plan.connections).and_then(|runtime| Ok((runtime, Ids::from_os()?))) {
            Ok((runtime, ids)) => runtime.block_on(work(plan, ids, &started)),
            // Nobody waits for the answer only when the starting thread is gone, and with it this process.
            Err(error) => drop(started.send(Err(error))),
        }
    })?;
    outcome.recv().unwrap_or_else(|_| Err(io::Error::other("the worker panicked at its start")))?;
    Ok(thread)
}

async fn work(plan: Plan, ids: Ids, started: &mpsc::SyncSender<io::Result<()>>) {
    let listener = Listener::new(plan.engine, plan.listener);
    let (listener, answer) = match listener {
        Ok(listener) => (Some(listener), Ok(())),
        Err(error) => (None, Err(error)),
    };
    let _ = started.send(answer);
    let Some(listener) = listener else { return };

    let counters = Arc::clone(&plan.counters);
    let waits = Arc::clone(&plan.counters);
    let pool = Pool::new(plan.buffers, Box::new(move || waits.lease_waits.add(1)));
    let stopping = Rc::default();
    let local = Rc::new(Local {
        index: plan.index,
        snapshot: plan.snapshot,
        session: plan.session,
        relay: plan.relay,
        opening: opening::Means {
            engine: plan.engine,
            pool: Rc::clone(&pool),
            ids: Rc::new(ids.into()),
            stopping: Rc::clone(&stopping),
        },
        relaying: relay::Means { pool, counters: Arc::clone(&counters) },
        reporter: plan.reporter,
        crowd: Crowd::new(counters, stopping),
    });
    accept(&local, listener, plan.connections, plan.drain.clone()).await;
    local.crowd.disperse();
    if tokio::time::timeout(STOPPING, local.crowd.gone()).await.is_err() {
        tracing::warn!(
            worker = plan.index,
            connections = local.crowd.len(),
            "connections cut: they did not close in time"
        );
    }
}

/// Accepts until the drain begins.
async fn accept(local: &Rc<Local>, listener: Listener, bound: usize, mut drain: DrainWatch) {
    let mut draining = pin!(drain.triggered());
    loop {
        if local.crowd.len() >= bound + TURNED_AWAY {
            local.crowd.count_pause();
            tokio::select! {
                () = &mut draining => return,
                () = local.crowd.one_left() => continue,
            }
        }
        let accepted = tokio::select! {
            biased;
            () = &mut draining => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let surplus = local.crowd.len() >= bound;
                let place = local.crowd.enter();
                let arrival =
                    opening::Arrival { stream, client: Peer::new(address), id: place.id(local.index), surplus };
                runtime::spawn(connection::open(Rc::clone(local), arrival, place));
            }
            Err(error) if concerns_one(&error) => {}
            Err(error) => {
                tracing::warn!(worker = local.index, %error, "cannot accept connections, trying again");
                local.crowd.count_pause();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether an error of `accept(2)` (or of the first look at the socket) is about a connection that is gone already.
fn concerns_one(error: &io::Error) -> bool {
    !matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
