use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::bytesize::ByteSize;
use crate::http1::head::Field;
use crate::jwt::algorithm::Algorithm;
use crate::jwt::keys::Keys;
use crate::jwt::mint::SigningKey;
use crate::jwt::verify;
use crate::policy::identity::HeaderName;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn config() -> Config {
    Config {
        origins: vec!["https://app.example".parse().unwrap()],
        token_max: ByteSize::kib(8),
        from: vec![TokenSource::Header, TokenSource::Query("t".into()), TokenSource::Header],
        forward: false,
        subject_header: HeaderName::default(),
        claims_to_headers: [("tenant", "X-Tenant"), ("roles", "x-roles")]
            .map(|(claim, name)| (claim.to_owned(), name.parse().unwrap()))
            .into(),
    }
}

/// A policy that verifies, and a token with these claims that it accepts.
fn policy(config: Config, claims: &Value) -> (Policy, String) {
    let generated = SigningKey::generate().unwrap();
    let keys = Keys::parse(generated.jwks.as_bytes(), &[Algorithm::Es256]).unwrap().keys;
    let token = generated.key.mint(claims.as_object().unwrap()).unwrap();
    (Policy::new(config, Some(Verifier::new(keys, verify::Config::default()))).unwrap(), token)
}

fn admit(policy: &Policy, authorization: &str, origin: Option<&str>) -> Result<Permit, Refused> {
    let fields = vec![Field { name: "Authorization", value: authorization.as_bytes() }];
    policy.admit(&Request { method: "GET", target: "/", fields }, origin.map(str::as_bytes), NOW)
}

#[test]
fn a_permit_says_who_it_is_and_what_to_strip() {
    let claims = json!({"exp": NOW.secs() + 60, "sub": "alice", "tenant": 7, "email": "a@b"});
    let (policy, token) = policy(config(), &claims);
    let permit = admit(&policy, &format!("Bearer {token}"), Some("https://app.example")).unwrap();
    let told = [("x-ringside-subject", "alice"), ("x-tenant", "7")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(permit.identity(), told);
    assert_eq!(permit.strip(), &Strip::Authorization);
    assert!(!format!("{permit:?}").contains("alice"));
    assert_eq!(permit.into_verified().unwrap().expires().secs(), NOW.secs() + 60);
}

#[test]
fn a_forwarded_token_is_not_stripped() {
    let (policy, token) = policy(Config { forward: true, ..config() }, &json!({"exp": NOW.secs() + 60}));
    let permit = admit(&policy, &format!("Bearer {token}"), None).unwrap();
    assert_eq!(permit.strip(), &Strip::Nothing);
    assert_eq!(permit.identity(), []);
}

#[test]
fn each_refusal_has_its_reason() {
    let (policy, token) = policy(config(), &json!({"exp": NOW.secs() + 60}));
    let (_, other) = self::policy(config(), &json!({"exp": NOW.secs() + 60}));
    let reason = |authorization: &str, origin| admit(&policy, authorization, origin).unwrap_err().reason();
    let bearer = format!("Bearer {token}");
    assert_eq!(reason(&bearer, Some("https://evil.example")), Reason::OriginNotAllowed);
    assert_eq!(reason("Basic eA", None), Reason::TokenMissing);
    assert_eq!(reason("Bearer hello", None), Reason::TokenMalformed);
    assert_eq!(reason(&format!("Bearer {}", "x".repeat(8193)), None), Reason::TokenTooLarge);
    assert_eq!(reason(&format!("Bearer {other}"), None), Reason::TokenKeyUnknown);
    assert_eq!(reason(&bearer[..bearer.len() - 2], None), Reason::TokenSignature);

    let fields = vec![Field { name: "Authorization", value: bearer.as_bytes() }];
    let twice = Request { method: "GET", target: "/?t=x", fields };
    assert_eq!(policy.admit(&twice, None, NOW).unwrap_err().reason(), Reason::TokenTwice);
}

#[test]
fn every_token_error_has_a_reason_of_its_own() {
    let errors = [
        (TokenError::Malformed, "token_malformed"),
        (TokenError::Algorithm, "token_algorithm"),
        (TokenError::KeyUnknown, "token_key_unknown"),
        (TokenError::Signature, "token_signature"),
        (TokenError::Expired, "token_expired"),
        (TokenError::NotYetValid, "token_not_yet_valid"),
        (TokenError::Issuer, "token_issuer"),
        (TokenError::Audience, "token_audience"),
        (TokenError::Claims, "token_claims"),
    ];
    for (error, reason) in errors {
        assert_eq!(Refused::Token(error).reason().as_str(), reason);
    }
}

#[test]
fn without_a_verifier_nobody_has_an_identity() {
    let policy = Policy::new(config(), None).unwrap();
    let permit = admit(&policy, "Bearer x", None).unwrap();
    assert_eq!((permit.strip(), permit.identity()), (&Strip::Nothing, &[][..]));
    assert!(permit.verified().is_none());
    assert!(admit(&policy, "", Some("null")).is_err());
    // Still nobody can pretend to have one.
    assert_eq!(policy.reserved(), ["x-ringside-subject", "x-roles", "x-tenant"]);
}

#[test]
fn two_claims_in_one_header_are_an_error() {
    let mut twice = config();
    twice.claims_to_headers.insert("org".into(), "X-TENANT".parse().unwrap());
    assert_eq!(Policy::new(twice, None).unwrap_err(), HeaderTwice("x-tenant".parse().unwrap()));
    let claims_to_headers = BTreeMap::from([("sub".to_owned(), HeaderName::default())]);
    assert!(Policy::new(Config { claims_to_headers, ..config() }, None).is_err());
}
