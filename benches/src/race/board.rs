//! What every entrant did in every round, in an order that favours nobody.

use crate::Fault;
use crate::spread::Middle;

/// The runs of every entrant.
pub(super) struct Board<T> {
    rows: Vec<Row<T>>,
}

/// The runs of one, or what failed.
struct Row<T> {
    name: &'static str,
    runs: Result<Vec<T>, String>,
}

impl<T> Board<T> {
    pub(super) fn new(names: &[&'static str]) -> Self {
        Self { rows: names.iter().map(|name| Row { name, runs: Ok(Vec::new()) }).collect() }
    }

    /// Excludes an entrant, and says why.
    pub(super) fn exclude(&mut self, entrant: usize, why: impl Into<String>) {
        self.rows[entrant].runs = Err(why.into());
    }

    /// Lets everybody run once in each round. Who fails is out.
    pub(super) fn rounds(&mut self, rounds: usize, what: &str, mut run: impl FnMut(usize) -> Result<T, Fault>) {
        for round in 0..rounds {
            super::progress(&format!("{what}: round {} of {rounds}", round + 1));
            for entrant in order(self.rows.len(), round) {
                let row = &mut self.rows[entrant];
                let Ok(runs) = &mut row.runs else { continue };
                match run(entrant) {
                    Ok(done) => runs.push(done),
                    Err(fault) => {
                        super::progress(&format!("{what}: {} failed: {fault}", row.name));
                        row.runs = Err(format!("failed: {fault}"));
                    }
                }
            }
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().map(|row| row.name)
    }

    /// Why an entrant has no result.
    pub(super) fn excluded(&self, entrant: usize) -> Option<&str> {
        self.rows[entrant].runs.as_ref().err().map(String::as_str)
    }

    /// The middle of a value of an entrant; `None` when it failed.
    pub(super) fn middle(&self, entrant: usize, value: impl Fn(&T) -> f64) -> Option<Middle> {
        Middle::of(self.rows[entrant].runs.as_ref().ok()?.iter().map(value))
    }

    /// The middle of the ratios, each within a round, of a value of the entrant called `name` by that of another. `None`
    /// when one of them failed, did not run, or is the other.
    pub(super) fn ratio(&self, name: &str, by: usize, value: impl Fn(&T) -> f64) -> Option<Middle> {
        let one = self.rows.iter().position(|row| row.name == name).filter(|one| *one != by)?;
        let (one, other) = (self.rows[one].runs.as_ref().ok()?, self.rows[by].runs.as_ref().ok()?);
        let ratios = one.iter().zip(other).map(|(one, other)| value(one) / value(other));
        // Nothing by nothing is no ratio.
        Middle::of(ratios.filter(|ratio| ratio.is_finite()))
    }
}

/// The order of a round: over twice as many rounds as there are entrants, everybody comes after every other equally often
/// (a Williams design).
fn order(entrants: usize, round: usize) -> Vec<usize> {
    let zigzag = (0..entrants).map(|at| if at % 2 == 0 { at / 2 } else { entrants - at.div_ceil(2) });
    let mut order: Vec<_> = zigzag.map(|entrant| (entrant + round) % entrants).collect();
    // With an even number this changes nothing; with an odd one it is what evens it out.
    if round / entrants.max(1) % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Board, order};

    #[test]
    fn everybody_follows_every_other_equally_often() {
        for entrants in 2..9 {
            let mut followed = BTreeMap::new();
            for round in 0..2 * entrants {
                let order = order(entrants, round);
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert!(sorted.into_iter().eq(0..entrants), "{order:?}");
                for pair in order.windows(2) {
                    *followed.entry((pair[0], pair[1])).or_insert(0) += 1;
                }
            }
            assert_eq!(followed.len(), entrants * (entrants - 1), "{entrants}");
            assert!(followed.values().all(|times| *times == 2), "{entrants}: {followed:?}");
        }
    }

    #[test]
    fn ratios_are_of_the_same_round_and_never_of_who_failed() {
        let mut board = Board::new(&["one", "other", "broken", "out"]);
        board.exclude(3, "cannot");
        let mut drift = 0.0;
        board.rounds(6, "test", |entrant| {
            drift += 1.0;
            match entrant {
                0 => Ok(2.0),
                1 => Ok(4.0),
                _ if drift > 8.0 => Err("lost".into()),
                _ => Ok(1.0),
            }
        });
        let value = |value: &f64| *value;
        assert!((board.ratio("one", 1, value).unwrap().median - 0.5).abs() < 1e-9);
        assert!(board.ratio("one", 0, value).is_none() && board.ratio("nobody", 0, value).is_none());
        assert!(board.ratio("one", 2, value).is_none() && board.ratio("broken", 0, value).is_none());
        assert_eq!((board.excluded(2), board.excluded(3)), (Some("failed: lost"), Some("cannot")));
        assert!(board.middle(2, value).is_none() && board.middle(1, value).is_some());
    }
}
