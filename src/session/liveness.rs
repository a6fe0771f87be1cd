//! Pings of our own to one side: whether a silent one is still there, and how far away it is.
//!
//! Any byte from a side is a sign of life, so who talks is never pinged. Our Pings carry a mark that no other party's
//! do, and the Pongs that bring it back are for us alone: they do not pass. Everybody else's Pings and Pongs do.

use std::time::{Duration, Instant};

use crate::telemetry::record::RoundTrip;

/// The first bytes of our Pings' payload. Behind them stand the mark of the connection and the Ping's number, so that two
/// Ringsides in a row do not take each other's.
const NAME: [u8; 8] = *b"ringside";

/// Bytes of our Pings' payload.
pub(super) const PAYLOAD: usize = NAME.len() + 4 + 4;

/// What is known of one side's silence.
///
/// ```text
///            silence of an interval          it is given out
///  Listening ----------------------> Due ---------------------> Asked
///    ^                                ^                           | silence of an interval since
///    |                                +-- fewer than `missed` ----+
///    +---- any byte from the side, from everywhere                +-- `missed` of them ------> dead
/// ```
#[derive(Clone, Debug)]
pub(super) struct Liveness {
    /// When it was heard last, or was excused.
    heard: Instant,
    /// When the latest Ping went out.
    asked: Instant,
    /// Number of the latest Ping; 0: there was none.
    number: u32,
    /// Pings since it was heard.
    missed: u32,
    due: bool,
    /// Whether the Pong to the latest Ping is still to come.
    awaited: bool,
    mark: [u8; 4],
    /// The latest and the shortest round trip; as short as they are, in a session that idles.
    trips: Option<[Micros; 2]>,
}

/// A time of at most an hour and eleven minutes, in microseconds.
type Micros = u32;

/// What silence has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing yet, or a Ping is due.
    Bearable,
    /// Nobody is there.
    Dead,
}

/// A Pong to one of our Pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// How long it took, if it answers the latest Ping, and is the first to do so.
    pub(super) round_trip: Option<Duration>,
}

impl Liveness {
    /// Of a side that was heard `now`.
    pub(super) const fn new(mark: [u8; 4], now: Instant) -> Self {
        Self { heard: now, asked: now, number: 0, missed: 0, due: false, awaited: false, mark, trips: None }
    }

    /// Something came from it, or its silence says nothing because nobody listened. Returns whether a Ping was due,
    /// and so no [`deadline`](Self::deadline) was.
    pub(super) const fn hear(&mut self, now: Instant) -> bool {
        self.heard = now;
        self.missed = 0;
        std::mem::replace(&mut self.due, false)
    }

    /// When its silence is to be looked at again.
    pub(super) fn deadline(&self, interval: Option<Duration>) -> Option<Instant> {
        let since = if self.missed == 0 { self.heard } else { self.asked };
        interval.filter(|_| !self.due).and_then(|interval| since.checked_add(interval))
    }

    /// Looks at its silence. At the deadline a Ping is due, or the side is dead.
    pub(super) fn handle_timeout(&mut self, interval: Option<Duration>, missed: u32, now: Instant) -> Silence {
        if self.deadline(interval).is_none_or(|deadline| now < deadline) {
            return Silence::Bearable;
        }
        if self.missed >= missed {
            return Silence::Dead;
        }
        self.due = true;
        Silence::Bearable
    }

    /// Pings since it was heard.
    pub(super) const fn missed(&self) -> u32 {
        self.missed
    }

    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    /// The payload of the Ping that is due, which goes out now.
    pub(super) fn ask(&mut self, now: Instant) -> [u8; PAYLOAD] {
        self.due = false;
        self.awaited = true;
        self.asked = now;
        self.number = self.number.wrapping_add(1);
        self.missed = self.missed.saturating_add(1);
        self.payload(self.number)
    }

    /// Whether a Pong from it may be ours: whether its payload is worth a look.
    pub(super) const fn has_asked(&self) -> bool {
        self.number > 0
    }

    /// The Pong with this `payload`, unmasked, if it answers one of our Pings.
    pub(super) fn handle_pong(&mut self, payload: &[u8], now: Instant) -> Option<Answer> {
        let (ours, number) = payload.split_last_chunk()?;
        if ours != &self.payload(0)[..PAYLOAD - number.len()] {
            return None;
        }
        if !self.awaited || u32::from_be_bytes(*number) != self.number {
            return Some(Answer { round_trip: None });
        }
        self.awaited = false;
        let took = now.saturating_duration_since(self.asked);
        let last = took.as_micros().try_into().unwrap_or(Micros::MAX);
        let shortest = self.trips.map_or(last, |[_, shortest]| shortest.min(last));
        self.trips = Some([last, shortest]);
        Some(Answer { round_trip: Some(took) })
    }

    pub(super) fn round_trip(&self) -> Option<RoundTrip> {
        let [last, shortest] = self.trips?.map(|trip| Duration::from_micros(trip.into()));
        Some(RoundTrip { last, least: shortest })
    }

    fn payload(&self, number: u32) -> [u8; PAYLOAD] {
        let mut payload = [0; PAYLOAD];
        let (name, rest) = payload.split_at_mut(NAME.len());
        let (mark, at) = rest.split_at_mut(self.mark.len());
        name.copy_from_slice(&NAME);
        mark.copy_from_slice(&self.mark);
        at.copy_from_slice(&number.to_be_bytes());
        payload
    }
}
