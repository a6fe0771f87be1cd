//! How many connections the limit on open files allows.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of a connection: the client's socket and the app's.
const PER_CONNECTION: u64 = 2;

/// Descriptors for everything else: listeners, rings, logs, the admin and health endpoints, the collector, and clients that
/// are about to be turned away.
const RESERVED: u64 = 256;

/// Raises the soft limit to the hard one, and returns how many connections there may be: as many as `wished`, or as
/// the limit allows.
pub(super) fn connections(wished: Option<NonZeroUsize>) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let allowed = allowed(files);
    match wished.map(NonZeroUsize::get) {
        Some(wished) if wished > allowed => {
            tracing::warn!(
                wished,
                allowed,
                "listen.connections is more than the limit on open files allows: raise it (LimitNOFILE, ulimit -n)"
            );
            allowed
        }
        Some(wished) => wished,
        None => allowed,
    }
}

/// `None`: no limit.
fn allowed(files: Option<u64>) -> usize {
    let connections =
        files.map_or(u64::MAX, |files| files.saturating_sub(RESERVED).max(PER_CONNECTION) / PER_CONNECTION);
    usize::try_from(connections).unwrap_or(usize::MAX).min(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn two_descriptors_a_connection_and_some_aside() {
        assert_eq!(allowed(Some(20_000)), 9872);
        assert_eq!(allowed(Some(1024)), 384);
        assert_eq!(allowed(Some(10)), 1);
        assert_eq!(allowed(None), 1 << 20);
    }
}
