//! A small OTLP/HTTP collector on loopback: decodes what it gets, and can be slow or broken.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;

/// What the collector does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Takes it: 200.
    Takes,
    /// Takes no request but the n-th and those after it; before that: 503.
    BusyUntil(usize),
    /// Accepts the connection, reads, and never answers.
    Hangs,
}

/// One request that was taken.
#[derive(Debug)]
pub(crate) struct Received {
    /// The request line and the header fields, names in lower case.
    pub(crate) head: Vec<String>,
    pub(crate) spans: Vec<ResourceSpans>,
}

/// Runs until the test ends.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    taken: Receiver<Received>,
}

impl Collector {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let endpoint = format!("http://{}", listener.local_addr().expect("address"));
        let (to, taken) = channel();
        thread::spawn(move || {
            let mut requests = 0;
            // One connection after the other: the exporter has one request in flight.
            for stream in listener.incoming() {
                serve(&stream.expect("accept"), manner, &mut requests, &to);
            }
        });
        Self { endpoint, taken }
    }

    /// A URL where nothing listens.
    pub(crate) fn absent() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        format!("http://{}", listener.local_addr().expect("address"))
    }

    /// The next request that was taken, or `None` when none comes for long.
    pub(crate) fn next(&self) -> Option<Received> {
        self.taken.recv_timeout(Duration::from_secs(20)).ok()
    }

    /// Every span of the requests taken until now, in the order they came.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let resources = self.taken.try_iter().flat_map(|received| received.spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn serve(stream: &TcpStream, manner: Manner, requests: &mut usize, to: &Sender<Received>) {
    let mut reader = BufReader::new(stream);
    if matches!(manner, Manner::Hangs) {
        // Until the exporter gives up.
        let _ = io::copy(&mut reader, &mut io::sink());
    }
    while let Some((head, body)) = read_request(&mut reader) {
        *requests += 1;
        let status = match manner {
            Manner::BusyUntil(first) if *requests < first => "503 Service Unavailable",
            Manner::BusyUntil(_) | Manner::Takes | Manner::Hangs => {
                let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("OTLP");
                let _ = to.send(Received { head, spans: request.resource_spans });
                "200 OK"
            }
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        if (&mut &*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<(Vec<String>, Vec<u8>)> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line if head.is_empty() => head.push(line.to_owned()),
            line => {
                let (name, value) = line.split_once(':')?;
                head.push(format!("{}:{value}", name.to_lowercase()));
            }
        }
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// The attribute as text; empty when there is none.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes.iter().find(|attribute| attribute.key == key).and_then(|attribute| attribute.value.clone());
    match value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text,
        Some(AnyValue { value: Some(Value::IntValue(n)) }) => n.to_string(),
        Some(AnyValue { value: Some(Value::BoolValue(b)) }) => b.to_string(),
        Some(AnyValue { value: Some(Value::DoubleValue(x)) }) => x.to_string(),
        _ => String::new(),
    }
}
