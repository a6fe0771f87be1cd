//! Histograms with a single writer each: how often a value fell between two bounds, and the sum of all.
//!
//! To record is a short search and two stores: cheap enough for each read. Bounds are fixed in the source, so that
//! histograms of all workers, and of all pods, can be added up.

use super::counter::Counter;

/// Most buckets, the one without an upper bound included.
const BUCKETS: usize = 20;

/// What a histogram's values are, and where its buckets end.
#[derive(Debug, PartialEq)]
pub struct Scale {
    /// Upper bounds, included, in rising order, in the unit of the recorded values.
    pub bounds: &'static [u64],
    /// How many of those units make the one that is shown: recorded nanoseconds are shown as seconds.
    pub per_unit: f64,
}

/// Recorded in nanoseconds, shown in seconds: from what a read takes to what a stalled receiver does.
pub const DELAY: Scale = nanoseconds(&[
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    30_000_000_000,
]);

/// Recorded in nanoseconds, shown in seconds: from a loopback's round trip, or a token's check, to a timeout.
pub const EXCHANGE: Scale = nanoseconds(&[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
]);

/// Bytes.
pub const SIZE: Scale = Scale {
    bounds: &[16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20],
    per_unit: 1.0,
};

const fn nanoseconds(bounds: &'static [u64]) -> Scale {
    Scale { bounds, per_unit: 1e9 }
}

/// How often values fell into each bucket of a scale.
#[derive(Debug)]
pub struct Histogram {
    scale: &'static Scale,
    counts: [Counter; BUCKETS],
    sum: Counter,
}

/// What a histogram holds at one moment, or several together.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its scale.
    pub scale: &'static Scale,
    /// How many values fell into each bucket: one for each bound, and one for what is larger than all.
    pub counts: Vec<u64>,
    /// The sum of all values, in recorded units.
    pub sum: u64,
}

impl Histogram {
    /// Nothing recorded.
    pub fn new(scale: &'static Scale) -> Self {
        debug_assert!(scale.bounds.len() < BUCKETS, "a scale with too many bounds");
        Self { scale, counts: std::array::from_fn(|_| Counter::default()), sum: Counter::default() }
    }

    /// Records `value`. From the owning thread only, as [`Counter::add`].
    pub fn record(&self, value: u64) {
        let bucket = self.scale.bounds.iter().take_while(|bound| **bound < value).count();
        self.counts[bucket].add(1);
        self.sum.add(value);
    }

    /// Records a time. Its scale is one of nanoseconds.
    pub fn record_time(&self, took: std::time::Duration) {
        self.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Snapshot {
    /// All of `histograms` together; `None` when there is none.
    pub fn of<'h>(histograms: impl IntoIterator<Item = &'h Histogram>) -> Option<Self> {
        let mut histograms = histograms.into_iter().peekable();
        let scale = histograms.peek()?.scale;
        let mut all = Self { scale, counts: vec![0; scale.bounds.len() + 1], sum: 0 };
        for histogram in histograms {
            debug_assert_eq!(histogram.scale, scale, "histograms of different scales");
            for (sum, count) in all.counts.iter_mut().zip(&histogram.counts) {
                *sum += count.get();
            }
            all.sum = all.sum.wrapping_add(histogram.sum.get());
        }
        Some(all)
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The upper bounds in the unit that is shown.
    #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^53")]
    pub fn bounds(&self) -> impl Iterator<Item = f64> {
        self.scale.bounds.iter().map(|bound| *bound as f64 / self.scale.per_unit)
    }

    /// The sum of all values in the unit that is shown.
    #[expect(clippy::cast_precision_loss, reason = "a sum beyond 2^53 is rounded in its last digits")]
    pub fn sum(&self) -> f64 {
        self.sum as f64 / self.scale.per_unit
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, DELAY, EXCHANGE, Histogram, SIZE, Snapshot};

    #[test]
    fn a_value_falls_into_the_first_bucket_that_holds_it() {
        let (one, other) = (Histogram::new(&SIZE), Histogram::new(&SIZE));
        for size in [0, 16, 17, 1 << 20, u64::from(u32::MAX)] {
            one.record(size);
        }
        other.record(16);
        let all = Snapshot::of([&one, &other]).expect("two");
        assert_eq!(all.counts, [3, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
        assert_eq!((all.count(), all.sum), (6, 16 + 17 + (1 << 20) + u64::from(u32::MAX) + 16));
        assert_eq!(Snapshot::of([]), None);
    }

    #[test]
    fn times_are_shown_in_seconds() {
        let histogram = Histogram::new(&DELAY);
        histogram.record_time(std::time::Duration::from_millis(2));
        let all = Snapshot::of([&histogram]).expect("one");
        assert_eq!((all.bounds().next(), all.sum()), (Some(0.000_005), 0.002));
    }

    #[test]
    fn bounds_rise_and_have_room() {
        for scale in [&DELAY, &EXCHANGE, &SIZE] {
            assert!(scale.bounds.is_sorted() && scale.bounds.len() < BUCKETS, "{scale:?}");
        }
    }
}
