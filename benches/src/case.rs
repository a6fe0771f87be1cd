//! The loads that are measured.

use crate::load::Plan;
use crate::message::Message;

/// A load.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is called on the command line.
    pub key: &'static str,
    /// Its name in tables.
    pub name: &'static str,
    /// What it does. Its echoes are a few seconds of a proxy on a core, which may be taken in slices.
    pub plan: Plan,
}

const fn case(
    key: &'static str,
    name: &'static str,
    connections: usize,
    depth: usize,
    size: usize,
    echoes: u64,
) -> Case {
    let plan = Plan { connections, depth, message: Message::Binary, size, warm_up: echoes / 10, echoes };
    Case { key, name, plan }
}

/// One message at a time, small.
pub const SMALL: Case = case("64", "64 B x 100 connections, depth 1", 100, 1, 64, 150_000);

/// Many at a time, small.
pub const DEEP: Case = case("64x16", "64 B x 100 connections, depth 16", 100, 16, 64, 1_500_000);

/// One at a time, of the size of a TLS record.
pub const RECORD: Case = case("16k", "16 KiB x 100 connections, depth 1", 100, 1, 16 << 10, 60_000);

/// All of them.
pub const ALL: [Case; 6] = [
    SMALL,
    // Hardly ever is there more than one at a wake-up.
    case("few", "64 B x 4 connections, depth 1", 4, 1, 64, 100_000),
    DEEP,
    case("1k", "1 KiB x 100 connections, depth 1", 100, 1, 1 << 10, 120_000),
    RECORD,
    case("1m", "1 MiB x 4 connections, depth 1", 4, 1, 1 << 20, 1_000),
];

/// The shapes among them that differ in more than size, and the size where bytes begin to count.
pub const MAIN: [Case; 3] = [SMALL, DEEP, RECORD];
