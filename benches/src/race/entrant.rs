//! Who takes part.

use std::sync::Arc;

use crate::Fault;
use crate::client::{Client, Handshake, Target};
use crate::observed::{Observed, Scrapes};
use crate::peer::Installed;
use crate::rig::{Engine, Proxy, Rig};
use crate::sink::Manner;

/// One that takes part.
pub(super) enum Entrant {
    /// Ringside, with all that it tells switched on.
    Ringside(Engine),
    /// The floor.
    Floor,
    /// A peer.
    Peer(Installed),
}

/// An entrant that runs.
pub(super) struct Running {
    pub(super) proxy: Proxy,
    _scrapes: Option<Scrapes>,
}

impl Entrant {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ringside(engine) => engine.name(),
            Self::Floor => "floor",
            Self::Peer(installed) => installed.peer.name,
        }
    }

    /// What it is, for the head of the tables.
    pub(super) fn version(&self) -> String {
        match self {
            Self::Ringside(_) => env!("CARGO_PKG_VERSION").into(),
            Self::Floor => "of this package".into(),
            Self::Peer(installed) => installed.version.clone(),
        }
    }

    pub(super) fn checks_token(&self) -> bool {
        match self {
            Self::Ringside(_) => true,
            Self::Floor => false,
            Self::Peer(installed) => installed.peer.checks_token,
        }
    }

    /// Whether it can have more than one worker.
    pub(super) fn scales(&self) -> bool {
        !matches!(self, Self::Floor)
    }

    pub(super) fn start(&self, rig: &Rig, workers: usize) -> Result<Running, Fault> {
        Ok(match self {
            Self::Ringside(engine) => {
                let observed = Observed::start(rig, *engine, workers, Manner::Takes)?;
                let scrapes = observed.scrape();
                Running { proxy: observed.proxy, _scrapes: Some(scrapes) }
            }
            Self::Floor => Running { proxy: rig.start_floor()?, _scrapes: None },
            Self::Peer(installed) => Running { proxy: rig.start_peer(installed, workers)?, _scrapes: None },
        })
    }
}

/// That a proxy serves whom it must and refuses whom it must. Returns whether it knows the hybrid key exchange.
pub(super) fn examine(entrant: &Entrant, rig: &Rig, proxy: &Proxy) -> Result<bool, Fault> {
    let served = |target: &Target, handshake| -> Result<(), Fault> {
        let mut client = Client::open(target, &target.tls(handshake)?)?;
        client.echo(b"examined")?;
        client.close()
    };
    served(&proxy.target, Handshake::Classic).map_err(|fault| format!("{}: {fault}", proxy.name))?;
    let resumed = proxy.target.tls(Handshake::Resumed)?;
    let mut first = Client::open(&proxy.target, &resumed)?;
    first.echo(b"a ticket, please")?;
    if !Client::open(&proxy.target, &Arc::clone(&resumed))?.is_resumed() {
        return Err(format!("{} does not resume by ticket", proxy.name).into());
    }
    for bad in rig.bad_targets(proxy)?.iter().filter(|_| entrant.checks_token()) {
        match served(bad, Handshake::Classic) {
            Err(fault) if is_refusal(&fault.to_string()) => {}
            Err(fault) => return Err(format!("{} does not refuse a bad token, but: {fault}", proxy.name).into()),
            Ok(()) => return Err(format!("{} lets a bad token in", proxy.name).into()),
        }
    }
    Ok(served(&proxy.target, Handshake::Hybrid).is_ok())
}

/// Whether a client was refused for its token.
fn is_refusal(fault: &str) -> bool {
    ["401", "403"].iter().any(|status| fault.starts_with(&format!("refused: HTTP/1.1 {status} ")))
}
