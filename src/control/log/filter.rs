//! What the log leaves out, which may change while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Level, enabled, info};
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::LogError;

const TARGET: &str = "ringside::log";

/// The filter of the running log. All clones are the same one.
#[derive(Clone, Debug)]
pub struct Filter {
    running: reload::Handle<EnvFilter, Registry>,
    /// As it was written. Locked while it changes, so that it is the one that runs.
    written: Arc<Mutex<String>>,
}

impl Filter {
    /// A filter, and what applies it to a log.
    pub(in crate::control) fn new(filter: &str) -> Result<(Self, reload::Layer<EnvFilter, Registry>), LogError> {
        let (layer, running) = reload::Layer::new(parse(filter)?);
        Ok((Self { running, written: Arc::new(Mutex::new(filter.to_owned())) }, layer))
    }

    /// The present one, as it was written.
    pub fn present(&self) -> String {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on, `filter` decides. The log tells that, if one of both lets it. Returns the one before.
    pub fn set(&self, filter: &str) -> Result<String, LogError> {
        // An empty one would leave only errors, and is rather a text that got lost.
        if filter.trim().is_empty() {
            return Err(LogError::Empty);
        }
        let parsed = parse(filter)?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let tell = || info!(target: TARGET, from = written.as_str(), to = filter, "the filter changes");
        let told = enabled!(target: TARGET, Level::INFO);
        if told {
            tell();
        }
        self.running.reload(parsed)?;
        if !told {
            tell();
        }
        Ok(std::mem::replace(&mut written, filter.to_owned()))
    }
}

pub(super) fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}
