//! A connection while it is relayed, as its worker knows it: what its record at the end is made of, and what can be told
//! of it before.
//!
//! It stays on its worker's thread. The relay writes; the worker reads for checkpoints and for whoever asks who is here.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime};

use super::chooser::Chosen;
use super::end::{By, End, Why};
use super::moment::{Moment, Moments, What};
use super::record::{Checkpoint, Connection, ConnectionId, Counts, Message, RoundTrip};
use super::trace::{Ids, Span, SpanId, TraceId};
use crate::peer::{Peer, Side};

/// Who is connected.
#[derive(Clone, Debug)]
pub struct Who {
    /// Number of the connection.
    pub id: ConnectionId,
    /// Where the client connected from.
    pub client: Peer,
    /// The trace of its handshake and of itself.
    pub trace: TraceId,
    /// The span of its handshake.
    pub handshake: SpanId,
    /// Its own, below that.
    pub span: SpanId,
    /// Whether both are exported.
    pub sampled: bool,
    /// The token's subject.
    pub subject: Option<Box<str>>,
    /// The agreed subprotocol.
    pub protocol: Option<Box<str>>,
}

/// A connection that is relayed.
#[derive(Debug)]
pub struct Live {
    who: Who,
    /// When the 101 went out, on both clocks.
    opened: (SystemTime, Instant),
    counts: [Cell<Counts>; 2],
    micros: [Cell<Micros>; 2],
    /// Owns nothing while nothing happens.
    moments: RefCell<Option<Box<Moments>>>,
    checkpoint: RefCell<Option<Box<Told>>>,
    /// Who began the end, and why.
    closing: Cell<Option<(By, Why)>>,
    /// Its place among those of its worker, which alone uses this.
    pub seat: Cell<u32>,
}

/// What the last checkpoint told.
#[derive(Debug, Default)]
struct Told {
    number: u32,
    age: Duration,
    counts: [Counts; 2],
    /// How many of the moments that are kept.
    moments: usize,
}

/// The latest and the quickest round trip in microseconds; none before the first Pong. A quarter of a [`RoundTrip`], since
/// it stays with every idle connection.
type Micros = Option<[u32; 2]>;

/// What can be told of a connection that is relayed.
#[derive(Clone, Debug)]
pub struct Row {
    /// Number of the connection.
    pub id: ConnectionId,
    /// Where the client connected from.
    pub client: Peer,
    /// The token's subject.
    pub subject: Option<Box<str>>,
    /// The agreed subprotocol.
    pub protocol: Option<Box<str>>,
    /// The trace it belongs to.
    pub trace: TraceId,
    /// Since the 101.
    pub age: Duration,
    /// What the client has sent.
    pub from_client: Counts,
    /// What the app has sent.
    pub from_app: Counts,
    /// Of our Pings to the client.
    pub client_round_trip: Option<RoundTrip>,
    /// Of our Pings to the app.
    pub app_round_trip: Option<RoundTrip>,
    /// Who began its end, and why; `None` while all goes its way.
    pub closing: Option<(By, Why)>,
}

impl Live {
    /// A connection whose 101 has just gone out.
    pub fn new(who: Who, wall: SystemTime, now: Instant) -> Self {
        Self {
            who,
            opened: (wall, now),
            counts: Default::default(),
            micros: Default::default(),
            moments: RefCell::default(),
            checkpoint: RefCell::default(),
            closing: Cell::new(None),
            seat: Cell::new(0),
        }
    }

    /// Its span.
    pub const fn span(&self) -> Span {
        let Who { trace, handshake, span, sampled, .. } = self.who;
        Span { trace, id: span, parent: Some(handshake), sampled }
    }

    /// What `from` has sent by now, and how long our Pings to it take.
    pub fn relayed(&self, from: Side, counts: Counts, trip: Option<RoundTrip>) {
        self.counts[from as usize].set(counts);
        if let Some(RoundTrip { last, least }) = trip {
            let micros = [last, least].map(|took| u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
            self.micros[from as usize].set(Some(micros));
        }
    }

    /// Something happened.
    pub fn note(&self, what: What, now: Instant) {
        let after = now.saturating_duration_since(self.opened.1);
        self.moments.borrow_mut().get_or_insert_default().push(Moment { after, what });
    }

    /// Its end begins, unless it has begun.
    pub fn close(&self, cause: (By, Why), now: Instant) {
        if self.closing.get().is_none() {
            self.closing.set(Some(cause));
            self.note(What::Closing(cause.0, cause.1), now);
        }
    }

    /// How many bytes it has relayed, both ways.
    pub fn bytes(&self) -> u64 {
        self.counts.iter().map(|counts| counts.get().bytes).sum()
    }

    /// What can be told of it now.
    pub fn row(&self, now: Instant) -> Row {
        let Who { id, client, trace, subject, protocol, .. } = self.who.clone();
        Row {
            id,
            client,
            subject,
            protocol,
            trace,
            age: self.age(now),
            from_client: self.counts(Side::Client),
            from_app: self.counts(Side::App),
            client_round_trip: self.round_trip(Side::Client),
            app_round_trip: self.round_trip(Side::App),
            closing: self.closing.get(),
        }
    }

    /// When the next checkpoint is due, counted from the 101, if there is one each `interval`. The first comes after a share
    /// of it that depends on the connection's span, so that connections that came together are not told of together.
    pub fn due(&self, interval: Duration) -> Duration {
        let last = self.checkpoint.borrow().as_ref().map(|told| told.age);
        last.map_or_else(|| interval.mul_f64(share(self.who.span)), |last| last.saturating_add(interval))
    }

    /// Since the 101.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.opened.1)
    }

    /// The next checkpoint, as of `now`.
    pub fn checkpoint(&self, now: Instant, ids: &mut Ids) -> Checkpoint {
        let mut told = self.checkpoint.borrow_mut();
        let told = told.get_or_insert_default();
        let (counts, age) = ([Side::Client, Side::App].map(|side| self.counts(side)), self.age(now));
        let moments = self.moments.borrow();
        let kept = moments.as_ref().map_or(&[][..], |moments| &moments.kept);
        let number = told.number.saturating_add(1);
        let before = std::mem::replace(&mut **told, Told { number, age, counts, moments: kept.len() });
        Checkpoint {
            id: self.who.id,
            client: self.who.client,
            span: self.span().child(ids),
            handshake: self.who.handshake,
            number,
            opened: self.opened.0,
            since: before.age,
            age,
            from_client: [before.counts[0], counts[0]],
            from_app: [before.counts[1], counts[1]],
            client_round_trip: self.round_trip(Side::Client),
            app_round_trip: self.round_trip(Side::App),
            moments: kept[before.moments..].to_vec(),
        }
    }

    /// A message that `from` sent and that was handed to its receiver's socket `now`.
    pub fn message(&self, from: Side, chosen: Chosen, now: Instant, ids: &mut Ids) -> Message {
        let Chosen { opcode, size, frames, compressed, began } = chosen;
        let after = began.saturating_duration_since(self.opened.1);
        Message {
            id: self.who.id,
            span: self.span().child(ids),
            from,
            opcode,
            size,
            frames,
            compressed,
            started: self.opened.0.checked_add(after).unwrap_or(self.opened.0),
            took: now.saturating_duration_since(began),
        }
    }

    /// Its record, now that it has ended so.
    pub fn end(&self, end: End, now: Instant) -> Connection {
        let (span, Who { id, client, handshake, subject, protocol, .. }) = (self.span(), self.who.clone());
        Connection {
            id,
            client,
            span,
            handshake: Span { id: handshake, parent: None, ..span },
            started: self.opened.0,
            took: self.age(now),
            subject: subject.map(String::from),
            protocol: protocol.map(String::from),
            from_client: self.counts(Side::Client),
            from_app: self.counts(Side::App),
            client_round_trip: self.round_trip(Side::Client),
            app_round_trip: self.round_trip(Side::App),
            moments: self.moments.take().map(|moments| *moments).unwrap_or_default(),
            end,
        }
    }

    fn counts(&self, from: Side) -> Counts {
        self.counts[from as usize].get()
    }

    fn round_trip(&self, of: Side) -> Option<RoundTrip> {
        let [latest, least] = self.micros[of as usize].get()?.map(|micros| Duration::from_micros(micros.into()));
        Some(RoundTrip { last: latest, least })
    }
}

/// A number above 0.0 and up to 1.0, evenly spread over spans' ids, which are random.
fn share(id: SpanId) -> f64 {
    let [a, b, c, d, ..] = id.0;
    (f64::from(u32::from_be_bytes([a, b, c, d])) + 1.0) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::{Live, Who};
    use crate::peer::{Peer, Side};
    use crate::telemetry::end::{By, End, Why};
    use crate::telemetry::moment::What;
    use crate::telemetry::record::{ConnectionId, Counts, RoundTrip};
    use crate::telemetry::trace::{Ids, Sampler, Span};

    const SECOND: Duration = Duration::from_secs(1);

    fn live(ids: &mut Ids, now: Instant) -> Live {
        let handshake = Span::handshake(None, Sampler::ratio(1.0), ids);
        let who = Who {
            id: ConnectionId(7),
            client: Peer::new(([192, 0, 2, 7], 50_123).into()),
            trace: handshake.trace,
            handshake: handshake.id,
            span: ids.span(),
            sampled: handshake.sampled,
            subject: Some("ann".into()),
            protocol: None,
        };
        Live::new(who, SystemTime::UNIX_EPOCH, now)
    }

    fn counts(n: u64) -> Counts {
        Counts { frames: n, messages: n, bytes: 10 * n, compressed: 0 }
    }

    #[test]
    fn a_checkpoint_tells_what_came_since_the_one_before() {
        let (mut ids, start) = (Ids::from_seed(1), Instant::now());
        let live = live(&mut ids, start);
        live.relayed(Side::Client, counts(3), None);
        live.note(What::Throttled, start + SECOND);
        let first = live.checkpoint(start + 10 * SECOND, &mut ids);
        assert_eq!((first.number, first.since, first.age), (1, Duration::ZERO, 10 * SECOND));
        assert_eq!((first.from_client, first.from_app), ([counts(0), counts(3)], [counts(0); 2]));
        assert_eq!(first.moments.iter().map(|moment| moment.after).collect::<Vec<_>>(), [SECOND]);

        let trip = RoundTrip { last: Duration::from_millis(40), least: Duration::from_millis(25) };
        live.relayed(Side::Client, counts(5), Some(trip));
        live.close((By::Ringside, Why::Drain), start + 15 * SECOND);
        live.close((By::Client, Why::Reset), start + 16 * SECOND);
        let second = live.checkpoint(start + 20 * SECOND, &mut ids);
        assert_eq!((second.number, second.since, second.age), (2, 10 * SECOND, 20 * SECOND));
        assert_eq!(second.from_client, [counts(3), counts(5)]);
        assert_eq!(second.client_round_trip, Some(trip));
        assert_eq!(second.moments.iter().map(|moment| moment.what.as_str()).collect::<Vec<_>>(), ["drain"]);
        assert_eq!(second.span.parent, Some(live.span().id));
        assert_ne!(first.span.id, second.span.id);
    }

    #[test]
    fn the_first_checkpoint_comes_within_the_interval_and_the_next_after_it() {
        let (mut ids, start) = (Ids::from_seed(1), Instant::now());
        let firsts: Vec<_> = (0..1000).map(|_| live(&mut ids, start).due(60 * SECOND)).collect();
        assert!(firsts.iter().all(|due| *due <= 60 * SECOND));
        let early = firsts.iter().filter(|due| **due <= 6 * SECOND).count();
        assert!((50..200).contains(&early), "{early} of a thousand in the first tenth");
        let live = live(&mut ids, start);
        live.checkpoint(start + 7 * SECOND, &mut ids);
        assert_eq!(live.due(60 * SECOND), 67 * SECOND);
    }

    #[test]
    fn the_record_is_what_was_seen_last() {
        let (mut ids, start) = (Ids::from_seed(1), Instant::now());
        let live = live(&mut ids, start);
        live.relayed(Side::App, counts(9), None);
        live.close((By::App, Why::Closed), start + SECOND);
        let row = live.row(start + SECOND);
        assert_eq!((row.from_app, row.closing, row.age), (counts(9), Some((By::App, Why::Closed)), SECOND));
        let end = End { by: By::App, why: Why::Closed, code_sent: Some(1000), code_received: Some(1000) };
        let record = live.end(end, start + 2 * SECOND);
        assert_eq!((record.from_app, record.took, record.end), (counts(9), 2 * SECOND, end));
        assert_eq!((record.subject.as_deref(), record.handshake.trace), (Some("ann"), record.span.trace));
        assert_eq!(record.moments.kept[0].what, What::Closing(By::App, Why::Closed));
    }

    #[test]
    fn is_small() {
        let size = size_of::<Live>();
        assert!(size <= 344, "{size} bytes");
    }
}
