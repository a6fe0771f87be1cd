//! How many connections the limit on open files allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of a connection: the client's socket and the app's.
pub(super) const PER_CONNECTION: u64 = 2;

/// Descriptors for everything else: listeners, rings, logs, the admin and health endpoints, the collector, and clients that
/// are about to be turned away.
pub(super) const RESERVED: u64 = 256;

/// `RLIMIT_NOFILE` of this process, soft and hard; `None`: no limit.
pub(super) fn limits() -> Rlimit {
    getrlimit(Resource::Nofile)
}

/// Raises the soft limit to the hard one, and returns what it is then; `None`: no limit.
pub(super) fn raise() -> Option<u64> {
    let limit = limits();
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// How many connections there may be with so many open files. `None`: no limit.
pub(super) fn connections(files: Option<u64>) -> usize {
    let connections =
        files.map_or(u64::MAX, |files| files.saturating_sub(RESERVED).max(PER_CONNECTION) / PER_CONNECTION);
    usize::try_from(connections).unwrap_or(usize::MAX).min(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::connections;

    #[test]
    fn two_descriptors_a_connection_and_some_aside() {
        assert_eq!(connections(Some(20_000)), 9872);
        assert_eq!(connections(Some(1024)), 384);
        assert_eq!(connections(Some(10)), 1);
        assert_eq!(connections(None), 1 << 20);
    }
}
