//! TLS as records in buffers: rustls without sockets.
//!
//! ```text
//!   wire bytes --handshake()--> replies for the wire         until the handshake is done
//!   wire bytes --open()-------> plaintext                    then, in one direction
//!   plaintext  --seal()-------> wire bytes                   and in the other
//! ```
//!
//! The rest of Ringside knows only the trait [`Records`](records::Records): rustls 0.24 replaces the interface
//! that `unbuffered` uses.

pub mod acceptor;
pub mod records;
mod unbuffered;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

/// Files of the server's identity, and of whom it trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// PEM certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
    /// PEM certificates of the authorities whose client certificates are required; `None`: none is asked for.
    pub client_ca: Option<PathBuf>,
}
