//! `ringside demo --once`: the whole story, played, checked and told.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Instant;

use super::DemoError;
use super::client::Client;
use super::scenes::{SCENES, Scene};
use super::spans;
use super::stage::Stage;
use super::steps::{Cast, Differs};
use super::witness::{self, Reported, Witness};
use super::{show, stage, tree};

/// Width of the names of scenes.
const NAME: usize = 32;

/// Marks of a scene that turned out as expected, and of one that did not.
#[derive(Clone, Copy)]
struct Marks {
    good: &'static str,
    bad: &'static str,
}

/// Plays every scene. 0 when all turned out as expected.
pub(super) fn play() -> Result<ExitCode, DemoError> {
    let began = Instant::now();
    let (taps, witness) = witness::witness();
    let stage = Stage::set(stage::ANY_PORT, taps)?;
    let client = Client::new(stage.certificate.der.clone(), stage.server.address())?;
    let mut out = io::stdout();
    let told = tell(&stage, client, &witness, &mut out);
    stage.strike();
    let good = told.map_err(DemoError::Output)?;
    let took = show::took(began.elapsed());
    let verdict = if good {
        format!("All {} scenes turned out as expected, seen from both sides, in {took}.", SCENES.len())
    } else {
        format!("Not as expected; the story ends here, after {took}.")
    };
    writeln!(out, "\n{verdict}").map_err(DemoError::Output)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells the story while it is played. It ends early at the first difference.
fn tell(stage: &Stage, client: Client, witness: &Witness, out: &mut impl Write) -> io::Result<bool> {
    let marks = marks();
    writeln!(out, "Ringside demo: every scene once, with a real client in front and an echo app behind\n")?;
    writeln!(out, "  engine  {}", stage.engine())?;
    writeln!(out, "  proxy   {}, with a certificate made for this run", stage.url("wss"))?;
    writeln!(out, "  app     unix:{}", stage.file("app.sock").display())?;
    writeln!(out, "\nWhat the client saw")?;
    let cast = Cast { client, tokens: &stage.tokens };
    let mut reports = Vec::with_capacity(SCENES.len());
    for scene in SCENES {
        match act(scene, &cast, witness) {
            Ok((saw, reported)) => {
                writeln!(out, "  {}  {:NAME$}  {saw}", marks.good, scene.name)?;
                reports.push(reported);
            }
            Err(differs) => {
                writeln!(out, "  {}  {:NAME$}  {differs}", marks.bad, scene.name)?;
                return Ok(false);
            }
        }
    }
    writeln!(out, "\nWhat Ringside reported")?;
    for reported in &reports {
        writeln!(out, "  {}", show::handshake(&reported.handshake))?;
        if let Some(connection) = &reported.connection {
            writeln!(out, "  {}", show::connection(connection))?;
        }
    }
    writeln!(out, "\nThe spans it made: when each began, how long it took, and what it says")?;
    reports.iter().try_for_each(|reported| writeln!(out, "\n  {}", tree::indented(&reported.spans, "  ")))?;
    Ok(true)
}

/// Plays a scene, and holds what was reported of it against what is expected, and its spans against its events.
fn act(scene: &Scene, cast: &Cast<'_>, witness: &Witness) -> Result<(String, Reported), Differs> {
    let saw = (scene.play)(cast)?;
    let reported = witness.next()?;
    scene.check(&reported)?;
    spans::agree(&reported)?;
    Ok((saw, reported))
}

fn marks() -> Marks {
    if io::stdout().is_terminal() { Marks { good: "✓", bad: "✗" } } else { Marks { good: "ok  ", bad: "FAIL" } }
}
