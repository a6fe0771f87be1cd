//! What judging frames costs: by itself, as a share of an echo, and for text next to binary.

#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use ringside::config::{Config, Source};
use ringside::peer::Side;
use ringside::session::{HEADROOM, Session, Start};
use ringside::telemetry::counters::Counters;
use ringside::window::Window;

use crate::Fault;
use crate::case::{Case, MAIN};
use crate::client;
use crate::files::Files;
use crate::load::{self, Measured, Plan};
use crate::message::Message;
use crate::rig::{DEFAULTS, Engine, Proxy, Rig, Settings};
use crate::spread::Middle;

/// The check of text switched off.
const NO_CHECK: Settings<'static> = &[("RINGSIDE_LIMITS_VALIDATE_UTF8", "false")];

/// Reads that are timed at a time.
const READS: u32 = 4000;

/// How often they are.
const SLICES: usize = 201;

/// Prints for every load and message what the guard takes of an echo, and what the check of text does to it.
///
/// # Errors
/// When something cannot start or a run fails.
pub fn bench(rounds: usize) -> Result<(), Fault> {
    let rig = Rig::new()?;
    let mut proxies = Vec::new();
    for engine in Engine::ALL {
        proxies.push((rig.start(engine, DEFAULTS)?, rig.start(engine, NO_CHECK)?));
    }
    let files = Files::new()?;
    let (checking, not) = (Guard::new(&files, DEFAULTS)?, Guard::new(&files, NO_CHECK)?);
    println!("guard: nanoseconds of judging per echo, one frame each way. share: of the rest of the CPU per echo of a");
    println!("proxy. check: CPU per echo with the check of UTF-8 by that without. Medians of {rounds} rounds.");
    for Case { name, plan, .. } in MAIN {
        println!(
            "\n{name}\n{:<18} {:>9} {:>9} {:>9} {:>8} {:>8} {:>9} {:>8} {:>8}",
            "", "guard", "no check", "io_uring", "share", "check", "epoll", "share", "check"
        );
        for message in Message::ALL {
            let plan = Plan { message, ..plan };
            let guard = checking.per_echo(plan)?;
            print!("{:<18} {guard:>6.0} ns {:>6.0} ns", message.name(), not.per_echo(plan)?);
            for (checking, not) in &proxies {
                let (cost, check) = compare(rounds, plan, checking, not)?;
                let share = guard / (cost * 1000.0 - guard);
                print!(" {cost:>6.2} us {:>7.1}% {check:>8.2}", share * 100.0);
            }
            println!();
        }
    }
    Ok(())
}

/// CPU microseconds per echo of the proxy that checks text, and the ratio to the one that does not.
fn compare(rounds: usize, plan: Plan, checking: &Proxy, not: &Proxy) -> Result<(f64, f64), Fault> {
    let run = |proxy: &Proxy| load::run(plan, &proxy.target, proxy.pid()).map(|run: Measured| run.cost());
    let pairs = (0..rounds).map(|_| Ok((run(checking)?, run(not)?))).collect::<Result<Vec<_>, Fault>>()?;
    let cost = Middle::of(pairs.iter().map(|(cost, _)| *cost)).ok_or("no rounds")?;
    let ratio = Middle::of(pairs.iter().map(|(with, without)| with / without)).ok_or("no rounds")?;
    Ok((cost.median, ratio.median))
}

/// The sessions of many connections in this process.
struct Guard(Config);

impl Guard {
    /// As they are in a proxy with these settings.
    fn new(files: &Files, settings: Settings<'_>) -> Result<Self, Fault> {
        let file = files.configuration(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), "auto", 1)?;
        let loaded = Config::load(&Source::File(file), settings.iter().copied());
        Ok(Self(loaded.map_err(|problems| problems.to_string())?.config))
    }

    /// Nanoseconds per echo: what judging a frame of the client and one of the app takes longer than doing nothing to
    /// them. The reads of as many connections as in `plan` come in turn, each with as many frames.
    fn per_echo(&self, plan: Plan) -> Result<f64, Fault> {
        let (config, now) = (Arc::new(self.0.session.clone()), Instant::now());
        let start = || Start { deflate: false, expires: None, meter: None, entropy: 7, now };
        let mut sessions: Vec<_> = (0..plan.connections).map(|_| Session::new(Arc::clone(&config), start())).collect();
        let (payload, counters) = (plan.message.payload(plan.size), Counters::default());
        let mut per_echo = 0.0;
        for (from, frame) in [
            (Side::Client, client::request(plan.message.opcode(), &payload)),
            (Side::App, client::reply(plan.message.opcode(), &payload)),
        ] {
            let mut buffer = vec![0; HEADROOM];
            buffer.extend(frame.repeat(plan.depth));
            let differences = (0..SLICES).map(|_| {
                let judged =
                    time(&mut sessions, &mut buffer, |session, window| judge(session, from, window, &counters));
                judged - time(&mut sessions, &mut buffer, |_, window| !window.is_empty())
            });
            per_echo += Middle::of(differences).ok_or("no slices")?.median;
        }
        if sessions.iter().any(|session| !session.is_steady()) {
            return Err("a session did not let everything pass".into());
        }
        Ok(per_echo / f64::from(u32::try_from(plan.depth)?))
    }
}

/// What a driver does for one read: it looks at the clock, has the read judged and asks what there is to do.
fn judge(session: &mut Session, from: Side, window: &mut Window<'_>, counters: &Counters) -> bool {
    let judged = session.handle_bytes(from, window, counters.from(from).into(), Instant::now());
    black_box((session.counts(from), session.poll_timeout()));
    for side in [Side::Client, Side::App] {
        black_box((session.has_inject(side), session.poll_finish(side), session.may_read(side), session.end()));
    }
    judged.is_ok()
}

/// Nanoseconds per read.
fn time(
    sessions: &mut [Session],
    buffer: &mut [u8],
    mut work: impl FnMut(&mut Session, &mut Window<'_>) -> bool,
) -> f64 {
    let began = Instant::now();
    let mut turn = 0;
    for _ in 0..READS {
        let mut filled = HEADROOM..buffer.len();
        let mut window = Window::new(black_box(&mut *buffer), &mut filled);
        black_box(work(&mut sessions[turn], &mut window));
        black_box(filled);
        turn = if turn + 1 == sessions.len() { 0 } else { turn + 1 };
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(READS)
}
