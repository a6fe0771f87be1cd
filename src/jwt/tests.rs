//! Tests of the verifier as a whole, with keys made on the spot.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use super::algorithm::{Algorithm, KeyType};
use super::error::TokenError;
use super::keys::Keys;
use super::mint::SigningKey;
use super::verify::{Config, Verified, Verifier};
use crate::time::UnixTime;

mod keys;
mod mint;
mod verify;

/// The time at which most tests play.
const NOW: u64 = 1_800_000_000;

const SECRET: &[u8] = b"sixty-four bytes of secret are as many as HS512 needs, or more..";

static RSA: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap());
static P256: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap());
static P384: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
static ED25519: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_ED25519).unwrap());

/// The test's key for an algorithm of public keys.
fn pair(algorithm: Algorithm) -> &'static KeyPair {
    match algorithm.key_type() {
        KeyType::Rsa => &RSA,
        KeyType::P256 => &P256,
        KeyType::P384 => &P384,
        KeyType::Ed25519 => &ED25519,
        KeyType::Secret => panic!("a secret is no pair"),
    }
}

fn public() -> Vec<Algorithm> {
    Algorithm::of_public_keys().collect()
}

/// Signs whatever header and payload are given.
fn sign(header: &str, payload: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signer = (DEFAULT_PROVIDER.signer_factory)(&algorithm.library(), key).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signer.try_sign(message.as_bytes()).unwrap()))
}

/// A token with this header and payload, signed by the P-256 key.
fn es256(header: &str, payload: &str) -> String {
    sign(header, payload, Algorithm::Es256, &EncodingKey::from_ec_pem(P256.serialize_pem().as_bytes()).unwrap())
}

/// A token with these claims, signed by the P-256 key.
fn claiming(claims: &Value) -> String {
    es256(r#"{"alg":"ES256"}"#, &claims.to_string())
}

/// Accepts what the P-256 key signed.
fn verifier(config: Config) -> Verifier {
    Verifier::new(Keys::parse(P256.public_key_pem().as_bytes(), &public()).unwrap().keys, config)
}

fn verify(token: &str) -> Result<Verified, TokenError> {
    verifier(Config::default()).verify(token, UnixTime::from_secs(NOW))
}

/// The public part of the P-256 key as a JWK, changed by `change`.
fn jwk(change: Value) -> Value {
    use rcgen::PublicKeyData;
    let (x, y) = P256.der_bytes()[1..].split_at(32);
    let mut jwk = json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)});
    let Value::Object(change) = change else { panic!("a change is an object") };
    jwk.as_object_mut().unwrap().extend(change);
    jwk
}

fn jwks(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}
