//! A small OTLP/HTTP collector on loopback: decodes what it gets, and can be slow, broken or gone.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the collector does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Takes it: 200.
    Takes,
    /// Takes it, but for so many of its spans.
    Rejects(i64),
    /// Answers with this status, and this in `Retry-After`.
    Refuses(u16, Option<&'static str>),
    /// Reads it and never answers.
    Hangs,
    /// Takes it when [`Collector::hurry`] was called for it.
    Dawdles,
}

/// One request that was taken.
#[derive(Debug)]
pub(crate) struct Received {
    /// The request line and the header fields, names in lower case.
    pub(crate) head: Vec<String>,
    pub(crate) spans: Vec<ResourceSpans>,
    pub(crate) metrics: Vec<ResourceMetrics>,
}

/// Runs until it is killed or dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    address: SocketAddr,
    taken: Receiver<Received>,
    asked: Receiver<Instant>,
    left: Receiver<()>,
    hurry: Sender<()>,
    stage: Arc<Mutex<Stage>>,
    serving: Option<JoinHandle<()>>,
}

/// What the serving thread and its owner share.
#[derive(Debug, Default)]
struct Stage {
    killed: bool,
    stream: Option<TcpStream>,
}

/// What the serving thread works with.
struct Server {
    script: Box<dyn Iterator<Item = Manner> + Send>,
    taken: Sender<Received>,
    asked: Sender<Instant>,
    left: Sender<()>,
    hurried: Receiver<()>,
}

impl Collector {
    /// Treats every request so.
    pub(crate) fn start(manner: Manner) -> Self {
        Self::script(&[], manner)
    }

    /// Treats the first requests so, one after the other, and all after them as said last.
    pub(crate) fn script(first: &[Manner], then: Manner) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), first, then)
    }

    /// The same at this address.
    pub(crate) fn start_at(address: SocketAddr, first: &[Manner], then: Manner) -> Self {
        let listener = TcpListener::bind(address).expect("bind");
        let address = listener.local_addr().expect("address");
        let ((to_taken, taken), (to_asked, asked)) = (channel(), channel());
        let ((to_left, left), (hurry, hurried)) = (channel(), channel());
        let first: Vec<_> = first.into();
        let script = Box::new(first.into_iter().chain(std::iter::repeat(then)));
        let mut server = Server { script, taken: to_taken, asked: to_asked, left: to_left, hurried };
        let stage = Arc::<Mutex<Stage>>::default();
        let shared = Arc::clone(&stage);
        let serving = thread::spawn(move || {
            // One connection after the other: the exporter has one request in flight.
            for stream in listener.incoming() {
                let stream = stream.expect("accept");
                {
                    let mut stage = shared.lock().expect("no panic");
                    if stage.killed {
                        return;
                    }
                    stage.stream = Some(stream.try_clone().expect("a descriptor"));
                }
                server.serve(&stream);
            }
        });
        let endpoint = format!("http://{address}");
        Self { endpoint, address, taken, asked, left, hurry, stage, serving: Some(serving) }
    }

    /// A URL where nothing listens.
    pub(crate) fn absent() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        format!("http://{}", listener.local_addr().expect("address"))
    }

    /// Gone, with every connection. Returns where it was.
    pub(crate) fn kill(mut self) -> SocketAddr {
        self.end();
        self.address
    }

    fn end(&mut self) {
        let Some(serving) = self.serving.take() else { return };
        {
            let mut stage = self.stage.lock().expect("no panic");
            stage.killed = true;
            if let Some(stream) = stage.stream.take() {
                // It may be gone already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        let _ = self.hurry.send(());
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
        serving.join().expect("no panic");
    }

    /// The next request that was taken, or `None` when none comes for long.
    pub(crate) fn next(&self) -> Option<Received> {
        self.taken.recv_timeout(PATIENCE).ok()
    }

    /// The next request that has been taken already.
    pub(crate) fn taken(&self) -> Option<Received> {
        self.taken.try_recv().ok()
    }

    /// When the next request came, whatever became of it.
    pub(crate) fn asked(&self) -> Instant {
        self.asked.recv_timeout(PATIENCE).expect("a request")
    }

    /// Waits until the exporter has read the next refusal.
    pub(crate) fn refused(&self) {
        self.left.recv_timeout(PATIENCE).expect("a refusal");
    }

    /// Whether no request came but those that [`asked`](Self::asked) has told of.
    pub(crate) fn is_at_peace(&self) -> bool {
        self.asked.try_recv().is_err()
    }

    /// Lets it take the next request that it dawdles over.
    pub(crate) fn hurry(&self) {
        self.hurry.send(()).expect("it runs");
    }

    /// Every span of the requests taken until now, in the order they came.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let resources = self.taken.try_iter().flat_map(|received| received.spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end();
        }
    }
}

impl Received {
    /// Its metric of this name.
    pub(crate) fn metric(&self, name: &str) -> &Metric {
        let scopes = self.metrics.iter().flat_map(|resource| &resource.scope_metrics);
        let found = scopes.flat_map(|scope| &scope.metrics).find(|metric| metric.name == name);
        found.unwrap_or_else(|| panic!("no metric {name}"))
    }
}

impl Server {
    fn serve(&mut self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some((head, body)) = read_request(&mut reader) {
            let _ = self.asked.send(Instant::now());
            let manner = self.script.next().expect("it has no end");
            let answer = match manner {
                Manner::Refuses(status, retry_after) => {
                    let field = retry_after.map(|value| format!("retry-after: {value}\r\n")).unwrap_or_default();
                    let head = format!("HTTP/1.1 {status} x\r\n{field}connection: close\r\ncontent-length: 0\r\n\r\n");
                    let _ = (&mut &*stream).write_all(head.as_bytes());
                    // It goes when it has read that.
                    let _ = io::copy(&mut reader, &mut io::sink());
                    let _ = self.left.send(());
                    return;
                }
                Manner::Hangs => {
                    // Until the exporter gives up.
                    let _ = io::copy(&mut reader, &mut io::sink());
                    return;
                }
                Manner::Takes | Manner::Rejects(_) | Manner::Dawdles => {
                    if let Manner::Dawdles = manner
                        && self.hurried.recv().is_err()
                    {
                        return;
                    }
                    let _ = self.taken.send(Received::decode(head, &body));
                    answer(manner)
                }
            };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
            if (&mut &*stream).write_all(&[head.as_bytes(), &answer].concat()).is_err() {
                return;
            }
        }
    }
}

fn answer(manner: Manner) -> Vec<u8> {
    let Manner::Rejects(rejected_spans) = manner else { return Vec::new() };
    let partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message: "no".into() });
    ExportTraceServiceResponse { partial_success }.encode_to_vec()
}

impl Received {
    fn decode(head: Vec<String>, body: &[u8]) -> Self {
        if head[0].contains(" /v1/metrics ") {
            let metrics = ExportMetricsServiceRequest::decode(body).expect("OTLP").resource_metrics;
            return Self { head, spans: Vec::new(), metrics };
        }
        let spans = ExportTraceServiceRequest::decode(body).expect("OTLP").resource_spans;
        Self { head, spans, metrics: Vec::new() }
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
    let Some(length) = head.iter().find_map(|line| line.strip_prefix("content-length: ")) else {
        // HTTP/2, which it does not know and never answers.
        let _ = io::copy(reader, &mut io::sink());
        return None;
    };
    let length = length.parse().ok()?;
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
