//! The proxy over real sockets, on both engines: real clients in front of it, real apps behind it.
//!
//! Each file is one subject; `support` is what they are written with.

#[path = "../support/collector.rs"]
#[expect(dead_code, reason = "its other manners are for tests/collector.rs")]
mod collector;
#[path = "../support/mod.rs"]
mod support;

mod agreeing;
mod crowding;
mod cutting;
mod draining;
mod dying;
mod ending;
mod expiring;
mod forwarding;
mod guarding;
mod handshake;
mod leaving;
mod limiting;
mod living;
mod logging;
mod process;
mod refusing;
mod relaying;
mod stalling;
mod watching;
