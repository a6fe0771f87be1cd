//! CPU of proxies that have nothing to do: without connections, and with silent ones.

use std::thread;

use super::board::Board;
use super::table::{Table, note, value};
use super::{Race, progress};
use crate::Fault;
use crate::cpu::Cpu;
use crate::crowd::Crowd;

pub(super) fn run(race: &Race) -> Result<(), Fault> {
    let span = race.scale.idle;
    let mut alone = Board::new(&race.names());
    let mut crowded = Board::new(&race.names());
    progress("idle: no connections");
    measure(race, &mut alone, || {
        thread::sleep(span);
        Ok(())
    })?;
    let mut crowds = Vec::new();
    for (entrant, running) in race.running.iter().enumerate() {
        progress(&format!("idle: {} silent connections at {}", race.scale.silent, running.proxy.name));
        match Crowd::open(&running.proxy.target, race.scale.silent) {
            Ok(crowd) => crowds.push((entrant, crowd)),
            Err(fault) => crowded.exclude(entrant, format!("failed: {fault}")),
        }
    }
    measure(race, &mut crowded, || {
        thread::scope(|scope| {
            let held: Vec<_> = crowds.iter_mut().map(|(_, crowd)| scope.spawn(|| crowd.hold(span, None))).collect();
            held.into_iter().try_for_each(|held| held.join().unwrap_or_else(|_| Err("a crowd panicked".into())))
        })
    })?;
    let silent = format!("{} silent", race.scale.silent);
    let mut table = Table::new(["proxy", "no connection", silent.as_str(), "Pings answered"]);
    for (entrant, name) in alone.names().enumerate() {
        let percent = |board: &Board<Cpu>| {
            let share = board.middle(entrant, |cpu| cpu.total.as_secs_f64() / span.as_secs_f64() * 100.0);
            format!("{}%", value(share, 3))
        };
        let pings = crowds.iter().find(|(of, _)| *of == entrant).map_or(0, |(_, crowd)| crowd.pings);
        table.entrant(&crowded, entrant, name, vec![percent(&alone), percent(&crowded), pings.to_string()]);
    }
    table.print("CPU of a core while nothing is said");
    note(&format!("\nAll at once, for {} s each.", span.as_secs()));
    Ok(())
}

/// What every proxy uses while something happens.
fn measure(race: &Race, board: &mut Board<Cpu>, meanwhile: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
    let read = || race.running.iter().map(|running| Cpu::of_family(running.proxy.pid())).collect::<Result<Vec<_>, _>>();
    let before = read()?;
    meanwhile()?;
    let after = read()?;
    board.rounds(1, "idle", |entrant| Ok(after[entrant] - before[entrant]));
    Ok(())
}
