use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::certificate::Certificates;
use super::super::cluster::{Cluster, Names};
use super::{Keeper, KeeperError};

const SECRET: &str = "/api/v1/namespaces/ringside-system/secrets/tls";
const CONFIGURATION: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/hook";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Objects by path, as an API server keeps them.
type Objects = Arc<Mutex<HashMap<String, Value>>>;

/// An API server as far as a keeper asks it, and the files of a service account.
struct Server {
    objects: Objects,
    url: String,
    account: TempDir,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let objects = Objects::default();
        let seen = Arc::clone(&objects);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let objects = Arc::clone(&seen);
                thread::spawn(move || while answer(stream.as_ref().unwrap(), &objects).is_some() {});
            }
        });
        let account = tempfile::tempdir().unwrap();
        for (name, text) in [("namespace", "ringside-system"), ("token", "secret-token\n"), ("ca.crt", "")] {
            std::fs::write(account.path().join(name), text).unwrap();
        }
        let server = Self { objects, url, account };
        server.put(SECRET, json!({"kind": "Secret", "metadata": {"name": "tls", "resourceVersion": "1"}}));
        server.put(CONFIGURATION, json!({"webhooks": [{"clientConfig": {}}, {"clientConfig": {"caBundle": "b2xk"}}]}));
        server
    }

    fn put(&self, path: &str, object: Value) {
        self.objects.lock().unwrap().insert(path.into(), object);
    }

    fn object(&self, path: &str) -> Value {
        self.objects.lock().unwrap()[path].clone()
    }

    fn keeper(&self) -> (Keeper, Arc<Certificates>) {
        let names = Names { service: "hook".into(), secret: "tls".into(), configuration: "hook".into() };
        let cluster = Cluster::at(self.url.clone(), self.account.path(), names).unwrap();
        let certificates = Arc::<Certificates>::default();
        (Keeper::new(cluster, Arc::clone(&certificates)), certificates)
    }
}

/// One request and its answer; `None`: the connection has ended.
fn answer(stream: &TcpStream, objects: &Objects) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push(line.trim().to_lowercase());
    }
    assert!(head.contains(&"authorization: bearer secret-token".into()), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (method, path) = head[0].split_once(' ').unwrap();
    let path = path.split(' ').next().unwrap();
    let (status, value) = change(method, path, &serde_json::from_slice(&body).unwrap_or_default(), objects);
    let text = value.to_string();
    let mut out = stream;
    write!(out, "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{text}", text.len()).ok()
}

fn change(method: &str, path: &str, body: &Value, objects: &Objects) -> (u16, Value) {
    let mut objects = objects.lock().unwrap();
    let Some(object) = objects.get_mut(path) else { return (404, json!({"message": "not found"})) };
    match method {
        "get" => {}
        "put" if body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] => {
            return (409, json!({}));
        }
        "put" => {
            let version: u64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
            *object = body.clone();
            object["metadata"]["resourceVersion"] = (version + 1).to_string().into();
        }
        "patch" => {
            for operation in body.as_array().unwrap() {
                let (outer, key) = operation["path"].as_str().unwrap().rsplit_once('/').unwrap();
                object.pointer_mut(outer).unwrap()[key] = operation["value"].clone();
            }
        }
        other => panic!("{other}"),
    }
    (200, object.clone())
}

#[test]
fn the_first_makes_a_certificate_and_the_others_take_it() {
    let server = Server::start();
    let (mut first, ready) = server.keeper();
    assert!(!ready.is_ready());
    assert!(first.round(SystemTime::now()).unwrap() && ready.is_ready());
    let secret = server.object(SECRET);
    let bundles = server.object(CONFIGURATION);
    for webhook in bundles["webhooks"].as_array().unwrap() {
        assert_eq!(webhook["clientConfig"]["caBundle"], secret["data"]["ca.crt"]);
    }
    let (mut second, ready) = server.keeper();
    assert!(second.round(SystemTime::now()).unwrap() && ready.is_ready());
    assert_eq!((second.served, server.object(SECRET)), (first.served, secret));
}

#[test]
fn a_new_one_is_trusted_a_round_before_it_is_served() {
    let server = Server::start();
    let (mut keeper, _) = server.keeper();
    let start = SystemTime::now();
    keeper.round(start).unwrap();
    let before = keeper.served.clone();
    let later = start + 250 * DAY;
    keeper.round(later).unwrap();
    let bundle = server.object(CONFIGURATION)["webhooks"][0]["clientConfig"]["caBundle"].clone();
    assert_eq!(keeper.served, before);
    assert_eq!(bundle, server.object(SECRET)["data"]["ca.crt"]);
    keeper.round(later).unwrap();
    assert_ne!(keeper.served, before);
    assert_eq!(server.object(CONFIGURATION)["webhooks"][0]["clientConfig"]["caBundle"], bundle);
}

#[test]
fn who_was_slower_looks_again() {
    let server = Server::start();
    let (mut keeper, ready) = server.keeper();
    let mut stale = server.object(SECRET);
    stale["metadata"]["resourceVersion"] = json!("7");
    // The keeper reads the one, and finds the other when it writes.
    let objects = Arc::clone(&server.objects);
    keeper.cluster.read(SECRET).unwrap();
    objects.lock().unwrap().insert(SECRET.into(), stale.clone());
    let mut read = stale;
    read["metadata"]["resourceVersion"] = json!("1");
    assert!(!keeper.cluster.replace(SECRET, &read).unwrap());
    assert!(keeper.round(SystemTime::now()).unwrap() && ready.is_ready());
}

#[test]
fn what_is_missing_is_named() {
    let server = Server::start();
    let (mut keeper, ready) = server.keeper();
    server.objects.lock().unwrap().remove(CONFIGURATION);
    assert!(matches!(keeper.round(SystemTime::now()), Err(KeeperError::NoConfiguration(name)) if name == "hook"));
    server.objects.lock().unwrap().remove(SECRET);
    assert!(matches!(keeper.round(SystemTime::now()), Err(KeeperError::NoSecret(name)) if name == "tls"));
    assert!(!ready.is_ready());
}
