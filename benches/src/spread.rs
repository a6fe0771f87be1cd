//! Medians, and how far apart the runs were.

/// Spread above which a result is called noisy.
pub const NOISY: f64 = 0.15;

/// The middle of several runs and their spread.
#[derive(Clone, Copy, Debug)]
pub struct Middle {
    /// The median.
    pub median: f64,
    /// Distance of the quartiles by the median: a few runs that went astray do not count. With up to three runs, that of the
    /// largest and the smallest.
    pub spread: f64,
    /// Standard error of the median: 1.25 times that of the mean of as many values that are normally distributed, whose
    /// standard deviation is 0.74 times the distance of the quartiles.
    pub error: f64,
}

impl Middle {
    /// Of `values`; `None` when there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        if values.is_empty() {
            return None;
        }
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        let quartiles = values[values.len() * 3 / 4] - values[values.len() / 4];
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let error = 1.25 * 0.74 * quartiles / (values.len() as f64).sqrt();
        Some(Self { median, spread: quartiles / median, error })
    }

    /// Whether the runs were too far apart to be believed.
    pub fn is_noisy(self) -> bool {
        self.spread > NOISY
    }
}

#[cfg(test)]
mod tests {
    use super::Middle;

    #[test]
    fn takes_the_middle_and_tells_the_spread() {
        let odd = Middle::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.median, odd.spread), (2.0, 1.0));
        let even = Middle::of([1.0, 1.1]).unwrap();
        assert!((even.median - 1.05).abs() < 1e-9 && !even.is_noisy() && odd.is_noisy());
        let astray = Middle::of([1.0, 1.0, 1.1, 1.1, 9.0, 1.0, 1.1, 1.0]).unwrap();
        assert!(!astray.is_noisy(), "{astray:?}");
        assert!(Middle::of([]).is_none());
    }
}
