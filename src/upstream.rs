//! The way to the app.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use socket2::SockAddr;

use crate::policy::permit::Permit;
use crate::ring::engine::Engine;
use crate::ring::stream::Stream;

/// Where the app listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix stream socket.
    Unix(PathBuf),
    /// TCP; tried in order until one connects.
    Tcp(Vec<SocketAddr>),
}

/// How to reach the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens.
    pub address: Address,
    /// From the dial to the last byte of its answer's head.
    pub timeout: Duration,
}

/// Connects to the app on behalf of a client that `policy` has let in. `tried` is the TCP address that is being tried, if
/// it is one, also when this is given up.
///
/// # Errors
/// That of the last address tried.
pub async fn dial(
    _permit: &Permit,
    engine: Engine,
    address: &Address,
    tried: &Cell<Option<SocketAddr>>,
) -> io::Result<Stream> {
    match address {
        Address::Unix(path) => Stream::connect(engine, SockAddr::unix(path)?).await,
        Address::Tcp(addresses) => {
            let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for address in addresses {
                tried.set(Some(*address));
                match Stream::connect(engine, (*address).into()).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        }
    }
}
