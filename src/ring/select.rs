//! Which engine runs, and why that one.

use std::fmt;

use super::engine::{Choice, Engine};
use super::probe::{self, Refused};

/// The engine that will run, and why that one.
#[derive(Clone, Debug)]
pub struct Selected {
    /// Which.
    pub engine: Engine,
    /// Why.
    pub why: Why,
}

/// Why an engine was selected.
#[derive(Clone, Debug)]
pub enum Why {
    /// The configuration names it.
    Configured,
    /// The probe moved bytes through a ring.
    ProbePassed,
    /// The kernel refused the ring; this is the fallback.
    ProbeRefused(Refused),
}

/// Selects the engine: `Auto` and `IoUring` try a ring by using one.
///
/// # Errors
/// `IoUring` was asked for and the kernel refuses it.
pub fn select(choice: Choice) -> Result<Selected, Refused> {
    select_by(choice, probe::io_uring)
}

/// The same by what `probe` finds, which is asked only when that matters.
///
/// # Errors
/// `IoUring` was asked for and `probe` was refused it.
pub fn select_by(choice: Choice, probe: impl FnOnce() -> Result<(), Refused>) -> Result<Selected, Refused> {
    match choice {
        Choice::Epoll => Ok(Selected { engine: Engine::Epoll, why: Why::Configured }),
        Choice::IoUring => probe().map(|()| Selected { engine: Engine::IoUring, why: Why::Configured }),
        Choice::Auto => Ok(match probe() {
            Ok(()) => Selected { engine: Engine::IoUring, why: Why::ProbePassed },
            Err(refused) => Selected { engine: Engine::Epoll, why: Why::ProbeRefused(refused) },
        }),
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured => f.write_str("configured"),
            Self::ProbePassed => f.write_str("probe passed"),
            Self::ProbeRefused(refused) => write!(f, "io_uring refused: {refused}"),
        }
    }
}
