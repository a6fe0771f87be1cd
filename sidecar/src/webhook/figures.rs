//! Figures of the webhook, in Prometheus' text format.
//!
//! | metric | how to read it |
//! |---|---|
//! | `ringside_injector_reviews_total{result}` | requests by what became of them: `injected`, `skipped`, `denied`, `malformed` |
//! | `ringside_injector_review_seconds` | histogram of how long a request took, from its head to its answer |
//! | `ringside_injector_certificate` | 1 when there is a certificate to serve with, else 0, and pods that ask for a sidecar are refused |

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the histogram's buckets in microseconds.
const BOUNDS: [u64; 8] = [250, 500, 1_000, 2_500, 5_000, 25_000, 250_000, 2_500_000];

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Injected,
    Skipped,
    Denied,
    Malformed,
}

const RESULTS: [&str; 4] = ["injected", "skipped", "denied", "malformed"];

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Figures {
    results: [AtomicU64; RESULTS.len()],
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Figures {
    /// A request became `what`, and took so long.
    pub(super) fn count(&self, what: What, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        for counter in [&self.results[what as usize], &self.buckets[bucket]] {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// All figures; `is_ready`: whether there is a certificate.
    pub(super) fn text(&self, is_ready: bool) -> String {
        let mut text = String::from("# TYPE ringside_injector_reviews_total counter\n");
        for (name, counter) in RESULTS.iter().zip(&self.results) {
            let count = counter.load(Ordering::Relaxed);
            let _ = writeln!(text, "ringside_injector_reviews_total{{result=\"{name}\"}} {count}");
        }
        text.push_str("# TYPE ringside_injector_review_seconds histogram\n");
        let mut sum = 0;
        for (n, bucket) in self.buckets.iter().enumerate() {
            sum += bucket.load(Ordering::Relaxed);
            let bound = BOUNDS.get(n).map_or("+Inf".into(), |micros| seconds(*micros));
            let _ = writeln!(text, "ringside_injector_review_seconds_bucket{{le=\"{bound}\"}} {sum}");
        }
        let total = seconds(self.micros.load(Ordering::Relaxed));
        let _ = write!(
            text,
            "ringside_injector_review_seconds_sum {total}\nringside_injector_review_seconds_count {sum}\n\
             # TYPE ringside_injector_certificate gauge\nringside_injector_certificate {}\n",
            u8::from(is_ready)
        );
        text
    }
}

fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Figures, What};

    #[test]
    fn tells_results_and_times() {
        let figures = Figures::default();
        figures.count(What::Injected, Duration::from_micros(300));
        figures.count(What::Injected, Duration::from_secs(3));
        figures.count(What::Denied, Duration::from_micros(100));
        let text = figures.text(true);
        for line in [
            "ringside_injector_reviews_total{result=\"injected\"} 2",
            "ringside_injector_reviews_total{result=\"malformed\"} 0",
            "ringside_injector_review_seconds_bucket{le=\"0.00025\"} 1",
            "ringside_injector_review_seconds_bucket{le=\"2.5\"} 2",
            "ringside_injector_review_seconds_bucket{le=\"+Inf\"} 3",
            "ringside_injector_review_seconds_sum 3.0004",
            "ringside_injector_certificate 1",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
    }
}
