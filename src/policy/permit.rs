//! The decision, and the evidence of it.

use std::fmt;

use super::auth::{self, FindError, TokenSource};
use super::identity::{HeaderTwice, Headers};
use super::{Config, origin};
use crate::http1::forward::Strip;
use crate::http1::head::Request;
use crate::jwt::error::TokenError;
use crate::jwt::verify::{Verified, Verifier};
use crate::telemetry::reason::Reason;
use crate::time::UnixTime;

/// Decides who may come in. Immutable, and shared by the workers.
#[derive(Debug)]
pub struct Policy {
    origins: Vec<origin::Allowed>,
    /// No place twice: a token in it would count as two.
    sources: Vec<TokenSource>,
    token_max: usize,
    forward: bool,
    headers: Headers,
    reserved: Vec<String>,
    verifier: Option<Verifier>,
}

/// That the policy let a request in. Only [`Policy::admit`] makes one, and dialing the app takes one.
pub struct Permit {
    strip: Strip,
    verified: Option<Verified>,
    identity: Vec<(String, String)>,
}

/// Why a request may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its `Origin` is not on the list.
    #[error("the origin is not allowed")]
    Origin,
    /// It has no token to verify.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Its token was judged.
    #[error("the token is not accepted: {0}")]
    Token(#[from] TokenError),
}

impl Policy {
    /// Decides by `config`. Without a verifier there is no authentication: no token is looked for, and nobody has an
    /// identity.
    pub fn new(config: Config, verifier: Option<Verifier>) -> Result<Self, HeaderTwice> {
        let headers = Headers::new(&config)?;
        let verifier = verifier.map(|verifier| verifier.keeping(headers.claims()));
        let mut sources: Vec<TokenSource> = Vec::new();
        for source in config.from {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        Ok(Self {
            origins: config.origins,
            sources,
            token_max: config.token_max.len(),
            forward: config.forward,
            reserved: headers.names().map(|name| name.as_str().to_owned()).collect(),
            headers,
            verifier,
        })
    }

    /// Judges a request with this `Origin` at the time `now`.
    pub fn admit(&self, request: &Request<'_>, origin: Option<&[u8]>, now: UnixTime) -> Result<Permit, Refused> {
        if !origin::allows(&self.origins, origin) {
            return Err(Refused::Origin);
        }
        let Some(verifier) = &self.verifier else {
            return Ok(Permit { strip: Strip::Nothing, verified: None, identity: Vec::new() });
        };
        let found = auth::find(&self.sources, self.token_max, request)?;
        let bearer = verifier.verify(&found.token, now)?;
        Ok(Permit {
            strip: if self.forward { Strip::Nothing } else { found.strip },
            identity: self.headers.of(&bearer),
            verified: Some(bearer),
        })
    }

    /// Whether a token is asked for.
    pub const fn asks_for_token(&self) -> bool {
        self.verifier.is_some()
    }

    /// The names of all identity headers. A client's own fields of these names must not reach the app, whoever it is.
    pub fn reserved(&self) -> &[String] {
        &self.reserved
    }
}

impl Permit {
    /// What to take out of the request before the app sees it.
    pub const fn strip(&self) -> &Strip {
        &self.strip
    }

    /// Whose connection it is; `None` without authentication.
    pub const fn verified(&self) -> Option<&Verified> {
        self.verified.as_ref()
    }

    /// Names and values that tell the app who it is. The values hold whatever the token says: they are not safe to write
    /// into a head as they are.
    pub fn identity(&self) -> &[(String, String)] {
        &self.identity
    }

    /// What is worth keeping while the connection lives.
    pub fn into_verified(self) -> Option<Verified> {
        self.verified
    }
}

impl fmt::Debug for Permit {
    /// Shows neither the token nor who it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("verified", &self.verified).finish_non_exhaustive()
    }
}

impl Refused {
    /// What the client, the log, the span and the metric are told.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Origin => Reason::OriginNotAllowed,
            Self::Find(FindError::Missing) => Reason::TokenMissing,
            Self::Find(FindError::Twice) => Reason::TokenTwice,
            Self::Find(FindError::TooLarge) => Reason::TokenTooLarge,
            Self::Find(FindError::Malformed | FindError::SubprotocolMissing) | Self::Token(TokenError::Malformed) => {
                Reason::TokenMalformed
            }
            Self::Token(TokenError::Algorithm) => Reason::TokenAlgorithm,
            Self::Token(TokenError::KeyUnknown) => Reason::TokenKeyUnknown,
            Self::Token(TokenError::Signature) => Reason::TokenSignature,
            Self::Token(TokenError::Expired) => Reason::TokenExpired,
            Self::Token(TokenError::NotYetValid) => Reason::TokenNotYetValid,
            Self::Token(TokenError::Issuer) => Reason::TokenIssuer,
            Self::Token(TokenError::Audience) => Reason::TokenAudience,
            Self::Token(TokenError::Claims) => Reason::TokenClaims,
        }
    }
}

#[cfg(test)]
mod tests;
