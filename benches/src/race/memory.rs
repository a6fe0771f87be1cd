//! Memory per idle connection.

use std::thread;
use std::time::Duration;

use super::board::Board;
use super::entrant::Entrant;
use super::table::{RATIOS, Table, note, value};
use super::{Race, progress};
use crate::client::{Client, Handshake};
use crate::rig::Engine;
use crate::{Fault, memory};

/// Time for a proxy, and for the kernel, to come to rest.
const REST: Duration = Duration::from_millis(500);

/// How often the kernel may need it, to be done with what was before, and how often nothing must change.
const RESTS: usize = 60;
const CALM: usize = 4;

/// A change that is none: what others on the machine do.
const NOISE: u64 = 256 << 10;

/// Bytes per connection.
#[derive(Clone, Copy)]
struct Kept {
    anonymous: f64,
    kernel: f64,
}

pub(super) fn run(race: &Race) {
    let counts = race.scale.held;
    let mut board = Board::new(&race.names());
    board.rounds(1, "memory", |entrant| {
        let entrant = &race.entrants[entrant];
        progress(&format!("memory: {}", entrant.name()));
        hold(race, entrant, counts)
    });
    let columns: Vec<_> = counts.iter().flat_map(|n| [format!("{n}: anonymous"), format!("{n}: kernel")]).collect();
    let columns = ["proxy"].into_iter().chain(columns.iter().map(String::as_str)).chain(RATIOS);
    let mut table = Table::new(columns);
    for (entrant, name) in board.names().enumerate() {
        let mut cells = Vec::new();
        for at in 0..counts.len() {
            cells.push(value(board.middle(entrant, |kept| kept[at].anonymous), 0));
            cells.push(value(board.middle(entrant, |kept| kept[at].kernel), 0));
        }
        let anonymous = |kept: &Vec<Kept>| kept.last().map_or(f64::NAN, |kept| kept.anonymous);
        cells.extend(Engine::ALL.map(|engine| value(board.ratio(engine.name(), entrant, anonymous), 2)));
        table.entrant(&board, entrant, name, cells);
    }
    table.print("Bytes per idle TLS connection, after one echo");
    note(
        "\nA proxy of its own each, once. Anonymous: resident memory of the proxy's processes; the ratio is of it, with the",
    );
    note(
        "most connections. Kernel: growth of slabs, page tables, stacks and TCP's buffers of the whole machine, so those",
    );
    note("of client and app are in it, for all alike.");
}

/// What each of so many connections takes, in rising numbers of them.
fn hold(race: &Race, entrant: &Entrant, counts: &[usize]) -> Result<Vec<Kept>, Fault> {
    let running = entrant.start(&race.rig, 1)?;
    let proxy = &running.proxy;
    let config = proxy.target.tls(Handshake::Classic)?;
    let open = |_| -> Result<Client, Fault> {
        let mut client = Client::open(&proxy.target, &config)?;
        client.echo(&[7; 64])?;
        Ok(client)
    };
    // What the first connection sets up once is no connection's cost.
    open(0)?.close()?;
    let before = (memory::anonymous(proxy.pid())?, settled()?);
    let (mut clients, mut all) = (Vec::new(), Vec::new());
    for &count in counts {
        clients.extend((clients.len()..count).map(open).collect::<Result<Vec<_>, _>>()?);
        thread::sleep(REST);
        let connections = u32::try_from(count.max(1))?;
        #[expect(clippy::cast_precision_loss, reason = "bytes of a machine are far below 2^52")]
        let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / f64::from(connections);
        let anonymous = each(memory::anonymous(proxy.pid())?, before.0);
        all.push(Kept { anonymous, kernel: each(memory::kernel()?, before.1) });
    }
    clients.into_iter().try_for_each(Client::abort)?;
    Ok(all)
}

/// The kernel's memory once it falls no more: what the proxy before had is freed late, that of a ring seconds later.
fn settled() -> Result<u64, Fault> {
    let (mut least, mut calm) = (memory::kernel()?, 0);
    for _ in 0..RESTS {
        thread::sleep(REST);
        let now = memory::kernel()?;
        calm = if now + NOISE < least { 0 } else { calm + 1 };
        least = least.min(now);
        if calm == CALM {
            break;
        }
    }
    Ok(least)
}
