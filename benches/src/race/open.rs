//! CPU per connection: connect, TLS handshake, upgrade with an RS256 token, one echo, close.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::ClientConfig;

use super::board::Board;
use super::table::{RATIOS, Table, note, ratios, value};
use super::{Race, progress};
use crate::Fault;
use crate::client::{Client, Handshake, Target};
use crate::cpu::Cpu;
use crate::rig::Proxy;

/// Connections being opened at a time.
const AT_ONCE: u32 = 8;

/// Time for a proxy to come to rest.
const REST: Duration = Duration::from_millis(100);

const CASES: [(Handshake, &str); 3] = [
    (Handshake::Hybrid, "full handshake, X25519MLKEM768"),
    (Handshake::Classic, "full handshake, X25519"),
    (Handshake::Resumed, "resumed, X25519"),
];

pub(super) fn run(race: &Race) -> Result<(), Fault> {
    for (handshake, name) in CASES {
        let title = format!("Connections: {name}");
        let mut board = Board::new(&race.names());
        let mut openers = Vec::new();
        for (entrant, running) in race.running.iter().enumerate() {
            if handshake == Handshake::Hybrid && !race.hybrid[entrant] {
                board.exclude(entrant, "does not know this key exchange");
            }
            openers.push(Openers::new(&running.proxy, handshake)?);
        }
        progress(&title);
        board.rounds(race.scale.rounds, &title, |entrant| openers[entrant].open(race.scale.opened));
        let columns = ["proxy", "token checked", "CPU µs per connection", "of it user"];
        let mut table = Table::new(columns.into_iter().chain(RATIOS));
        for (entrant, name) in board.names().enumerate() {
            let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(race.scale.opened);
            let mut cells = vec![if race.entrants[entrant].checks_token() { "yes" } else { "no" }.to_owned()];
            cells.push(value(board.middle(entrant, |cpu| each(cpu.total)), 0));
            cells.push(value(board.middle(entrant, |cpu| each(cpu.user)), 0));
            cells.extend(ratios(&board, entrant, |cpu: &Cpu| cpu.total.as_secs_f64()));
            table.entrant(&board, entrant, name, cells);
        }
        table.print(&title);
    }
    note(&format!("\nConnect, handshake, upgrade, one echo, close; {AT_ONCE} at a time."));
    Ok(())
}

/// Those who open connections at one proxy, each with the tickets it was given.
struct Openers<'p> {
    proxy: &'p Proxy,
    handshake: Handshake,
    configs: Vec<Arc<ClientConfig>>,
}

impl<'p> Openers<'p> {
    fn new(proxy: &'p Proxy, handshake: Handshake) -> Result<Self, Fault> {
        let configs = (0..AT_ONCE).map(|_| proxy.target.tls(handshake)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { proxy, handshake, configs })
    }

    /// What the proxy uses for so many connections.
    fn open(&self, connections: u32) -> Result<Cpu, Fault> {
        if self.handshake == Handshake::Resumed {
            // Who has no ticket, or an old one, gets one.
            self.configs.iter().try_for_each(|config| open_and_close(&self.proxy.target, config).map(drop))?;
        }
        let before = Cpu::of_family(self.proxy.pid())?;
        let expected = self.handshake == Handshake::Resumed;
        thread::scope(|scope| {
            let openers: Vec<_> = self
                .configs
                .iter()
                .zip(0..)
                .map(|(config, n)| {
                    scope.spawn(move || {
                        (0..(connections + n) / AT_ONCE).try_for_each(|_| -> Result<(), Fault> {
                            match open_and_close(&self.proxy.target, config)? {
                                resumed if resumed == expected => Ok(()),
                                resumed => Err(format!("a connection was resumed: {resumed}").into()),
                            }
                        })
                    })
                })
                .collect();
            openers
                .into_iter()
                .try_for_each(|opener| opener.join().unwrap_or_else(|_| Err("an opener panicked".into())))
        })?;
        thread::sleep(REST);
        Ok(Cpu::of_family(self.proxy.pid())? - before)
    }
}

/// Opens, echoes once, closes. Whether the handshake was resumed.
fn open_and_close(target: &Target, config: &Arc<ClientConfig>) -> Result<bool, Fault> {
    let mut client = Client::open(target, config)?;
    let resumed = client.is_resumed();
    client.echo(&[7; 64])?;
    client.close()?;
    Ok(resumed)
}
