//! The proxy over real sockets, on both engines: real clients in front of it, real apps behind it.
//!
//! Each file is one subject; `support` is what they are written with.

#[path = "../support/collector.rs"]
#[expect(dead_code, reason = "the tests of spans need more of it")]
mod collector;
#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "otlp-grpc")]
#[path = "../support/grpc.rs"]
mod grpc;

mod agreeing;
mod asking;
mod balancing;
mod checking;
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
mod metering;
mod probing;
mod process;
mod refusing;
mod relaying;
mod showing;
mod stalling;
mod tracing;
mod watching;
