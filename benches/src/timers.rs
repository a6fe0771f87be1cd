//! CPU of timers: many connections that say next to nothing.

#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::Fault;
use crate::client::{Client, Handshake, Target};
use crate::cpu::{self, Cpu};
use crate::rig::{ALL_LIMITS, DEFAULTS, NO_TIMES, Rig, Settings, Which};

/// How often a connection that talks does: often enough never to get a Ping.
const TALK: Duration = Duration::from_secs(20);

/// What the connections do, and what the proxy has to remember meanwhile.
const CASES: [(&str, Settings<'static>, bool); 5] = [
    ("silent, no times", NO_TIMES, false),
    ("silent, defaults: a Ping each 30 s", DEFAULTS, false),
    ("silent, all limits: two Pings each 30 s", ALL_LIMITS, false),
    ("an echo each 20 s, no times", NO_TIMES, true),
    ("an echo each 20 s, all limits", ALL_LIMITS, true),
];

/// Holds so many connections for so long in every case and prints what the proxy used.
///
/// # Errors
/// When something cannot start or a connection fails.
pub fn bench(connections: usize, span: Duration) -> Result<(), Fault> {
    let rig = Rig::new()?;
    println!("CPU of the proxy, user and system, with {connections} TLS connections for {} s.", span.as_secs());
    for which in [Which::IoUring, Which::Epoll] {
        println!(
            "\n{:<40} {:>8} {:>10} {:>8} {:>8} {:>12}",
            which.name(),
            "CPU ms",
            "% of core",
            "pings",
            "echoes",
            "bytes each"
        );
        for (name, settings, talk) in CASES {
            let proxy = rig.start(which, settings)?;
            let before = cpu::anonymous(proxy.pid())?;
            let mut crowd = Crowd::open(&proxy.target, connections)?;
            let used = Cpu::of(proxy.pid())?;
            crowd.hold(span, talk.then_some(TALK))?;
            let used = (Cpu::of(proxy.pid())? - used).total;
            let each = cpu::anonymous(proxy.pid())?.saturating_sub(before) / connections.max(1) as u64;
            println!(
                "{name:<40} {:>8} {:>9.2}% {:>8} {:>8} {each:>12}",
                used.as_millis(),
                used.as_secs_f64() / span.as_secs_f64() * 100.0,
                crowd.pings,
                crowd.echoes
            );
        }
    }
    Ok(())
}

/// Connections that answer what they are asked.
struct Crowd {
    clients: Vec<Client>,
    poll: Poll,
    pings: u32,
    echoes: u32,
}

impl Crowd {
    fn open(target: &Target, count: usize) -> Result<Self, Fault> {
        let poll = Poll::new()?;
        let config = target.tls(Handshake::Classic)?;
        let mut clients = Vec::with_capacity(count);
        for n in 0..count {
            let client = Client::open(target, &config)?;
            poll.registry().register(&mut SourceFd(&client.socket.as_raw_fd()), Token(n), Interest::READABLE)?;
            clients.push(client);
        }
        Ok(Self { clients, poll, pings: 0, echoes: 0 })
    }

    /// Answers for so long. Every client sends a message once in `talk`, evenly spread.
    fn hold(&mut self, span: Duration, talk: Option<Duration>) -> Result<(), Fault> {
        let began = Instant::now();
        let pace = talk.map(|talk| talk / u32::try_from(self.clients.len()).unwrap_or(u32::MAX));
        let mut events = Events::with_capacity(1024);
        loop {
            let elapsed = began.elapsed();
            if elapsed >= span {
                return Ok(());
            }
            while let Some(pace) = pace
                && pace * self.echoes < elapsed
            {
                let next = self.echoes as usize % self.clients.len();
                self.clients[next].say(&[7; 64])?;
                self.echoes += 1;
            }
            let next = pace.map_or(span, |pace| (pace * self.echoes).min(span));
            self.poll.poll(&mut events, Some(next.saturating_sub(elapsed)))?;
            for event in &events {
                self.pings += self.clients[event.token().0].listen()?;
            }
        }
    }
}
