//! The floor: TLS in, bytes out to a Unix socket and back, on a ring of our own, and nothing else.
//!
//! One thread, whose loop is the ring's: all that is there is taken at a wake-up, then what it made ready to send goes
//! out, one send at a time per direction, and one system call does both. No HTTP, no token, no frames, no bounds, no
//! deadlines, no futures. It trusts both sides: what one of them does not take is gathered without bound.

mod outgoing;
mod ring;
mod tunnel;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use self::outgoing::Spare;
use self::ring::{Done, Ring};
use self::tunnel::Tunnel;
use crate::Fault;

/// Where to listen, and for whom.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where clients connect.
    #[arg(long)]
    listen: SocketAddr,
    /// Unix socket of the app.
    #[arg(long)]
    app: PathBuf,
    /// PEM certificate chain.
    #[arg(long)]
    certificate: PathBuf,
    /// PEM private key.
    #[arg(long)]
    key: PathBuf,
}

/// Passes bytes for ever.
pub fn run(args: &Args) -> Result<(), Fault> {
    let listener = TcpListener::bind(args.listen)?;
    let mut ring = Ring::new()?;
    ring.accept(&listener)?;
    Floor { tls: acceptor(args)?, app: args.app.clone(), tunnels: Vec::new(), free: Vec::new() }.serve(&mut ring)
}

fn acceptor(args: &Args) -> Result<Arc<ServerConfig>, Fault> {
    let chain = CertificateDer::pem_file_iter(&args.certificate)?.collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&args.key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

struct Floor {
    tls: Arc<ServerConfig>,
    app: PathBuf,
    /// By slot. Boxed, so that growing moves no connection.
    tunnels: Vec<Option<Box<Tunnel>>>,
    free: Vec<usize>,
}

impl Floor {
    fn serve(mut self, ring: &mut Ring) -> Result<(), Fault> {
        let (mut spare, mut touched) = (Spare::default(), Vec::new());
        loop {
            ring.wait()?;
            while let Some(done) = ring.next_done() {
                match done {
                    Done::Accepted(socket) => self.open(ring, socket?.into())?,
                    Done::Received { key, taken } => {
                        if let Some(tunnel) = &mut self.tunnels[key.slot] {
                            tunnel.handle_received(key.side, taken, ring, &mut spare);
                            touched.push(key.slot);
                        }
                    }
                    Done::Sent { key, bytes, all } => {
                        if let Some(tunnel) = &mut self.tunnels[key.slot] {
                            tunnel.handle_sent(key.side, bytes, all, &mut spare);
                            touched.push(key.slot);
                        }
                    }
                }
            }
            for slot in touched.drain(..) {
                if let Some(tunnel) = &mut self.tunnels[slot] {
                    tunnel.go_on(slot, ring, &mut spare)?;
                    if tunnel.is_over() {
                        self.tunnels[slot] = None;
                        self.free.push(slot);
                    }
                }
            }
        }
    }

    /// A client for whom there is no app goes unserved.
    fn open(&mut self, ring: &mut Ring, client: TcpStream) -> Result<(), Fault> {
        let Ok(app) = UnixStream::connect(&self.app) else { return Ok(()) };
        client.set_nodelay(true)?;
        let slot = self.free.pop().unwrap_or(self.tunnels.len());
        let tunnel = Box::new(Tunnel::open(slot, client, app, Arc::clone(&self.tls), ring)?);
        if slot == self.tunnels.len() {
            self.tunnels.push(Some(tunnel));
        } else {
            self.tunnels[slot] = Some(tunnel);
        }
        Ok(())
    }
}
