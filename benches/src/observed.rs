//! A Ringside that tells all it can, at its defaults, to somebody who takes all of it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::Fault;
use crate::rig::{Engine, Proxy, Rig};
use crate::sink::{self, Manner};

/// How often `/metrics` is asked for: far more often than a Prometheus does.
const SCRAPE: Duration = Duration::from_secs(1);

/// A Ringside with log lines, OTLP traces to a collector, and an admin endpoint.
pub struct Observed {
    /// The proxy.
    pub proxy: Proxy,
    admin: SocketAddr,
}

impl Observed {
    /// Starts it, with a collector of that manner.
    pub fn start(rig: &Rig, engine: Engine, workers: usize, manner: Manner) -> Result<Self, Fault> {
        let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let (admin_text, collector) = (admin.to_string(), sink::start(manner)?);
        let settings = [
            ("RINGSIDE_TELEMETRY_TRACES_ENDPOINT", collector.as_str()),
            ("RINGSIDE_ADMIN_ADDRESS", admin_text.as_str()),
        ];
        Ok(Self { proxy: rig.start_workers(engine, workers, &settings)?, admin })
    }

    /// Asks for its metrics each second, until what is returned is dropped.
    pub fn scrape(&self) -> Scrapes {
        let over = Arc::<AtomicBool>::default();
        let (seen, admin) = (Arc::clone(&over), self.admin);
        thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                // What is missing shows in the ratio, which then is too good; a proxy that is gone fails its run.
                let _ = scrape(admin);
                thread::sleep(SCRAPE);
            }
        });
        Scrapes(over)
    }
}

/// Asks for `/metrics` until it is dropped.
pub struct Scrapes(Arc<AtomicBool>);

impl Drop for Scrapes {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn scrape(admin: SocketAddr) -> Result<(), Fault> {
    let mut stream = TcpStream::connect(admin)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)?;
    if page.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err("no metrics".into()) }
}
