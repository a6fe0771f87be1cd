//! The headers that tell the app who a client is. A client's own fields of these names never reach the app.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Config;
use crate::jwt::verify::Verified;

/// Fields with a meaning of their own for the connection, the proxy or the client.
const TAKEN: [&str; 19] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
];

/// Families of such fields.
const TAKEN_PREFIXES: [&str; 2] = ["sec-", "x-forwarded-"];

/// A header name that may carry an identity, in lower case.
///
/// Letters, digits and `-` only: many apps see `x_tenant` and `x-tenant` as one name, so there is only one way to write
/// it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderName(Arc<str>);

/// Why a text is not a [`HeaderName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderNameError {
    /// Empty, or with other characters.
    #[error("expected a header name of letters, digits and \"-\", such as \"x-tenant\"")]
    Form,
    /// The name means something else already.
    #[error("this header has a meaning of its own and cannot carry an identity; use a name such as \"x-tenant\"")]
    Taken,
}

/// Two identities would go into this header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two claims go into the header \"{0}\"")]
pub struct HeaderTwice(pub HeaderName);

/// Which claim goes into which header.
#[derive(Debug)]
pub(super) struct Headers {
    subject: HeaderName,
    claims: Vec<(Arc<str>, HeaderName)>,
}

impl HeaderName {
    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for HeaderName {
    /// `x-ringside-subject`.
    fn default() -> Self {
        Self("x-ringside-subject".into())
    }
}

impl FromStr for HeaderName {
    type Err = HeaderNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(HeaderNameError::Form);
        }
        let name = name.to_ascii_lowercase();
        if TAKEN.contains(&&*name) || TAKEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            return Err(HeaderNameError::Taken);
        }
        Ok(Self(name.into()))
    }
}

impl TryFrom<String> for HeaderName {
    type Error = HeaderNameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Headers {
    pub(super) fn new(config: &Config) -> Result<Self, HeaderTwice> {
        let claims = config.claims_to_headers.iter().map(|(claim, name)| (claim.as_str().into(), name.clone()));
        let headers = Self { subject: config.subject_header.clone(), claims: claims.collect() };
        let mut names: Vec<_> = headers.names().collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(HeaderTwice(pair[0].clone())),
            None => Ok(headers),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        std::iter::once(&self.subject).chain(self.claims.iter().map(|(_, name)| name))
    }

    pub(super) fn claims(&self) -> impl Iterator<Item = Arc<str>> {
        self.claims.iter().map(|(claim, _)| Arc::clone(claim))
    }

    /// What the app is told. A claim that the token lacks, or that is `null`, has no header.
    pub(super) fn of(&self, verified: &Verified) -> Vec<(String, String)> {
        let subject = verified.subject().map(|subject| (&self.subject, subject.to_owned()));
        let claims = self.claims.iter().filter_map(|(claim, name)| Some((name, text(verified.claim(claim)?)?)));
        subject.into_iter().chain(claims).map(|(name, value)| (name.to_string(), value)).collect()
    }
}

/// Strings as they are; everything else as compact JSON, which for numbers and booleans is their usual text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{HeaderName, HeaderNameError, text};

    #[test]
    fn a_name_is_its_lower_case() {
        assert_eq!("X-Tenant".parse::<HeaderName>().unwrap().as_str(), "x-tenant");
        assert_eq!(HeaderName::default().as_str().parse(), Ok(HeaderName::default()));
    }

    #[test]
    fn a_name_that_means_something_is_refused() {
        for name in ["Host", "CONNECTION", "upgrade", "Sec-WebSocket-Key", "sec-websocket-protocol", "Content-Length"]
            .into_iter()
            .chain(["Transfer-Encoding", "X-Forwarded-For", "x-forwarded-user", "traceparent", "Cookie", "Origin"])
        {
            assert_eq!(name.parse::<HeaderName>(), Err(HeaderNameError::Taken), "{name}");
        }
        for name in ["", "x tenant", "x_tenant", "x.tenant", "x:tenant", "x-tenant\r\n", "x-ténant"] {
            assert_eq!(name.parse::<HeaderName>(), Err(HeaderNameError::Form), "{name}");
        }
    }

    #[test]
    fn a_claim_of_any_type_has_a_text() {
        let cases = [
            (json!("a b"), Some("a b")),
            (json!(""), Some("")),
            (json!(7), Some("7")),
            (json!(1.5), Some("1.5")),
            (json!(true), Some("true")),
            (json!(["a", 1]), Some(r#"["a",1]"#)),
            (json!({"a": {"b": null}}), Some(r#"{"a":{"b":null}}"#)),
            (json!(null), None),
        ];
        for (value, expected) in cases {
            assert_eq!(text(&value).as_deref(), expected);
        }
    }
}
