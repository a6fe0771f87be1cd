//! One thread, one core, one engine, one listener.
//!
//! Workers share nothing that changes but how many connections each has ([`balance`]): each has its own listener, buffers
//! and counters, and reads one immutable [`Snapshot`]. A worker accepts, or is handed what another has accepted, starts a
//! task that opens the connection, and when that has its 101, has it relayed: what opening needed is gone by then.

pub mod balance;
mod census;
mod connection;
mod crowd;
mod entrance;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout_at;

use crate::bytesize::ByteSize;
use crate::lifecycle::drain::{DrainWatch, Pace};
use crate::opening::gate::Gate;
use crate::opening::{self, Snapshot};
use crate::rate::Limits;
use crate::rate::subjects::Subjects;
use crate::relay::event_loop::{EventLoop, Leave};
use crate::ring::engine::{Choice, Engine};
use crate::ring::listener::{Bound, Listener};
use crate::ring::pool::Pool;
use crate::ring::runtime::{self, Runtime};
use crate::ring::usage::{self, Usage};
use crate::telemetry::chooser::Chooser;
use crate::telemetry::counters::Counters;
use crate::telemetry::report::Reporter;
use crate::telemetry::trace::Ids;
use crate::{relay, session};

use balance::Share;
pub use census::Door;
use census::{Ask, Census};
use connection::{Driver, Local, Relayed};
use crowd::Crowd;
use entrance::Entrance;

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
    pub drain: Pace,
    /// How fast clients may send.
    pub rates: Limits,
}

/// How long connections that must be gone may take to write what was decided then, before the worker leaves them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Everything one worker needs.
#[derive(Debug)]
pub struct Plan {
    /// Which worker, from 0.
    pub index: usize,
    /// The engine of all workers.
    pub engine: Engine,
    /// Its listening socket.
    pub listener: Bound,
    /// Its part in sharing connections out.
    pub share: Share,
    /// Most connections of this worker.
    pub connections: usize,
    /// Most memory of its buffers.
    pub buffers: ByteSize,
    /// What connections are decided by.
    pub snapshot: Arc<Snapshot>,
    /// Bounds of a session.
    pub session: Arc<session::Config>,
    /// How fast clients may send.
    pub rates: Limits,
    /// The subjects of all workers' connections.
    pub subjects: Arc<Subjects>,
    /// Bounds of the relay driver.
    pub relay: relay::Config,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// Where it reports handshakes and ends.
    pub reporter: Reporter,
    /// When to stop. The worker holds on to it until its last connection is gone.
    pub stop: DrainWatch,
    /// How to stop.
    pub drain: Pace,
}

/// A worker that accepts connections.
#[derive(Debug)]
pub struct Started {
    /// Its thread, which ends with how many connections the drain had to cut.
    pub thread: JoinHandle<usize>,
    /// What it asks of the kernel.
    pub usage: Arc<Usage>,
    /// The way to ask it who is here.
    pub door: Door,
}

/// Starts a worker. Returns when it accepts connections.
///
/// # Errors
/// When its thread, its engine or its listener cannot start.
pub fn start(plan: Plan) -> io::Result<Started> {
    let (started, outcome) = mpsc::sync_channel(1);
    let (door, questions) = census::door();
    let thread = std::thread::Builder::new().name(format!("worker-{}", plan.index)).spawn(move || {
        match Runtime::new(plan.engine, plan.connections).and_then(|runtime| Ok((runtime, Ids::from_os()?))) {
            Ok((runtime, ids)) => runtime.block_on(work(plan, ids, &started, questions)),
            // Nobody waits for the answer only when the starting thread is gone, and with it this process.
            Err(error) => {
                let _ = started.send(Err(error));
                0
            }
        }
    })?;
    let usage = outcome.recv().unwrap_or_else(|_| Err(io::Error::other("the worker panicked at its start")))?;
    Ok(Started { thread, usage, door })
}

async fn work(
    plan: Plan,
    ids: Ids,
    started: &mpsc::SyncSender<io::Result<Arc<Usage>>>,
    questions: Receiver<Ask>,
) -> usize {
    let counters = Arc::clone(&plan.counters);
    let waits = Arc::clone(&plan.counters);
    let pool = Pool::new(plan.buffers, Box::new(move || waits.lease_waits.add(1)));
    let (ids, census) = (Rc::new(RefCell::new(ids)), Rc::<Census>::default());
    let stopping = Rc::new(Cell::new(false));
    let messages = plan.snapshot.traces.messages.map(|messages| {
        let chooser = Chooser::new(messages, Rc::clone(&ids), Instant::now());
        Rc::new(relay::Messages { chooser, reporter: plan.reporter.clone() })
    });
    let relaying = Rc::new(relay::Means {
        config: plan.relay,
        pool: Rc::clone(&pool),
        counters: Arc::clone(&counters),
        ids: Rc::clone(&ids),
        messages,
        scratch: relay::scratch(),
    });
    let ready = Listener::new(plan.engine, plan.listener)
        .and_then(|listener| Ok((listener, Driver::new(plan.engine, &relaying)?)));
    let (ready, answer) = match ready {
        Ok(ready) => (Some(ready), Ok(usage::of_this_thread())),
        Err(error) => (None, Err(error)),
    };
    let _ = started.send(answer);
    let Some((listener, driver)) = ready else { return 0 };
    let checkpoint = plan.snapshot.traces.checkpoint;
    let local = Rc::new(Local {
        index: plan.index,
        snapshot: plan.snapshot,
        session: plan.session,
        rates: Arc::new(plan.rates),
        subjects: plan.subjects,
        opening: opening::Means {
            engine: plan.engine,
            pool: Rc::clone(&pool),
            ids: Rc::clone(&ids),
            gate: Rc::new(Gate::new(plan.engine)),
            stopping: Rc::clone(&stopping),
        },
        relaying,
        driver,
        reporter: plan.reporter,
        crowd: Crowd::new(counters, plan.share.balance.load().clone(), plan.drain, Rc::clone(&ids)),
        census: Rc::clone(&census),
    });
    runtime::spawn(census::answer(Rc::clone(&census), questions));
    if let Some(every) = checkpoint {
        runtime::spawn(census::checkpoints(census, every, local.reporter.clone(), ids));
    }
    if let Driver::EventLoop(event_loop) = &local.driver {
        runtime::spawn(relay(Rc::clone(event_loop), Rc::clone(&local)));
    }
    let mut entrance =
        Entrance { local, bound: plan.connections, balance: plan.share.balance, mailbox: plan.share.mailbox };
    // As a task of its own: each wake-up of the future that the runtime blocks on costs a system call.
    let stop = plan.stop.clone();
    let admitting = runtime::spawn(async move {
        let since = entrance.admit(listener, stop).await;
        (entrance, since)
    });
    let (entrance, since) = admitting.await.unwrap_or_else(|failed| resume_unwind(failed.into_panic()));
    stopping.set(true);
    empty(&entrance.close(), since).await
}

/// Relays what is in `event_loop`, for ever. A ring that breaks takes its connections with it.
async fn relay(event_loop: Rc<EventLoop<Relayed>>, local: Rc<Local>) {
    if let Err(error) = Rc::clone(&event_loop).run().await {
        tracing::error!(worker = local.index, %error, "the ring broke, and with it the connections on it");
        event_loop.close();
    }
}

/// Has all connections leave. Returns how many had to be cut.
async fn empty(local: &Local, began: Instant) -> usize {
    let crowd = &local.crowd;
    let until = crowd.disperse(began);
    if let Driver::EventLoop(event_loop) = &local.driver {
        event_loop.disperse(|| crowd.leave().unwrap_or(Leave { at: began, until }));
    }
    if timeout_at(until.into(), crowd.gone()).await.is_ok() {
        return 0;
    }
    let cut = crowd.len();
    // By now each has been told, and ends itself. Whatever has not after this is dropped with the runtime.
    let _ = timeout_at((until + LAST_WORDS).into(), crowd.gone()).await;
    if let Driver::EventLoop(event_loop) = &local.driver {
        event_loop.close();
    }
    cut
}
