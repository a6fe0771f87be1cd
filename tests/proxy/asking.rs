//! What relaying asks of the kernel, as `/metrics` counts it: the operations and turns of the ring that an echo takes.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;

use crate::support::app::{App, Joined};
use crate::support::binary::Binary;
use crate::support::client::Client;
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY};
use crate::support::http::Message;
use crate::support::proxy::Setup;

on_both_engines!(a_lone_echo_takes_a_receive_and_a_send_each_way, what_comes_together_goes_on_together);

/// Operations asked for so far.
#[derive(Clone, Copy, Debug)]
struct Asked {
    poll: u64,
    recv: u64,
    send: u64,
    enter: u64,
}

impl Asked {
    fn so_far(admin: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(admin).expect("an admin endpoint");
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").expect("it reads");
        let metrics = Message::read(&mut stream).expect("an answer").body;
        let of = |operation: &str| {
            let series = format!("ringside_socket_operations_total{{operation=\"{operation}\"}} ");
            let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
            value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series}in {metrics}"))
        };
        Self { poll: of("poll"), recv: of("recv"), send: of("send"), enter: of("enter") }
    }

    fn since(self, before: Self) -> Self {
        Self {
            poll: self.poll - before.poll,
            recv: self.recv - before.recv,
            send: self.send - before.send,
            enter: self.enter - before.enter,
        }
    }
}

fn start(engine: Engine, app: &App) -> (Binary, SocketAddr) {
    let setup = Setup::new(engine).table("admin", "address = \"127.0.0.1:0\"");
    let mut binary = Binary::start(&setup, app.address());
    let admin = binary.admin();
    (binary, admin)
}

/// The most turns of the ring for so many times that bytes came and went on while nothing else did: one that finds them,
/// one that sends them on, one that finds nothing before the loop sleeps, and one because the bell rang meanwhile.
fn turns(engine: Engine, waves: u64) -> u64 {
    if engine == "epoll" { 0 } else { 4 * waves }
}

fn a_lone_echo_takes_a_receive_and_a_send_each_way(engine: Engine) {
    let app = App::unix();
    let (binary, admin) = start(engine, &app);
    let (mut client, mut joined) = binary.join(&app);
    let (from_client, from_app) = (frame::from_client(BINARY, &[7; 64]), frame::from_app(BINARY, &[7; 64]));
    let mut echo = || {
        client.send(&from_client);
        assert_eq!(joined.receive(from_client.len()), from_client);
        joined.send(&from_app);
        assert_eq!(client.receive(from_app.len()), from_app);
    };
    // What the opening leaves to do is done after one.
    echo();
    let (echoes, before) = (200, Asked::so_far(admin));
    (0..echoes).for_each(|_| echo());
    let asked = Asked::so_far(admin).since(before);
    assert_eq!((asked.poll, asked.send), (0, 2 * echoes), "{asked:?}");
    // The receives that are waiting are two of the echo before, or of the last.
    assert!(asked.recv <= 2 * (echoes + 1), "{asked:?}");
    assert!(asked.enter <= turns(engine, 2 * (echoes + 1)), "{asked:?}");
}

/// While the proxy is halted, all clients speak, or the app answers all: so it finds everything at once.
fn what_comes_together_goes_on_together(engine: Engine) {
    const CONNECTIONS: usize = 50;
    const DEPTH: usize = 16;
    let app = App::unix();
    let (binary, admin) = start(engine, &app);
    let mut pairs: Vec<(Client, Joined)> = (0..CONNECTIONS).map(|_| binary.join(&app)).collect();
    let from_client = frame::from_client(BINARY, &[7; 64]).repeat(DEPTH);
    let from_app = frame::from_app(BINARY, &[7; 64]).repeat(DEPTH);
    let mut echo_all = || {
        binary.halt();
        for (client, _) in &mut pairs {
            client.send(&from_client);
        }
        binary.signal(Signal::CONT);
        for (_, joined) in &mut pairs {
            assert_eq!(joined.receive(from_client.len()), from_client);
        }
        binary.halt();
        for (_, joined) in &mut pairs {
            joined.send(&from_app);
        }
        binary.signal(Signal::CONT);
        for (client, _) in &mut pairs {
            assert_eq!(client.receive(from_app.len()), from_app);
        }
    };
    echo_all();
    let (rounds, before) = (10, Asked::so_far(admin));
    (0..rounds).for_each(|_| echo_all());
    let asked = Asked::so_far(admin).since(before);
    let each_way = rounds * CONNECTIONS as u64;
    assert_eq!((asked.poll, asked.send), (0, 2 * each_way), "{asked:?}");
    // Besides those that are waiting, each may once have found no buffer: then there are more than enough.
    assert!(asked.recv <= 2 * each_way + 3 * CONNECTIONS as u64, "{asked:?}");
    // The kernel hands over at least twenty of what has come at a time.
    assert!(asked.enter <= turns(engine, 2 * (rounds + 1)) + 2 * rounds * CONNECTIONS as u64 / 20, "{asked:?}");
}
