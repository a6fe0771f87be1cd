//! Many clients at once on one thread: each keeps `depth` messages on the way and checks each that comes back.
//!
//! Messages are numbered per connection and every byte is compared, so a lost, doubled, reordered or changed message
//! ends the run with a fault. All that is there is read at once, checked, and answered with one write.
//!
//! A load is either closed, where each message that comes back sends the next, which shows what a proxy can do; or paced,
//! where messages leave at their time, which shows how long one waits for it.

mod flow;
mod pace;

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use self::flow::Flow;
use self::pace::{Pace, Timer};
use crate::client::{Client, Handshake, Target};
use crate::cpu::Cpu;
use crate::message::Message;
use crate::{Fault, tls};

/// When nothing comes back for so long, it is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes taken in one read.
const READ: usize = 256 << 10;

/// Room for the answers to Pings.
const PONGS: usize = 256;

/// The token of the timer of a paced load; the others are numbers of flows.
const TIMER: Token = Token(usize::MAX);

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Connections.
    pub connections: usize,
    /// Messages on the way per connection.
    pub depth: usize,
    /// What they are.
    pub message: Message,
    /// Payload bytes per message, at least 8.
    pub size: usize,
    /// Echoes before the measurement begins.
    pub warm_up: u64,
    /// Echoes in the measurement.
    pub echoes: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Echoes.
    pub echoes: u64,
    /// How long they took.
    pub took: Duration,
    /// What the proxy used for them.
    pub cpu: Cpu,
    /// Half of the echoes took no longer.
    pub p50: Duration,
    /// 99 in 100 took no longer.
    pub p99: Duration,
    /// 999 in 1000 took no longer.
    pub p999: Duration,
}

impl Measured {
    /// CPU microseconds of the proxy per echo.
    pub fn cost(&self) -> f64 {
        self.per_echo(self.cpu.total)
    }

    /// Those of its own code.
    pub fn user(&self) -> f64 {
        self.per_echo(self.cpu.user)
    }

    /// Echoes per second.
    pub fn rate(&self) -> f64 {
        1e6 / self.per_echo(self.took)
    }

    /// The microseconds of `time` by the number of echoes.
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
    pub fn per_echo(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.echoes as f64
    }
}

/// Runs `plan` against `target` and watches what the process `proxy` uses.
pub fn run(plan: Plan, target: &Target, proxy: u32) -> Result<Measured, Fault> {
    let mut load = Load::open(plan, target, proxy)?;
    let measured = load.slice(plan.echoes, Duration::MAX)?;
    load.close()?;
    Ok(measured)
}

/// The connections of a plan, open and warm.
pub struct Load {
    plan: Plan,
    proxy: u32,
    poll: Poll,
    timer: Timer,
    flows: Vec<Flow>,
    taken: Vec<u8>,
    plain: Vec<u8>,
    wire: Vec<u8>,
    done: u64,
    /// Messages sent and not back yet.
    away: u64,
    /// Of the echoes of this slice, in nanoseconds.
    latencies: Vec<u32>,
}

impl Load {
    /// Opens the connections of `plan` to `target` and warms them up; `proxy` is the process to watch.
    pub fn open(plan: Plan, target: &Target, proxy: u32) -> Result<Self, Fault> {
        let config = target.tls(Handshake::Classic)?;
        let (poll, timer) = (Poll::new()?, Timer::new()?);
        poll.registry().register(&mut SourceFd(&timer.0.as_raw_fd()), TIMER, Interest::READABLE)?;
        let payload = plan.message.payload(plan.size);
        let mut flows = Vec::new();
        for _ in 0..plan.connections {
            let mut flow = Flow::new(Client::open(target, &config)?, plan.message, &payload)?;
            poll.registry().register(&mut flow.socket, Token(flows.len()), Interest::READABLE)?;
            flows.push(flow);
        }
        let mut load = Self {
            plan,
            proxy,
            poll,
            timer,
            flows,
            taken: vec![0; READ],
            plain: Vec::new(),
            wire: vec![0; tls::sealed(plan.depth * (plan.size + 14) + PONGS)],
            done: 0,
            away: 0,
            latencies: Vec::with_capacity(usize::try_from(plan.echoes.max(plan.warm_up))?),
        };
        load.slice(plan.warm_up, Duration::MAX)?;
        Ok(load)
    }

    /// Echoes so many messages, or as many as there is time for, and a few more: those on the way then. At the end none is.
    pub fn slice(&mut self, echoes: u64, longest: Duration) -> Result<Measured, Fault> {
        let slice = self.begin()?;
        for n in 0..self.flows.len() {
            self.send(n, self.plan.depth, Instant::now())?;
        }
        let mut events = Events::with_capacity(1024);
        while self.away > 0 {
            self.poll(&mut events)?;
            for event in &events {
                let n = event.token().0;
                if event.is_writable() {
                    self.flush(n)?;
                }
                let back = self.receive(n)?;
                let now = Instant::now();
                let goes_on = self.done < slice.done + echoes && now - slice.began < longest;
                self.send(n, if goes_on { back } else { 0 }, now)?;
            }
        }
        self.end(&slice)
    }

    /// Sends `rate` messages a second for `span`, as many as the plan is deep at once, on the next connection and at their
    /// time, whatever has come back; and waits for those on the way. A latency counts from when the message was due: a proxy, or a load, that is held up
    /// delays all that were due meanwhile.
    pub fn paced(&mut self, rate: f64, span: Duration) -> Result<Measured, Fault> {
        let slice = self.begin()?;
        let depth = self.plan.depth;
        let mut pace = Pace::new(rate / f64::from(u32::try_from(depth)?), span, slice.began);
        let mut events = Events::with_capacity(1024);
        while pace.due().is_some() || self.away > 0 {
            while let Some((number, due)) = pace.next(Instant::now()) {
                self.send(number as usize % self.flows.len(), depth, due)?;
            }
            if let Some(due) = pace.due() {
                self.timer.set(due.saturating_duration_since(Instant::now()))?;
            }
            self.poll(&mut events)?;
            for event in events.iter().filter(|event| event.token() != TIMER) {
                let n = event.token().0;
                if event.is_writable() {
                    self.flush(n)?;
                }
                self.receive(n)?;
                self.send(n, 0, Instant::now())?;
            }
        }
        self.end(&slice)
    }

    fn begin(&mut self) -> Result<Slice, Fault> {
        self.latencies.clear();
        Ok(Slice { began: Instant::now(), before: Cpu::of_family(self.proxy)?, done: self.done })
    }

    fn end(&mut self, slice: &Slice) -> Result<Measured, Fault> {
        let (took, cpu) = (slice.began.elapsed(), Cpu::of_family(self.proxy)? - slice.before);
        let latencies = &mut self.latencies;
        latencies.sort_unstable();
        let rank = |per_mille: usize| {
            let at = (latencies.len() * per_mille / 1000).min(latencies.len().saturating_sub(1));
            Duration::from_nanos(latencies.get(at).copied().unwrap_or(0).into())
        };
        let echoes = self.done - slice.done;
        Ok(Measured { echoes, took, cpu, p50: rank(500), p99: rank(990), p999: rank(999) })
    }

    fn poll(&mut self, events: &mut Events) -> Result<(), Fault> {
        self.poll.poll(events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err(format!("{} messages lost", self.away).into());
        }
        Ok(())
    }

    /// Closes all connections, and takes them at their word.
    pub fn close(self) -> Result<(), Fault> {
        self.flows.into_iter().try_for_each(Flow::close)
    }

    /// Takes what came for flow `n` and checks it. Returns how many messages came back.
    fn receive(&mut self, n: usize) -> Result<usize, Fault> {
        let flow = &mut self.flows[n];
        let mut back = 0;
        loop {
            let kept = flow.partial.len();
            self.taken[..kept].copy_from_slice(&flow.partial);
            let got = match flow.socket.read(&mut self.taken[kept..]) {
                Ok(0) => return Err("the proxy ended a connection".into()),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            };
            let now = Instant::now();
            let (mut reply, latencies) = (Vec::new(), &mut self.latencies);
            let (tls, expected) = (&mut flow.tls, &mut flow.expected);
            let opened = tls::open(tls, &mut self.taken[..kept + got], &mut reply, |plain| {
                back += expected.check(plain, now, latencies)?;
                Ok(())
            })?;
            if opened.closed || !reply.is_empty() {
                return Err("the proxy said something in TLS that a load does not expect".into());
            }
            flow.partial.clear();
            flow.partial.extend_from_slice(&self.taken[opened.taken..kept + got]);
            // A short read of a stream socket has emptied it, and what comes later is a new event (epoll(7)).
            if kept + got < self.taken.len() {
                break;
            }
        }
        self.done += back as u64;
        self.away -= back as u64;
        Ok(back)
    }

    /// Sends the next `count` messages of flow `n`, which are due at `due`, and Pongs if any, in one write.
    fn send(&mut self, n: usize, count: usize, due: Instant) -> Result<(), Fault> {
        let flow = &mut self.flows[n];
        if count == 0 && flow.expected.pongs.is_empty() {
            return Ok(());
        }
        self.plain.clear();
        self.plain.append(&mut flow.expected.pongs);
        for _ in 0..count {
            self.plain.extend_from_slice(flow.next_request(due));
        }
        self.away += count as u64;
        let length = tls::seal(&mut flow.tls, &self.plain, &mut self.wire)?;
        let wire = &self.wire[..length];
        if !flow.unsent.is_empty() {
            flow.unsent.extend(wire);
            return Ok(());
        }
        let written = flow::write(&mut flow.socket, wire)?;
        if written < length {
            flow.unsent.extend(&wire[written..]);
            self.poll.registry().reregister(&mut flow.socket, Token(n), Interest::READABLE | Interest::WRITABLE)?;
        }
        Ok(())
    }

    /// Writes on where flow `n` was blocked.
    fn flush(&mut self, n: usize) -> Result<(), Fault> {
        let flow = &mut self.flows[n];
        if !flow.unsent.is_empty() {
            flow.unsent.write(&mut flow.socket)?;
            if flow.unsent.is_empty() {
                self.poll.registry().reregister(&mut flow.socket, Token(n), Interest::READABLE)?;
            }
        }
        Ok(())
    }
}

/// What a slice began with.
struct Slice {
    began: Instant,
    before: Cpu,
    done: u64,
}
