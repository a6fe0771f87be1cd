//! What the tests over real sockets are written with: the proxy under test, clients, apps, frames, keys.
//!
//! Nothing here sleeps. Every wait is for an event (bytes, an end, a record of the proxy) and is bounded by
//! [`PATIENCE`], which is far longer than any of them takes and far shorter than a hung build.

pub(crate) mod app;
pub(crate) mod binary;
pub(crate) mod client;
pub(crate) mod engines;
pub(crate) mod frame;
pub(crate) mod http;
pub(crate) mod many;
pub(crate) mod material;
pub(crate) mod proxy;

use std::time::Duration;

/// The longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
