//! From one worker to two.
//!
//! With a core for each worker and others for load and app, throughput would tell. A machine of two cores has none to
//! spare, so what is told does not depend on who waits for a core: the proxy's CPU per echo, and how evenly its threads
//! share it. Of both follows what the proxy could carry with a core per worker: it is full when its busiest thread is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::board::Board;
use super::table::{Table, note, value};
use super::{Race, progress};
use crate::Fault;
use crate::case::SMALL;
use crate::cpu;
use crate::load::{Load, Measured};

/// A slice with one worker and one with two.
struct Pair([Run; 2]);

struct Run {
    measured: Measured,
    /// Of the CPU of all threads, that of the busiest.
    busiest: f64,
}

impl Run {
    /// Echoes a second when the busiest thread has a core for itself.
    fn capacity(&self) -> f64 {
        1e6 / (self.measured.cost() * self.busiest)
    }
}

pub(super) fn run(race: &Race) {
    let mut board = Board::new(&race.names());
    let mut running = Vec::new();
    let mut loads: Vec<Option<[(Load, u32); 2]>> = Vec::new();
    for (entrant, of) in race.entrants.iter().enumerate() {
        if !of.scales() {
            board.exclude(entrant, "has one thread");
            loads.push(None);
            continue;
        }
        progress(&format!("workers: opening at {}", of.name()));
        let opened = [1, 2].map(|workers| -> Result<_, Fault> {
            let started = of.start(&race.rig, workers)?;
            let (target, pid) = (&started.proxy.target, started.proxy.pid());
            let load = Load::open(race.scale.plan(SMALL.plan), target, pid)?;
            running.push(started);
            Ok((load, pid))
        });
        match opened {
            [Ok(one), Ok(two)] => loads.push(Some([one, two])),
            [Err(fault), _] | [_, Err(fault)] => {
                board.exclude(entrant, format!("failed: {fault}"));
                loads.push(None);
            }
        }
    }
    board.rounds(race.scale.rounds, "workers", |entrant| {
        let [one, two] = loads[entrant].as_mut().ok_or("not open")?;
        Ok(Pair([slice(one, race, 1.0)?, slice(two, race, 0.5)?]))
    });
    print(&board);
}

/// Where threads change places, as those of Go do, no worker has less than its share.
fn slice((load, pid): &mut (Load, u32), race: &Race, share: f64) -> Result<Run, Fault> {
    let before = cpu::threads(*pid)?;
    let measured = load.slice(race.scale.plan(SMALL.plan).echoes, race.scale.longest)?;
    Ok(Run { measured, busiest: busiest(&before, &cpu::threads(*pid)?).max(share) })
}

/// The share of the busiest thread in what all have run.
fn busiest(before: &BTreeMap<u32, Duration>, after: &BTreeMap<u32, Duration>) -> f64 {
    let ran: Vec<_> = after
        .iter()
        .map(|(thread, after)| after.saturating_sub(before.get(thread).copied().unwrap_or_default()).as_secs_f64())
        .collect();
    ran.iter().copied().fold(0.0, f64::max) / ran.iter().sum::<f64>()
}

fn print(board: &Board<Pair>) {
    let mut table = Table::new([
        "proxy",
        "1: CPU µs per echo",
        "2: CPU µs per echo",
        "2: busiest thread",
        "capacity, 2 by 1",
        "1: echoes/s",
        "2: echoes/s",
    ]);
    for (entrant, name) in board.names().enumerate() {
        let middle = |of: fn(&Pair) -> f64, decimals| value(board.middle(entrant, of), decimals);
        let capacity = board.middle(entrant, |Pair([one, two])| two.capacity() / one.capacity());
        let doubt = if capacity.is_some_and(crate::spread::Middle::is_noisy) { " (noisy)" } else { "" };
        let cells = vec![
            middle(|Pair([one, _])| one.measured.cost(), 2),
            middle(|Pair([_, two])| two.measured.cost(), 2),
            format!("{}%", middle(|Pair([_, two])| two.busiest * 100.0, 0)),
            format!("{}{doubt}", value(capacity, 2)),
            middle(|Pair([one, _])| one.measured.rate(), 0),
            middle(|Pair([_, two])| two.measured.rate(), 0),
        ];
        table.entrant(board, entrant, name, cells);
    }
    table.print("One worker and two, 64 B x 100 connections, depth 1");
    note(
        "\nCapacity: echoes a second when the busiest thread has a core of its own, by CPU per echo and that thread's",
    );
    note(
        "share of it. Echoes/s are what came out here; with two cores, the second worker shares the load's core: it waits,",
    );
    note("finds more at a wake-up and costs less per echo, so that more than 2 may come out. Compare with the others.");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::busiest;

    #[test]
    fn the_busiest_thread_may_be_new() {
        let times = |times: &[(u32, u64)]| times.iter().map(|(id, ms)| (*id, Duration::from_millis(*ms))).collect();
        let share = busiest(&times(&[(1, 100), (2, 100)]), &times(&[(1, 110), (2, 120), (3, 70)]));
        assert!((share - 0.7).abs() < 1e-9, "{share}");
    }
}
