//! The bench's commands; see `README.md` beside.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use ringside_bench::rig::Which;
use ringside_bench::{Fault, echo, evidence, guard, idle, open, pump, relay, timers};

#[derive(Parser)]
#[command(about = "What Ringside costs, next to a bare byte pump in the same run")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// CPU per echoed message and latency.
    Relay {
        /// Rounds; every proxy runs once in each.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Only these proxies. Ratios need the pump.
        #[arg(long, value_enum)]
        only: Vec<Which>,
        /// Only the case with this number, from 1.
        #[arg(long)]
        case: Option<usize>,
    },
    /// Memory per idle connection.
    Idle {
        /// Connections to hold, in rising order.
        #[arg(long, default_values_t = [1000, 4000])]
        connections: Vec<usize>,
    },
    /// CPU per connection: connect, TLS, upgrade, one echo, close.
    Open {
        /// Rounds; every proxy runs once in each.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Connections per run.
        #[arg(long, default_value_t = 1000)]
        connections: usize,
    },
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
    /// The echo app alone.
    Echo {
        /// Unix socket to listen on.
        socket: PathBuf,
    },
    /// The byte pump alone.
    Pump(pump::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Relay { rounds, only, case } => relay::bench(rounds, &only, case),
        Command::Idle { connections } => idle::bench(&connections),
        Command::Open { rounds, connections } => open::bench(rounds, connections),
        Command::Guard { rounds } => guard::bench(rounds),
        Command::Timers { connections, seconds } => timers::bench(connections, Duration::from_secs(seconds)),
        Command::Evidence { rounds, against } => evidence::share(rounds, against.as_deref()),
        Command::Storm { rounds, per_second } => evidence::storm(rounds, per_second),
        Command::Echo { socket } => echo::listen(&socket).and_then(echo::serve).map_err(Fault::from),
        Command::Pump(args) => pump::run(&args),
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
