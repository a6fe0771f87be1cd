//! Readiness: ready is when nobody blocks it.
//!
//! Each part that must come up takes a [`BlockReady`] before the process begins to serve `/readyz`, and drops it
//! when it is up. A part that panics on its way drops it too, but then the process does not run either.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Knows whether this process is ready, and what it waits for if not.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<Mutex<Vec<Cow<'static, str>>>>);

/// While it lives, the process is not ready.
#[derive(Debug)]
#[must_use = "dropping it unblocks readiness"]
pub struct BlockReady {
    ready: Ready,
    name: Cow<'static, str>,
}

impl Ready {
    /// Blocks readiness until the guard is dropped. `name` is shown to who asks why.
    pub fn block(&self, name: impl Into<Cow<'static, str>>) -> BlockReady {
        let name = name.into();
        self.names().push(name.clone());
        BlockReady { ready: self.clone(), name }
    }

    /// Names of those who block readiness, in the order they began to. Empty: ready.
    pub fn waiting_for(&self) -> Vec<Cow<'static, str>> {
        self.names().clone()
    }

    fn names(&self) -> MutexGuard<'_, Vec<Cow<'static, str>>> {
        // No code that can panic runs under the lock, so the list is whole even when it is poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BlockReady {
    fn drop(&mut self) {
        let mut names = self.ready.names();
        if let Some(at) = names.iter().position(|name| *name == self.name) {
            names.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ready;

    #[test]
    fn is_ready_when_the_last_guard_is_gone() {
        let ready = Ready::default();
        let (keys, first) = (ready.block("keys"), ready.block("worker"));
        let second = ready.block("worker");
        assert_eq!(ready.waiting_for(), ["keys", "worker", "worker"]);
        drop(first);
        assert_eq!(ready.waiting_for(), ["keys", "worker"]);
        drop(keys);
        drop(second);
        assert!(ready.waiting_for().is_empty());
    }
}
