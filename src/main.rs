//! The `ringside` command.

use std::process::ExitCode;

use clap::Parser as _;
use ringside::app::{self, cli::Cli};

fn main() -> ExitCode {
    app::main(&Cli::parse())
}
