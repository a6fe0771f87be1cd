//! Which spans there are: `[telemetry.traces]` without the way to the collector.

use std::num::NonZeroU32;
use std::time::Duration;

use super::bounds::{self, DAY};
use super::findings::Findings;
use super::raw;
use crate::telemetry::trace::{Config, Messages, Sampler};

/// What comes more often says little more, and costs every connection a span each time.
const SHORTEST_CHECKPOINT: Duration = Duration::from_secs(1);

/// More would fill the queue of spans before a batch goes out, and handshakes and ends would be dropped for them.
const MOST_MESSAGES: NonZeroU32 = NonZeroU32::new(1000).unwrap();

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
