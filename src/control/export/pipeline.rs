//! The bounded way from the export thread to the collector: the SDK's batch processor with our accounting around it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor};
use tracing::{info, warn};

use super::otlp::{Otlp, variable};
use super::{Config, ExportError};

/// Spans that may wait for the collector; `OTEL_BSP_MAX_QUEUE_SIZE` changes it.
const QUEUE: u64 = 2048;

/// No more than this many, whatever the environment says: the SDK allocates the whole queue at once.
const LARGEST_QUEUE: u64 = 65_536;

/// A collector that fails is logged this often at the most.
const COMPLAIN: Duration = Duration::from_secs(60);

/// How many spans reached the collector and how many did not. All clones show the same figures.
#[derive(Clone, Debug, Default)]
pub struct SpanCounts(Arc<Counts>);

/// `exported + refused <= taken <= queued`: what was queued and not taken waits, what was taken and is neither exported
/// nor refused is on its way.
#[derive(Debug, Default)]
struct Counts {
    /// Spans that found the queue full.
    full: AtomicU64,
    /// Spans that entered the queue.
    queued: AtomicU64,
    /// Spans that left the queue for an attempt at the collector.
    taken: AtomicU64,
    /// Spans the collector took.
    exported: AtomicU64,
    /// Spans the collector did not take, even when asked again.
    refused: AtomicU64,
    /// Nothing is exported any more: what waits is lost.
    over: AtomicBool,
}

impl SpanCounts {
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
}

impl Pipeline {
    pub(super) fn start(config: &Config, resource: &Resource, counts: SpanCounts) -> Result<Self, ExportError> {
        let otlp = Otlp::new(config, resource)?;
        let queue = variable("OTEL_BSP_MAX_QUEUE_SIZE").unwrap_or(QUEUE).clamp(1, LARGEST_QUEUE);
        let batches =
            BatchConfigBuilder::default().with_max_queue_size(usize::try_from(queue).unwrap_or(usize::MAX)).build();
        let exporter = Accounted { otlp, counts: counts.clone(), trouble: Mutex::default() };
        Ok(Self { processor: BatchSpanProcessor::new(exporter, batches), queue, counts })
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
        let done = self.processor.shutdown_with_timeout(within).is_ok();
        self.counts.0.over.store(true, Ordering::Release);
        done
    }
}

/// The exporter that the processor sees: counts what becomes of each span and says so when the collector fails.
#[derive(Debug)]
struct Accounted {
    otlp: Otlp,
    counts: SpanCounts,
    trouble: Mutex<Trouble>,
}

impl SpanExporter for Accounted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let counts = &self.counts.0;
        counts.taken.fetch_add(spans, Ordering::AcqRel);
        let result = self.otlp.export(batch).await;
        let counter = if result.is_ok() { &counts.exported } else { &counts.refused };
        counter.fetch_add(spans, Ordering::AcqRel);
        let lost = if result.is_ok() { 0 } else { spans };
        let news = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).after(lost, Instant::now());
        match (news, &result) {
            (Some(News::Fails { lost }), Err(error)) => {
                warn!(target: "ringside::export", lost, %error, "the collector does not take spans");
            }
            (Some(News::Recovered { lost }), _) => {
                info!(target: "ringside::export", lost, "the collector takes spans again");
            }
            _ => {}
        }
        result
    }
}

/// A collector that does not take spans: since when that was last said, and how many are lost since it began.
#[derive(Debug, Default)]
struct Trouble(Option<(Instant, u64)>);

/// What is worth a log line.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Fails { lost: u64 },
    Recovered { lost: u64 },
}

impl Trouble {
    /// After a batch of which so many spans were lost: all of them or none.
    fn after(&mut self, lost: u64, now: Instant) -> Option<News> {
        match (lost, self.0.take()) {
            (0, before) => before.map(|(_, lost)| News::Recovered { lost }),
            (_, Some((said, before))) if now.duration_since(said) < COMPLAIN => {
                self.0 = Some((said, before + lost));
                None
            }
            (_, before) => {
                let lost = lost + before.map_or(0, |(_, lost)| lost);
                self.0 = Some((now, lost));
                Some(News::Fails { lost })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{COMPLAIN, News, Trouble};

    #[test]
    fn trouble_is_told_when_it_begins_now_and_then_and_when_it_is_over() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.after(0, start), None);
        assert_eq!(trouble.after(5, start), Some(News::Fails { lost: 5 }));
        assert_eq!(trouble.after(5, start + COMPLAIN / 2), None);
        assert_eq!(trouble.after(5, start + COMPLAIN), Some(News::Fails { lost: 15 }));
        assert_eq!(trouble.after(5, start + COMPLAIN + Duration::from_secs(1)), None);
        assert_eq!(trouble.after(0, start + COMPLAIN * 2), Some(News::Recovered { lost: 20 }));
        assert_eq!(trouble.after(0, start + COMPLAIN * 2), None);
    }
}
