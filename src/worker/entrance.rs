//! Where connections come in: accepted here, or handed over by a worker that had more than its share.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;

use super::balance::{Balance, Handed};
use super::connection::{self, Local};
use crate::lifecycle::drain::DrainWatch;
use crate::opening;
use crate::peer::Peer;
use crate::ring::listener::{Accepted, Listener};
use crate::ring::runtime;

/// Connections past the bound that are still taken in, to be told that there is no room. Past them, accepting pauses
/// and the kernel holds who comes.
const TURNED_AWAY: usize = 64;

/// How long accepting pauses when the system is out of something.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the connections of a worker come in.
pub(super) struct Entrance {
    pub(super) local: Rc<Local>,
    /// Most connections of this worker.
    pub(super) bound: usize,
    pub(super) balance: Balance,
    pub(super) mailbox: Receiver<Accepted>,
}

impl Entrance {
    /// Takes connections until the drain begins. Returns when that was.
    pub(super) async fn admit(&mut self, listener: Listener, mut stop: DrainWatch) -> Instant {
        let mut stopped = pin!(stop.triggered());
        // Not dropped while something else happens: what it had accepted would be lost.
        let mut accepting = pin!(listener.accept());
        loop {
            let crowd = &self.local.crowd;
            if crowd.len() >= self.bound + TURNED_AWAY {
                crowd.count_pause();
                tokio::select! {
                    began = &mut stopped => return began,
                    () = crowd.one_left() => continue,
                }
            }
            let accepted = tokio::select! {
                biased;
                began = &mut stopped => return began,
                Some(handed) = self.mailbox.recv() => {
                    self.take_handed(handed);
                    continue;
                }
                accepted = &mut accepting => accepted,
            };
            accepting.set(listener.accept());
            match accepted {
                Ok(accepted) => self.share_out(accepted),
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    tracing::warn!(worker = self.local.index, %error, "cannot accept connections, trying again");
                    crowd.count_pause();
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Takes nobody any more but who was handed over already.
    pub(super) fn close(mut self) -> Rc<Local> {
        self.mailbox.close();
        while let Ok(handed) = self.mailbox.try_recv() {
            self.take_handed(handed);
        }
        self.local
    }

    /// Hands `accepted` over, or takes it.
    fn share_out(&self, accepted: Accepted) {
        let counters = &self.local.relaying.counters;
        let kept = match self.balance.hand_over(accepted, self.bound) {
            Handed::Over => {
                counters.handed_over.add(1);
                return;
            }
            Handed::Kept(accepted) => accepted,
            Handed::Full(accepted) => {
                counters.mailbox_full.add(1);
                accepted
            }
        };
        self.take(kept);
    }

    /// Takes what another worker has handed over.
    fn take_handed(&self, handed: Accepted) {
        // That worker has counted it already.
        self.balance.load().sub();
        self.take(handed);
    }

    /// Opens a connection, in a task of its own.
    fn take(&self, accepted: Accepted) {
        let local = &self.local;
        let surplus = local.crowd.len() >= self.bound;
        let place = local.crowd.enter();
        match accepted.take() {
            Ok((stream, address)) => {
                let client = Peer::new(address);
                let arrival = opening::Arrival { stream, client, id: place.id(local.index), surplus };
                runtime::spawn(connection::open(Rc::clone(local), arrival, place));
            }
            Err(error) => tracing::warn!(worker = local.index, %error, "cannot watch a connection"),
        }
    }
}

/// Whether an error of `accept(2)` (or of the first look at the socket) is about a connection that is gone already.
fn concerns_one(error: &io::Error) -> bool {
    !matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
