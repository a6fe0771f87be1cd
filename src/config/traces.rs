//! Which spans there are and what they are called: `[telemetry.traces]` without the way to the collector, and
//! `telemetry.routes`.

use std::num::NonZeroU32;
use std::time::Duration;

use super::bounds::{self, DAY};
use super::document::Item;
use super::findings::Findings;
use super::raw;
use crate::http1::route::{MOST, Route, Routes};
use crate::telemetry::trace::{Config, Messages, Sampler};

/// What comes more often says little more, and costs every connection a span each time.
const SHORTEST_CHECKPOINT: Duration = Duration::from_secs(1);

/// More would fill the queue of spans before a batch goes out, and handshakes and ends would be dropped for them.
const MOST_MESSAGES: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// The templates that make sense.
pub(super) fn routes(texts: &[String], findings: &mut Findings<'_>) -> Routes {
    const KEY: &str = "telemetry.routes";
    const HELP: &str = "write a path such as \"/chat\" or \"/rooms/{room}\"";
    if texts.len() > MOST {
        let what = format!("{} templates: more than {MOST}, and each new path is compared with all", texts.len());
        findings.wrong(KEY, what, format!("write at most {MOST}"));
    }
    let mut routes: Vec<Route> = Vec::new();
    for (n, text) in texts.iter().enumerate().take(MOST) {
        match text.parse::<Route>() {
            Ok(route) => match routes.iter().find(|earlier| earlier.covers(&route)) {
                Some(earlier) => {
                    let what = format!("{text:?} is never reached: {:?} stands for the same paths", earlier.as_str());
                    findings.wrong_item(KEY, Item::At(n), what, "remove it, or put it in front of the other");
                }
                None => routes.push(route),
            },
            Err(error) => findings.wrong_item(KEY, Item::At(n), format!("{text:?}: {error}"), HELP),
        }
    }
    Routes::new(routes)
}

pub(super) fn resolve(raw: &raw::Traces, findings: &mut Findings<'_>) -> Config {
    bounds::ratio("telemetry.traces.sample_ratio", raw.sample_ratio, findings);
    if let Some(checkpoint) = raw.checkpoint {
        bounds::time("telemetry.traces.checkpoint", checkpoint, SHORTEST_CHECKPOINT..=DAY, findings);
    }
    Config {
        sampler: Sampler::ratio(raw.sample_ratio),
        trust_client: raw.trust_client,
        checkpoint: raw.checkpoint,
        messages: raw.messages.map(|raw| messages(raw, findings)),
    }
}

fn messages(raw: raw::Messages, findings: &mut Findings<'_>) -> Messages {
    bounds::ratio("telemetry.traces.messages.sample_ratio", raw.sample_ratio, findings);
    if raw.per_second > MOST_MESSAGES {
        let what = format!("more than {MOST_MESSAGES}: spans of messages would crowd out the others");
        findings.wrong("telemetry.traces.messages.per_second", what, format!("write at most {MOST_MESSAGES}"));
    }
    Messages { sampler: Sampler::ratio(raw.sample_ratio), per_second: raw.per_second }
}
