//! `ringside drain`: tells a running sidecar to drain, and waits until its last client is gone.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use humantime::format_duration;

use super::cli::Drain;
use super::sidecar::ask::{AskError, Endpoint, PATIENCE};
use super::sidecar::target::{self, TargetError};
use crate::control::admin::drain::State;

const PATH: &str = "/drain";

/// How often it is asked who is left.
const INTERVAL: Duration = Duration::from_millis(200);

/// Why a sidecar is not known to have drained.
#[derive(Debug, thiserror::Error)]
enum DrainError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(
        "{connections} connections are left after {}, and are drained further; give them more time with --timeout, or less \
         with drain.timeout in the sidecar's configuration",
        format_duration(*timeout)
    )]
    Left { connections: u64, timeout: Duration },
    #[error("the sidecar was told to drain and does not say who is left: {0}")]
    Silent(Box<AskError>),
}

/// Has the sidecar drain. 0 when it does; with `--wait`, when nobody is left.
pub fn drain(args: &Drain) -> ExitCode {
    let env: Vec<_> = std::env::vars_os().collect();
    match tell(args, &env, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody reads: the exit code is all that is left to say.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn tell(args: &Drain, env: &[(OsString, OsString)], out: &mut impl Write) -> Result<(), DrainError> {
    let began = Instant::now();
    let endpoint = Endpoint::new(target::find(&args.sidecar, env)?);
    say(&endpoint.post(PATH, PATIENCE)?, out);
    if args.wait {
        wait(&endpoint, began, args.timeout)?;
        say("drained", out);
    }
    Ok(())
}

/// Asks until nobody is left.
fn wait(endpoint: &Endpoint, began: Instant, timeout: Duration) -> Result<(), DrainError> {
    loop {
        let left = timeout.saturating_sub(began.elapsed());
        let open = match endpoint.get(PATH, left.clamp(INTERVAL, PATIENCE)) {
            Ok(State { draining: true, connections }) if connections > 0 => DrainError::Left { connections, timeout },
            // Nobody is left; or the process has ended, and another one has begun.
            Ok(_) => return Ok(()),
            Err(error) if error.is_nobody() => return Ok(()),
            // It may be ending in this moment.
            Err(error @ AskError::Unreachable(..)) => DrainError::Silent(Box::new(error)),
            Err(error) => return Err(error.into()),
        };
        let left = timeout.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(open);
        }
        thread::sleep(INTERVAL.min(left));
    }
}

fn say(line: &str, out: &mut impl Write) {
    // Whoever does not read it still learns from the exit code.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
