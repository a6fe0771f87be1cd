//! What strangers send first to a TLS listener.

#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ringside::tls::acceptor::Acceptor;
use ringside::tls::records::{Progress, RECORD};

static ACCEPTOR: LazyLock<Acceptor> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    Acceptor::load(&ringside::tls::Config { certificate, key, client_ca: None }).expect("it can be loaded")
});

/// Most that one flight of ours takes: certificate, key share, tickets.
const FLIGHT: usize = 16 << 10;

/// Most of a handshake that rustls waits for: a message of 64 KiB, and a record.
const WAITING: usize = (64 << 10) + RECORD;

// The first bytes say how the rest is cut into reads.
fuzz_target!(|input: &[u8]| {
    let Some((cuts, bytes)) = input.split_first_chunk::<4>() else { return };
    let mut records = ACCEPTOR.accept().expect("a connection");
    let (mut wire, mut plain, mut reply) = (Vec::new(), Vec::new(), Vec::new());
    let mut received = 0;
    for cut in cuts.iter().cycle() {
        if received == bytes.len() {
            return;
        }
        let end = bytes.len().min(received + (usize::from(*cut) * 8).max(1));
        wire.extend_from_slice(&bytes[received..end]);
        received = end;
        let progress = records.handshake(&mut wire, &mut plain, &mut reply);
        assert!(reply.len() <= FLIGHT, "{} bytes of reply", reply.len());
        assert!(wire.len() <= WAITING, "{} bytes wait", wire.len());
        match progress {
            Ok(Progress::Blocked) => {}
            Ok(Progress::Done) => panic!("nobody finishes a handshake without a key"),
            Err(_) => return,
        }
    }
});
