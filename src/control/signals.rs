//! SIGTERM and SIGINT: the first drains, the second ends at once.
//!
//! Only signals count. A drain that `POST /drain` began, as a preStop hook does, goes on in order when the SIGTERM
//! comes that Kubernetes sends after the hook.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::lifecycle::drain::Drain;

/// One of the signals that end this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: what Kubernetes and systemd send.
    Terminate,
}

/// Catches both signals from its creation on.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Which {
    /// The exit status that shells give to a process which such a signal ended: 128 and the signal's number.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

impl Signals {
    /// Begins to catch. Call it inside the control runtime.
    pub fn catch() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Triggers `drain` at the first signal and completes at the second: then the caller exits at once, with
    /// [`Which::exit_code`]. A first signal that finds `drain` begun changes nothing. A drain that ends by itself is to be
    /// awaited beside this.
    pub async fn drain(mut self, drain: &Drain) -> Which {
        let first = self.next().await;
        info!(target: "ringside::control", signal = first.name(), "told to stop; a second signal ends at once");
        drain.trigger();
        let second = self.next().await;
        warn!(target: "ringside::control", signal = second.name(), "ending at once");
        second
    }

    async fn next(&mut self) -> Which {
        tokio::select! {
            _ = self.interrupt.recv() => Which::Interrupt,
            _ = self.terminate.recv() => Which::Terminate,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{self, Command};

    use tokio::signal::unix::{SignalKind, signal};
    use tokio::sync::Mutex;

    use super::{Signals, Which};
    use crate::lifecycle::drain;

    fn send(signal: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", process::id())]).status();
        assert!(sent.expect("a shell").success());
    }

    /// Both take signals of this one process: they must not overlap.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

    #[tokio::test]
    async fn the_first_drains_and_the_second_ends() {
        let _alone = ONE_AT_A_TIME.lock().await;
        let (drain, mut watch) = drain::channel();
        let signals = Signals::catch().expect("signals");
        let both = async {
            send("TERM");
            watch.triggered().await;
            send("INT");
        };
        let (second, ()) = tokio::join!(biased; signals.drain(&drain), both);
        assert_eq!(second, Which::Interrupt);
        assert_eq!(second.exit_code(), 130);
    }

    #[tokio::test]
    async fn the_first_signal_of_a_drain_begun_otherwise_does_not_end_it() {
        let _alone = ONE_AT_A_TIME.lock().await;
        let (drain, _watch) = drain::channel();
        let began = drain.trigger();
        let signals = Signals::catch().expect("signals");
        let mut seen = signal(SignalKind::terminate()).expect("signals");
        let both = async {
            send("TERM");
            seen.recv().await;
            // Whoever was to hear the signal has had his turn: he is polled first.
            tokio::task::yield_now().await;
            assert_eq!(drain.began(), Some(began));
            send("INT");
        };
        let (second, ()) = tokio::join!(biased; signals.drain(&drain), both);
        assert_eq!(second, Which::Interrupt, "the first was no second");
    }
}
