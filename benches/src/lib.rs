//! Benches of Ringside: what relaying, idling and opening cost, next to a bare byte pump in the same run.
//!
//! ```text
//!   core 1: load --TLS--> core 0: ringside, or the pump --Unix socket--> core 1: echo app
//! ```
//!
//! The load checks every byte that comes back; a run that lost, reordered or changed a message has no result. What
//! is reported is the proxy's own CPU time, as the kernel accounts it.

pub mod client;
pub mod cpu;
pub mod echo;
pub mod evidence;
pub mod guard;
pub mod idle;
pub mod load;
pub mod message;
pub mod open;
pub mod pump;
pub mod relay;
pub mod rig;
pub mod sink;
pub mod spread;
pub mod timers;
pub mod tls;

/// What went wrong, in words.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;
