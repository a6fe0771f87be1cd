//! Memory per idle connection.

#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

use std::time::Duration;

use crate::client::{Client, Handshake};
use crate::rig::{ALL_LIMITS, DEFAULTS, NO_TIMES, Rig, Settings, Which};
use crate::{Fault, cpu};

/// Anonymous bytes that an idle TLS connection may cost.
const BUDGET: u64 = 8 << 10;

/// Time for a proxy to come to rest.
const REST: Duration = Duration::from_millis(300);

/// What a proxy keeps for a connection besides relaying it.
const CASES: [(Which, Settings<'static>, &str); 7] = [
    (Which::Pump, DEFAULTS, ""),
    (Which::IoUring, DEFAULTS, "defaults"),
    (Which::IoUring, NO_TIMES, "no times"),
    (Which::IoUring, ALL_LIMITS, "all limits"),
    (Which::Epoll, DEFAULTS, "defaults"),
    (Which::Epoll, NO_TIMES, "no times"),
    (Which::Epoll, ALL_LIMITS, "all limits"),
];

/// Holds so many connections, each idle after one echo, and prints what one of them costs.
///
/// # Errors
/// When something cannot start, a connection fails, or Ringside is over its budget.
pub fn bench(counts: &[usize]) -> Result<(), Fault> {
    let rig = Rig::new()?;
    println!(
        "Anonymous resident bytes per idle TLS connection after one echo (budget {BUDGET}), each of its own subject."
    );
    println!(
        "{:<18} {:<11} {:>11} {:>13} {:>13} {:>10}",
        "", "", "connections", "before KiB", "with them KiB", "bytes each"
    );
    let mut within = true;
    for (which, settings, settings_name) in CASES {
        for &count in counts {
            let (before, after) = hold(&rig, which, settings, count)?;
            let each = after.saturating_sub(before) / count.max(1) as u64;
            let over = which != Which::Pump && each > BUDGET;
            let note = if over { "  over budget" } else { "" };
            println!(
                "{:<18} {settings_name:<11} {count:>11} {:>13} {:>13} {each:>10}{note}",
                which.name(),
                before / 1024,
                after / 1024
            );
            within &= !over;
        }
    }
    if within { Ok(()) } else { Err("over budget".into()) }
}

/// Memory of a fresh proxy before and with `count` idle connections.
fn hold(rig: &Rig, which: Which, settings: Settings<'_>, count: usize) -> Result<(u64, u64), Fault> {
    let proxy = rig.start(which, settings)?;
    let config = proxy.target.tls(Handshake::Classic)?;
    let open = |n: usize| -> Result<Client, Fault> {
        let mut client = Client::open(&rig.target(&proxy, &format!("subject {n}"))?, &config)?;
        client.echo(&[7; 64])?;
        Ok(client)
    };
    // What the first connection sets up once is no connection's cost.
    open(0)?.close()?;
    std::thread::sleep(REST);
    let before = cpu::anonymous(proxy.pid())?;
    let clients = (0..count).map(open).collect::<Result<Vec<_>, _>>()?;
    std::thread::sleep(REST);
    let after = cpu::anonymous(proxy.pid())?;
    drop(clients);
    Ok((before, after))
}
