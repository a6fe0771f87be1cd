//! CPU per echo, throughput and latency: at full load, and at a rate that is the same for all.

use std::time::Duration;

use super::board::Board;
use super::table::{RATIOS, Table, note, ratios, value};
use super::{Race, progress};
use crate::Fault;
use crate::case::Case;
use crate::cpu::Cpu;
use crate::load::{Load, Measured};

/// The share of the slowest entrant's full rate at which latency is looked at.
const SHARE: f64 = 0.3;

/// A percentile is of as many echoes as leave so many beyond it, or is not told.
const BEYOND: u64 = 10;

/// A slice, and what load and app used meanwhile.
struct Slice {
    measured: Measured,
    load: Duration,
    app: Duration,
}

pub(super) fn run(race: &Race, case: &Case) -> Result<(), Fault> {
    let mut full = Board::new(&race.names());
    let mut loads: Vec<Option<Load>> = Vec::new();
    for (entrant, running) in race.running.iter().enumerate() {
        progress(&format!("{}: opening at {}", case.name, running.proxy.name));
        let opened = Load::open(race.scale.plan(case.plan), &running.proxy.target, running.proxy.pid());
        loads.push(opened.map_err(|fault| full.exclude(entrant, format!("failed: {fault}"))).ok());
    }
    let mut slice = |entrant: usize, run: &dyn Fn(&mut Load) -> Result<Measured, Fault>| {
        let load = loads[entrant].as_mut().ok_or("not open")?;
        let (ours, app) = (Cpu::of(std::process::id())?, Cpu::of(race.rig.app())?);
        let measured = run(load)?;
        let (ours, app) = (Cpu::of(std::process::id())? - ours, Cpu::of(race.rig.app())? - app);
        Ok(Slice { measured, load: ours.total, app: app.total })
    };
    let echoes = race.scale.plan(case.plan).echoes;
    full.rounds(race.scale.rounds, case.name, |entrant| slice(entrant, &|load| load.slice(echoes, race.scale.longest)));
    let speeds = (0..race.running.len()).filter_map(|entrant| full.middle(entrant, |slice| slice.measured.rate()));
    let Some(slowest) = speeds.map(|speed| speed.median).min_by(f64::total_cmp) else {
        return Err("nobody has run".into());
    };
    let per_second = slowest * SHARE;
    let mut paced = Board::new(&race.names());
    for entrant in 0..race.running.len() {
        if let Some(why) = full.excluded(entrant) {
            paced.exclude(entrant, why);
        }
    }
    let what = format!("{}, {per_second:.0} a second", case.name);
    paced.rounds(race.scale.paced_rounds, &what, |entrant| {
        slice(entrant, &|load| load.paced(per_second, race.scale.paced))
    });
    for (entrant, load) in loads.into_iter().enumerate() {
        if let Some(load) = load.filter(|_| paced.excluded(entrant).is_none())
            && let Err(fault) = load.close()
        {
            full.exclude(entrant, format!("failed: {fault}"));
        }
    }
    print(case, &full, &paced, per_second);
    Ok(())
}

fn print(case: &Case, full: &Board<Slice>, paced: &Board<Slice>, per_second: f64) {
    let columns = ["proxy", "CPU µs per echo", "of it user", RATIOS[0], RATIOS[1]];
    let mut cost = Table::new(columns.into_iter().chain(["echoes/s", "p50 µs", "p99 µs", "p99.9 µs"]));
    let columns = ["proxy", "p50 µs", "p99 µs", "p99.9 µs", "p99: io_uring by it", "p99: epoll by it"];
    let mut latency = Table::new(columns);
    for (entrant, name) in full.names().enumerate() {
        let mut cells = vec![
            value(full.middle(entrant, |slice| slice.measured.cost()), 2),
            value(full.middle(entrant, |slice| slice.measured.user()), 2),
        ];
        cells.extend(ratios(full, entrant, |slice| slice.measured.cost()));
        cells.push(value(full.middle(entrant, |slice| slice.measured.rate()), 0));
        cells.extend(percentiles(full, entrant));
        cost.entrant(full, entrant, name, cells);
        let mut cells = percentiles(paced, entrant);
        let told =
            paced.middle(entrant, |slice| f64::from(u8::from(is_told(slice, 100)))).is_some_and(|all| all.median > 0.5);
        cells.extend(if told {
            ratios(paced, entrant, |slice| slice.measured.p99.as_secs_f64())
        } else {
            vec!["-".into(), "-".into()]
        });
        latency.entrant(paced, entrant, name, cells);
    }
    cost.print(&format!("{}, full load", case.name));
    let each = |of: fn(&Slice) -> f64| {
        let all = (0..full.names().count()).filter_map(|entrant| full.middle(entrant, of)).map(|middle| middle.median);
        crate::spread::Middle::of(all)
    };
    let load = value(each(|slice| slice.measured.per_echo(slice.load)), 2);
    let app = value(each(|slice| slice.measured.per_echo(slice.app)), 2);
    note(&format!("\nLoad and app used {load} and {app} µs of their core per echo."));
    latency.print(&format!(
        "{}, {per_second:.0} messages a second: {:.0}% of what the slowest can do",
        case.name,
        SHARE * 100.0
    ));
}

/// The median, and what one in a hundred and one in a thousand exceed, where there are enough echoes to tell.
fn percentiles(board: &Board<Slice>, entrant: usize) -> Vec<String> {
    let tell = |one_in: u64, of: fn(&Measured) -> Duration| {
        let middle =
            board.middle(entrant, |slice| if is_told(slice, one_in) { micros(of(&slice.measured)) } else { f64::NAN });
        value(middle.filter(|middle| !middle.median.is_nan()), 0)
    };
    vec![tell(2, |run| run.p50), tell(100, |run| run.p99), tell(1000, |run| run.p999)]
}

/// Whether a slice has enough echoes to tell what one in so many exceeds.
fn is_told(slice: &Slice, one_in: u64) -> bool {
    slice.measured.echoes >= one_in * BEYOND
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
