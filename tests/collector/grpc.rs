//! The same over gRPC: a collector that takes, refuses for a while, or for good.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use ringside::control::export::{Config, Protocol};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use serving::serve;

use super::faults::wait_until;
use super::{PATIENCE, config, report_many, shutdown, start_with};

#[path = "../support/grpc.rs"]
mod serving;

/// As many spans as go out at once, without waiting for more.
const BATCH: u64 = 512;

/// A collector that refuses the first requests with these.
struct Collector {
    address: SocketAddr,
    asked: Receiver<Instant>,
    taken: Receiver<usize>,
}

struct Service {
    refusals: Mutex<Vec<Status>>,
    asked: Sender<Instant>,
    taken: Sender<usize>,
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let _ = self.asked.send(Instant::now());
        if let Some(refusal) = self.refusals.lock().expect("no panic").pop() {
            return Err(refusal);
        }
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let _ = self.taken.send(spans.map(|scope| scope.spans.len()).sum());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Runs until the test ends.
    fn start(mut refusals: Vec<Status>) -> Self {
        refusals.reverse();
        let ((to_asked, asked), (to_taken, taken)) = (channel(), channel());
        let service = Service { refusals: refusals.into(), asked: to_asked, taken: to_taken };
        let address = serve(TraceServiceServer::new(service));
        Self { address, asked, taken }
    }

    fn config(&self) -> Config {
        Config { protocol: Protocol::Grpc, ..config(&format!("http://{}", self.address)) }
    }

    fn asked(&self) -> Instant {
        self.asked.recv_timeout(PATIENCE).expect("a request")
    }

    fn spans(&self) -> usize {
        self.taken.try_iter().sum()
    }
}

fn busy(delay: Option<Duration>) -> Status {
    match delay {
        Some(delay) => {
            Status::with_error_details(Code::Unavailable, "busy", ErrorDetails::with_retry_info(Some(delay)))
        }
        None => Status::unavailable("busy"),
    }
}

#[test]
fn a_collector_takes_spans_over_grpc() {
    let collector = Collector::start(Vec::new());
    let (reporter, export) = start_with(collector.config());
    report_many(&reporter, 10);
    let counts = export.counts();
    assert!(shutdown(export, PATIENCE));
    assert_eq!((collector.spans(), counts.exported(), counts.dropped()), (10, 10, 0));
}

#[test]
fn a_busy_collector_is_asked_again_at_the_time_it_names() {
    let collector = Collector::start(vec![busy(Some(Duration::from_secs(1))), busy(None)]);
    let (reporter, export) = start_with(collector.config());
    report_many(&reporter, BATCH);
    let first = collector.asked();
    let waited = collector.asked() - first;
    assert!(waited >= Duration::from_millis(950), "{waited:?}");
    let counts = export.counts();
    assert!(shutdown(export, PATIENCE));
    assert_eq!((collector.spans(), counts.exported(), counts.dropped()), (512, BATCH, 0));
}

#[test]
fn a_collector_that_stays_busy_costs_what_came_meanwhile() {
    let collector = Collector::start(vec![busy(None); 4]);
    let (reporter, export) = start_with(collector.config());
    let counts = export.counts();
    report_many(&reporter, BATCH);
    wait_until(&counts, "given up", |counts| counts.dropped() == BATCH);
    report_many(&reporter, BATCH);
    wait_until(&counts, "exported", |counts| counts.exported() == BATCH);
    assert!(shutdown(export, PATIENCE));
    assert_eq!((collector.spans(), counts.exported(), counts.dropped()), (512, BATCH, BATCH));
}

#[test]
fn a_wait_for_the_collector_does_not_outlast_the_process() {
    let collector = Collector::start(vec![busy(Some(Duration::from_secs(8)))]);
    let (reporter, export) = start_with(collector.config());
    report_many(&reporter, BATCH);
    collector.asked();
    let counts = export.counts();
    shutdown(export, Duration::from_secs(1));
    assert_eq!((counts.exported(), counts.dropped()), (0, BATCH));
}
