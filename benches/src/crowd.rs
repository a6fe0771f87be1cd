//! Many connections that say next to nothing.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::Fault;
use crate::client::{Client, Handshake, Target};

/// Connections that answer what they are asked.
pub struct Crowd {
    clients: Vec<Client>,
    poll: Poll,
    /// Pings that were answered.
    pub pings: u32,
    /// Messages that were sent.
    pub echoes: u32,
}

impl Crowd {
    /// Opens so many.
    pub fn open(target: &Target, count: usize) -> Result<Self, Fault> {
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
    pub fn hold(&mut self, span: Duration, talk: Option<Duration>) -> Result<(), Fault> {
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
