//! The bench's commands; see `README.md` beside.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use ringside_bench::{Fault, echo, evidence, floor, guard, hot, race, timers};

#[derive(Parser)]
#[command(about = "What Ringside costs, next to other proxies and to a bare ring")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ringside, the floor and every peer that is here, side by side: CPU, latency, memory. Some twenty minutes.
    Race(race::Args),
    /// CPU of judging frames, as a share of an echo.
    Guard {
        /// Rounds; every proxy runs once in each.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// CPU with many connections that say next to nothing.
    Timers {
        /// Connections to hold.
        #[arg(long, default_value_t = 9000)]
        connections: usize,
        /// Seconds to hold them in each case.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// CPU of logs, traces and metrics per echo: all of it by none.
    Evidence {
        /// Rounds; every proxy runs once in each.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Another Ringside to compare with, such as that of the commit before: its binary.
        #[arg(long)]
        against: Option<PathBuf>,
    },
    /// Latency of standing connections while others come and go, with a collector that is up and one that hangs.
    Storm {
        /// Rounds; every proxy runs once in each.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Connections opened and closed a second.
        #[arg(long, default_value_t = 1000)]
        per_second: u32,
    },
    /// One hot path over and over, for callgrind to count.
    Hot {
        /// Which one, of those in `baseline.toml`.
        path: String,
    },
    /// The echo app alone.
    Echo {
        /// Unix socket to listen on.
        socket: PathBuf,
    },
    /// The floor alone: TLS in, bytes out, on a bare ring.
    Floor(floor::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Race(args) => race::run(&args),
        Command::Guard { rounds } => guard::bench(rounds),
        Command::Timers { connections, seconds } => timers::bench(connections, Duration::from_secs(seconds)),
        Command::Evidence { rounds, against } => evidence::share(rounds, against.as_deref()),
        Command::Storm { rounds, per_second } => evidence::storm(rounds, per_second),
        Command::Hot { path } => hot::run(&path),
        Command::Echo { socket } => echo::listen(&socket).and_then(echo::serve).map_err(Fault::from),
        Command::Floor(args) => floor::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            #[expect(clippy::print_stderr, reason = "a command line tells its failure")]
            {
                eprintln!("error: {fault}");
            }
            ExitCode::FAILURE
        }
    }
}
