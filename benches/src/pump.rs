//! The yardstick: TLS in, bytes out to a Unix socket and back, and nothing else.
//!
//! tokio-uring with one owned buffer per pending read and two tasks per connection. No HTTP, no frames, no token, no
//! bounds, no deadlines: what a relay on tokio-uring cannot do without. Its errors end the connection without a word.

use std::cell::RefCell;
use std::net::{Shutdown, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::UnbufferedServerConnection;
use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::{TcpListener, TcpStream, UnixStream};

use crate::{Fault, tls};

/// Plaintext bytes in one read from the app.
const READ: usize = 16 << 10;

/// Where to pump.
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

/// Pumps for ever.
pub fn run(args: &Args) -> Result<(), Fault> {
    let chain = CertificateDer::pem_file_iter(&args.certificate)?.collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&args.key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    let config = Arc::new(config);

    let mut ring = tokio_uring::uring_builder();
    ring.setup_coop_taskrun().setup_single_issuer().setup_cqsize(1 << 15);
    let mut builder = tokio_uring::builder();
    builder.entries(1024).uring_builder(&ring);
    tokio_uring::Runtime::new(&builder)?.block_on(async {
        let listener = TcpListener::bind(args.listen)?;
        let app = Rc::new(args.app.clone());
        loop {
            let (client, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            let tls = Rc::new(RefCell::new(UnbufferedServerConnection::new(Arc::clone(&config))?));
            let app = Rc::clone(&app);
            tokio_uring::spawn(async move {
                if let Ok(app) = UnixStream::connect(&*app).await {
                    let (client, app) = (Rc::new(client), Rc::new(app));
                    tokio_uring::spawn(from_app(Rc::clone(&client), Rc::clone(&app), Rc::clone(&tls)));
                    // An error is an end like any other here.
                    let _ = from_client(&client, &app, &tls).await;
                    let _ = app.shutdown(Shutdown::Both);
                    let _ = client.shutdown(Shutdown::Both);
                }
            });
        }
    })
}

type Tls = RefCell<UnbufferedServerConnection>;

async fn from_client(client: &TcpStream, app: &UnixStream, tls: &Tls) -> Result<(), Fault> {
    let (mut wire, mut filled) = (vec![0; tls::RECORD], 0);
    let mut plain = Vec::with_capacity(tls::RECORD);
    loop {
        let (got, lent) = client.read(wire.slice(filled..)).await;
        wire = lent.into_inner();
        filled += match got? {
            0 => return Ok(()),
            n => n,
        };
        let mut reply = Vec::new();
        plain.clear();
        let opened = tls::open(&mut *tls.borrow_mut(), &mut wire[..filled], &mut reply, |bytes| {
            plain.extend_from_slice(bytes);
            Ok(())
        })?;
        wire.copy_within(opened.taken..filled, 0);
        filled -= opened.taken;
        if !reply.is_empty() {
            client.write_all(reply).await.0?;
        }
        if !plain.is_empty() {
            let (written, lent) = app.write_all(plain).await;
            plain = lent;
            written?;
        }
        if opened.closed {
            return Ok(());
        }
    }
}

async fn from_app(client: Rc<TcpStream>, app: Rc<UnixStream>, tls: Rc<Tls>) {
    let (mut plain, mut wire) = (vec![0; READ], vec![0; tls::sealed(READ)]);
    loop {
        let (got, lent) = app.read(plain).await;
        plain = lent;
        let Ok(got @ 1..) = got else { break };
        let Ok(sealed) = tls::seal(&mut *tls.borrow_mut(), &plain[..got], &mut wire) else { break };
        let (written, lent) = client.write_all(wire.slice(..sealed)).await;
        wire = lent.into_inner();
        if written.is_err() {
            break;
        }
    }
    // The other task ends with its read.
    let _ = client.shutdown(Shutdown::Both);
}
