//! Verification: from a token's text to a [`Verified`], or to the one reason why not.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::claims::{self, Fraction};
use super::error::TokenError;
use super::header::{self, Header, Parts};
use super::json;
use super::keys::{Key, Keys};
use crate::time::UnixTime;

/// Most keys tried for a token whose `kid` does not decide.
const MAX_TRIES: usize = 8;

/// What a token must satisfy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Accepted `iss`; empty: any.
    pub issuer: Vec<String>,
    /// Accepted `aud`; a token must name one of them. Empty: any.
    pub audience: Vec<String>,
    /// How far clocks may differ for `exp` and `nbf`.
    pub leeway: Duration,
}

/// Verifies tokens. Immutable, and shared by the workers.
#[derive(Debug)]
pub struct Verifier {
    keys: Keys,
    config: Config,
    kept: Vec<Arc<str>>,
}

/// A token that was verified, reduced to what is needed of it for as long as its connection lives.
///
/// It is evidence: only [`Verifier::verify`] makes one.
pub struct Verified {
    subject: Option<Box<str>>,
    id: Option<Box<str>>,
    expires: UnixTime,
    good_until: UnixTime,
    claims: Box<[(Arc<str>, Value)]>,
}

impl Verifier {
    /// Verifies with these keys, by these rules.
    pub fn new(keys: Keys, config: Config) -> Self {
        Self { keys, config, kept: Vec::new() }
    }

    /// Makes every [`Verified`] keep the claims of these names, for [`Verified::claim`]. The others are dropped.
    #[must_use]
    pub fn keeping(mut self, names: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        self.kept = names.into_iter().map(Into::into).collect();
        self
    }

    /// Judges a token at the time `now`. The caller bounds its length.
    ///
    /// The order is the one in which least can go wrong: the header (to choose the key), the algorithm, the signature,
    /// and only then what the token claims.
    pub fn verify(&self, token: &str, now: UnixTime) -> Result<Verified, TokenError> {
        let parts = Parts::split(token)?;
        let header = Header::parse(parts.header)?;
        let by = |key: &&Key| key.verifies(header.algorithm, parts.message.as_bytes(), &parts.signature);
        if !self.candidates(&header)?.iter().any(by) {
            return Err(TokenError::Signature);
        }
        let claims = json::object(&header::decode(parts.payload)?).map_err(|_| TokenError::Malformed)?;
        self.judge(&claims, now)
    }

    /// The keys a token may be by; all pinned to its algorithm, never none.
    ///
    /// A key with the token's `kid` is the only one. Without such a key, those that have no `kid` at all (PEM) may match;
    /// a token without `kid` may be by any.
    fn candidates(&self, header: &Header) -> Result<Vec<&Key>, TokenError> {
        let id = header.key_id.as_deref();
        let named = self.keys.iter().find(|key| id.is_some() && key.id() == id);
        let eligible: Vec<_> = match named {
            Some(key) => vec![key],
            None => self.keys.iter().filter(|key| id.is_none() || key.id().is_none()).collect(),
        };
        if eligible.is_empty() {
            return Err(TokenError::KeyUnknown);
        }
        let pinned = eligible.into_iter().filter(|key| key.is_pinned_to(header.algorithm));
        let pinned: Vec<_> = pinned.take(MAX_TRIES).collect();
        if pinned.is_empty() { Err(TokenError::Algorithm) } else { Ok(pinned) }
    }

    /// The claims of a token whose signature is good. `iat` says nothing about validity and is ignored.
    fn judge(&self, claims: &Map<String, Value>, now: UnixTime) -> Result<Verified, TokenError> {
        let Config { issuer, audience, leeway } = &self.config;
        let subject = claims::text(claims, "sub")?;
        let id = claims::text(claims, "jti")?;
        // "on or after which the JWT MUST NOT be accepted" (RFC 7519 section 4.1.4)
        let expires = claims::date(claims, "exp", Fraction::Down)?.ok_or(TokenError::Claims)?;
        let good_until = expires.saturating_add(*leeway);
        if now >= good_until {
            return Err(TokenError::Expired);
        }
        // "before which the JWT MUST NOT be accepted" (RFC 7519 section 4.1.5)
        let begins = claims::date(claims, "nbf", Fraction::Up)?;
        if begins.is_some_and(|begins| now.saturating_add(*leeway) < begins) {
            return Err(TokenError::NotYetValid);
        }
        let issued_by = claims::text(claims, "iss")?;
        if !issuer.is_empty() && !issued_by.is_some_and(|by| issuer.iter().any(|issuer| issuer == by)) {
            return Err(TokenError::Issuer);
        }
        if !audience.is_empty() && !claims::audience_is_one_of(claims, audience)? {
            return Err(TokenError::Audience);
        }
        let kept = self.kept.iter().filter_map(|name| Some((Arc::clone(name), claims.get(&**name)?.clone())));
        let (subject, id) = (subject.map(Into::into), id.map(Into::into));
        Ok(Verified { subject, id, expires, good_until, claims: kept.collect() })
    }
}

impl Verified {
    /// `sub`: whom the token speaks of.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// `jti`: the token's own name.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// `exp`, without the leeway.
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }

    /// `exp` and the leeway: from then on the token is no good.
    pub const fn good_until(&self) -> UnixTime {
        self.good_until
    }

    /// A claim the token has and the verifier was told to keep.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.iter().find(|(kept, _)| **kept == *name).map(|(_, value)| value)
    }
}

impl fmt::Debug for Verified {
    /// Shows no identity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("expires", &self.expires).finish_non_exhaustive()
    }
}
