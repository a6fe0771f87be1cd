//! What log line, span and metrics say of a connection is one and the same, and is what its client and the app saw
//! themselves: over thousands of random connections, as a process of its own tells of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;

use super::collector::{Collector, Manner, attribute};
use super::draining::{ADMIN, ask};
use crate::support::app::App;
use crate::support::binary::Binary;
use crate::support::client::Security;
use crate::support::engines::{Engine, on_both_engines};
use crate::support::many::{self, Peer};
use crate::support::proxy::Setup;

mod plan;
mod play;

use plan::{Ending, Plan, Sent};
use play::Saw;

on_both_engines!(log_span_and_metrics_agree_with_what_both_sides_saw);

/// Connections for each engine.
const CONNECTIONS: u64 = 1000;
/// At a time.
const AT_ONCE: usize = 48;

/// What one connection came to, as each of them tells it: `by`, `why`, the codes, and the counts of both sides.
type Told = BTreeMap<&'static str, String>;

/// What is compared: its name, in the log, in the span, and whether it is there always.
const FIELDS: [(&str, &str, &str); 12] = [
    ("by", "by", "ringside.end.by"),
    ("why", "why", "ringside.end.why"),
    ("source", "source", "ringside.end.source"),
    ("code_sent", "code_sent", "websocket.close.code_sent"),
    ("code_received", "code_received", "websocket.close.code_received"),
    ("client frames", "from_client.frames", "websocket.from_client.frames"),
    ("client messages", "from_client.messages", "websocket.from_client.messages"),
    ("client bytes", "from_client.bytes", "websocket.from_client.bytes"),
    ("app frames", "from_app.frames", "websocket.from_app.frames"),
    ("app messages", "from_app.messages", "websocket.from_app.messages"),
    ("app bytes", "from_app.bytes", "websocket.from_app.bytes"),
    ("span_id", "span_id", "span_id"),
];

fn log_span_and_metrics_agree_with_what_both_sides_saw(engine: Engine) {
    let _alone = many::alone();
    let collector = Collector::start(Manner::Takes);
    let app = App::unix();
    let traces = format!("endpoint = \"{}\"", collector.endpoint);
    let setup = Setup::new(engine).workers(2).table("admin", ADMIN).table("telemetry.traces", &traces);
    // Each of them is to have its lines.
    let log = format!("format = \"json\"\nnoise = {CONNECTIONS}");
    let setup = setup.table("log", &log).variable("OTEL_BSP_SCHEDULE_DELAY", "50");
    let mut binary = Binary::start(&setup, app.address());
    let admin = binary.admin();

    let seed: u64 = StdRng::from_os_rng().random();
    let plans: Vec<_> = (0..CONNECTIONS).map(|n| Plan::draw(&mut StdRng::seed_from_u64(seed ^ n))).collect();
    let (clients, heard) = many::run(converse(binary.address, &app, Arc::new(plans.clone())));
    assert_eq!((clients.len(), heard.len()), (plans.len(), plans.len()));

    let lines = lines(&mut binary, plans.len());
    let spans = spans(&collector, plans.len());
    for (number, (plan, saw)) in plans.iter().zip(&clients).enumerate() {
        let told = |kind: &HashMap<String, Told>| kind[&trace(number)].clone();
        let (line, span) = (told(&lines), told(&spans));
        assert_eq!(line, span, "seed {seed}, connection {number}: log line and span: {plan:?}");
        let expected = expected(plan, saw, &heard[number]);
        let line: Told = line.into_iter().filter(|(name, _)| *name != "span_id").collect();
        assert_eq!(line, expected, "seed {seed}, connection {number}: told and seen: {plan:?}");
    }
    let metrics = metrics(&ask(admin, "GET /metrics").body);
    agree(&metrics, &plans, &expected_of(&plans, &clients, &heard));
}

/// Has every plan played by a client and the app. What the clients and the app saw, in the order of the plans.
async fn converse(address: std::net::SocketAddr, app: &App, plans: Arc<Vec<Plan>>) -> (Vec<Saw>, Vec<Saw>) {
    let (tell, mut told) = unbounded_channel();
    let scripts = Arc::clone(&plans);
    many::serve(app, move |peer, target| {
        let (tell, scripts) = (tell.clone(), Arc::clone(&scripts));
        async move {
            let number: usize = target[1..].parse().expect("a number");
            let saw = play::app(peer, &scripts[number]).await;
            // The test may have failed.
            let _ = tell.send((number, saw));
        }
    });
    let (mut playing, room) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    for number in 0..plans.len() {
        let (plans, room) = (Arc::clone(&plans), Arc::clone(&room));
        playing.spawn(async move {
            let _place = room.acquire().await.expect("open");
            let traceparent = format!("traceparent: 00-{}-00f067aa0ba902b7-01", trace(number));
            let (peer, _) = Peer::join(address, &Security::usual(), &format!("/{number}"), &[&traceparent]).await;
            (number, play::client(peer, &plans[number]).await)
        });
    }
    let mut clients: Vec<_> = playing.join_all().await;
    let mut heard = Vec::new();
    while heard.len() < plans.len() {
        heard.push(many::soon(told.recv()).await.expect("the app runs"));
    }
    for all in [&mut clients, &mut heard] {
        all.sort_by_key(|(number, _)| *number);
    }
    let seen = |all: Vec<(usize, Saw)>| all.into_iter().map(|(_, saw)| saw).collect();
    (seen(clients), seen(heard))
}

/// What is to be told of a connection, by its plan, and by what both sides saw of it.
fn expected(plan: &Plan, client: &Saw, app: &Saw) -> Told {
    let (by, why, source) = plan.ending.told();
    assert_eq!([app.got, client.got], plan.arrives(), "what arrived is what was sent: {plan:?}");
    let [from_client, from_app] = plan.sent();
    let optional = |code: Option<u16>| code.map_or(String::new(), |code| code.to_string());
    let mut told = Told::from([
        ("by", by.to_owned()),
        ("why", why.to_owned()),
        ("source", source.to_owned()),
        ("code_sent", optional(client.close)),
        ("code_received", optional(plan.ending.code_of_client())),
    ]);
    for (side, Sent { frames, messages, bytes, .. }) in [("client", from_client), ("app", from_app)] {
        for (what, n) in
            [("frames", frames.iter().sum::<u64>()), ("messages", messages.iter().sum()), ("bytes", bytes.iter().sum())]
        {
            let name = FIELDS.iter().find(|(name, ..)| *name == format!("{side} {what}")).expect("a field").0;
            told.insert(name, n.to_string());
        }
    }
    told
}

fn expected_of(plans: &[Plan], clients: &[Saw], heard: &[Saw]) -> Vec<Told> {
    plans.iter().zip(clients).zip(heard).map(|((plan, client), app)| expected(plan, client, app)).collect()
}

/// The trace that a client says it belongs to: what its line and its span are found by.
fn trace(number: usize) -> String {
    format!("0af7651916cd43dd{number:016x}")
}

/// The line of each connection that ended, by its trace.
fn lines(binary: &mut Binary, count: usize) -> HashMap<String, Told> {
    let ended = std::iter::repeat_with(|| {
        let line: Value = serde_json::from_str(&binary.line("\"message\":\"ended\"")).expect("JSON");
        let text = |name: &str| match &line[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (text("trace_id"), FIELDS.iter().map(|(name, in_log, _)| (*name, text(in_log))).collect())
    });
    ended.take(count).collect()
}

/// The span of each connection, by its trace.
fn spans(collector: &Collector, count: usize) -> HashMap<String, Told> {
    let mut found = HashMap::new();
    while found.len() < count {
        let received = collector.next().unwrap_or_else(|| panic!("only {} of {count} spans", found.len()));
        let scopes = received.spans.into_iter().flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans).filter(|span| span.name == "websocket") {
            let id = format!("{:016x}", u64::from_be_bytes(span.span_id[..].try_into().expect("8 bytes")));
            let trace = format!("{:032x}", u128::from_be_bytes(span.trace_id[..].try_into().expect("16 bytes")));
            let text = |name: &str| if name == "span_id" { id.clone() } else { attribute(&span.attributes, name) };
            found.insert(trace, FIELDS.iter().map(|(name, _, in_span)| (*name, text(in_span))).collect());
        }
    }
    found
}

/// Each series with its figure.
fn metrics(page: &str) -> HashMap<String, f64> {
    let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples.map(|(series, figure)| (series.to_owned(), figure.parse().expect("a figure"))).collect()
}

/// Holds the metrics against the sums of what was planned and seen.
#[expect(clippy::cast_precision_loss, reason = "a few thousand connections")]
fn agree(metrics: &HashMap<String, f64>, plans: &[Plan], told: &[Told]) {
    let is = |series: String, expected: u64| {
        assert_eq!(metrics.get(&series), Some(&(expected as f64)), "{series}");
    };
    is("ringside_connections_open".into(), 0);
    is("ringside_handshakes_total{outcome=\"opened\",reason=\"\"}".into(), plans.len() as u64);
    is("ringside_spans_dropped_total".into(), 0);
    is("ringside_events_dropped_total".into(), 0);
    is("ringside_log_lines_dropped_total".into(), 0);
    is("ringside_log_lines_suppressed_total".into(), 0);
    for ending in Ending::ALL {
        let (by, why, _) = ending.told();
        let count = told.iter().filter(|told| told["by"] == by && told["why"] == why).count();
        is(format!("ringside_connections_ended_total{{by=\"{by}\",why=\"{why}\"}}"), count as u64);
    }
    for (direction, name) in [("to_client", "code_sent"), ("from_client", "code_received")] {
        for (code, label) in [("1000", "1000"), ("1002", "1002"), ("1012", "1012"), ("3333", "3xxx"), ("", "none")] {
            let count = told.iter().filter(|told| told[name] == code).count();
            let series = format!("ringside_close_codes_total{{direction=\"{direction}\",code=\"{label}\"}}");
            is(series, count as u64);
        }
    }
    for (side, direction) in [(0, "from_client"), (1, "from_app")] {
        let all = plans.iter().map(|plan| plan.sent()[side]).fold(Sent::default(), Sent::and);
        for (n, opcode) in ["continuation", "text", "binary", "close", "ping", "pong"].into_iter().enumerate() {
            let labels = format!("{{direction=\"{direction}\",opcode=\"{opcode}\"}}");
            is(format!("ringside_frames_total{labels}"), all.frames[n]);
            is(format!("ringside_bytes_total{labels}"), all.bytes[n]);
            if n == 1 || n == 2 {
                is(format!("ringside_messages_total{labels}"), all.messages[n]);
            }
        }
        is(format!("ringside_message_size_bytes_count{{direction=\"{direction}\"}}"), all.messages.iter().sum());
        is(format!("ringside_message_size_bytes_sum{{direction=\"{direction}\"}}"), all.payload);
        let reads = metrics[&format!("ringside_relay_duration_seconds_count{{direction=\"{direction}\"}}")];
        assert!(reads > 0.0 && reads <= all.frames.iter().sum::<u64>() as f64 * 20.0, "{reads}");
    }
    for to in ["client", "app"] {
        is(format!("ringside_queued_bytes{{to=\"{to}\"}}"), 0);
    }
    is("ringside_buffers_lent".into(), 0);
}
