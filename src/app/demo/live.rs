//! `ringside demo`: waits for clients, and prints what becomes of each.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;

use opentelemetry_sdk::trace::SpanData;

use super::client::as_subprotocol;
use super::forest::Forest;
use super::stage::{self, Stage};
use super::tokens::SUBJECT;
use super::{DemoError, echo, show, tree};
use crate::control::export::Taps;
use crate::control::signals::Signals;
use crate::telemetry::record::Event;

/// Where the demo listens unless somebody else does.
const PORT: u16 = 8443;

/// Runs until Ctrl-C or SIGTERM, then drains.
pub(super) fn run() -> Result<ExitCode, DemoError> {
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DemoError::Control)?;
    control.block_on(async {
        let signals = Signals::catch().map_err(DemoError::Control)?;
        let port = port();
        let mut forest = Forest::default();
        let grow = move |spans: &[SpanData]| {
            if let Some(all) = forest.add(spans) {
                print(&format!("\n    {}\n", tree::indented(&all, "    ")));
            }
        };
        let tell = |event: &Event| {
            if let Some(line) = show::event(event) {
                print(&format!("  {line}"));
            }
        };
        let stage = Stage::set(port, Taps { events: Some(Box::new(tell)), spans: Some(Box::new(grow)) })?;
        greet(&stage, port, &mut io::stdout().lock()).map_err(DemoError::Output)?;
        tokio::select! {
            which = signals.drain(stage.server.drain()) => return Ok(ExitCode::from(which.exit_code())),
            () = stage.server.drained() => {}
        }
        stage.strike();
        writeln!(io::stdout(), "\nEnded in order; the demo's files are removed.").map_err(DemoError::Output)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The usual port, or any when it is taken. Another Ringside's would not stop us: such sockets can be shared.
fn port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).map_or(stage::ANY_PORT, |_| PORT)
}

fn print(lines: &str) {
    // A reader that went away has seen what it wanted; the demo goes on until it is ended.
    let _ = writeln!(io::stdout(), "{lines}");
}

fn greet(stage: &Stage, port: u16, out: &mut impl Write) -> io::Result<()> {
    let (url, page, token) = (stage.url("wss"), stage.url("https"), &stage.tokens.good);
    let file = |name| stage.file(name).display().to_string();
    let certificate = file("tls.crt");
    let other_port = if port == stage::ANY_PORT { format!(" (port {PORT} is taken)") } else { String::new() };
    write!(
        out,
        r#"Ringside demo

  engine         {engine}
  address        {url}{other_port}
  certificate    {certificate} (made for this run; clients must trust it)
  configuration  {configuration}
  app            unix:{socket}; it echoes. Send it "{headers}" to see what it was told, "{close}" to have it close.

A token for {SUBJECT}, good for an hour:

TOKEN={token}

Then one of these:

websocat  SSL_CERT_FILE={certificate} websocat -H "Authorization: Bearer $TOKEN" {url}

wscat     wscat --ca {certificate} -H "Authorization: Bearer $TOKEN" -c {url}

Python    TOKEN=$TOKEN python3 -c '
import os, ssl
from websockets.sync.client import connect
trust = ssl.create_default_context(cafile="{certificate}")
token = {{"Authorization": "Bearer " + os.environ["TOKEN"]}}
with connect("{url}", ssl=trust, additional_headers=token) as socket:
    socket.send("hello")
    print(socket.recv())'

browser   open {page} and accept its certificate; the page is a 426. In its console:
          s = new WebSocket("{url}", ["chat.v1", "{subprotocol}"]); s.onmessage = m => console.log(m.data); s.onopen = () => s.send("hello")

refused   curl -i --cacert {certificate} {page}

Connections, as they come, and the spans of each at its end; Ctrl-C drains and ends:

"#,
        engine = stage.engine(),
        configuration = file("ringside.toml"),
        socket = file("app.sock"),
        headers = echo::HEADERS,
        close = echo::CLOSE,
        subprotocol = as_subprotocol(token),
    )
}
