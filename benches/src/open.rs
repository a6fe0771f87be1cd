//! CPU per connection: connect, TLS handshake, upgrade with an RS256 token, one echo, close.

#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

use std::thread;
use std::time::Duration;

use crate::Fault;
use crate::client::{Client, Handshake};
use crate::cpu::Cpu;
use crate::rig::{DEFAULTS, Proxy, Rig, Which};
use crate::spread::{Middle, NOISY};

/// Connections being opened at a time.
const AT_ONCE: usize = 8;

/// Time for a proxy to come to rest.
const REST: Duration = Duration::from_millis(300);

const CASES: [(Handshake, &str); 3] = [
    (Handshake::Hybrid, "full handshake, X25519MLKEM768"),
    (Handshake::Classic, "full handshake, X25519"),
    (Handshake::Resumed, "resumed, X25519"),
];

/// Opens and closes `connections` connections in every run and prints the table.
///
/// # Errors
/// When something cannot start or a connection fails.
pub fn bench(rounds: usize, connections: usize) -> Result<(), Fault> {
    let rig = Rig::new()?;
    let proxies = Which::ALL.into_iter().map(|which| rig.start(which, DEFAULTS)).collect::<Result<Vec<_>, _>>()?;
    println!(
        "CPU microseconds of the proxy per connection; median of {rounds} rounds of {connections}, ratio to the pump"
    );
    println!("in the same round. The pump checks no token and reads no head.");
    for (handshake, name) in CASES {
        println!("\n{name}\n{:<18} {:>8} {:>6} {:>7} {:>7}", "", "us", "user", "ratio", "spread");
        let mut costs = vec![Vec::new(); proxies.len()];
        for _ in 0..rounds {
            for (proxy, costs) in proxies.iter().zip(&mut costs) {
                costs.push(run(proxy, handshake, connections)?);
            }
        }
        let each =
            |time: Duration| time.as_secs_f64() * 1e6 / f64::from(u32::try_from(connections).unwrap_or(u32::MAX));
        for (proxy, runs) in proxies.iter().zip(&costs) {
            let middle = |value: fn(&Cpu) -> Duration| {
                Middle::of(runs.iter().map(|run| each(value(run)))).map_or(0.0, |of| of.median)
            };
            let ratios = runs.iter().zip(&costs[0]).map(|(run, pump)| each(run.total) / each(pump.total));
            let Some(ratio) = Middle::of(ratios) else { continue };
            let note =
                if ratio.is_noisy() { format!("  noisy: spread over {:.0}%", NOISY * 100.0) } else { String::new() };
            println!(
                "{:<18} {:>8.0} {:>6.0} {:>7.2} {:>6.0}%{note}",
                proxy.which.name(),
                middle(|cpu| cpu.total),
                middle(|cpu| cpu.user),
                ratio.median,
                ratio.spread * 100.0,
            );
        }
    }
    Ok(())
}

/// What `proxy` used for so many connections.
fn run(proxy: &Proxy, handshake: Handshake, connections: usize) -> Result<Cpu, Fault> {
    let before = Cpu::of(proxy.pid())?;
    thread::scope(|scope| {
        let openers: Vec<_> =
            (0..AT_ONCE).map(|n| scope.spawn(move || open(proxy, handshake, (connections + n) / AT_ONCE))).collect();
        openers.into_iter().try_for_each(|opener| opener.join().unwrap_or_else(|_| Err("an opener panicked".into())))
    })?;
    thread::sleep(REST);
    Ok(Cpu::of(proxy.pid())? - before)
}

fn open(proxy: &Proxy, handshake: Handshake, connections: usize) -> Result<(), Fault> {
    let config = proxy.target.tls(handshake)?;
    for n in 0..connections {
        let mut client = Client::open(&proxy.target, &config)?;
        // The first connection of an opener has no ticket yet.
        if client.is_resumed() != (handshake == Handshake::Resumed && n > 0) {
            return Err(format!("connection {n} was {}resumed", if client.is_resumed() { "" } else { "not " }).into());
        }
        client.echo(&[7; 64])?;
        client.close()?;
    }
    Ok(())
}
