//! `ringside demo`: the proxy in front of an echo app, with a certificate and a key made up on the spot.
//!
//! ```text
//! your client --wss://localhost--> proxy --unix:app.sock--> echo app      all in this process, all files in one
//!                                    |                                    directory that goes with it
//!                                    +--events, spans--> what is printed
//! ```
//!
//! Two ways to see it: `live` waits for clients and prints what becomes of each; `once` is the client itself,
//! plays every scene and holds what it saw against what was expected and what the proxy reported.

mod certificate;
mod client;
mod dir;
mod echo;
mod forest;
mod live;
mod once;
mod scenes;
mod show;
mod spans;
mod stage;
mod steps;
mod tokens;
mod tree;
mod witness;

use std::io::{self, Write};
use std::process::ExitCode;

use super::cli::Demo;
use super::serve::StartError;
use crate::config::Problems;
use crate::control::log::LogError;
use crate::jwt::mint::MintError;

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("cannot make a directory for the demo: {0}")]
    Dir(io::Error),
    #[error("cannot write into the demo's directory: {0}")]
    File(io::Error),
    #[error("no certificate could be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("no token could be made: {0}")]
    Token(#[from] MintError),
    #[error("cannot start the echo app: {0}")]
    App(io::Error),
    #[error("{}", show::problems(.0))]
    Config(Problems),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot start the client: {0}")]
    Client(#[from] rustls::Error),
    #[error("cannot start the control thread: {0}")]
    Control(io::Error),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// Shows the demo. 0 when it ended in order and, of `--once`, when every scene turned out as expected.
pub fn demo(args: Demo) -> ExitCode {
    let shown = if args.once { once::play() } else { live::run() };
    shown.unwrap_or_else(|error| {
        // Nobody reads: the exit code is all that is left to say.
        let _ = writeln!(io::stderr(), "error: {error}");
        ExitCode::FAILURE
    })
}
