//! The life of one connection on its worker.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::census::Census;
use super::crowd::{Crowd, Place};
use crate::jwt::verify::Verified;
use crate::opening::{self, Arrival, Opened, Snapshot};
use crate::policy::permit::Permit;
use crate::rate::Limits;
use crate::rate::meter::Meter;
use crate::rate::subjects::Subjects;
use crate::relay;
use crate::relay::event_loop::{EventLoop, Guest};
use crate::ring::engine::Engine;
use crate::ring::runtime;
use crate::session::{self, Session, Start};
use crate::telemetry::code::CodeClass;
use crate::telemetry::counters::{Counters, Phase};
use crate::telemetry::end::End;
use crate::telemetry::live::{Live, Who};
use crate::telemetry::reason::Reason;
use crate::telemetry::record::{Event, Handshake, Outcome};
use crate::telemetry::report::Reporter;
use crate::telemetry::suite::Suite;

/// What moves the bytes of connections that are relayed.
pub(super) enum Driver {
    /// One loop, on a ring of its own.
    EventLoop(Rc<EventLoop<Relayed>>),
    /// A task for each.
    Tasks,
}

impl Driver {
    /// That of an engine.
    ///
    /// # Errors
    /// When the kernel refuses the ring.
    pub(super) fn new(engine: Engine, means: &Rc<relay::Means>) -> io::Result<Self> {
        match engine {
            Engine::IoUring => Ok(Self::EventLoop(EventLoop::new(Rc::clone(means))?)),
            Engine::Epoll => Ok(Self::Tasks),
        }
    }
}

/// What the connections of a worker share.
pub(super) struct Local {
    pub(super) index: usize,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) session: Arc<session::Config>,
    pub(super) rates: Arc<Limits>,
    pub(super) subjects: Arc<Subjects>,
    pub(super) opening: opening::Means,
    pub(super) relaying: Rc<relay::Means>,
    pub(super) driver: Driver,
    pub(super) reporter: Reporter,
    pub(super) crowd: Crowd,
    pub(super) census: Rc<Census>,
}

/// Opens a connection, reports how that went, and has it relayed by its driver: what opening needed is freed with this
/// task.
pub(super) async fn open(local: Rc<Local>, arrival: Arrival, place: Place) {
    let (mut handshake, opened) = opening::open(arrival, &local.snapshot, &local.opening).await;
    let counters = &local.relaying.counters;
    count(counters, &handshake);
    match opened {
        Ok(opened) => {
            let relayed = Relayed::new(&local, &mut handshake, place);
            // First, since a connection may be over as soon as it is relayed.
            local.reporter.report(Event::Handshake(Box::new(handshake)));
            relay(&local, opened, relayed);
        }
        Err(refused) => {
            local.reporter.report(Event::Handshake(Box::new(handshake)));
            refused.leave().await;
            drop(place);
        }
    }
}

/// Counts a handshake that is over.
fn count(counters: &Counters, handshake: &Handshake) {
    let opened = handshake.outcome == Outcome::Opened;
    let refused = match handshake.outcome {
        Outcome::Opened => None,
        Outcome::Refused { reason, .. } => Some(reason),
    };
    refused.map_or(&counters.opened, |reason| counters.refused(reason)).add(1);
    for (phase, took) in [
        (Phase::Total, Some(handshake.took)),
        (Phase::Tls, handshake.tls_took()),
        (Phase::Request, handshake.request_took),
        (Phase::Token, handshake.token_took()),
        (Phase::App, handshake.app_took()),
    ] {
        if let Some(took) = took {
            counters.phase(phase, opened).record_time(took);
        }
    }
    if let Some(tls) = &handshake.tls {
        counters.tls(Suite::of(tls.version, tls.cipher), tls.resumed).add(1);
    }
    if handshake.app_took().is_some() {
        counters.dials(refused != Some(Reason::AppUnreachable)).add(1);
    }
}

/// Has a connection relayed from now on.
fn relay(local: &Local, opened: Opened, relayed: Relayed) {
    let Opened { client, tls, wire, early, app, app_early, deflate, permit } = opened;
    let session = Session::new(Arc::clone(&local.session), start(local, deflate, permit));
    let client = relay::Client { stream: client, tls, wire, early };
    let app = relay::App { stream: app, early: app_early };
    let live = Rc::clone(&relayed.live);
    match &local.driver {
        Driver::EventLoop(event_loop) => {
            let leave = relayed.place.leave();
            event_loop.enter(client, app, session, live, leave, relayed);
        }
        Driver::Tasks => {
            let means = Rc::clone(&local.relaying);
            let stop = relayed.place.dispersed();
            runtime::spawn(relay::task::run(client, app, session, means, live, stop, |end| relayed.ended(end)));
        }
    }
}

/// What its session needs to know of a connection. Nothing else of its token is needed any more: the claims would stay
/// for as long as the connection.
fn start(local: &Local, deflate: bool, permit: Permit) -> Start {
    let now = Instant::now();
    let verified = permit.into_verified();
    let left = verified.as_ref().map(|verified| verified.good_until().since(SystemTime::now()));
    let subject = verified.as_ref().and_then(Verified::subject);
    Start {
        deflate,
        expires: left.and_then(|left| now.checked_add(left)),
        meter: Meter::new(&local.rates, subject, &local.subjects, now),
        entropy: u64::from_ne_bytes(local.opening.ids.borrow_mut().unpredictable()),
        now,
    }
}

/// A connection that is relayed. Its record is reported however the relaying ends.
pub(super) struct Relayed {
    local: Rc<Local>,
    place: Place,
    live: Rc<Live>,
    end: End,
}

impl Relayed {
    fn new(local: &Rc<Local>, handshake: &mut Handshake, place: Place) -> Self {
        local.relaying.counters.open.add(1);
        let span = local.opening.ids.borrow_mut().span();
        handshake.connection = Some(span);
        let who = Who {
            id: handshake.id,
            client: handshake.client,
            trace: handshake.span.trace,
            handshake: handshake.span.id,
            span,
            sampled: handshake.span.sampled,
            subject: handshake.subject.as_deref().map(Box::from),
            protocol: handshake.protocol.as_deref().map(Box::from),
        };
        let live = Rc::new(Live::new(who, SystemTime::now(), Instant::now()));
        local.census.enter(&live);
        Self { local: Rc::clone(local), place, live, end: relay::LOST }
    }
}

impl Guest for Relayed {
    fn ended(mut self, end: End) {
        self.end = end;
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        let Self { local, live, end, .. } = self;
        local.census.leave(live);
        let counters = &local.relaying.counters;
        counters.open.sub(1);
        counters.ended(end.by, end.why).add(1);
        counters.codes(CodeClass::of(end.code_sent), true).add(1);
        counters.codes(CodeClass::of(end.code_received), false).add(1);
        local.reporter.report(Event::Connection(Box::new(live.end(*end, Instant::now()))));
    }
}
