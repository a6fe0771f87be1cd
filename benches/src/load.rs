//! Many clients at once on one thread: each keeps `depth` messages on the way and checks each that comes back.
//!
//! Messages are numbered per connection and every byte is compared, so a lost, doubled, reordered or changed message
//! ends the run with a fault. All that is there is read at once, checked, and answered with one write.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::client::UnbufferedClientConnection;

use crate::client::{self, CLOSE, Client, Handshake, Target};
use crate::cpu::Cpu;
use crate::message::Message;
use crate::{Fault, tls};

/// When nothing comes back for so long, it is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes taken in one read.
const READ: usize = 256 << 10;

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
    fn per_echo(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.echoes as f64
    }
}

/// Runs `plan` against `target` and watches what the process `proxy` uses.
pub fn run(plan: Plan, target: &Target, proxy: u32) -> Result<Measured, Fault> {
    let mut load = Load::open(plan, target, proxy)?;
    let measured = load.slice(plan.echoes)?;
    load.close()?;
    Ok(measured)
}

/// The connections of a plan, open and warm.
pub struct Load {
    plan: Plan,
    proxy: u32,
    poll: Poll,
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
        let poll = Poll::new()?;
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
            flows,
            taken: vec![0; READ],
            plain: Vec::new(),
            wire: vec![0; tls::sealed(plan.depth * (plan.size + 14))],
            done: 0,
            away: 0,
            latencies: Vec::with_capacity(usize::try_from(plan.echoes.max(plan.warm_up))?),
        };
        load.slice(plan.warm_up)?;
        Ok(load)
    }

    /// Echoes so many messages, and a few more: those on the way when they are done. At the end none is.
    pub fn slice(&mut self, echoes: u64) -> Result<Measured, Fault> {
        let (start, before, first) = (Instant::now(), Cpu::of(self.proxy)?, self.done);
        self.latencies.clear();
        for n in 0..self.flows.len() {
            self.send(n, self.plan.depth, Instant::now())?;
        }
        let mut events = Events::with_capacity(1024);
        while self.away > 0 {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(format!("{} messages lost", self.away).into());
            }
            for event in &events {
                let n = event.token().0;
                if event.is_writable() {
                    self.flush(n)?;
                }
                let sendable = self.receive(n, first + echoes)?;
                self.send(n, sendable, Instant::now())?;
            }
        }
        let (took, cpu) = (start.elapsed(), Cpu::of(self.proxy)? - before);
        let latencies = &mut self.latencies;
        latencies.sort_unstable();
        let rank = |per_mille: usize| {
            let at = (latencies.len() * per_mille / 1000).min(latencies.len().saturating_sub(1));
            Duration::from_nanos(latencies.get(at).copied().unwrap_or(0).into())
        };
        Ok(Measured { echoes: self.done - first, took, cpu, p50: rank(500), p99: rank(990), p999: rank(999) })
    }

    /// Closes all connections, and takes them at their word.
    pub fn close(self) -> Result<(), Fault> {
        self.flows.into_iter().try_for_each(Flow::close)
    }

    /// Takes what came for flow `n` and checks it. Returns how many messages may be sent now, of those up to number `end`.
    fn receive(&mut self, n: usize, end: u64) -> Result<usize, Fault> {
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
        Ok(if self.done < end { back } else { 0 })
    }

    /// Sends the next `count` messages of flow `n` in one write.
    fn send(&mut self, n: usize, count: usize, now: Instant) -> Result<(), Fault> {
        if count == 0 {
            return Ok(());
        }
        let flow = &mut self.flows[n];
        self.plain.clear();
        for _ in 0..count {
            self.plain.extend_from_slice(flow.next_request());
            flow.expected.sent.push_back(now);
        }
        self.away += count as u64;
        let length = tls::seal(&mut flow.tls, &self.plain, &mut self.wire)?;
        let was_blocked = !flow.unsent.is_empty();
        flow.unsent.extend_from_slice(if was_blocked { &self.wire[..length] } else { &[] });
        if was_blocked {
            return Ok(());
        }
        let rest = write(&mut flow.socket, &self.wire[..length])?;
        if rest > 0 {
            flow.unsent.extend_from_slice(&self.wire[length - rest..length]);
            self.poll.registry().reregister(&mut flow.socket, Token(n), Interest::READABLE | Interest::WRITABLE)?;
        }
        Ok(())
    }

    /// Writes on where flow `n` was blocked.
    fn flush(&mut self, n: usize) -> Result<(), Fault> {
        let flow = &mut self.flows[n];
        if flow.unsent.is_empty() {
            return Ok(());
        }
        let rest = write(&mut flow.socket, &flow.unsent)?;
        flow.unsent.drain(..flow.unsent.len() - rest);
        if rest == 0 {
            self.poll.registry().reregister(&mut flow.socket, Token(n), Interest::READABLE)?;
        }
        Ok(())
    }
}

/// Writes what fits and returns how many bytes do not.
fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match socket.write(rest) {
            Ok(n) => rest = &rest[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(rest.len())
}

/// One connection.
struct Flow {
    socket: TcpStream,
    tls: UnbufferedClientConnection,
    partial: Vec<u8>,
    unsent: Vec<u8>,
    /// The frame to send, number and all.
    request: Vec<u8>,
    next: u64,
    /// Where the number stands in `request`.
    number_at: usize,
    expected: Expected,
}

impl Flow {
    fn new(client: Client, message: Message, payload: &[u8]) -> io::Result<Self> {
        let Client { socket, tls, partial, .. } = client;
        socket.set_nonblocking(true)?;
        let request = client::request(message.opcode(), payload);
        let number_at = request.len() - payload.len();
        Ok(Self {
            socket: TcpStream::from_std(socket),
            tls,
            partial,
            unsent: Vec::new(),
            request,
            next: 0,
            number_at,
            expected: Expected::new(message, payload),
        })
    }

    fn next_request(&mut self) -> &[u8] {
        self.request[self.number_at..][..8].copy_from_slice(&client::number(self.next, true));
        self.next += 1;
        &self.request
    }

    /// Ends the connection in order; nothing is on the way any more.
    fn close(mut self) -> Result<(), Fault> {
        let mut wire = [0; 128];
        let close = client::request(CLOSE, &1000_u16.to_be_bytes());
        let length = tls::seal(&mut self.tls, &close, &mut wire)?;
        let alert = tls::close(&mut self.tls, &mut wire[length..])?;
        self.socket.write_all(&wire[..length + alert])?;
        Ok(())
    }
}

/// What must come back next.
struct Expected {
    frame: Vec<u8>,
    number_at: usize,
    number: u64,
    /// Bytes of `frame` that have come.
    come: usize,
    /// When the messages on the way were sent.
    sent: VecDeque<Instant>,
}

impl Expected {
    fn new(message: Message, payload: &[u8]) -> Self {
        let frame = client::reply(message.opcode(), payload);
        let number_at = frame.len() - payload.len();
        let mut expected = Self { frame, number_at, number: 0, come: 0, sent: VecDeque::new() };
        expected.expect(0);
        expected
    }

    fn expect(&mut self, number: u64) {
        self.number = number;
        self.frame[self.number_at..][..8].copy_from_slice(&client::number(number, false));
        self.come = 0;
    }

    /// Compares `plain` with what must come. Returns how many messages it completed.
    fn check(&mut self, mut plain: &[u8], now: Instant, latencies: &mut Vec<u32>) -> Result<usize, Fault> {
        let mut back = 0;
        while !plain.is_empty() {
            let here = plain.len().min(self.frame.len() - self.come);
            let (part, rest) = plain.split_at(here);
            if part != &self.frame[self.come..self.come + here] {
                return Err(format!("message {} came back changed, late or twice", self.number).into());
            }
            self.come += here;
            plain = rest;
            if self.come == self.frame.len() {
                let sent = self.sent.pop_front().ok_or("a message that was never sent")?;
                latencies.push(u32::try_from((now - sent).as_nanos()).unwrap_or(u32::MAX));
                self.expect(self.number + 1);
                back += 1;
            }
        }
        Ok(back)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::Expected;
    use crate::client::{BINARY, number, reply};
    use crate::message::Message;

    #[test]
    fn sees_what_is_lost_reordered_or_changed() {
        let frame = |n: u64| reply(BINARY, &[&number(n, false)[..], b"rest"].concat());
        let check = |frames: &[u8]| {
            let mut expected = Expected::new(Message::Binary, b"12345678rest");
            expected.sent.extend([Instant::now(); 2]);
            expected.check(frames, Instant::now(), &mut Vec::new())
        };
        assert_eq!(check(&[frame(0), frame(1)].concat()).unwrap(), 2);
        assert!(check(&frame(1)).is_err());
        assert!(check(&[frame(0), frame(0)].concat()).is_err());
        let mut changed = frame(0);
        *changed.last_mut().unwrap() ^= 1;
        assert!(check(&changed).is_err());
        assert!(check(&[frame(0), frame(1), frame(2)].concat()).is_err());
    }
}
