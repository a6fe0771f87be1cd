use proptest::prelude::*;
use rcgen::CertificateParams;

use super::*;
use crate::jwt::keys::{KeysError, Loaded, MAX_FILE, MAX_KEYS, Unusable, read_secret};

/// An RSA key of 1024 bits, made for this test and used nowhere else.
const WEAK_RSA: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCy7HDcwklr0KkZOddfLx4+MOrc
NBuD1I/uSD0ZVXr/hFYGG7Tvj8Q7hZuVJflALQbli6bksEIi4gXb8QroDHbMG+lP
t5mWWsnNPOV062ebKxhVtKJvGIfJ5t0veAO8X1xxchjFBEhP9wkHqWQZ82bbDLk2
VtRtqCoaxxHvZiwCvQIDAQAB
-----END PUBLIC KEY-----
";

/// What becomes of a JWK that stands beside a good one.
fn judge(jwk: Value, accepted: &[Algorithm]) -> Result<(), Unusable> {
    let good = super::jwk(json!({"kid": "the good one"}));
    let Loaded { keys, skipped } = Keys::parse(&jwks(&[good, jwk]), accepted).unwrap();
    assert_eq!(keys.len() + skipped.len(), 2);
    skipped.first().map_or(Ok(()), |skipped| Err(skipped.why.clone()))
}

fn fails(text: &[u8]) -> KeysError {
    Keys::parse(text, &public()).unwrap_err()
}

#[test]
fn one_pem_file_holds_several_keys_of_every_type() {
    let certificate = CertificateParams::new(vec!["app.example".into()]).unwrap().self_signed(&*P384).unwrap();
    let file = [
        "issuer, 2026-11\n",
        &RSA.public_key_pem(),
        &P256.public_key_pem(),
        &certificate.pem(),
        &ED25519.public_key_pem().replace('\n', "\r\n"),
    ]
    .concat();
    let Loaded { keys, skipped } = Keys::parse(file.as_bytes(), &public()).unwrap();
    assert_eq!(skipped, []);
    let pins = |algorithm| keys.iter().filter(|key| key.is_pinned_to(algorithm)).count();
    assert_eq!(public().into_iter().map(pins).collect::<Vec<_>>(), [1; 9]);
    assert!(keys.iter().all(|key| key.id().is_none()));
}

#[test]
fn pins_are_what_type_and_alg_and_configuration_agree_on() {
    let file = jwks(&[
        jwk(json!({"kid": "any"})),
        jwk(json!({"kid": "stated", "alg": "ES256", "use": "sig", "key_ops": ["verify"]})),
    ]);
    let keys = Keys::parse(&file, &Algorithm::ALL).unwrap().keys;
    for key in keys.iter() {
        let pinned: Vec<_> = Algorithm::ALL.into_iter().filter(|algorithm| key.is_pinned_to(*algorithm)).collect();
        assert_eq!(pinned, [Algorithm::Es256]);
    }
    let rsa = Keys::parse(RSA.public_key_pem().as_bytes(), &[Algorithm::Ps512, Algorithm::Hs256]).unwrap().keys;
    let pinned: Vec<_> =
        Algorithm::ALL.into_iter().filter(|algorithm| rsa.iter().any(|key| key.is_pinned_to(*algorithm))).collect();
    assert_eq!(pinned, [Algorithm::Ps512]);
}

#[test]
fn a_key_verifies_nothing_but_its_pins() {
    let key = EncodingKey::from_rsa_pem(RSA.serialize_pem().as_bytes()).unwrap();
    let token = sign("{}", "{}", Algorithm::Ps256, &key);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let verifies = |accepted| {
        let keys = Keys::parse(RSA.public_key_pem().as_bytes(), &[accepted]).unwrap().keys;
        keys.iter().any(|key| key.verifies(Algorithm::Ps256, message.as_bytes(), &signature))
    };
    assert!(verifies(Algorithm::Ps256));
    assert!(!verifies(Algorithm::Rs256));
}

#[test]
fn a_jwk_that_cannot_be_used_is_skipped_with_its_reason() {
    let zeros = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0; bytes]);
    let ones = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
    for (jwk, why) in [
        (jwk(json!({"use": "enc"})), Unusable::Purpose),
        (jwk(json!({"key_ops": ["encrypt", "wrapKey"]})), Unusable::Purpose),
        (jwk(json!({"key_ops": "verify"})), Unusable::Member("key_ops")),
        (jwk(json!({"alg": "ES384"})), Unusable::Algorithm),
        (jwk(json!({"alg": "HS256"})), Unusable::Algorithm),
        (jwk(json!({"alg": "none"})), Unusable::Algorithm),
        (jwk(json!({"alg": 1})), Unusable::Member("alg")),
        (jwk(json!({"kid": 1})), Unusable::Member("kid")),
        (jwk(json!({"crv": "P-521"})), Unusable::Type),
        (jwk(json!({"crv": "secp256k1"})), Unusable::Type),
        (jwk(json!({"kty": "ec"})), Unusable::Type),
        (jwk(json!({"crv": "P-384"})), Unusable::Member("x")),
        (jwk(json!({"x": "!"})), Unusable::Member("x")),
        (jwk(json!({"y": null})), Unusable::Member("y")),
        (json!({"kty": "OKP", "crv": "X25519", "x": ones(32)}), Unusable::Type),
        (json!({"kty": "OKP", "crv": "Ed25519", "x": ones(31)}), Unusable::Member("x")),
        (json!({"kty": "RSA", "n": ones(255), "e": "AQAB"}), Unusable::RsaSize),
        (json!({"kty": "RSA", "n": zeros(258) + "AQAB", "e": "AQAB"}), Unusable::RsaSize),
        (json!({"kty": "RSA", "n": ones(1025), "e": "AQAB"}), Unusable::RsaSize),
        (json!({"kty": "RSA", "n": "", "e": "AQAB"}), Unusable::RsaSize),
        (json!({"kty": "RSA", "n": ones(256), "e": "AQ"}), Unusable::Member("e")),
        (json!({"kty": "RSA", "n": ones(256), "e": "AQAA"}), Unusable::Member("e")),
        (json!({"kty": "RSA", "n": ones(256), "e": ""}), Unusable::Member("e")),
        (json!({"kty": "RSA", "n": ones(256), "e": "AAAB"}), Unusable::Member("e")),
        (json!({"kty": "RSA", "n": ones(256), "e": ones(5)}), Unusable::Member("e")),
        (json!({"kty": "RSA", "n": ones(256)}), Unusable::Member("e")),
        (json!({"kty": "oct", "k": ones(64)}), Unusable::SecretNotAccepted),
        (json!({"kty": "quantum"}), Unusable::Type),
        (json!({}), Unusable::Type),
        (json!("key"), Unusable::Type),
    ] {
        assert_eq!(judge(jwk.clone(), &public()), Err(why), "{jwk}");
    }
    assert_eq!(judge(json!({"kty": "RSA", "n": ones(256), "e": "AQAB"}), &public()), Ok(()));
}

#[test]
fn a_secret_is_used_only_when_hmac_is_configured_and_it_is_long_enough() {
    let accepted = [Algorithm::Es256, Algorithm::Hs256, Algorithm::Hs512];
    let oct = |bytes: &[u8]| json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(bytes)});
    assert_eq!(judge(oct(SECRET), &accepted), Ok(()));
    assert_eq!(judge(oct(&SECRET[..31]), &accepted), Err(Unusable::SecretTooShort));

    let keys = Keys::from_secret(&SECRET[..48], &Algorithm::ALL).unwrap();
    let pinned: Vec<_> =
        Algorithm::ALL.into_iter().filter(|algorithm| keys.iter().all(|key| key.is_pinned_to(*algorithm))).collect();
    assert_eq!(pinned, [Algorithm::Hs256, Algorithm::Hs384]);
    assert!(Keys::from_secret(SECRET, &public()).is_err());
    assert!(Keys::from_secret(b"", &Algorithm::ALL).is_err());
}

#[test]
fn private_keys_are_refused_whatever_their_form() {
    for pem in [&*P256.serialize_pem(), &RSA.serialize_pem(), "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"] {
        let file = [&P256.public_key_pem(), pem].concat();
        assert!(matches!(fails(file.as_bytes()), KeysError::Private(_)));
    }
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        let error = fails(&jwks(&[jwk(json!({"kid": "a", member: "AQAB"}))]));
        assert!(matches!(&error, KeysError::Private(name) if name == r#"key "a""#), "{error}");
    }
    assert!(matches!(fails(&jwks(&[json!({"kty": "quantum", "d": "AQAB"})])), KeysError::Private(_)));
}

#[test]
fn a_file_without_a_usable_key_says_why() {
    let error = fails(&jwks(&[jwk(json!({"kid": "a", "use": "enc"})), json!({"kty": "quantum"})])).to_string();
    assert!(error.contains(r#"key "a" is not used: it is not for verifying"#), "{error}");
    assert!(error.contains("key 2 of the set is not used: its type"), "{error}");
    assert!(fails(WEAK_RSA.as_bytes()).to_string().contains("2048"));
    let pkcs1 = RSA.public_key_pem().replace("PUBLIC KEY", "RSA PUBLIC KEY");
    assert!(fails(pkcs1.as_bytes()).to_string().contains("neither a PUBLIC KEY nor a CERTIFICATE"));
    assert!(fails(&jwks(&[])).to_string().contains("empty"));
}

#[test]
fn a_file_that_is_no_key_file_is_an_error() {
    assert!(matches!(fails(b""), KeysError::Json(_)));
    assert!(matches!(fails(b"ssh-ed25519 AAAA"), KeysError::Json(_)));
    assert!(matches!(fails(br#"{"keys":[],"keys":[]}"#), KeysError::Json(_)));
    assert!(matches!(fails(jwk(json!({})).to_string().as_bytes()), KeysError::NoKeySet));
    assert!(matches!(fails(b"-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n"), KeysError::Pem));
    assert!(matches!(fails(b"-----BEGIN PUBLIC KEY-----\nAAAA\n"), KeysError::Pem));
    assert!(matches!(fails(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), KeysError::None(_)));
}

#[test]
fn files_are_bounded() {
    let key = |index| jwk(json!({"kid": format!("k{index}")}));
    assert_eq!(
        Keys::parse(&jwks(&(0..MAX_KEYS).map(key).collect::<Vec<_>>()), &public()).unwrap().keys.len(),
        MAX_KEYS
    );
    assert!(matches!(fails(&jwks(&(0..=MAX_KEYS).map(key).collect::<Vec<_>>())), KeysError::TooMany));
    assert!(matches!(fails(P256.public_key_pem().repeat(MAX_KEYS + 1).as_bytes()), KeysError::TooMany));
    let mut file = jwks(&[key(0)]);
    file.resize(MAX_FILE.len(), b' ');
    assert!(Keys::parse(&file, &public()).is_ok());
    file.push(b' ');
    assert!(matches!(fails(&file), KeysError::TooLarge));
}

#[test]
fn two_keys_of_one_name_are_an_error() {
    let error = fails(&jwks(&[jwk(json!({"kid": "a"})), jwk(json!({"kid": "a"}))]));
    assert!(matches!(&error, KeysError::IdTwice(id) if id == "a"), "{error}");
    assert!(Keys::parse(&jwks(&[jwk(json!({})), jwk(json!({}))]), &public()).is_ok());
}

#[test]
fn a_file_is_loaded_and_named_in_errors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.pem");
    let error = Keys::load(&path, &public()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.contains("keys.pem"), "{error}");
    std::fs::write(&path, P256.public_key_pem()).unwrap();
    assert_eq!(Keys::load(&path, &public()).unwrap().keys.len(), 1);
    std::fs::write(&path, vec![b' '; MAX_FILE.len() + 100]).unwrap();
    let error = Keys::load(&path, &public()).unwrap_err().to_string();
    assert!(error.contains("keys.pem: larger than 1MiB"), "{error}");
}

#[test]
fn a_secret_is_its_file_without_the_last_line_break() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hs.secret");
    for (file, secret) in [
        (&b"s3cret"[..], &b"s3cret"[..]),
        (b"s3cret\n", b"s3cret"),
        (b"s3cret\r\n", b"s3cret"),
        (b"s3cret\n\n", b"s3cret\n"),
        (b" s3cret \r", b" s3cret \r"),
        (b"\n", b""),
    ] {
        std::fs::write(&path, file).unwrap();
        assert_eq!(read_secret(&path).unwrap(), secret);
    }
    let short = Keys::load_secret(&path, &[Algorithm::Hs256]).unwrap_err().to_string();
    assert!(short.contains("hs.secret: no usable key: the secret is not used: it is shorter"), "{short}");
    std::fs::write(&path, [SECRET, b"\n"].concat()).unwrap();
    assert_eq!(Keys::load_secret(&path, &[Algorithm::Hs512]).unwrap().len(), 1);
    std::fs::write(&path, vec![b'x'; MAX_FILE.len() + 1]).unwrap();
    assert!(read_secret(&path).unwrap_err().to_string().contains("larger than"));
}

#[test]
fn a_secret_can_stand_beside_public_keys() {
    let accepted = [Algorithm::Es256, Algorithm::Hs256];
    let set = jwks(&[jwk(json!({"kid": "a"}))]);
    let keys = Keys::parse(&set, &accepted).unwrap().keys.and(Keys::from_secret(SECRET, &accepted).unwrap());
    let verifier = Verifier::new(keys, Config::default());
    let payload = json!({"sub": "alice", "exp": NOW + 60}).to_string();
    let by_secret = |header: &str| sign(header, &payload, Algorithm::Hs256, &EncodingKey::from_secret(SECRET));
    let judged = |token: &str| verifier.verify(token, UnixTime::from_secs(NOW)).map(|_| ());
    assert_eq!(judged(&es256(r#"{"alg":"ES256","kid":"a"}"#, &payload)), Ok(()));
    assert_eq!(judged(&by_secret(r#"{"alg":"HS256"}"#)), Ok(()));
    assert_eq!(judged(&by_secret(r#"{"alg":"HS256","kid":"b"}"#)), Ok(()));
    assert_eq!(judged(&by_secret(r#"{"alg":"HS256","kid":"a"}"#)), Err(TokenError::Algorithm));
}

#[test]
fn keys_show_no_material() {
    let keys = Keys::from_secret(SECRET, &[Algorithm::Hs256]).unwrap();
    assert_eq!(format!("{keys:?}"), "Keys([Key { id: None, pins: [Hs256], .. }])");
}

proptest! {
    #[test]
    fn any_bytes_are_keys_or_an_error(bytes: Vec<u8>) {
        prop_assert!(Keys::parse(&bytes, &Algorithm::ALL).is_err());
    }

    #[test]
    fn any_der_in_a_block_is_a_key_or_an_error(der: Vec<u8>, label in "(PUBLIC KEY|CERTIFICATE)") {
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        prop_assert!(matches!(Keys::parse(pem.as_bytes(), &public()), Err(KeysError::None(_))));
    }

    #[test]
    fn any_change_of_a_set_is_keys_or_an_error(at in 0_usize..200, byte: u8) {
        let mut file = jwks(&[jwk(json!({"kid": "a", "alg": "ES256", "use": "sig"}))]);
        let at = at % file.len();
        file[at] = byte;
        if let Ok(loaded) = Keys::parse(&file, &public()) {
            prop_assert_eq!(loaded.keys.len(), 1);
        }
    }
}
