//! The app of the demo: sends every message back.
//!
//! On blocking threads, as simple as an app can be. Two texts are commands: [`HEADERS`] and [`CLOSE`].

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

/// The text that is answered with the fields of the upgrade request, one a line: what the app was told.
pub(super) const HEADERS: &str = "headers";
/// The text that makes the app close, with 1000.
pub(super) const CLOSE: &str = "close";

/// Connections served at a time, each by a thread; more wait in the kernel until Ringside gives up on them.
const CONNECTIONS: usize = 32;

/// Starts the app on a Unix socket at `path`. It ends with the process.
pub(super) fn start(path: &Path) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    for n in 0..CONNECTIONS {
        let listener = listener.try_clone()?;
        thread::Builder::new().name(format!("echo-{n}")).spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // A connection that breaks is Ringside's to report.
                let _ = serve(stream);
            }
        })?;
    }
    Ok(())
}

fn serve(stream: UnixStream) -> tungstenite::Result<()> {
    let mut headers = String::new();
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let accept = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        headers = show(request);
        let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|offered| offered.to_str().ok());
        let first = offered.and_then(|offered| offered.split(',').next()?.trim().parse().ok());
        if let Some(first) = first {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, first);
        }
        Ok(response)
    };
    // What did not become a WebSocket has been answered, or is gone.
    let Ok(mut socket) = tungstenite::accept_hdr(stream, accept) else { return Ok(()) };
    loop {
        match socket.read()? {
            Message::Text(text) if text == HEADERS => socket.send(Message::text(headers.as_str()))?,
            Message::Text(text) if text == CLOSE => close(&mut socket)?,
            message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message)?,
            // Pongs and the answer to a Close are tungstenite's.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }
}

fn close(socket: &mut WebSocket<UnixStream>) -> tungstenite::Result<()> {
    socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "as you wish".into() }))
}

fn show(request: &Request) -> String {
    let line = |(name, value): (&_, &tungstenite::http::HeaderValue)| {
        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    let fields: Vec<_> = request.headers().iter().map(line).collect();
    format!("{} {}\n{}", request.method(), request.uri(), fields.join("\n"))
}
