//! CPU per echoed message: Ringside on both engines next to the pump, run in turns.

#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

use std::time::Duration;

use crate::Fault;
use crate::load::{self, Measured, Plan};
use crate::message::Message;
use crate::rig::{DEFAULTS, Proxy, Rig, Which};
use crate::spread::{Middle, NOISY};

/// A load.
pub struct Case {
    /// Its name in tables.
    pub name: &'static str,
    /// What it does.
    pub plan: Plan,
}

/// Long enough that a clock tick of 10 ms is a percent of the proxy's time.
pub const CASES: [Case; 3] = [
    Case {
        name: "64 B x 100 connections, depth 1",
        plan: Plan { connections: 100, depth: 1, message: Message::Binary, size: 64, warm_up: 20_000, echoes: 150_000 },
    },
    Case {
        name: "64 B x 100 connections, depth 16",
        plan: Plan {
            connections: 100,
            depth: 16,
            message: Message::Binary,
            size: 64,
            warm_up: 100_000,
            echoes: 1_500_000,
        },
    },
    Case {
        name: "16 KiB x 100 connections, depth 1",
        plan: Plan {
            connections: 100,
            depth: 1,
            message: Message::Binary,
            size: 16 << 10,
            warm_up: 5_000,
            echoes: 60_000,
        },
    },
];

/// Runs every case `rounds` times for every proxy and prints the table.
///
/// # Errors
/// When something cannot start, and at the end when a run failed.
pub fn bench(rounds: usize, only: &[Which], case: Option<usize>) -> Result<(), Fault> {
    let rig = Rig::new()?;
    let chosen = Which::ALL.into_iter().filter(|which| only.is_empty() || only.contains(which));
    let proxies = chosen.map(|which| rig.start(which, DEFAULTS)).collect::<Result<Vec<_>, _>>()?;
    println!("CPU is the proxy's own, user and system; ratio: median over {rounds} rounds of the ratio to the pump");
    println!("in the same round; spread: (largest - smallest) / median of those ratios.");
    let mut sound = true;
    for (number, Case { name, plan }) in (1..).zip(CASES) {
        if case.is_none_or(|case| case == number) {
            println!("\n{name}");
            let runs = measure(rounds, plan, &proxies);
            sound &= print(&proxies, &runs);
        }
    }
    if sound { Ok(()) } else { Err("a run failed: its proxy has no ratio above".into()) }
}

/// Results by proxy, then by round.
type Runs = Vec<Vec<Result<Measured, Fault>>>;

fn measure(rounds: usize, plan: Plan, proxies: &[Proxy]) -> Runs {
    let mut runs: Runs = proxies.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (proxy, runs) in proxies.iter().zip(&mut runs) {
            runs.push(load::run(plan, &proxy.target, proxy.pid()));
        }
    }
    runs
}

/// Prints one case. Whether every run was sound.
fn print(proxies: &[Proxy], runs: &Runs) -> bool {
    println!(
        "{:<18} {:>8} {:>6} {:>7} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "", "us/echo", "user", "ratio", "spread", "echoes/s", "p50 us", "p99 us", "p99.9 us"
    );
    let mut sound = true;
    let yardstick = proxies.iter().position(|proxy| proxy.which == Which::Pump).map(|at| &runs[at]);
    for (proxy, runs) in proxies.iter().zip(runs) {
        let name = proxy.which.name();
        if let Some(fault) = runs.iter().find_map(|run| run.as_ref().err()) {
            println!("{name:<18} failed: {fault}");
            sound = false;
            continue;
        }
        let middle =
            |value: fn(&Measured) -> f64| Middle::of(runs.iter().flatten().map(value)).map_or(0.0, |of| of.median);
        let ratio = yardstick.filter(|yardstick| yardstick.iter().all(Result::is_ok)).and_then(|yardstick| {
            Middle::of(
                runs.iter().flatten().zip(yardstick.iter().flatten()).map(|(run, pump)| run.cost() / pump.cost()),
            )
        });
        println!(
            "{name:<18} {:>8.2} {:>6.2} {:>7} {:>7} {:>9.0} {:>9.0} {:>9.0} {:>9.0}{}",
            middle(Measured::cost),
            middle(Measured::user),
            ratio.map_or("-".into(), |ratio| format!("{:.2}", ratio.median)),
            ratio.map_or("-".into(), |ratio| format!("{:.0}%", ratio.spread * 100.0)),
            middle(Measured::rate),
            middle(|run| micros(run.p50)),
            middle(|run| micros(run.p99)),
            middle(|run| micros(run.p999)),
            if ratio.is_some_and(Middle::is_noisy) { noisy() } else { String::new() },
        );
    }
    sound
}

fn noisy() -> String {
    format!("  noisy: spread over {:.0}%", NOISY * 100.0)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
