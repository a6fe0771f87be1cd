use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::certificate::{Certificates, Files, Pair};
use super::figures::Figures;
use super::issue::{Issued, renewed};
use super::server;
use super::service::Service;
use crate::settings::Settings;

/// A webhook on loopback, for as long as the test's process lives.
struct Webhook {
    hook: SocketAddr,
    health: SocketAddr,
    certificates: Arc<Certificates>,
}

fn issue() -> Issued {
    renewed(None, &["localhost".into()], SystemTime::now()).unwrap().unwrap()
}

fn pair(issued: &Issued) -> Pair {
    Pair { certificate: issued.certificate.clone().into(), key: issued.key.clone().into() }
}

impl Webhook {
    fn start() -> Self {
        let certificates = Arc::<Certificates>::default();
        let (tell, told) = std::sync::mpsc::channel();
        let seen = Arc::clone(&certificates);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listen = || TcpListener::bind("127.0.0.1:0");
                let (hook, health) = (listen().await.unwrap(), listen().await.unwrap());
                tell.send((hook.local_addr().unwrap(), health.local_addr().unwrap())).unwrap();
                let figures = Arc::<Figures>::default();
                let service = Arc::new(Service::new(Settings::default(), Arc::clone(&figures)));
                tokio::spawn(server::health(health, figures, Arc::clone(&seen)));
                server::hook(hook, seen, service).await;
            });
        });
        let (hook, health) = told.recv().unwrap();
        Self { hook, health, certificates }
    }

    /// A connection of somebody who trusts `issued`.
    fn connect(&self, issued: &Issued) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(issued.authorities.as_bytes()) {
            roots.add(authority.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let tls = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut stream = StreamOwned::new(tls, TcpStream::connect(self.hook)?);
        stream.sock.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.flush()?;
        Ok(stream)
    }

    /// Status, head and body of the answer to `request`, with the connection's end behind it.
    fn ask(&self, issued: &Issued, request: &[u8]) -> (u16, String, String) {
        let mut stream = self.connect(issued).unwrap();
        // Who is refused early may see the end before all is sent.
        let _ = stream.write_all(request);
        answer(&mut stream)
    }

    fn health(&self, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.health).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        answer(&mut stream)
    }
}

fn answer(stream: &mut impl Read) -> (u16, String, String) {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, head.to_lowercase(), body.into())
}

/// The head of a review whose body is to be so long.
fn announced(length: usize) -> Vec<u8> {
    let head = "POST /inject HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {length}\r\n\r\n").into_bytes()
}

fn post(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn review() -> Vec<u8> {
    let pod = json!({
        "metadata": {"name": "a", "labels": {"ringside.dev/inject": "enabled"}},
        "spec": {"containers": [{"name": "a", "ports": [{"containerPort": 3000}]}]},
    });
    let request = json!({"uid": "1", "kind": {"kind": "Pod"}, "operation": "CREATE", "object": pod});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string().into_bytes()
}

#[test]
fn answers_reviews_and_says_what_is_none() {
    let (webhook, issued) = (Webhook::start(), issue());
    webhook.certificates.put(&pair(&issued)).unwrap();
    let json = "application/json; charset=utf-8";
    let (status, head, body) = webhook.ask(&issued, &post("/inject?timeout=5s", json, &review()));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(status == 200 && head.contains("content-type: application/json"), "{head}");
    assert_eq!((&body["response"]["uid"], &body["response"]["patchType"]), (&json!("1"), &json!("JSONPatch")));
    for (request, status, told) in [
        (post("/inject", "text/plain", &review()), 415, "send application/json"),
        (post("/inject", json, b"{"), 400, "not JSON"),
        (post("/", json, b"{}"), 404, "/inject"),
        (announced(9 << 20), 413, "larger than"),
        (b"GET /inject HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(), 405, "POST"),
        ([announced(9), b"{".to_vec()].concat(), 408, "did not come"),
    ] {
        let (is, _, body) = webhook.ask(&issued, &request);
        assert!(is == status && body.contains(told), "{status}: {is} {body}");
    }
    let (_, _, metrics) = webhook.health("/metrics");
    for line in ["{result=\"injected\"} 1\n", "{result=\"malformed\"} 6\n"] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[test]
fn is_ready_with_a_certificate_and_until_it_leaves() {
    let webhook = Webhook::start();
    let issued = issue();
    assert_eq!((webhook.health("/livez").0, webhook.health("/readyz").0, webhook.health("/").0), (200, 503, 404));
    assert!(webhook.connect(&issued).is_err());
    webhook.certificates.put(&pair(&issued)).unwrap();
    assert_eq!(webhook.health("/readyz").0, 200);
    webhook.certificates.leave();
    assert_eq!(webhook.health("/readyz").0, 503);
    assert_eq!(webhook.ask(&issued, &post("/inject", "application/json", &review())).0, 200);
}

#[test]
fn a_new_certificate_is_served_and_a_bad_one_is_not() {
    let webhook = Webhook::start();
    let (first, second) = (issue(), issue());
    let directory = tempfile::tempdir().unwrap();
    let write = |certificate: &str, key: &str| {
        std::fs::write(directory.path().join("tls.crt"), certificate).unwrap();
        std::fs::write(directory.path().join("tls.key"), key).unwrap();
    };
    let mut files = Files::new(directory.path().into());
    assert!(files.read().err().unwrap().to_string().contains("tls.crt: "));
    write(&first.certificate, &first.key);
    webhook.certificates.put(&files.read().unwrap().unwrap()).unwrap();
    assert!(files.read().unwrap().is_none() && webhook.connect(&first).is_ok());
    for (certificate, key, told) in [
        (&second.certificate, &first.key, "tls.key is not the key of tls.crt"),
        (&String::new(), &first.key, "tls.crt: no certificate"),
        (&first.certificate, &String::from("x"), "tls.key: "),
    ] {
        write(certificate, key);
        let error = webhook.certificates.put(&files.read().unwrap().unwrap()).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
    assert!(webhook.connect(&first).is_ok() && webhook.connect(&second).is_err());
    write(&second.certificate, &second.key);
    webhook.certificates.put(&files.read().unwrap().unwrap()).unwrap();
    assert!(webhook.connect(&second).is_ok() && webhook.connect(&first).is_err());
}
