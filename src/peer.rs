//! Who is at the other end of a socket.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One of the two sides a connection relays between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who connected to us.
    Client,
    /// What we front.
    App,
}

impl Side {
    /// The side across.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::App,
            Self::App => Self::Client,
        }
    }

    /// `client` or `app`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::App => "app",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The address a client connected from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(SocketAddr);

impl Peer {
    /// The client at `address`. An IPv4 address that arrived on an IPv6 socket (`::ffff:a.b.c.d`) is shown as IPv4.
    pub fn new(address: SocketAddr) -> Self {
        Self(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// The address without its port.
    pub fn ip(self) -> IpAddr {
        self.0.ip()
    }

    /// The port.
    pub fn port(self) -> u16 {
        self.0.port()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
