//! The bounded way from the export thread to the collector: the SDK's batch processor with our accounting around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor};

use super::closing::Closing;
use super::env;
use super::otlp::Otlp;
use super::trouble::Trouble;
use super::{Config, ExportError};
use crate::telemetry::names::Queue;

/// Spans that may wait for the collector; `OTEL_BSP_MAX_QUEUE_SIZE` changes it.
const QUEUE: u64 = 2048;

/// No more than this many, whatever the environment says: the SDK allocates the whole queue at once.
const LARGEST_QUEUE: u64 = 65_536;

/// Requests that are not full follow each other no faster: with a delay of 0 the SDK's thread would not rest at all.
const SHORTEST_DELAY: Duration = Duration::from_millis(10);

/// How many spans reached the collector and how many did not. All clones show the same figures.
#[derive(Clone, Debug, Default)]
pub struct SpanCounts(Arc<Counts>);

/// `exported + refused <= taken <= queued`: what was queued and not taken waits, what was taken and is neither exported
/// nor refused is on its way.
#[derive(Debug, Default)]
struct Counts {
    /// How many may wait. 0: nothing is exported.
    limit: AtomicU64,
    /// Spans that found the queue full.
    full: AtomicU64,
    /// Spans that entered the queue.
    queued: AtomicU64,
    /// Spans that left the queue for an attempt at the collector.
    taken: AtomicU64,
    /// Spans the collector took.
    exported: AtomicU64,
    /// Spans the collector did not take, even when asked again, or took and rejected.
    refused: AtomicU64,
    /// Nothing is exported any more: what waits is lost.
    over: AtomicBool,
}

impl SpanCounts {
    /// The queue to the collector.
    pub fn queue(&self) -> Queue {
        let Counts { limit, queued, taken, over, .. } = &*self.0;
        // In this order, so that what is taken in between is not missing.
        let taken = taken.load(Ordering::Acquire);
        let waiting = if over.load(Ordering::Acquire) { 0 } else { queued.load(Ordering::Acquire) - taken };
        Queue { waiting, limit: limit.load(Ordering::Relaxed), dropped: self.dropped() }
    }

    /// Spans lost so far: the queue was full, the collector did not take them, or the time to shut down was up.
    pub fn dropped(&self) -> u64 {
        let Counts { full, queued, exported, refused, over, .. } = &*self.0;
        let lost = if over.load(Ordering::Acquire) {
            queued.load(Ordering::Acquire).saturating_sub(exported.load(Ordering::Acquire))
        } else {
            refused.load(Ordering::Acquire)
        };
        full.load(Ordering::Acquire) + lost
    }

    /// Spans the collector took.
    pub fn exported(&self) -> u64 {
        self.0.exported.load(Ordering::Acquire)
    }
}

/// Takes spans and never blocks.
#[derive(Debug)]
pub(super) struct Pipeline {
    processor: BatchSpanProcessor,
    queue: u64,
    counts: SpanCounts,
    closing: Arc<Closing>,
}

impl Pipeline {
    pub(super) fn start(
        config: &Config,
        resource: &Resource,
        counts: SpanCounts,
        closing: Arc<Closing>,
    ) -> Result<Self, ExportError> {
        let otlp = Otlp::new(config, resource, Arc::clone(&closing))?;
        let number = |name| env::number(name, env::of_process);
        let queue = number("OTEL_BSP_MAX_QUEUE_SIZE").unwrap_or(QUEUE).clamp(1, LARGEST_QUEUE);
        counts.0.limit.store(queue, Ordering::Relaxed);
        // The builder takes what is not set here from the environment: `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`.
        let mut batches =
            BatchConfigBuilder::default().with_max_queue_size(usize::try_from(queue).unwrap_or(usize::MAX));
        if let Some(delay) = schedule_delay(env::of_process) {
            batches = batches.with_scheduled_delay(delay);
        }
        let batches = batches.build();
        let exporter = Accounted { otlp, counts: counts.clone(), trouble: Trouble::with("spans") };
        Ok(Self { processor: BatchSpanProcessor::new(exporter, batches), queue, counts, closing })
    }

    /// Puts `span` in the queue, or drops and counts it.
    ///
    /// The processor would drop it too, but tells nobody how often. So the queue is judged here, by what went in and
    /// what came out: the processor's own queue, of the same size, is never full.
    pub(super) fn send(&self, span: SpanData) {
        let counts = &self.counts.0;
        let waiting = counts.queued.load(Ordering::Acquire) - counts.taken.load(Ordering::Acquire);
        if waiting >= self.queue {
            counts.full.fetch_add(1, Ordering::AcqRel);
        } else {
            counts.queued.fetch_add(1, Ordering::AcqRel);
            self.processor.on_end(span);
        }
    }

    /// Exports what waits. False when that took longer than `within`: the rest is lost.
    pub(super) fn shutdown(self, within: Duration) -> bool {
        self.closing.end_by(Instant::now() + within);
        let done = self.processor.shutdown_with_timeout(within).is_ok();
        self.counts.0.over.store(true, Ordering::Release);
        done
    }
}

/// What the environment says of the time between requests that are not full.
fn schedule_delay(variable: impl Fn(&'static str) -> Option<String>) -> Option<Duration> {
    let millis = env::number("OTEL_BSP_SCHEDULE_DELAY", variable)?;
    Some(Duration::from_millis(millis).max(SHORTEST_DELAY))
}

/// The exporter that the processor sees: counts what becomes of each span and says so when the collector fails.
#[derive(Debug)]
struct Accounted {
    otlp: Otlp,
    counts: SpanCounts,
    trouble: Trouble,
}

impl SpanExporter for Accounted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let counts = &self.counts.0;
        counts.taken.fetch_add(spans, Ordering::AcqRel);
        let (lost, why) = match self.otlp.export(batch).await {
            Ok(0) => (0, String::new()),
            Ok(rejected) => (rejected.min(spans), "the collector rejected some of those it was sent".to_owned()),
            Err(why) => (spans, why),
        };
        counts.exported.fetch_add(spans - lost, Ordering::AcqRel);
        counts.refused.fetch_add(lost, Ordering::AcqRel);
        self.trouble.after(lost, &why);
        if lost == 0 { Ok(()) } else { Err(OTelSdkError::InternalFailure(why)) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{SHORTEST_DELAY, schedule_delay};

    #[test]
    fn the_thread_of_batches_rests_between_requests() {
        let said = |millis: &str| schedule_delay(|_| Some(millis.to_owned()));
        assert_eq!([said("250"), said("0")], [Some(Duration::from_millis(250)), Some(SHORTEST_DELAY)]);
        assert_eq!([said("often"), schedule_delay(|_| None)], [None, None]);
    }
}
