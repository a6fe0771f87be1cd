//! Benches of Ringside: what relaying, idling and opening cost, next to other proxies and to a bare ring, in one run.
//!
//! ```text
//!   core 1: load --TLS--> core 0: ringside, a peer, or the floor --Unix socket--> core 1: echo app
//! ```
//!
//! The load checks every byte that comes back; a run that lost, reordered or changed a message has no result. What
//! is reported is the proxy's own CPU time, as the kernel accounts it.

pub mod case;
pub mod client;
pub mod cpu;
pub mod crowd;
pub mod echo;
pub mod evidence;
pub mod files;
pub mod floor;
pub mod guard;
pub mod hot;
pub mod load;
pub mod memory;
pub mod message;
pub mod observed;
pub mod peer;
pub mod race;
pub mod rig;
pub mod sink;
pub mod spread;
pub mod timers;
pub mod tls;

/// What went wrong, in words.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;
