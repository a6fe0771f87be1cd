//! The hot paths, each alone and with inputs that are always the same, for callgrind to count their instructions.
//!
//! Nothing here looks at a clock, and what is random (the keys of TLS) takes no part in how many instructions there are.
//! `tests/instructions.rs` compares them with those on record.

mod opening;
mod records;
mod relaying;

use crate::Fault;

/// How often a path is run while callgrind counts.
pub const RUNS: u32 = 100;

/// The function in whose calls callgrind counts.
pub const COUNTED: &str = "ringside_bench::hot::counted";

/// Runs a path once; whether it went as it should.
type Work = Box<dyn FnMut() -> bool>;

/// What makes everything that a path needs, for at least one run more than [`RUNS`].
type Prepare = fn() -> Result<Work, Fault>;

/// All paths, by name.
pub const PATHS: [(&str, Prepare); 12] = [
    ("judge a binary message of 64 B", relaying::judge_binary_64),
    ("judge a binary message of 16 KiB", relaying::judge_binary_16k),
    ("judge a text message of 64 B", relaying::judge_text_64),
    ("relay 64 B from the client", relaying::step_client),
    ("relay 64 B from the app", relaying::step_app),
    ("read an upgrade request", opening::head),
    ("verify an RS256 token", opening::token_rs256),
    ("verify an ES256 token", opening::token_es256),
    ("open a record of 64 B", records::open_64),
    ("open a record of 16 KiB", records::open_16k),
    ("seal a record of 64 B", records::seal_64),
    ("seal a record of 16 KiB", records::seal_16k),
];

/// Runs the path of this name: once for what is only done the first time, then [`RUNS`] times to be counted.
///
/// # Errors
/// When there is no such path, it cannot be prepared, or a run of it goes wrong.
pub fn run(name: &str) -> Result<(), Fault> {
    let (_, prepare) = PATHS.iter().find(|(known, _)| *known == name).ok_or_else(|| format!("no path {name:?}"))?;
    let mut work = prepare()?;
    if work() && counted(&mut *work) == RUNS { Ok(()) } else { Err(format!("{name}: a run went wrong").into()) }
}

/// Runs `work` over and over. Returns how often it went as it should.
#[inline(never)]
fn counted(work: &mut dyn FnMut() -> bool) -> u32 {
    (0..RUNS).map(|_| u32::from(work())).sum()
}

#[cfg(test)]
mod tests {
    use super::{PATHS, run};

    #[test]
    fn every_path_goes_as_it_should() {
        for (name, _) in PATHS {
            run(name).unwrap();
        }
        assert!(run("no such path").is_err());
    }
}
