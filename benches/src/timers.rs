//! CPU of timers: many connections that say next to nothing.

#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

use std::time::Duration;

use crate::cpu::Cpu;
use crate::crowd::Crowd;
use crate::rig::{ALL_LIMITS, DEFAULTS, Engine, NO_TIMES, Rig, Settings};
use crate::{Fault, memory};

/// How often a connection that talks does: often enough never to get a Ping.
const TALK: Duration = Duration::from_secs(20);

/// What the connections do, and what the proxy has to remember meanwhile.
const CASES: [(&str, Settings<'static>, bool); 5] = [
    ("silent, no times", NO_TIMES, false),
    ("silent, defaults: a Ping each 30 s", DEFAULTS, false),
    ("silent, all limits: two Pings each 30 s", ALL_LIMITS, false),
    ("an echo each 20 s, no times", NO_TIMES, true),
    ("an echo each 20 s, all limits", ALL_LIMITS, true),
];

/// Holds so many connections for so long in every case and prints what the proxy used.
///
/// # Errors
/// When something cannot start or a connection fails.
pub fn bench(connections: usize, span: Duration) -> Result<(), Fault> {
    let rig = Rig::new()?;
    println!("CPU of the proxy, user and system, with {connections} TLS connections for {} s.", span.as_secs());
    for engine in Engine::ALL {
        println!(
            "\n{:<40} {:>8} {:>10} {:>8} {:>8} {:>12}",
            engine.name(),
            "CPU ms",
            "% of core",
            "pings",
            "echoes",
            "bytes each"
        );
        for (name, settings, talk) in CASES {
            let proxy = rig.start(engine, settings)?;
            let before = memory::anonymous(proxy.pid())?;
            let mut crowd = Crowd::open(&proxy.target, connections)?;
            let used = Cpu::of(proxy.pid())?;
            crowd.hold(span, talk.then_some(TALK))?;
            let used = (Cpu::of(proxy.pid())? - used).total;
            let each = memory::anonymous(proxy.pid())?.saturating_sub(before) / connections.max(1) as u64;
            println!(
                "{name:<40} {:>8} {:>9.2}% {:>8} {:>8} {each:>12}",
                used.as_millis(),
                used.as_secs_f64() / span.as_secs_f64() * 100.0,
                crowd.pings,
                crowd.echoes
            );
        }
    }
    Ok(())
}
