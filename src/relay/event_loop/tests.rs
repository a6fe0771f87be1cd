//! What an idle connection keeps in this driver, byte by byte. `benches/README.md` has the whole of it, with TLS.

use std::time::Instant;

use super::connection::Connection;
use super::direction::Direction;
use crate::relay::link::Link;
use crate::relay::socket::Socket;
use crate::session::Session;
use crate::telemetry::live::Live;

/// What is kept, how large it is, and how large it may be. A larger one is a decision: write it down there, too.
const KEPT: [(&str, usize, usize); 6] = [
    ("session: both directions' frames, ends, silence, lifetime", size_of::<Session>(), 600),
    ("socket of a side, and what is going on at it", size_of::<Socket>(), 80),
    ("link: session, both sockets, TLS by pointer, what TLS has left over", size_of::<Link>(), 904),
    ("direction: what is in flight and what waits", size_of::<Direction>(), 64),
    ("connection: link, both directions, deadlines", size_of::<Connection<()>>(), 1112),
    ("what is told of it: counts, names by pointer", size_of::<Live>(), 272),
];

/// An entry of the ordered set of deadlines.
const DUE: usize = size_of::<(Instant, u32)>();

#[test]
fn an_idle_connection_keeps_what_the_table_says() {
    for (what, size, bound) in KEPT {
        assert!(size <= bound, "{what}: {size} bytes, {bound} allowed");
    }
    assert_eq!(DUE, 24);
}
