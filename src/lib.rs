//! Ringside is a sidecar proxy for WebSocket applications on Linux.
//!
//! It sits beside one app, in the same pod or on the same host. It ends clients' TLS, checks who they are with a local
//! JWT verifier, relays frames to the app over a Unix socket or loopback, and tells an OTLP collector what happened.
//!
//! # One connection, two phases
//!
//! ```text
//!            OPENING (rare, sequential, async)                          RELAYING (hot, event-driven)
//!  accept -> TLS -> HTTP head -> admit -> dial app -> app's 101 -> 101 | client bytes <-> Session <-> app bytes
//!            one absolute deadline from accept to 101                  | no opening state left, no buffer while idle
//! ```
//!
//! [`opening`] is straight-line `async` code. It ends in a `101` or in exactly one refusal, and its task is gone when
//! relaying starts. [`session`] is a sans-IO state machine: bytes and time in, bytes and wishes out. It has no socket,
//! no clock, no async and no logger; [`relay`] is the thin driver that moves bytes between it and two sockets.
//!
//! # Threads
//!
//! - **Workers**: one thread, one `SO_REUSEPORT` listener, and either rings (the runtime's for opening, one besides for
//!   relaying: [`relay::event_loop`]) or an epoll instance each ([`worker`]). They share
//!   nothing that changes but how many connections each has: all read one immutable [`opening::Snapshot`], each writes its
//!   own counters, and tells who is connected when it is asked ([`worker::Door`]). A worker that has more than its share
//!   hands a connection that it has accepted over to the one with the fewest, which owns it from before its TLS begins
//!   ([`worker::balance`]).
//! - **Control**: one ordinary tokio runtime for signals and the admin and health endpoints ([`control`]).
//! - **Export**: one thread turns records into log lines and spans, and OpenTelemetry's batch thread ships those. Every
//!   queue on the way is bounded and counts what it drops: no collector, disk or terminal slows a frame. Where metrics
//!   go over OTLP, one more thread reads the counters at an interval and sends them.
//!
//! # One connection, told once
//!
//! ```text
//!  Session counts --+--> worker's counters --> /metrics, OTLP metrics      per read
//!                   +--> Live --> /connections, checkpoints                per read; told when somebody looks, or in time
//!                         +-----> Connection (the record) --> log line, span, recent ends      once, at the end
//! ```
//!
//! The session alone counts. What it counts goes into the sums of its worker and into
//! [`Live`](telemetry::live::Live), one value per connection, of which all that is ever told of it is made: so log,
//! span, metrics and `/connections` cannot tell different things.
//!
//! # Modules
//!
//! A module imports only modules of strictly lower rank; `tests/layering.rs` holds this table to the sources.
//!
//! | rank | modules |
//! |---|---|
//! | 8 | `main` |
//! | 7 | [`app`]: the composition root, the only place that knows everybody |
//! | 6 | [`config`]: what is written, then what is needed; every problem at once |
//! | 5 | [`worker`]: accepts and runs connections; [`control`]: signals, admin and health endpoints, logs, export |
//! | 4 | [`opening`]: from accept to the 101; [`relay`]: the driver of a session |
//! | 3 | [`session`]: relaying, sans IO; [`upstream`]: the way to the app |
//! | 2 | [`policy`]: who may come in; [`tls`]: records in buffers |
//! | 1 | [`http1`], [`ws`], [`jwt`]: wire formats; [`telemetry`]: what is counted and recorded; [`ring`]: sockets and buffers on two engines; [`lifecycle`]: readiness and drain; [`rate`]: how much may come in a time |
//! | 0 | [`window`], [`rule`], [`opcode`], [`peer`], [`time`], [`bytesize`] |
//!
//! # Invariants
//!
//! 1. `http1 ws jwt rate policy session config` hold no async, no tokio, no clock: `now` is an argument.
//! 2. No payload byte goes to the app before the app's 101 was verified, and no byte of a frame leaves before its
//!    header was judged.
//! 3. Client frames are relayed verbatim, still masked. Of payloads, control frames' and text are looked at where they lie;
//!    nothing is buffered for it but the start of a frame that cannot be judged yet.
//! 4. What we inject goes out only at a frame boundary of its direction; nothing is ever forged to reach one.
//! 5. [`upstream::dial`] needs a [`Permit`](policy::permit::Permit), which only [`policy`] makes; a
//!    [`Verified`](jwt::verify::Verified) comes only from [`jwt`].
//! 6. Every queue, buffer, loop and wait has a named bound.
//! 7. A buffer lent to the kernel is owned by the operation until its completion ([`ring::lease`]).
//! 8. An idle connection owns no read buffer.
//! 9. Each connection ends with exactly one [`End`](telemetry::end::End), which log line, span and metric show, with the
//!    same counts.
//! 10. `unsafe` lives in [`ring`] alone.
//! 11. No secret (token, key, cookie, query) reaches a log, span, metric or error page, nor the app unless configured.
//! 12. There is no global error type; what the peer is told is an exhaustive function of each module's own error.
//!
//! # What is open
//!
//! TLS goes through rustls' unbuffered API, which hands each opened record over in a vector of its own.

// Rank 7.
pub mod app;
// Rank 6.
pub mod config;
// Rank 5.
pub mod control;
pub mod worker;
// Rank 4.
pub mod opening;
pub mod relay;
// Rank 3.
pub mod session;
pub mod upstream;
// Rank 2.
pub mod policy;
pub mod tls;
// Rank 1.
pub mod http1;
pub mod jwt;
pub mod lifecycle;
pub mod rate;
pub mod ring;
pub mod telemetry;
pub mod ws;
// Rank 0.
pub mod bytesize;
pub mod opcode;
pub mod peer;
pub mod rule;
pub mod time;
pub mod window;
