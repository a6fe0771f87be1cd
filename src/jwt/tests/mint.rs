use serde_json::{Map, json};

use super::*;
use crate::jwt::mint::{Generated, MintError};

fn claims() -> Map<String, Value> {
    json!({"sub": "alice", "exp": NOW + 60}).as_object().unwrap().clone()
}

#[test]
fn every_algorithm_makes_tokens_that_verify() {
    for algorithm in public() {
        let key = SigningKey::from_pem(pair(algorithm).serialize_pem().as_bytes(), Some(algorithm), None).unwrap();
        let token = key.mint(&claims()).unwrap();
        let keys = Keys::parse(pair(algorithm).public_key_pem().as_bytes(), &public()).unwrap().keys;
        let verified = Verifier::new(keys, Config::default()).verify(&token, UnixTime::from_secs(NOW)).unwrap();
        assert_eq!(verified.subject(), Some("alice"), "{algorithm}");
    }
}

#[test]
fn a_generated_key_fits_both_its_public_files() {
    let Generated { key, private_pem, public_pem, jwks } = SigningKey::generate().unwrap();
    let token = key.mint(&claims()).unwrap();
    for file in [&public_pem, &jwks] {
        let keys = Keys::parse(file.as_bytes(), &[Algorithm::Es256]).unwrap().keys;
        assert!(Verifier::new(keys, Config::default()).verify(&token, UnixTime::from_secs(NOW)).is_ok(), "{file}");
    }
    assert!(jwks.contains(key.id().unwrap()));
    let again = SigningKey::from_pem(private_pem.as_bytes(), None, None).unwrap();
    assert_eq!((again.algorithm(), again.id()), (Algorithm::Es256, None));
}

#[test]
fn the_algorithm_follows_from_the_key() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
        let key = SigningKey::from_pem(pair(algorithm).serialize_pem().as_bytes(), None, None).unwrap();
        assert_eq!(key.algorithm(), algorithm);
    }
}

#[test]
fn a_key_that_cannot_sign_is_refused_at_once() {
    let p256 = P256.serialize_pem();
    for algorithm in [Algorithm::Es384, Algorithm::Rs256, Algorithm::EdDsa, Algorithm::Hs256] {
        let error = SigningKey::from_pem(p256.as_bytes(), Some(algorithm), None).unwrap_err();
        assert_eq!(error, MintError::Algorithm(algorithm));
    }
    for not in ["", "hello", &P256.public_key_pem(), &RSA.public_key_pem(), &p256[..100]] {
        assert_eq!(SigningKey::from_pem(not.as_bytes(), None, None).unwrap_err(), MintError::Key, "{not}");
    }
}

#[test]
fn a_secret_signs_what_it_verifies() {
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_hmac()) {
        let token = SigningKey::from_secret(SECRET, algorithm, None).unwrap().mint(&claims()).unwrap();
        let keys = Keys::from_secret(SECRET, &[algorithm]).unwrap();
        assert!(Verifier::new(keys, Config::default()).verify(&token, UnixTime::from_secs(NOW)).is_ok(), "{algorithm}");
        let short = &SECRET[..algorithm.min_secret() - 1];
        let error = SigningKey::from_secret(short, algorithm, None).unwrap_err();
        assert_eq!(error, MintError::SecretTooShort(algorithm));
    }
    let error = SigningKey::from_secret(SECRET, Algorithm::Es256, None).unwrap_err();
    assert_eq!(error, MintError::Algorithm(Algorithm::Es256));
}

#[test]
fn a_key_shows_no_material() {
    let key = SigningKey::from_pem(P256.serialize_pem().as_bytes(), None, Some("k1".into())).unwrap();
    assert_eq!(format!("{key:?}"), r#"SigningKey { algorithm: Es256, id: Some("k1"), .. }"#);
}
