//! The closed list of reasons for which a client does not get its 101.
//!
//! The reason's name stands in the response's `ringside-reason` header, in the log line, in the span and in the
//! metric. `opening/refuse.rs` maps errors to reasons and reasons to HTTP responses.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a client did not get its 101.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $variant,)+ }

        impl Reason {
            /// Every reason, in the order of the enum.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name on the wire, in logs, spans and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

reasons! {
    /// The TLS handshake failed; there is no HTTP response.
    TlsHandshake = "tls_handshake",
    /// The client went away before an answer was possible; there is no HTTP response.
    ClientGone = "client_gone",
    /// The request head breaks HTTP/1.1 (RFC 9112).
    HeadMalformed = "head_malformed",
    /// The request head is larger, or has more fields, than the bounds allow.
    HeadTooLarge = "head_too_large",
    /// The request is not HTTP/1.1.
    HttpVersion = "http_version",
    /// A WebSocket handshake is a GET (RFC 6455 section 4.1).
    MethodNotGet = "method_not_get",
    /// There must be exactly one valid Host field (RFC 9112 section 3.2).
    HostInvalid = "host_invalid",
    /// A handshake has no body.
    BodyPresent = "body_present",
    /// The request does not ask for a WebSocket.
    NotUpgrade = "not_upgrade",
    /// The WebSocket version is not 13 (RFC 6455 section 4.4).
    VersionUnsupported = "version_unsupported",
    /// There must be one `Sec-WebSocket-Key` of 16 bytes in base64.
    KeyInvalid = "key_invalid",
    /// `Sec-WebSocket-Protocol` or `Sec-WebSocket-Extensions` breaks its grammar.
    NegotiationInvalid = "negotiation_invalid",
    /// The client sent more than the bound before its 101.
    EarlyDataTooLarge = "early_data_too_large",
    /// The handshake took too long.
    Timeout = "timeout",
    /// The Origin is not on the list.
    OriginNotAllowed = "origin_not_allowed",
    /// No token where one is looked for.
    TokenMissing = "token_missing",
    /// More than one token.
    TokenTwice = "token_twice",
    /// The token is larger than the bound.
    TokenTooLarge = "token_too_large",
    /// The token is not a JWT, or one with something we must refuse (RFC 7515 `crit`).
    TokenMalformed = "token_malformed",
    /// The token's algorithm is not one its key is pinned to.
    TokenAlgorithm = "token_algorithm",
    /// No key matches the token.
    TokenKeyUnknown = "token_key_unknown",
    /// The signature does not verify.
    TokenSignature = "token_signature",
    /// The token has expired.
    TokenExpired = "token_expired",
    /// The token is not valid yet.
    TokenNotYetValid = "token_not_yet_valid",
    /// The token is from another issuer.
    TokenIssuer = "token_issuer",
    /// The token is for another audience.
    TokenAudience = "token_audience",
    /// The token lacks a claim it must have, or one is of the wrong type.
    TokenClaims = "token_claims",
    /// The app cannot be reached.
    AppUnreachable = "app_unreachable",
    /// The app answered with a refusal of its own, which was relayed.
    AppRefused = "app_refused",
    /// The app's answer is not a valid WebSocket handshake.
    AppHandshake = "app_handshake",
    /// The app did not answer in time.
    AppTimeout = "app_timeout",
    /// As many connections as allowed are open.
    Overloaded = "overloaded",
    /// This process is shutting down.
    Draining = "draining",
    /// A fault of ours; the log says more.
    Internal = "internal",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
