//! What time may bring while both sides just talk.

use std::time::Instant;

use super::config::{Config, Keepalive};
use super::life::Life;
use super::liveness::{Liveness, Silence};
use crate::peer::Side;
use crate::rate::meter::Meter;
use crate::telemetry::end::Why;

/// Everything a session waits for that is not a byte.
#[derive(Debug)]
pub(super) struct Watch {
    client: Liveness,
    app: Liveness,
    /// Until when nothing is to be read from the client.
    paused: Option<Instant>,
    pub(super) life: Life,
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The connection is to be closed.
    Close(Why),
    /// Nobody is there on this side.
    Dead(Side),
}

impl Watch {
    /// Over two sides of which the same is known.
    pub(super) fn new(liveness: Liveness, life: Life) -> Self {
        Self { client: liveness.clone(), app: liveness, paused: None, life }
    }

    /// Of `side`.
    pub(super) const fn liveness(&self, side: Side) -> &Liveness {
        match side {
            Side::Client => &self.client,
            Side::App => &self.app,
        }
    }

    /// Of `side`.
    pub(super) const fn liveness_mut(&mut self, side: Side) -> &mut Liveness {
        match side {
            Side::Client => &mut self.client,
            Side::App => &mut self.app,
        }
    }

    /// Nothing is to be read from the client until then.
    pub(super) const fn pause(&mut self, until: Instant) {
        self.paused = Some(until);
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// When to look again.
    pub(super) fn deadline(&self, config: &Config) -> Option<Instant> {
        let Keepalive { client, app, .. } = config.keepalive;
        let silences = [self.client.deadline(client), self.app.deadline(app)];
        [self.life.deadline(config.idle), self.paused].into_iter().chain(silences).flatten().min()
    }

    /// Looks what has come.
    pub(super) fn handle_timeout(&mut self, config: &Config, meter: Option<&mut Meter>, now: Instant) -> Option<Due> {
        if let Some(why) = self.life.due(config.idle, now) {
            return Some(Due::Close(why));
        }
        self.resume(meter, now);
        let Keepalive { client, app, missed } = config.keepalive;
        [(Side::Client, client), (Side::App, app)].into_iter().find_map(|(side, interval)| {
            let silence = self.liveness_mut(side).handle_timeout(interval, missed.get(), now);
            (silence == Silence::Dead).then_some(Due::Dead(side))
        })
    }

    /// Reads from a paused client again, unless others who share its allowance have used that meanwhile.
    fn resume(&mut self, meter: Option<&mut Meter>, now: Instant) {
        if self.paused.is_some() {
            self.paused = meter.and_then(|meter| meter.take(0, 0, now).ok().flatten());
            // Nobody was listening to it.
            self.client.hear(now);
        }
    }
}
