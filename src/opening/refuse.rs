//! Every way in which an opening fails, and what the client is told.
//!
//! Looking for the rule that refused a handshake? The response's `ringside-reason` names a [`Reason`]; the table in
//! [`Refusal::reason`] says which error that is, and the error's own definition quotes the rule.

use std::io;
use std::time::Duration;

use crate::http1::answer::AnswerError;
use crate::http1::body::BodyError;
use crate::http1::head::HeadError;
use crate::http1::respond;
use crate::http1::upgrade::UpgradeError;
use crate::policy::permit::Refused;
use crate::telemetry::reason::Reason;
use crate::tls::records::TlsError;

/// When a client that was turned away may come again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why an opening ends without a 101. What it says is for operators; it holds nothing that a client sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The client left, or its connection broke.
    #[error("the client is gone: {0}")]
    ClientGone(io::Error),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// A TLS handshake message is larger than any that is honest.
    #[error("TLS: handshake message too large")]
    TlsTooLarge,
    /// The TLS handshake took too long.
    #[error("TLS: handshake too slow")]
    TlsTimeout,
    /// The request head is larger than the bound.
    #[error("the request head is too large")]
    HeadTooLarge,
    /// The request head cannot be read.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The request is no handshake that we relay.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    /// The client sent more behind its head than the bound.
    #[error("too many bytes before the 101")]
    EarlyDataTooLarge,
    /// The policy says no.
    #[error(transparent)]
    Policy(#[from] Refused),
    /// The client was too slow.
    #[error("the handshake took too long")]
    Timeout,
    /// No connection to the app.
    #[error("cannot connect to the app: {0}")]
    AppUnreachable(io::Error),
    /// The app's connection ended or broke before its answer was complete.
    #[error("the app closed during the handshake: {0}")]
    AppBroke(io::Error),
    /// The app's answer is no valid handshake.
    #[error(transparent)]
    AppAnswer(#[from] AnswerError),
    /// The app's answer has no end in sight.
    #[error("the app's answer is too large")]
    AppTooLarge,
    /// The app was too slow.
    #[error("the app did not answer in time")]
    AppTimeout,
    /// The app refused; its answer is passed on.
    #[error("the app refused with {status}")]
    App {
        /// Its status.
        status: u16,
        /// What the client gets.
        reply: Vec<u8>,
    },
    /// As many connections as allowed are open.
    #[error("too many connections are open")]
    Overloaded,
    /// This process is shutting down.
    #[error("shutting down")]
    Draining,
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        AnswerError::from(error).into()
    }
}

impl Refusal {
    /// The reason's name, for the client, the log, the span and the metric.
    pub(super) const fn reason(&self) -> Reason {
        match self {
            Self::ClientGone(_) => Reason::ClientGone,
            Self::Tls(_) | Self::TlsTooLarge => Reason::TlsHandshake,
            Self::TlsTimeout | Self::Timeout => Reason::Timeout,
            Self::HeadTooLarge | Self::Head(HeadError::TooManyFields) => Reason::HeadTooLarge,
            Self::Head(HeadError::Version) => Reason::HttpVersion,
            Self::Head(HeadError::LineEnd | HeadError::Syntax | HeadError::Target)
            | Self::Upgrade(UpgradeError::OriginTwice) => Reason::HeadMalformed,
            Self::Upgrade(UpgradeError::NotUpgrade) => Reason::NotUpgrade,
            Self::Upgrade(UpgradeError::MethodNotGet) => Reason::MethodNotGet,
            Self::Upgrade(UpgradeError::HostInvalid) => Reason::HostInvalid,
            Self::Upgrade(UpgradeError::BodyPresent) => Reason::BodyPresent,
            Self::Upgrade(UpgradeError::VersionUnsupported) => Reason::VersionUnsupported,
            Self::Upgrade(UpgradeError::KeyInvalid) => Reason::KeyInvalid,
            Self::Upgrade(UpgradeError::NegotiationInvalid) => Reason::NegotiationInvalid,
            Self::EarlyDataTooLarge => Reason::EarlyDataTooLarge,
            Self::Policy(refused) => refused.reason(),
            Self::AppUnreachable(_) => Reason::AppUnreachable,
            Self::AppBroke(_) | Self::AppAnswer(_) | Self::AppTooLarge => Reason::AppHandshake,
            Self::AppTimeout => Reason::AppTimeout,
            Self::App { .. } => Reason::AppRefused,
            Self::Overloaded => Reason::Overloaded,
            Self::Draining => Reason::Draining,
        }
    }

    /// The status and the whole response. `None` when the client cannot be told anything.
    pub(super) fn answer(self, head_only: bool) -> Option<(u16, Vec<u8>)> {
        if let Self::App { status, reply } = self {
            return Some((status, reply));
        }
        let reason = self.reason();
        let status = status(reason)?;
        let mut reply = Vec::new();
        let refusal = respond::Refusal {
            status,
            reason: reason.as_str(),
            detail: sentence(reason),
            www_authenticate: challenge(reason),
            retry_after: (status == 503).then_some(RETRY_AFTER),
            to_head: head_only,
        };
        respond::refusal(&refusal, &mut reply);
        Some((status, reply))
    }
}

/// The status that goes with a reason.
const fn status(reason: Reason) -> Option<u16> {
    Some(match reason {
        Reason::TlsHandshake | Reason::ClientGone => return None,
        Reason::HeadMalformed
        | Reason::HttpVersion
        | Reason::MethodNotGet
        | Reason::HostInvalid
        | Reason::BodyPresent
        | Reason::KeyInvalid
        | Reason::NegotiationInvalid
        | Reason::EarlyDataTooLarge
        | Reason::TokenTwice => 400,
        Reason::TokenMissing
        | Reason::TokenTooLarge
        | Reason::TokenMalformed
        | Reason::TokenAlgorithm
        | Reason::TokenKeyUnknown
        | Reason::TokenSignature
        | Reason::TokenExpired
        | Reason::TokenNotYetValid
        | Reason::TokenIssuer
        | Reason::TokenAudience
        | Reason::TokenClaims => 401,
        Reason::OriginNotAllowed => 403,
        Reason::Timeout => 408,
        Reason::NotUpgrade | Reason::VersionUnsupported => 426,
        Reason::HeadTooLarge => 431,
        Reason::Internal => 500,
        Reason::AppUnreachable | Reason::AppRefused | Reason::AppHandshake => 502,
        Reason::Overloaded | Reason::Draining => 503,
        Reason::AppTimeout => 504,
    })
}

/// `WWW-Authenticate` (RFC 6750 section 3): without a token no error is named, two tokens are an `invalid_request`, and
/// whatever is wrong with one is an `invalid_token`.
const fn challenge(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::TokenMissing => r#"Bearer realm="ringside""#,
        Reason::TokenTwice => {
            r#"Bearer realm="ringside", error="invalid_request", error_description="more than one token""#
        }
        Reason::TokenExpired => {
            r#"Bearer realm="ringside", error="invalid_token", error_description="the token has expired""#
        }
        Reason::TokenNotYetValid => {
            r#"Bearer realm="ringside", error="invalid_token", error_description="the token is not valid yet""#
        }
        Reason::TokenAudience => {
            r#"Bearer realm="ringside", error="invalid_token", error_description="the token is for another audience""#
        }
        Reason::TokenTooLarge
        | Reason::TokenMalformed
        | Reason::TokenAlgorithm
        | Reason::TokenKeyUnknown
        | Reason::TokenSignature
        | Reason::TokenIssuer
        | Reason::TokenClaims => r#"Bearer realm="ringside", error="invalid_token""#,
        _ => return None,
    })
}

/// One sentence for people. Says nothing that the client sent, and nothing about the app that it need not know.
const fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::TlsHandshake => "The TLS handshake failed.",
        Reason::ClientGone => "The client is gone.",
        Reason::HeadMalformed => "The request is malformed.",
        Reason::HeadTooLarge => "The request head is too large.",
        Reason::HttpVersion => "The request is not HTTP/1.1.",
        Reason::MethodNotGet => "A WebSocket handshake is a GET request.",
        Reason::HostInvalid => "The request needs exactly one valid Host field.",
        Reason::BodyPresent => "A WebSocket handshake has no body.",
        Reason::NotUpgrade => "Only WebSocket connections are served here.",
        Reason::VersionUnsupported => "Only WebSocket version 13 is served here.",
        Reason::KeyInvalid => "The request needs exactly one Sec-WebSocket-Key of 16 bytes in base64.",
        Reason::NegotiationInvalid => "The offered subprotocols or extensions are malformed.",
        Reason::EarlyDataTooLarge => "Too many bytes were sent before the handshake was answered.",
        Reason::Timeout => "The handshake took too long.",
        Reason::OriginNotAllowed => "Pages of this origin may not connect.",
        Reason::TokenMissing => "A token is needed.",
        Reason::TokenTwice => "More than one token was sent.",
        Reason::TokenExpired => "The token has expired.",
        Reason::TokenNotYetValid => "The token is not valid yet.",
        Reason::TokenAudience => "The token is for another audience.",
        Reason::TokenTooLarge
        | Reason::TokenMalformed
        | Reason::TokenAlgorithm
        | Reason::TokenKeyUnknown
        | Reason::TokenSignature
        | Reason::TokenIssuer
        | Reason::TokenClaims => "The token is not accepted.",
        Reason::AppUnreachable => "The application cannot be reached.",
        Reason::AppRefused => "The application refused.",
        Reason::AppHandshake => "The application did not answer with a WebSocket handshake.",
        Reason::AppTimeout => "The application did not answer in time.",
        Reason::Overloaded => "Too many connections are open.",
        Reason::Draining => "This server is shutting down.",
        Reason::Internal => "An internal error occurred.",
    }
}
