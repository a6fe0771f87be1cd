//! What the log says about a collector that fails: that it began, now and then that it lasts, and that it is over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

/// A collector that fails is logged this often at the most.
const COMPLAIN: Duration = Duration::from_secs(60);

/// A collector that may not take something.
#[derive(Debug)]
pub(super) struct Trouble {
    what: &'static str,
    state: Mutex<State>,
}

impl Trouble {
    /// With `what` is sent, in the plural.
    pub(super) fn with(what: &'static str) -> Self {
        Self { what, state: Mutex::default() }
    }

    /// After a request by which so many of them were lost, and `why`.
    pub(super) fn after(&self, lost: u64, why: &str) {
        let what = self.what;
        match self.state.lock().unwrap_or_else(PoisonError::into_inner).after(lost, Instant::now()) {
            Some(News::Fails { lost }) => {
                warn!(target: "ringside::export", lost, error = why, "the collector does not take {what}");
            }
            Some(News::Recovered { lost }) => {
                info!(target: "ringside::export", lost, "the collector takes {what} again");
            }
            None => {}
        }
    }
}

/// Since when that was last said, and how many are lost since it began.
#[derive(Debug, Default)]
struct State(Option<(Instant, u64)>);

/// What is worth a log line.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Fails { lost: u64 },
    Recovered { lost: u64 },
}

impl State {
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

    use super::{COMPLAIN, News, State};

    #[test]
    fn trouble_is_told_when_it_begins_now_and_then_and_when_it_is_over() {
        let (mut trouble, start) = (State::default(), Instant::now());
        assert_eq!(trouble.after(0, start), None);
        assert_eq!(trouble.after(5, start), Some(News::Fails { lost: 5 }));
        assert_eq!(trouble.after(5, start + COMPLAIN / 2), None);
        assert_eq!(trouble.after(5, start + COMPLAIN), Some(News::Fails { lost: 15 }));
        assert_eq!(trouble.after(5, start + COMPLAIN + Duration::from_secs(1)), None);
        assert_eq!(trouble.after(0, start + COMPLAIN * 2), Some(News::Recovered { lost: 20 }));
        assert_eq!(trouble.after(0, start + COMPLAIN * 2), None);
    }
}
