//! The engines' names.

use std::fmt;

/// Which engine was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// `io_uring` when a probe succeeds, else epoll.
    Auto,
    /// `io_uring` or nothing.
    IoUring,
    /// epoll.
    Epoll,
}

impl Choice {
    /// Its name in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

/// Which engine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One ring per worker.
    IoUring,
    /// One epoll instance per worker.
    Epoll,
}

impl Engine {
    /// Its name in configuration, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
