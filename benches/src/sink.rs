//! A collector that costs next to nothing: it takes every request over OTLP/HTTP and looks at none, or answers none.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use crate::Fault;

/// How a collector behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Takes everything.
    Takes,
    /// Accepts connections, reads, and never answers.
    BlackHole,
}

/// Starts one on a thread of its own, which ends with the process. Returns its base URL.
///
/// # Errors
/// When there is no port.
pub fn start(manner: Manner) -> Result<String, Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that breaks off is none of our business.
            thread::spawn(move || drop(serve(&stream, manner)));
        }
    });
    Ok(url)
}

fn serve(mut stream: &TcpStream, manner: Manner) -> Result<(), Fault> {
    let mut requests = BufReader::new(stream.try_clone()?);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while requests.read_line(&mut line)? > 0 && !line.trim().is_empty() {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            line.clear();
        }
        if line.is_empty() {
            return Ok(());
        }
        std::io::copy(&mut requests.by_ref().take(length), &mut std::io::sink())?;
        if manner == Manner::Takes {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        }
    }
}
