//! The `ringside` command: the composition root. It alone knows every module.

mod capacity;
pub mod check;
pub mod cli;
pub mod demo;
pub mod drain;
pub mod load;
mod open_files;
pub mod run;
pub mod serve;
mod sidecar;
pub mod token;
pub mod top;
mod usage;

use std::process::ExitCode;

use cli::{Cli, Command};

/// Does what the command line says.
pub fn main(cli: &Cli) -> ExitCode {
    match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::check(args),
        Command::Token(args) => token::token(args),
        Command::Top(args) => top::top(args),
        Command::Drain(args) => drain::drain(args),
        Command::Demo(args) => demo::demo(*args),
    }
}
