//! Sockets with owned buffers on two engines behind one interface: `io_uring` and epoll.
//!
//! A buffer lent to the kernel is a [`Lease`](lease::Lease). It moves into the operation and comes back with its
//! result; nobody can look at it meanwhile, and it is freed no earlier than the kernel's completion, even when
//! the future that waits for it is dropped. A connection that waits for bytes holds no lease: it waits for
//! readiness first ([`Stream::poll_readable`](stream::Stream::poll_readable)) and only then receives; or, on a
//! [`Direct`](direct::Direct) ring, the kernel picks a buffer when there is something to put into it.
//!
//! | engine | waits by | moves bytes by |
//! |---|---|---|
//! | `io_uring`, opening | one-shot `POLL_ADD` | `RECV`, `SEND`, `ACCEPT`, `CONNECT` on the runtime's ring |
//! | `io_uring`, relaying | `RECV` with a provided buffer | the same, and `SEND`, on the [`Direct`](direct::Direct) ring |
//! | epoll | tokio's `AsyncFd` | the calls of the same names |
//!
//! This is the only place in Ringside with `unsafe` code.

pub mod direct;
pub mod engine;
mod epoll;
pub mod host;
pub mod lease;
pub mod listener;
mod op;
pub mod pool;
pub mod probe;
pub mod runtime;
pub mod select;
mod shelf;
pub mod stream;
pub mod turn;
pub mod usage;
