//! The proxy under test, inside this process, and what it reports.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use opentelemetry_sdk::trace::SpanData;
use ringside::app::serve::Server;
use ringside::config::Config;
use ringside::control::export::{Tap, Taps};
use ringside::peer::Side;
use ringside::telemetry::counter::Counter;
use ringside::telemetry::counters::Counters;
use ringside::telemetry::end::{By, End, Why};
use ringside::telemetry::reason::Reason;
use ringside::telemetry::record::{Connection, Counts, Event, Handshake, Outcome};
use tempfile::TempDir;

use super::PATIENCE;
use super::app::{App, Joined};
use super::client::{Client, Security};
use super::engines::Engine;
use super::http::upgrade;
use super::material;

/// A configuration in the making: each table's lines, in TOML.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    engine: Engine,
    workers: usize,
    tls: Option<&'static str>,
    jwt: Option<&'static str>,
    tables: String,
    listen: String,
    connections: String,
    buffers: String,
    drain: &'static str,
    /// Of a process of its own.
    pub(super) variables: Vec<(String, String)>,
    spans: Option<Sender<Vec<SpanData>>>,
}

impl Setup {
    /// TLS, no authentication, one worker, and a drain that tells all at once.
    pub(crate) fn new(engine: Engine) -> Self {
        let listen = "127.0.0.1:0".to_owned();
        Self {
            engine,
            workers: 1,
            tls: Some(""),
            jwt: None,
            tables: String::new(),
            listen,
            connections: String::new(),
            buffers: String::new(),
            drain: "spread = \"0s\"",
            variables: Vec::new(),
            spans: None,
        }
    }

    /// Every span is made, and each event's are sent here.
    pub(crate) fn spans(mut self, to: Sender<Vec<SpanData>>) -> Self {
        self.spans = Some(to);
        self
    }

    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Without TLS.
    pub(crate) fn plain(mut self) -> Self {
        self.tls = None;
        self
    }

    /// Clients must show a certificate.
    pub(crate) fn client_ca(mut self) -> Self {
        self.tls = Some("client_ca = \"clients.crt\"\n");
        self
    }

    /// A token is required; `lines` stand in `[auth.jwt]`.
    pub(crate) fn jwt(mut self, lines: &'static str) -> Self {
        self.jwt = Some(lines);
        self
    }

    /// Not on a port that is free.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// At most so many connections.
    pub(crate) fn connections(mut self, connections: usize) -> Self {
        self.connections = format!("connections = {connections}\n");
        self
    }

    /// So much memory for the buffers of a worker.
    pub(crate) fn buffers(mut self, size: &str) -> Self {
        self.buffers = format!("buffers = \"{size}\"\n");
        self
    }

    /// `[drain]` with these lines.
    pub(crate) fn drain(mut self, lines: &'static str) -> Self {
        self.drain = lines;
        self
    }

    /// `[table]` with these lines.
    pub(crate) fn table(mut self, table: &str, lines: &str) -> Self {
        self.tables = format!("{}[{table}]\n{lines}\n", self.tables);
        self
    }

    /// An environment variable, for a process of its own.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The whole configuration.
    pub(crate) fn toml(&self, app: &str) -> String {
        let Self { engine, workers, tls, jwt, tables, listen, connections, buffers, drain, .. } = self;
        let tls = tls.map(|lines| format!("[tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n{lines}"));
        let jwt = jwt.map(|lines| {
            let (issuer, audience) = (material::ISSUER, material::AUDIENCE);
            format!(
                "[auth.jwt]\nkeys = \"jwks.json\"\nalgorithms = [\"ES256\"]\nissuer = \"{issuer}\"\n\
                 audience = [\"{audience}\"]\n{lines}\n"
            )
        });
        let (tls, jwt) = (tls.unwrap_or_default(), jwt.unwrap_or_default());
        format!(
            "[listen]\naddress = \"{listen}\"\n{connections}[app]\naddress = \"{app}\"\n\
             [runtime]\nengine = \"{engine}\"\nworkers = {workers}\n{buffers}[drain]\n{drain}\n{tables}{tls}{jwt}"
        )
    }

    /// Starts the proxy in front of the app at this address.
    pub(crate) fn start_before(&self, app: &str) -> Proxy {
        let dir = tempfile::tempdir().expect("a directory");
        material::write_files(dir.path());
        let file = dir.path().join("ringside.toml");
        let toml = self.toml(app);
        let none: [(&str, &str); 0] = [];
        let config = Config::parse(&toml, &file, none).unwrap_or_else(|problems| panic!("{problems}\n{toml}")).config;
        let (tap, events) = channel();
        let spans =
            self.spans.clone().map(|to| -> Tap<[SpanData]> { Box::new(move |spans| drop(to.send(spans.into()))) });
        let taps = Taps { events: Some(Box::new(move |event: &Event| drop(tap.send(event.clone())))), spans };
        let mut server = Server::start(config, taps).unwrap_or_else(|error| panic!("{error}\n{toml}"));
        server.export_metrics(|| 0).expect("metrics");
        Proxy {
            address: server.address(),
            secure: self.tls.is_some(),
            server: Some(server),
            events: Events { received: events, stash: RefCell::default() },
            _dir: dir,
        }
    }

    /// Starts the proxy in front of `app`.
    pub(crate) fn start(&self, app: &App) -> Proxy {
        self.start_before(app.address())
    }
}

/// A running proxy. It stops when dropped: drop its clients first.
pub(crate) struct Proxy {
    address: SocketAddr,
    secure: bool,
    server: Option<Server>,
    events: Events,
    _dir: TempDir,
}

impl Proxy {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new client, secured if the proxy is.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address, if self.secure { Security::usual() } else { Security::None })
    }

    /// A client that has sent `request`.
    pub(crate) fn ask(&self, request: &str) -> Client {
        let mut client = self.client();
        client.send(request.as_bytes());
        client
    }

    /// A client and an app that talk to each other through the proxy.
    pub(crate) fn join(&self, app: &App) -> (Client, Joined) {
        self.join_with(app, &[])
    }

    /// The same for a client whose request has these fields more.
    pub(crate) fn join_with(&self, app: &App, fields: &[&str]) -> (Client, Joined) {
        let mut client = self.ask(&upgrade(fields));
        let mut joined = app.accept();
        joined.answer(&[]);
        let answer = client.head();
        assert_eq!(answer.status(), 101, "{answer:?}");
        (client, joined)
    }

    /// The next handshake that is over.
    pub(crate) fn handshake(&self) -> Handshake {
        self.events.next(|event| match event {
            Event::Handshake(handshake) => Some(Handshake::clone(handshake)),
            _ => None,
        })
    }

    /// The next event that `pick` makes something of.
    pub(crate) fn event<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> T {
        self.events.next(pick)
    }

    /// Whether nothing was reported that nobody has asked for.
    pub(crate) fn is_silent(&self) -> bool {
        self.events.wait(Duration::ZERO);
        self.events.stash.borrow().is_empty()
    }

    /// Why the next handshake was refused, and with which status.
    pub(crate) fn refusal(&self) -> (Reason, Option<u16>) {
        let handshake = self.handshake();
        let Outcome::Refused { reason, status } = handshake.outcome else { panic!("not refused: {handshake:?}") };
        (reason, status)
    }

    /// The next connection that is over.
    pub(crate) fn connection(&self) -> Connection {
        self.events.next(|event| match event {
            Event::Connection(connection) => Some(Connection::clone(connection)),
            _ => None,
        })
    }

    /// Who ended the next connection, and why.
    pub(crate) fn end(&self) -> (By, Why) {
        let End { by, why, .. } = self.connection().end;
        (by, why)
    }

    /// The sum over the workers.
    pub(crate) fn count(&self, counter: impl Fn(&Counters) -> &Counter) -> u64 {
        self.count_each(counter).iter().sum()
    }

    /// What this side has sent on all workers.
    pub(crate) fn traffic(&self, from: Side) -> Counts {
        let server = self.server.as_ref().expect("it runs");
        server.counters().iter().map(|counters| counters.from(from).total()).fold(Counts::default(), |sum, more| {
            Counts {
                frames: sum.frames + more.frames,
                messages: sum.messages + more.messages,
                bytes: sum.bytes + more.bytes,
                compressed: sum.compressed + more.compressed,
            }
        })
    }

    /// What each worker has counted.
    pub(crate) fn count_each(&self, counter: impl Fn(&Counters) -> &Counter) -> Vec<u64> {
        let server = self.server.as_ref().expect("it runs");
        server.counters().iter().map(|counters| counter(counters).get()).collect()
    }

    /// The connections that have ended, however they did.
    pub(crate) fn ended(&self) -> u64 {
        let ends = Why::ALL.into_iter().flat_map(|why| why.by().iter().map(move |&by| (by, why)));
        ends.map(|(by, why)| self.count(|counters| counters.ended(by, why))).sum()
    }

    /// Waits until the proxy holds so many connections.
    pub(crate) fn wait_until_held(&self, wanted: u64) {
        self.wait_until_held_after(wanted, "");
    }

    /// The same, after something that a failure names.
    pub(crate) fn wait_until_held_after(&self, wanted: u64, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.count(|counters| &counters.held) != wanted {
            assert!(Instant::now() < deadline, "{what}: {} held, not {wanted}", self.count(|counters| &counters.held));
            self.events.wait(Duration::from_millis(10));
        }
    }

    /// The next reports, this many, as a log would show them.
    pub(crate) fn reported(&self, count: usize) -> String {
        let deadline = Instant::now() + PATIENCE;
        while self.events.stash.borrow().len() < count {
            assert!(Instant::now() < deadline, "only {:?}", self.events.stash.borrow());
            self.events.wait(Duration::from_millis(10));
        }
        format!("{:?}", self.events.stash.take())
    }

    /// Begins to stop, and leaves the rest to [`Drop`].
    pub(crate) fn begin_to_stop(&self) {
        self.server.as_ref().expect("it runs").drain().trigger();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// What the proxy reports, in order; what one question was not about waits for the next.
struct Events {
    received: Receiver<Event>,
    stash: RefCell<Vec<Event>>,
}

impl Events {
    /// The first event that `pick` takes.
    fn next<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.stash.borrow().iter().enumerate().find_map(|(at, event)| Some((at, pick(event)?)));
            if let Some((at, picked)) = found {
                self.stash.borrow_mut().remove(at);
                return picked;
            }
            assert!(Instant::now() < deadline, "nothing of the kind was reported, only {:?}", self.stash.borrow());
            self.wait(Duration::from_millis(100));
        }
    }

    /// Stashes what comes; waits for it no longer than this.
    fn wait(&self, patience: Duration) {
        match self.received.recv_timeout(patience) {
            Ok(event) => self.stash.borrow_mut().push(event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("the exporter is gone"),
        }
        self.stash.borrow_mut().extend(self.received.try_iter());
    }
}
