//! The race: Ringside on both engines, the floor, and every peer that is here, side by side in one run.
//!
//! All proxies are up at once with their connections open, and take turns in slices short enough that the machine is the
//! same for all of them. A ratio is that of two slices of one round; told is the median over the rounds, with its standard
//! error. Who loses a message, or fails otherwise, has no ratio.

mod board;
mod echo;
mod entrant;
mod idle;
mod memory;
mod open;
mod table;
mod workers;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use self::entrant::{Entrant, Running, examine};
use self::table::note;
use crate::case;
use crate::load::Plan;
use crate::rig::{Engine, Rig};
use crate::spread::NOISY;
use crate::{Fault, peer};

/// What is measured besides the loads.
const OTHERS: [&str; 4] = ["open", "memory", "idle", "workers"];

/// What to race.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Rounds; every proxy runs once in each.
    #[arg(long, default_value_t = 8)]
    rounds: usize,
    /// Only these proxies: `io_uring`, epoll, floor, envoy, haproxy, nginx, caddy.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these parts: 64, few, 64x16, 1k, 16k, 1m, open, memory, idle, workers.
    #[arg(long, value_delimiter = ',')]
    case: Vec<String>,
    /// A short run, to see that everything works; its figures are not to be believed.
    #[arg(long)]
    quick: bool,
    /// A Ringside that is built already.
    #[arg(long)]
    ringside: Option<PathBuf>,
    /// Envoy's program.
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// `HAProxy`'s program.
    #[arg(long)]
    haproxy: Option<PathBuf>,
    /// nginx's program.
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// Caddy's program.
    #[arg(long)]
    caddy: Option<PathBuf>,
}

/// How much is measured.
struct Scale {
    rounds: usize,
    /// Slices that a case's echoes make, and how long one may take.
    slices: u64,
    longest: Duration,
    paced_rounds: usize,
    paced: Duration,
    /// Connections opened in a slice.
    opened: u32,
    /// Idle connections held, in rising order.
    held: &'static [usize],
    /// Silent connections at each proxy, and for how long.
    silent: usize,
    idle: Duration,
}

impl Scale {
    fn of(args: &Args) -> Self {
        if args.quick {
            let (paced, idle) = (Duration::from_millis(300), Duration::from_secs(1));
            return Self {
                rounds: 2,
                slices: 60,
                longest: Duration::from_millis(300),
                paced_rounds: 2,
                paced,
                opened: 48,
                held: &[100, 300],
                silent: 50,
                idle,
            };
        }
        Self {
            rounds: args.rounds,
            slices: 5,
            longest: Duration::from_secs(1),
            paced_rounds: args.rounds.div_ceil(2),
            paced: Duration::from_secs(2),
            opened: 400,
            held: &[1_000, 4_000, 9_000],
            silent: 1_000,
            // As long as a silent client waits for its Ping: each gets one.
            idle: Duration::from_secs(30),
        }
    }

    /// One slice of a plan.
    fn plan(&self, plan: Plan) -> Plan {
        let echoes = (plan.echoes / self.slices).max(plan.connections as u64);
        Plan { echoes, warm_up: plan.warm_up.min(echoes), ..plan }
    }
}

/// Everybody, up and examined.
struct Race {
    rig: Rig,
    scale: Scale,
    entrants: Vec<Entrant>,
    running: Vec<Running>,
    /// Who knows the hybrid key exchange.
    hybrid: Vec<bool>,
}

/// Runs the race and prints its tables.
///
/// # Errors
/// When something cannot start, a proxy lets a bad token in, or a name is unknown.
pub fn run(args: &Args) -> Result<(), Fault> {
    let cases = chosen(&args.case, &case::ALL.map(|case| case.key).into_iter().chain(OTHERS).collect::<Vec<_>>())?;
    let (entrants, missing) = entrants(args)?;
    let rig = args.ringside.clone().map_or_else(Rig::new, Rig::with)?;
    let mut race = Race { rig, scale: Scale::of(args), entrants, running: Vec::new(), hybrid: Vec::new() };
    for entrant in &race.entrants {
        progress(&format!("starting {}", entrant.name()));
        let running = entrant.start(&race.rig, 1)?;
        race.hybrid.push(examine(entrant, &race.rig, &running.proxy)?);
        race.running.push(running);
    }
    head(&race, &missing);
    // First, while nothing has left traces in the kernel.
    if cases.contains(&"memory") {
        memory::run(&race);
    }
    for case in case::ALL.iter().filter(|case| cases.contains(&case.key)) {
        echo::run(&race, case)?;
    }
    if cases.contains(&"open") {
        open::run(&race)?;
    }
    if cases.contains(&"idle") {
        idle::run(&race)?;
    }
    // This starts proxies of its own.
    race.running.clear();
    if cases.contains(&"workers") {
        workers::run(&race);
    }
    Ok(())
}

impl Race {
    fn names(&self) -> Vec<&'static str> {
        self.entrants.iter().map(Entrant::name).collect()
    }
}

/// Those of `known` that were asked for: all when none was.
fn chosen<'k>(asked: &[String], known: &[&'k str]) -> Result<Vec<&'k str>, Fault> {
    if let Some(unknown) = asked.iter().find(|asked| !known.contains(&asked.as_str())) {
        return Err(format!("{unknown} is not known; it may be: {}", known.join(", ")).into());
    }
    Ok(known.iter().copied().filter(|known| asked.is_empty() || asked.iter().any(|asked| asked == known)).collect())
}

/// Who was asked for and is here, and what to say of the others.
fn entrants(args: &Args) -> Result<(Vec<Entrant>, Vec<String>), Fault> {
    let ours = [
        ("io_uring", Entrant::Ringside(Engine::IoUring)),
        ("epoll", Entrant::Ringside(Engine::Epoll)),
        ("floor", Entrant::Floor),
    ];
    let known: Vec<_> = ours.iter().map(|(key, _)| *key).chain(peer::ALL.iter().map(|peer| peer.name)).collect();
    let asked = chosen(&args.only, &known)?;
    let (mut entrants, mut missing) = (Vec::new(), Vec::new());
    entrants.extend(ours.into_iter().filter(|(key, _)| asked.contains(key)).map(|(_, entrant)| entrant));
    let given: [&Option<PathBuf>; 4] = [&args.envoy, &args.haproxy, &args.nginx, &args.caddy];
    for (peer, given) in peer::ALL.iter().zip(given).filter(|(peer, _)| asked.contains(&peer.name)) {
        match peer.find(given.as_deref())? {
            Some(installed) => entrants.push(Entrant::Peer(installed)),
            None => missing.push(format!("{} is not here and is skipped: {}", peer.name, peer.install)),
        }
    }
    Ok((entrants, missing))
}

/// Prints when and where this ran, and who took part.
fn head(race: &Race, missing: &[String]) {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let told = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let arguments: Vec<_> = env::args().skip(1).collect();
    note(&format!(
        "## {}: `cargo run --release -p ringside-bench -- {}`\n",
        told("date", &["+%F"]),
        arguments.join(" ")
    ));
    note(&format!(
        "{} cores ({}), kernel {}, commit {}, load average before {}.",
        race.rig.cores(),
        model.trim_start_matches([' ', '\t', ':']),
        read("/proc/sys/kernel/osrelease").trim(),
        told("git", &["describe", "--always", "--dirty"]),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    ));
    let versions: Vec<_> = race.entrants.iter().map(|of| format!("{} {}", of.name(), of.version())).collect();
    note(&format!("{}.", versions.join(", ")));
    for line in missing {
        note(&format!("{line} (or `benches/peers`, for all of them)."));
    }
    note(&format!(
        "Medians of {} rounds; a ratio is that of two slices of one round, ± its standard error. noisy: the ratios'",
        race.scale.rounds
    ));
    note(&format!("quartiles are more than {:.0}% of the median apart.", NOISY * 100.0));
    if race.scale.slices > 5 {
        note("This was a quick run: its figures are not to be believed.");
    }
}

/// Says on the terminal where the race is.
fn progress(text: &str) {
    #[expect(clippy::print_stderr, reason = "who waits for twenty minutes wants to know for what")]
    {
        eprintln!("{text}");
    }
}
