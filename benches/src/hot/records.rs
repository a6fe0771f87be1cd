//! What opening and sealing a TLS 1.3 record costs, through the interface of the drivers.

use std::fs;
use std::hint::black_box;
use std::net::Ipv4Addr;

use rcgen::CertifiedKey;
use ringside::tls::Config;
use ringside::tls::acceptor::Acceptor;
use ringside::tls::records::{Records, SEALED};
use rustls::client::UnbufferedClientConnection;

use super::{RUNS, Work};
use crate::client::{Handshake, Target};
use crate::{Fault, tls};

pub(super) fn open_64() -> Result<Work, Fault> {
    open(64)
}

pub(super) fn open_16k() -> Result<Work, Fault> {
    open(16 << 10)
}

pub(super) fn seal_64() -> Result<Work, Fault> {
    seal(64)
}

pub(super) fn seal_16k() -> Result<Work, Fault> {
    seal(16 << 10)
}

/// Records of the client are opened in the order in which they were sealed.
fn open(size: usize) -> Result<Work, Fault> {
    let (mut server, mut client) = connected()?;
    let sealed = (0..=RUNS).map(|_| {
        let mut wire = vec![0; tls::sealed(size)];
        let length = tls::seal(&mut client, &vec![7; size], &mut wire)?;
        wire.truncate(length);
        Ok(wire)
    });
    let mut sealed = sealed.collect::<Result<Vec<_>, Fault>>()?.into_iter();
    let (mut plain, mut reply) = (vec![0; tls::sealed(size)], Vec::new());
    Ok(Box::new(move || {
        let Some(mut wire) = sealed.next() else { return false };
        let room = &mut plain[..wire.len()];
        let opened = server.open(black_box(&mut wire), room, &mut reply);
        opened.is_ok_and(|opened| opened.written == size) && reply.is_empty()
    }))
}

fn seal(size: usize) -> Result<Work, Fault> {
    let (mut server, _) = connected()?;
    let (plain, mut wire) = (vec![7; size], vec![0; SEALED]);
    Ok(Box::new(move || server.seal(black_box(&plain), black_box(&mut wire)).is_ok_and(|length| length > size)))
}

/// The server's side of a connection whose handshake is over, and the client's.
fn connected() -> Result<(Box<dyn Records>, UnbufferedClientConnection), Fault> {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let dir = tempfile::tempdir()?;
    let config = Config { certificate: dir.path().join("tls.crt"), key: dir.path().join("tls.key"), client_ca: None };
    fs::write(&config.certificate, cert.pem())?;
    fs::write(&config.key, signing_key.serialize_pem())?;
    let mut server = Acceptor::load(&config)?.accept()?;
    let target = Target { address: (Ipv4Addr::LOCALHOST, 0).into(), certificate: cert.pem(), token: String::new() };
    let client = tls::connect(&mut *server, &target.tls(Handshake::Classic)?)?;
    Ok((server, client))
}
