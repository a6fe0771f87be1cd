//! The command `ringside-injector`.

use std::process::ExitCode;

use clap::Parser;
use ringside_injector::{cli::Cli, command};

fn main() -> ExitCode {
    command::run(Cli::parse())
}
