//! Clients that mean harm. That TLS works is shown where it is used.

use std::fs;
use std::sync::Arc;

use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, RootCertStore};

use super::Config;
use super::acceptor::Acceptor;
use super::records::{Progress, Records, SEALED, TlsError};

/// An acceptor, and a client's configuration that trusts it.
fn acceptor() -> (Acceptor, ClientConfig) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let acceptor = Acceptor::load(&Config { certificate, key, client_ca: None }).unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let mut client = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
    client.enable_secret_extraction = true;
    (acceptor, client)
}

/// A connection after its handshake, and what seals the client's records.
fn connected() -> (Box<dyn Records>, Sealer) {
    let (acceptor, config) = acceptor();
    let mut server = acceptor.accept().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let (mut wire, mut reply) = (Vec::new(), Vec::new());
    loop {
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let progress = server.handshake(&mut wire, &mut Vec::new(), &mut reply).unwrap();
        let mut received = &reply[..];
        while !received.is_empty() {
            client.read_tls(&mut received).unwrap();
            client.process_new_packets().unwrap();
        }
        reply.clear();
        if progress == Progress::Done {
            return (server, Sealer::new(client));
        }
    }
}

/// Seals records as a client does that keeps to no order.
struct Sealer {
    encrypter: Box<dyn rustls::crypto::cipher::MessageEncrypter>,
    sequence: u64,
}

impl Sealer {
    fn new(client: ClientConnection) -> Self {
        let suite = client.negotiated_cipher_suite().and_then(|suite| suite.tls13()).unwrap();
        let (sequence, secrets) = client.dangerous_extract_secrets().unwrap().tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("TLS 1.3 has no other ciphers here")
        };
        Self { encrypter: suite.aead_alg.encrypter(key, iv), sequence }
    }

    fn record(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let plain =
            OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload: OutboundChunks::Single(payload) };
        let sealed = self.encrypter.encrypt(plain, self.sequence).unwrap();
        self.sequence += 1;
        sealed.encode()
    }
}

#[test]
fn a_faulty_record_gets_an_alert() {
    let server = acceptor().0;
    // The beginning of a ClientHello and then no record; no record at all.
    for faulty in [&[0x16, 3, 3, 0, 1, 1, 0][..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut records = server.accept().unwrap();
        let mut reply = Vec::new();
        let result = records.handshake(&mut faulty.to_vec(), &mut Vec::new(), &mut reply);
        assert!(matches!(result, Err(TlsError::Rustls(_))), "{faulty:?}: {result:?}");
        assert_eq!(reply.first(), Some(&0x15), "an alert");
        assert!(matches!(records.seal(b"late", &mut vec![0; SEALED]), Err(TlsError::State)));
    }
}

/// As a health check does that only wants to see the certificate.
#[test]
fn a_client_may_leave_with_the_end_of_its_handshake() {
    let (acceptor, config) = acceptor();
    let mut server = acceptor.accept().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let (mut wire, mut reply) = (Vec::new(), Vec::new());
    client.write_tls(&mut wire).unwrap();
    assert_eq!(server.handshake(&mut wire, &mut Vec::new(), &mut reply).unwrap(), Progress::Blocked);
    let mut received = &reply[..];
    while !received.is_empty() {
        client.read_tls(&mut received).unwrap();
        client.process_new_packets().unwrap();
    }
    client.send_close_notify();
    while client.wants_write() {
        client.write_tls(&mut wire).unwrap();
    }
    assert_eq!(server.handshake(&mut wire, &mut Vec::new(), &mut reply).unwrap(), Progress::Done);
    assert!(server.is_closed() && wire.is_empty());
    assert_eq!(server.facts().version, "1.3");
}

#[test]
fn a_whole_key_update_is_answered() {
    let (mut server, mut client) = connected();
    let mut wire = client.record(ContentType::Handshake, &[24, 0, 0, 1, 1]);
    let (mut plain, mut reply) = (vec![0; wire.len()], Vec::new());
    let opened = server.open(&mut wire, &mut plain, &mut reply).unwrap();
    assert_eq!((opened.taken, opened.written), (wire.len(), 0));
    assert!(server.seal(b"hello", &mut vec![0; SEALED]).unwrap() > 5);
}

#[test]
fn a_divided_key_update_breaks_tls() {
    let (mut server, mut client) = connected();
    let mut wire = client.record(ContentType::ApplicationData, b"hello");
    wire.extend(client.record(ContentType::Handshake, &[24, 0]));
    let (mut plain, mut reply) = (vec![0; wire.len()], Vec::new());
    let result = server.open(&mut wire, &mut plain, &mut reply);
    assert!(matches!(result, Err(TlsError::Fragment)), "{result:?}");
    assert!(matches!(server.seal(b"late", &mut vec![0; SEALED]), Err(TlsError::State)));
    assert!(matches!(server.close(&mut vec![0; SEALED]), Err(TlsError::State)));
}

#[test]
fn the_beginning_of_a_record_is_left() {
    let (mut server, mut client) = connected();
    let record = client.record(ContentType::ApplicationData, b"hello");
    for cut in 0..record.len() {
        let mut wire = record[..cut].to_vec();
        let opened = server.open(&mut wire, &mut vec![0; cut], &mut Vec::new()).unwrap();
        assert_eq!((opened.taken, opened.written), (0, 0), "cut at {cut}");
    }
    let (mut wire, mut plain) = (record.clone(), vec![0; record.len()]);
    let opened = server.open(&mut wire, &mut plain, &mut Vec::new()).unwrap();
    assert_eq!(&plain[..opened.written], b"hello");
}
