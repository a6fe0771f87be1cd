//! What logs, traces and metrics cost while frames pass, and what a collector that hangs does to them.

#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;

use crate::case::{Case, MAIN};
use crate::client::{Client, Handshake, Target};
use crate::load::{self, Load, Measured, Plan};
use crate::message::Message;
use crate::observed::Observed;
use crate::rig::{Engine, Proxy, Rig, Settings};
use crate::sink::Manner;
use crate::spread::Middle;
use crate::{Fault, memory};

/// Nothing is told to anybody.
const OFF: Settings<'static> = &[("RINGSIDE_LOG_FILTER", "off")];

/// Slices of a round. Short enough that the machine is the same for both sides of a pair.
const SLICES: usize = 10;

/// Threads that open connections in a storm.
const OPENERS: u32 = 4;

/// Lowers the priority of those threads: the load runs on the same core, and what it measures is the proxy, not its wait for
/// them.
const POLITE: i32 = 10;

/// The load whose latency is looked at in a storm, and before it.
const STANDING: Plan =
    Plan { connections: 20, depth: 1, message: Message::Binary, size: 64, warm_up: 2_000, echoes: 60_000 };

/// Prints for every load what evidence takes of an echo: all of it at its defaults by none of it, on one binary; and, with
/// `against`, this binary by that one, which shows what cannot be switched off.
///
/// # Errors
/// When something cannot start or a run fails.
pub fn share(rounds: usize, against: Option<&Path>) -> Result<(), Fault> {
    let rig = Rig::new()?;
    println!(
        "CPU microseconds per echo; ratio: median of {} slices, in pairs; error: standard error of that median.",
        rounds * SLICES
    );
    println!("on: log lines, OTLP traces to a collector that takes all, /metrics asked for each second. off: none.");
    for engine in Engine::ALL {
        let on = Observed::start(&rig, engine, 1, Manner::Takes)?;
        let off = rig.start(engine, OFF)?;
        let other = against.map(|binary| rig.start_other(binary, engine, 1, OFF)).transpose()?;
        println!("\n{:<36} {:>8} {:>8} {:>7} {:>7}", engine.name(), "on", "off", "ratio", "error");
        for Case { name, plan, .. } in MAIN {
            let _scrapes = on.scrape();
            compare(name, rounds, plan, &on.proxy, &off)?;
            if let Some(other) = &other {
                compare("  off, this binary by the other", rounds, plan, &off, other)?;
            }
        }
    }
    Ok(())
}

/// Both hold their connections and echo a slice each, in turns: what changes on the machine changes both.
fn compare(name: &str, rounds: usize, plan: Plan, one: &Proxy, other: &Proxy) -> Result<(), Fault> {
    let open = |proxy: &Proxy| Load::open(plan, &proxy.target, proxy.pid());
    let (mut of_one, mut of_other) = (open(one)?, open(other)?);
    let mut pairs = Vec::new();
    for _ in 0..rounds * SLICES {
        let slice = |load: &mut Load| {
            load.slice(plan.echoes / SLICES as u64, Duration::MAX).map(|slice: Measured| slice.cost())
        };
        pairs.push((slice(&mut of_one)?, slice(&mut of_other)?));
    }
    of_one.close()?;
    of_other.close()?;
    let cost = |of: fn(&(f64, f64)) -> f64| Middle::of(pairs.iter().map(of)).ok_or("no rounds");
    let ratio = cost(|(one, other)| one / other)?;
    let (one, other) = (cost(|(one, _)| *one)?.median, cost(|(_, other)| *other)?.median);
    println!("{name:<36} {one:>8.2} {other:>8.2} {:>7.3} {:>7.3}", ratio.median, ratio.error);
    Ok(())
}

/// Prints the latency of standing connections in quiet and while others come and go at a rate, with the collector up and
/// hanging.
///
/// # Errors
/// When something cannot start or a run fails.
pub fn storm(rounds: usize, per_second: u32) -> Result<(), Fault> {
    let rig = Rig::new()?;
    println!("Echoes of {} connections while {per_second} a second are opened and closed,", STANDING.connections);
    println!(
        "traces at ratio 1.0: collector up and collector that never answers, in turns; {rounds} rounds. by quiet: p99"
    );
    println!("by that of the same connections just before; by up: by that with the collector up.");
    for engine in Engine::ALL {
        let sides = [Manner::Takes, Manner::BlackHole].map(|manner| Observed::start(&rig, engine, 1, manner));
        let [up, hangs] = sides;
        let sides = [up?, hangs?];
        let mut runs = [Vec::new(), Vec::new()];
        let mut before = [0, 0];
        for round in 0..rounds {
            for (side, runs) in sides.iter().zip(&mut runs) {
                let quiet = load::run(STANDING, &side.proxy.target, side.proxy.pid())?;
                let (stormy, opened) = under_storm(&side.proxy, per_second)?;
                runs.push(Run { quiet, stormy, opened });
            }
            // What a first round leaves is the size of the pools.
            if round == 0 {
                before = [memory::anonymous(sides[0].proxy.pid())?, memory::anonymous(sides[1].proxy.pid())?];
            }
        }
        println!(
            "\n{:<18} {:>12} {:>8} {:>8} {:>13} {:>13} {:>9} {:>10}",
            engine.name(),
            "quiet p99 us",
            "p50 us",
            "p99 us",
            "by quiet",
            "by up",
            "opened/s",
            "grown KiB"
        );
        for (n, (name, runs_of)) in ["up", "never answers"].into_iter().zip(&runs).enumerate() {
            let middle = |of: fn(&Run) -> f64| Middle::of(runs_of.iter().map(of)).map_or(0.0, |of| of.median);
            let by_quiet = runs_of.iter().map(|run| micros(run.stormy.p99) / micros(run.quiet.p99));
            let by_up = runs_of.iter().zip(&runs[0]).map(|(one, up)| micros(one.stormy.p99) / micros(up.stormy.p99));
            let [by_quiet, by_up] = [Middle::of(by_quiet), Middle::of(by_up)].map(|ratio| {
                ratio.map_or_else(String::new, |of| format!("{:.2} ({:.0}%)", of.median, of.spread * 100.0))
            });
            let grown = memory::anonymous(sides[n].proxy.pid())?.saturating_sub(before[n]) / 1024;
            println!(
                "{name:<18} {:>12.0} {:>8.0} {:>8.0} {by_quiet:>13} {by_up:>13} {:>9.0} {grown:>10}",
                middle(|run| micros(run.quiet.p99)),
                middle(|run| micros(run.stormy.p50)),
                middle(|run| micros(run.stormy.p99)),
                middle(|run| run.opened),
            );
        }
    }
    Ok(())
}

/// The standing load, twice.
struct Run {
    quiet: Measured,
    stormy: Measured,
    /// How many others were opened and closed a second.
    opened: f64,
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Runs the standing load while others open and close; returns also how many did, a second.
fn under_storm(proxy: &Proxy, per_second: u32) -> Result<(Measured, f64), Fault> {
    let (over, opened) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let began = Instant::now();
        let openers: Vec<_> = (0..OPENERS)
            .map(|_| scope.spawn(|| open_and_close(&proxy.target, per_second / OPENERS, &over, &opened)))
            .collect();
        let measured = load::run(STANDING, &proxy.target, proxy.pid());
        over.store(true, Ordering::Relaxed);
        for opener in openers {
            opener.join().unwrap_or_else(|_| Err("an opener panicked".into()))?;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let rate = opened.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
        Ok((measured?, rate))
    })
}

/// Opens and closes so many connections a second, or as many as there is time for, with resumed sessions.
fn open_and_close(target: &Target, per_second: u32, over: &AtomicBool, opened: &AtomicU64) -> Result<(), Fault> {
    // Of this thread alone, and it is no matter if it stays as it is.
    let _ = setpriority_process(None, POLITE);
    let config = target.tls(Handshake::Resumed)?;
    let step = Duration::from_secs(1) / per_second.max(1);
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        Client::open(target, &config)?.close()?;
        opened.fetch_add(1, Ordering::Relaxed);
        next += step;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}
