//! The demo's key and its tokens, good and bad.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::jwt::mint::{Generated, MintError, SigningKey};
use crate::time::UnixTime;

/// The `iss` that the demo's configuration accepts.
pub(super) const ISSUER: &str = "ringside-demo";
/// The `aud` that it accepts.
pub(super) const AUDIENCE: &str = "chat";
/// The `sub` of every token.
pub(super) const SUBJECT: &str = "ann";
/// The `tenant` of every token, which the app is told in `x-tenant`.
pub(super) const TENANT: &str = "acme";

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Tokens for the scenes.
pub(super) struct Tokens {
    /// Good for an hour.
    pub(super) good: String,
    /// Good until an hour ago.
    pub(super) expired: String,
    /// For another app.
    pub(super) other_audience: String,
    /// Names our key, and is signed by another.
    pub(super) forged: String,
}

impl Tokens {
    /// Makes a key, the tokens and the JWKS that verifies the good ones. The private key is kept nowhere.
    pub(super) fn make(now: UnixTime) -> Result<(Self, String), MintError> {
        let Generated { key, jwks, .. } = SigningKey::generate()?;
        let other = SigningKey::generate()?.private_pem;
        let other = SigningKey::from_pem(other.as_bytes(), Some(key.algorithm()), key.id().map(String::from))?;
        let in_an_hour = now.saturating_add(HOUR);
        let an_hour_ago = UnixTime::from_secs(now.secs().saturating_sub(HOUR.as_secs()));
        let tokens = Self {
            good: key.mint(&claims(AUDIENCE, in_an_hour))?,
            expired: key.mint(&claims(AUDIENCE, an_hour_ago))?,
            other_audience: key.mint(&claims("billing", in_an_hour))?,
            forged: other.mint(&claims(AUDIENCE, in_an_hour))?,
        };
        Ok((tokens, jwks))
    }
}

fn claims(audience: &str, expires: UnixTime) -> Map<String, Value> {
    Map::from_iter([
        ("iss".into(), ISSUER.into()),
        ("aud".into(), audience.into()),
        ("sub".into(), SUBJECT.into()),
        ("tenant".into(), TENANT.into()),
        ("exp".into(), json!(expires.secs())),
    ])
}
