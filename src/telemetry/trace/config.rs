//! What is traced.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Ids, Remote, Sampler, Span};

/// Which spans there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which traces are exported.
    pub sampler: Sampler,
    /// Whether the sampled flag of a client that names a trace decides, instead of the `sampler`.
    pub trust_client: bool,
    /// How often a connection is told of while it lives; `None`: only at its end.
    pub checkpoint: Option<Duration>,
    /// Which messages get a span; `None`: none.
    pub messages: Option<Messages>,
}

/// Which messages get a span of their own, of those on connections that are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Chooses a share of them, by [`Sampler::chooses`].
    pub sampler: Sampler,
    /// Most of those chosen that get one, per worker and second. The others pass as if they had not been chosen.
    pub per_second: NonZeroU32,
}

impl Config {
    /// No spans at all.
    pub fn off() -> Self {
        Self { sampler: Sampler::ratio(0.0), checkpoint: None, ..Self::default() }
    }

    /// The span of a handshake: in the client's trace when it named one, else in a new one.
    pub fn handshake(&self, remote: Option<Remote>, ids: &mut Ids) -> Span {
        let span = Span::handshake(remote, self.sampler, ids);
        let followed = remote.filter(|_| self.trust_client);
        Span { sampled: followed.map_or(span.sampled, |remote| remote.sampled), ..span }
    }
}

/// Every trace, a checkpoint a minute, no messages; clients decide nothing.
impl Default for Config {
    fn default() -> Self {
        Self {
            sampler: Sampler::ratio(1.0),
            trust_client: false,
            checkpoint: Some(Duration::from_secs(60)),
            messages: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, Ids, Remote, Sampler};

    const SAMPLED: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const NOT_SAMPLED: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    #[test]
    fn a_clients_flag_decides_when_it_is_trusted_and_there() {
        for (ratio, trust_client, traceparent, sampled) in [
            (0.0, false, SAMPLED, false),
            (1.0, false, NOT_SAMPLED, true),
            (0.0, true, SAMPLED, true),
            (1.0, true, NOT_SAMPLED, false),
            (0.0, true, b"".as_slice(), false),
            (1.0, true, b"".as_slice(), true),
        ] {
            let config = Config { sampler: Sampler::ratio(ratio), trust_client, ..Config::default() };
            let remote = Remote::parse(traceparent);
            let span = config.handshake(remote, &mut Ids::from_seed(1));
            assert_eq!(span.sampled, sampled, "{ratio} {trust_client} {remote:?}");
            assert_eq!(span.parent, remote.map(|remote| remote.span));
        }
    }
}
