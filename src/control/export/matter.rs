//! What a line is about. That decides its level and whether it may be left out, see [`line`](super::line).

use tracing::Level;

use crate::telemetry::end::{By, End};
use crate::telemetry::reason::Reason;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matter {
    /// Nothing went wrong.
    Order,
    /// A client did something wrong, or was told no as it should be. Hostile clients make many of these.
    Noise,
    /// A client was turned away although it did nothing wrong. Clients that try again make many of these.
    Outage,
    /// The app ended a connection as it should not have.
    Fault,
    /// We are to blame.
    Internal,
}

impl Matter {
    /// Of a handshake that was refused.
    pub(super) const fn of_refusal(reason: Reason) -> Self {
        match reason {
            Reason::TlsHandshake
            | Reason::ClientGone
            | Reason::HeadMalformed
            | Reason::HeadTooLarge
            | Reason::HttpVersion
            | Reason::MethodNotGet
            | Reason::HostInvalid
            | Reason::BodyPresent
            | Reason::NotUpgrade
            | Reason::VersionUnsupported
            | Reason::KeyInvalid
            | Reason::NegotiationInvalid
            | Reason::EarlyDataTooLarge
            | Reason::Timeout
            | Reason::OriginNotAllowed
            | Reason::TokenMissing
            | Reason::TokenTwice
            | Reason::TokenTooLarge
            | Reason::TokenMalformed
            | Reason::TokenAlgorithm
            | Reason::TokenKeyUnknown
            | Reason::TokenSignature
            | Reason::TokenExpired
            | Reason::TokenNotYetValid
            | Reason::TokenIssuer
            | Reason::TokenAudience
            | Reason::TokenClaims
            | Reason::AppRefused
            | Reason::Draining => Self::Noise,
            Reason::AppUnreachable | Reason::AppHandshake | Reason::AppTimeout | Reason::Overloaded => Self::Outage,
            Reason::Internal => Self::Internal,
        }
    }

    /// Of a connection that ended so.
    pub(super) const fn of_end(end: &End) -> Self {
        match end.by {
            _ if !end.why.is_fault() => Self::Order,
            By::Client => Self::Noise,
            By::App => Self::Fault,
            By::Ringside => Self::Internal,
        }
    }

    /// At which level it is told.
    pub(super) const fn level(self) -> Level {
        match self {
            Self::Order | Self::Noise => Level::INFO,
            Self::Outage | Self::Fault => Level::WARN,
            Self::Internal => Level::ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::Matter;
    use crate::telemetry::end::{By, End, Why};
    use crate::telemetry::reason::Reason;

    fn of_end(by: By, why: Why) -> Matter {
        Matter::of_end(&End { by, why, code_sent: None, code_received: None })
    }

    #[test]
    fn an_end_is_told_as_loudly_as_whose_fault_it_is() {
        for why in Why::ALL {
            for &by in why.by() {
                let expected = match by {
                    By::Client if why.is_fault() => (Matter::Noise, Level::INFO),
                    By::App if why.is_fault() => (Matter::Fault, Level::WARN),
                    _ if why == Why::Internal => (Matter::Internal, Level::ERROR),
                    _ => (Matter::Order, Level::INFO),
                };
                let matter = of_end(by, why);
                assert_eq!((matter, matter.level()), expected, "{by:?} {why:?}");
            }
        }
    }

    #[test]
    fn a_refusal_is_a_warning_when_no_client_is_to_blame() {
        let levels = Reason::ALL.iter().map(|&reason| (reason, Matter::of_refusal(reason).level()));
        let loud: Vec<_> = levels.filter(|(_, level)| *level != Level::INFO).collect();
        let expected = [
            (Reason::AppUnreachable, Level::WARN),
            (Reason::AppHandshake, Level::WARN),
            (Reason::AppTimeout, Level::WARN),
            (Reason::Overloaded, Level::WARN),
            (Reason::Internal, Level::ERROR),
        ];
        assert_eq!(loud, expected);
    }
}
