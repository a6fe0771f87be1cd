//! Trace identities in the sidecar and on the wire (W3C Trace Context, level 1).
//!
//! Workers only need identities: which trace, which span, sampled or not. Spans themselves are built from
//! [`record`](super::record)s by `control::export`, off the workers.
//!
//! ```text
//! traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//!              |  trace id (16 bytes)              parent id (8)     flags: 01 = sampled
//!              version
//! ```
//!
//! A client's trace id is kept, so that its own spans and ours are one trace. Its sampled flag is followed only where
//! [`Config::trust_client`] says so: strangers must not decide how much we export. Else the [`Sampler`]'s ratio decides
//! from the trace id, and every service that samples by the same rule and ratio comes to the same decision.

mod config;
mod state;

use std::fmt;
use std::io;

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

pub use self::config::{Config, Messages};
pub use self::state::TraceState;

/// A trace's id: 16 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// A span's id: 8 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

/// One span's place in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub id: SpanId,
    /// The span above it: the client's (remote) for a handshake, the handshake's for a connection.
    pub parent: Option<SpanId>,
    /// Whether it is exported.
    pub sampled: bool,
}

/// What a client's `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The trace it belongs to.
    pub trace: TraceId,
    /// The client's span.
    pub span: SpanId,
    /// Whether the client says that it sampled. Followed only when clients are trusted, see the module.
    pub sampled: bool,
}

/// Which traces are exported: a share of them, chosen by trace id (OpenTelemetry's `TraceIdRatioBased`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// Traces whose 63 bits are below it are sampled; `0 <= below <= 2^63`.
    below: u64,
}

/// A source of trace and span ids, and of other unpredictable bytes, one per worker.
#[derive(Debug)]
pub struct Ids(StdRng);

/// Length of a `traceparent` of version 00.
const TRACEPARENT: usize = 55;

/// How many values the 63 bits have that a [`Sampler`] looks at: the low 8 bytes of a trace id, without the last bit.
const ALL: u64 = 1 << 63;

impl Remote {
    /// Reads a `traceparent` value (W3C Trace Context section 3.2), without spaces around it.
    ///
    /// `None` for anything the specification tells us to ignore: version `ff`, a version 00 of another length, upper
    /// case, an id that is all zero. A later version is read by the fields that version 00 knows (section 4.3).
    pub fn parse(value: &[u8]) -> Option<Self> {
        let head = value.get(..TRACEPARENT)?;
        if [head[2], head[35], head[52]] != [b'-'; 3] {
            return None;
        }
        let [version] = hex(&head[..2])?;
        match (version, value.get(TRACEPARENT)) {
            (0xff, _) | (0, Some(_)) => return None,
            (0, None) | (_, None | Some(b'-')) => {}
            (_, Some(_)) => return None,
        }
        let trace: [u8; 16] = hex(&head[3..35])?;
        let span: [u8; 8] = hex(&head[36..52])?;
        let [flags] = hex(&head[53..55])?;
        (trace != [0; 16] && span != [0; 8]).then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            sampled: flags & 1 == 1,
        })
    }
}

/// `N` bytes from `2 * N` lowercase hex digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    (digits.len() == 2 * N).then_some(bytes)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl Sampler {
    /// Samples this share of the traces: 0.0 none, 1.0 all. Outside of that range, the nearer of the two.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the product is at most 2^63, exact in f64"
    )]
    pub fn ratio(ratio: f64) -> Self {
        let ratio = if ratio.is_nan() { 0.0 } else { ratio.clamp(0.0, 1.0) };
        Self { below: (ratio * ALL as f64) as u64 }
    }

    /// Whether `trace` is sampled. The same for a trace wherever and whenever it is asked.
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is looked at")]
    pub fn samples(self, trace: TraceId) -> bool {
        self.chooses(u128::from_be_bytes(trace.0) as u64)
    }

    /// Whether something is chosen that has no trace of its own, by a random number.
    pub const fn chooses(self, random: u64) -> bool {
        random >> 1 < self.below
    }
}

impl Ids {
    /// Ids nobody can foresee: `ChaCha12`, seeded by the operating system.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn from_os() -> io::Result<Self> {
        StdRng::try_from_os_rng().map(Self).map_err(io::Error::other)
    }

    /// The same ids for the same seed, for tests.
    pub fn from_seed(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Bytes that nobody can foresee: for masking keys (RFC 6455 section 5.3) and nonces.
    pub fn unpredictable<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    fn trace(&mut self) -> TraceId {
        TraceId(self.not_zero())
    }

    /// An id for a span.
    pub fn span(&mut self) -> SpanId {
        SpanId(self.not_zero())
    }

    fn not_zero<const N: usize>(&mut self) -> [u8; N] {
        loop {
            let bytes = self.unpredictable();
            if bytes != [0; N] {
                return bytes;
            }
        }
    }
}

impl Span {
    /// The span of a handshake: in the client's trace when it named one, else in a new one.
    pub fn handshake(remote: Option<Remote>, sampler: Sampler, ids: &mut Ids) -> Self {
        let trace = remote.map_or_else(|| ids.trace(), |remote| remote.trace);
        let parent = remote.map(|remote| remote.span);
        Self { trace, id: ids.span(), parent, sampled: sampler.samples(trace) }
    }

    /// A span below this one, sampled like it.
    pub fn child(&self, ids: &mut Ids) -> Self {
        self.above(ids.span())
    }

    /// The span with this id below this one, sampled like it.
    pub const fn above(&self, id: SpanId) -> Self {
        Self { id, parent: Some(self.id), ..*self }
    }

    /// The `traceparent` value that makes this span the parent of what the app does.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.id, u8::from(self.sampled))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{Sampler as SdkSampler, ShouldSample};
    use proptest::prelude::*;

    use super::{Ids, Remote, Sampler, Span, SpanId, TraceId};

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parse(value: &str) -> Option<Remote> {
        Remote::parse(value.as_bytes())
    }

    #[test]
    fn reads_the_example_of_the_specification() {
        let remote = parse(EXAMPLE).expect("valid");
        assert_eq!(remote.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(remote.span.to_string(), "b7ad6b7169203331");
        assert!(remote.sampled);
        assert!(!parse(&EXAMPLE.replace("-01", "-00")).expect("valid").sampled);
        assert!(parse(&EXAMPLE.replace("-01", "-ff")).expect("valid").sampled, "flags we do not know are ignored");
    }

    #[test]
    fn ignores_what_must_be_ignored() {
        for bad in [
            "",
            "00",
            &EXAMPLE[..54],
            &format!("{EXAMPLE}-"),
            &format!("{EXAMPLE} "),
            &format!(" {EXAMPLE}"),
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replace('-', "_"),
            &EXAMPLE.replacen("00", "ff", 1),
            &EXAMPLE.replacen("00", "0g", 1),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn reads_a_later_version_by_the_fields_it_knows() {
        let later = EXAMPLE.replacen("00", "cc", 1);
        assert_eq!(parse(&later), parse(EXAMPLE));
        assert_eq!(parse(&format!("{later}-what-the-future-will-be-like")), parse(EXAMPLE));
        assert_eq!(parse(&format!("{later}.")), None);
    }

    #[test]
    fn a_handshake_stays_in_the_clients_trace_but_the_ratio_decides() {
        let remote = parse(EXAMPLE);
        let span = Span::handshake(remote, Sampler::ratio(0.0), &mut Ids::from_seed(1));
        assert_eq!(Some((span.trace, span.parent)), remote.map(|remote| (remote.trace, Some(remote.span))));
        assert!(!span.sampled, "the client's flag is not followed");
        assert!(span.traceparent().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert!(span.traceparent().ends_with("-00"));
    }

    #[test]
    fn a_connection_is_a_child_of_its_handshake() {
        let mut ids = Ids::from_seed(1);
        let handshake = Span::handshake(None, Sampler::ratio(1.0), &mut ids);
        let connection = handshake.child(&mut ids);
        assert_eq!(connection.trace, handshake.trace);
        assert_eq!(connection.parent, Some(handshake.id));
        assert_ne!(connection.id, handshake.id);
        assert!(connection.sampled);
    }

    #[test]
    fn ids_from_the_system_differ() {
        let (mut one, mut two) = (Ids::from_os().expect("randomness"), Ids::from_os().expect("randomness"));
        assert_ne!(one.trace(), two.trace());
    }

    proptest! {
        #[test]
        fn what_we_write_we_can_read(seed: u64, sampled: bool) {
            let sampler = Sampler::ratio(if sampled { 1.0 } else { 0.0 });
            let span = Span::handshake(None, sampler, &mut Ids::from_seed(seed));
            let written = span.traceparent();
            prop_assert_eq!(parse(&written), Some(Remote { trace: span.trace, span: span.id, sampled }));
        }

        #[test]
        fn any_bytes_are_read_without_panic(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Remote::parse(&value);
        }

        #[test]
        fn samples_exactly_what_the_sdk_samples(trace: [u8; 16], ratio in -0.1..1.1) {
            let sdk = SdkSampler::TraceIdRatioBased(ratio).should_sample(
                None,
                opentelemetry::trace::TraceId::from_bytes(trace),
                "",
                &opentelemetry::trace::SpanKind::Server,
                &[],
                &[],
            );
            let sampled = sdk.decision == opentelemetry_sdk::trace::SamplingDecision::RecordAndSample;
            prop_assert_eq!(Sampler::ratio(ratio).samples(TraceId(trace)), sampled);
        }
    }

    #[test]
    fn numbers_are_chosen_by_the_ratio() {
        let (none, half, all) = (Sampler::ratio(0.0), Sampler::ratio(0.5), Sampler::ratio(1.0));
        for (random, by_half) in [(0, true), (u64::MAX / 2, true), (u64::MAX / 2 + 1, false), (u64::MAX, false)] {
            assert_eq!([none, half, all].map(|sampler| sampler.chooses(random)), [false, by_half, true], "{random}");
        }
    }

    #[test]
    fn ids_are_written_with_leading_zeros() {
        assert_eq!(SpanId([0, 1, 2, 3, 4, 5, 6, 255]).to_string(), "00010203040506ff");
    }
}
