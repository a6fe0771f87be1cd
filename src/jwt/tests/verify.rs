use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// What RFC 7515 appendix A signs in its first three examples.
const RFC7515_PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn refusal(token: &str) -> TokenError {
    verify(token).unwrap_err()
}

/// A header that is fine but for `members`.
fn with_header(members: &str) -> Result<Verified, TokenError> {
    verify(&es256(&format!(r#"{{"alg":"ES256"{members}}}"#), &json!({"exp": NOW + 1}).to_string()))
}

/// Claims that are fine but for `members`, at [`NOW`], without leeway.
fn with_claims(members: &str, config: &Config) -> Result<Verified, TokenError> {
    let token = es256(r#"{"alg":"ES256"}"#, &format!(r#"{{"exp":{}{members}}}"#, NOW + 1));
    verifier(config.clone()).verify(&token, UnixTime::from_secs(NOW))
}

#[test]
fn the_examples_of_rfc_7515_verify() {
    for (jwk, algorithm, header, signature) in [
        (
            json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
            Algorithm::Hs256,
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}),
            Algorithm::Rs256,
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
            Algorithm::Es256,
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ] {
        let verifier = Verifier::new(Keys::parse(&jwks(&[jwk]), &[algorithm]).unwrap().keys, Config::default());
        let token = format!("{header}.{RFC7515_PAYLOAD}.{signature}");
        let joe = verifier.verify(&token, UnixTime::from_secs(1_300_819_379)).unwrap();
        assert_eq!(joe.expires(), UnixTime::from_secs(1_300_819_380));
        assert_eq!(verifier.verify(&token, UnixTime::from_secs(1_300_819_380)).unwrap_err(), TokenError::Expired);
    }
}

#[test]
fn every_hmac_verifies_with_its_secret_alone() {
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        let payload = json!({"exp": NOW + 1}).to_string();
        let keys = || Keys::from_secret(SECRET, &[algorithm]).unwrap();
        let judge = |secret: &[u8]| {
            let token = sign(&header, &payload, algorithm, &EncodingKey::from_secret(secret));
            Verifier::new(keys(), Config::default()).verify(&token, UnixTime::from_secs(NOW)).map(|_| ())
        };
        assert_eq!(judge(SECRET), Ok(()), "{algorithm}");
        assert_eq!(judge(&SECRET[1..]), Err(TokenError::Signature), "{algorithm}");
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let token = claiming(&json!({"exp": NOW + 1, "sub": "alice"}));
    assert!(verify(&token).is_ok());
    let verifier = verifier(Config::default());
    for at in 0..token.len() {
        for bit in 0..8 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            // What is not text never gets as far as a verifier.
            if let Ok(flipped) = str::from_utf8(&bytes) {
                assert!(verifier.verify(flipped, UnixTime::from_secs(NOW)).is_err(), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    let payload = json!({"exp": NOW + 1}).to_string();
    for pair in [&*RSA, &*P256] {
        let pem = pair.public_key_pem();
        // Even with HMAC accepted, as someone who has both kinds of key in one set must do.
        let keys = Keys::parse(pem.as_bytes(), &Algorithm::ALL).unwrap().keys;
        let verifier = Verifier::new(keys, Config::default());
        for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
            use rcgen::PublicKeyData;
            for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), pair.der_bytes()] {
                let header = format!(r#"{{"alg":"{algorithm}"}}"#);
                let token = sign(&header, &payload, algorithm, &EncodingKey::from_secret(secret));
                let refused = verifier.verify(&token, UnixTime::from_secs(NOW)).unwrap_err();
                assert_eq!(refused, TokenError::Algorithm);
            }
        }
    }
}

#[test]
fn an_algorithm_the_configuration_does_not_list_is_refused() {
    let token = |algorithm| {
        let key = SigningKey::from_pem(RSA.serialize_pem().as_bytes(), Some(algorithm), None).unwrap();
        key.mint(json!({"exp": NOW + 1}).as_object().unwrap()).unwrap()
    };
    let keys = Keys::parse(RSA.public_key_pem().as_bytes(), &[Algorithm::Rs256]).unwrap().keys;
    let verifier = Verifier::new(keys, Config::default());
    let judge = |algorithm| verifier.verify(&token(algorithm), UnixTime::from_secs(NOW)).map(|_| ());
    assert_eq!(judge(Algorithm::Rs256), Ok(()));
    assert_eq!(judge(Algorithm::Rs512), Err(TokenError::Algorithm));
    assert_eq!(judge(Algorithm::Ps256), Err(TokenError::Algorithm));
}

#[test]
fn none_is_no_algorithm() {
    let payload = URL_SAFE_NO_PAD.encode(json!({"exp": NOW + 1}).to_string());
    let signature = URL_SAFE_NO_PAD.encode([0; 64]);
    for alg in ["none", "None", "NONE", "nOnE", "", "ES256 ", "es256", "HS256"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT"}).to_string());
        assert_eq!(refusal(&format!("{header}.{payload}.")), TokenError::Algorithm, "{alg}");
        assert_eq!(refusal(&format!("{header}.{payload}.{signature}")), TokenError::Algorithm, "{alg}");
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
    assert_eq!(refusal(&format!("{header}.{payload}.")), TokenError::Signature);
    assert_eq!(refusal(&format!("{header}.{payload}.{signature}")), TokenError::Signature);
    assert_eq!(refusal(&format!("{header}.{payload}")), TokenError::Malformed);
}

#[test]
fn a_token_is_three_parts_of_base64url() {
    let token = claiming(&json!({"exp": NOW + 1}));
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    for malformed in [
        String::new(),
        ".".into(),
        "..".into(),
        "....".into(),
        format!(".{token}"),
        format!("{token}."),
        format!("{token}="),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("é.{payload}.{signature}"),
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode("[]")),
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"} {}"#)),
    ] {
        assert_eq!(refusal(&malformed), TokenError::Malformed, "{malformed}");
    }
    for payload in ["", "[]", "null", "\"exp\"", "{\"exp\":1", "not json"] {
        assert_eq!(refusal(&es256(r#"{"alg":"ES256"}"#, payload)), TokenError::Malformed, "{payload}");
    }
}

#[test]
fn what_a_header_must_not_say_is_refused() {
    for members in [
        r#","crit":["exp"]"#,
        r#","crit":[]"#,
        r#","crit":null"#,
        r#","b64":false,"crit":["b64"]"#,
        r#","b64":true"#,
        r#","enc":"A256GCM""#,
        r#","zip":"DEF""#,
        r#","alg":"ES256""#,
        r#","\u0061lg":"ES256""#,
        r#","typ":"logout+jwt""#,
        r#","typ":"dpop+jwt""#,
        r#","typ":"JWE""#,
        r#","typ":1"#,
        r#","kid":1"#,
        r#","x":{"a":1,"a":2}"#,
    ] {
        assert_eq!(with_header(members).unwrap_err(), TokenError::Malformed, "{members}");
    }
    for header in [r#"{"typ":"JWT"}"#, r#"{"alg":null}"#, r#"{"alg":["ES256"]}"#] {
        assert_eq!(refusal(&es256(header, &json!({"exp": NOW + 1}).to_string())), TokenError::Malformed, "{header}");
    }
}

#[test]
fn what_a_header_may_say_is_ignored() {
    for members in [
        "",
        r#","typ":"JWT""#,
        r#","typ":"jwt""#,
        r#","typ":"at+jwt""#,
        r#","typ":"application/at+JWT""#,
        r#","cty":"x","vendor":{"a":[1]}"#,
        r#","jku":"https://evil.example","x5u":"https://evil.example","x5c":["AAAA"],"x5t":"AAAA""#,
    ] {
        assert!(with_header(members).is_ok(), "{members}");
    }
}

#[test]
fn a_token_does_not_bring_its_own_key() {
    let Ok(evil) = SigningKey::generate() else { panic!("no key") };
    let own: Value = serde_json::from_str(&evil.jwks).unwrap();
    let material = EncodingKey::from_ec_pem(evil.private_pem.as_bytes()).unwrap();
    let payload = json!({"exp": NOW + 1}).to_string();
    let header = json!({"alg": "ES256", "jwk": own["keys"][0]}).to_string();
    assert_eq!(refusal(&sign(&header, &payload, Algorithm::Es256, &material)), TokenError::Signature);
}

#[test]
fn a_kid_chooses_the_key() {
    let evil = SigningKey::generate().unwrap();
    let mut other: Value = serde_json::from_str(&evil.jwks).unwrap();
    other["keys"][0]["kid"] = "other".into();
    let judge = |keys: &[Value], header: &str| {
        let keys = Keys::parse(&jwks(keys), &public()).unwrap().keys;
        let token = es256(header, &json!({"exp": NOW + 1}).to_string());
        Verifier::new(keys, Config::default()).verify(&token, UnixTime::from_secs(NOW)).map(|_| ())
    };
    let (named, unnamed, other) = (jwk(json!({"kid": "a"})), jwk(json!({})), other["keys"][0].clone());

    assert_eq!(judge(&[other.clone(), named.clone()], r#"{"alg":"ES256","kid":"a"}"#), Ok(()));
    assert_eq!(judge(&[other.clone(), named.clone()], r#"{"alg":"ES256"}"#), Ok(()));
    // The named key is the only one, even if another would verify.
    assert_eq!(judge(&[other.clone(), named.clone()], r#"{"alg":"ES256","kid":"other"}"#), Err(TokenError::Signature));
    for kid in ["b", "", "A", "a ", "../../dev/null", "' OR 1=1"] {
        let header = json!({"alg": "ES256", "kid": kid}).to_string();
        assert_eq!(judge(&[other.clone(), named.clone()], &header), Err(TokenError::KeyUnknown), "{kid}");
        assert_eq!(judge(&[other.clone(), unnamed.clone()], &header), Ok(()), "{kid}");
    }
    assert_eq!(judge(&[named], r#"{"alg":"ES384","kid":"a"}"#), Err(TokenError::Algorithm));
}

#[test]
fn a_token_without_kid_is_tried_with_a_bounded_number_of_keys() {
    let judge = |before: usize| {
        let others = (0..before).map(|_| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().public_key_pem());
        let file = others.chain([P256.public_key_pem()]).collect::<String>();
        let keys = Keys::parse(file.as_bytes(), &public()).unwrap().keys;
        let token = claiming(&json!({"exp": NOW + 1}));
        Verifier::new(keys, Config::default()).verify(&token, UnixTime::from_secs(NOW)).map(|_| ())
    };
    assert_eq!(judge(7), Ok(()));
    assert_eq!(judge(8), Err(TokenError::Signature));
}

#[test]
fn a_name_twice_in_the_claims_is_refused() {
    let config = Config::default();
    for members in [r#","exp":1"#, r#","\u0065xp":1"#, r#","sub":"a","sub":"b""#, r#","x":[{"a":1,"a":1}]"#] {
        assert_eq!(with_claims(members, &config).unwrap_err(), TokenError::Malformed, "{members}");
    }
}

#[test]
fn a_token_is_good_up_to_the_second_before_its_end_and_the_leeway() {
    for leeway in [0, 30] {
        let verifier = verifier(Config { leeway: Duration::from_secs(leeway), ..Config::default() });
        let judge = |claims, now| verifier.verify(&claiming(&claims), UnixTime::from_secs(now)).map(|_| ());
        let exp = json!({"exp": NOW});
        assert_eq!(judge(exp.clone(), NOW + leeway - 1), Ok(()));
        assert_eq!(judge(exp.clone(), NOW + leeway), Err(TokenError::Expired));
        assert_eq!(judge(exp, u64::MAX), Err(TokenError::Expired));

        let nbf = json!({"exp": NOW + 100, "nbf": NOW});
        assert_eq!(judge(nbf.clone(), NOW - leeway), Ok(()));
        assert_eq!(judge(nbf.clone(), NOW - leeway - 1), Err(TokenError::NotYetValid));
        assert_eq!(judge(nbf, 0), Err(TokenError::NotYetValid));
    }
}

#[test]
fn a_fraction_of_a_second_never_makes_a_token_good_for_longer() {
    let verifier = verifier(Config::default());
    let judge = |payload: String, now| {
        verifier.verify(&es256(r#"{"alg":"ES256"}"#, &payload), UnixTime::from_secs(now)).map(|v| v.expires().secs())
    };
    assert_eq!(judge(format!(r#"{{"exp":{NOW}.9}}"#), NOW - 1), Ok(NOW));
    assert_eq!(judge(format!(r#"{{"exp":{NOW}.9}}"#), NOW), Err(TokenError::Expired));
    assert_eq!(judge(r#"{"exp":1.8e9}"#.to_owned(), NOW - 1), Ok(NOW));
    assert_eq!(judge(format!(r#"{{"exp":{},"nbf":{NOW}.1}}"#, NOW + 9), NOW), Err(TokenError::NotYetValid));
    assert_eq!(judge(format!(r#"{{"exp":{},"nbf":{NOW}.1}}"#, NOW + 9), NOW + 1), Ok(NOW + 9));
}

#[test]
fn a_date_that_is_none_is_refused() {
    let verifier = verifier(Config::default());
    let judge = |payload: &str| {
        let token = es256(r#"{"alg":"ES256"}"#, payload);
        verifier.verify(&token, UnixTime::from_secs(NOW)).map(|verified| verified.expires().secs())
    };
    assert_eq!(judge(r#"{"exp":253402300799}"#), Ok(253_402_300_799));
    for date in [
        "253402300800",
        "1800000000000",
        "18446744073709551615",
        "18446744073709551616",
        "9007199254740993.0",
        "1e19",
        "1e300",
        "-1",
        "-1.5",
        "-1e300",
        "null",
        "true",
        "\"1900000000\"",
        "[1900000000]",
        "{}",
    ] {
        assert_eq!(judge(&format!(r#"{{"exp":{date}}}"#)), Err(TokenError::Claims), "exp {date}");
        assert_eq!(judge(&format!(r#"{{"exp":{},"nbf":{date}}}"#, NOW + 1)), Err(TokenError::Claims), "nbf {date}");
    }
    assert_eq!(judge("{}"), Err(TokenError::Claims));
    assert_eq!(judge(r#"{"exp":0}"#), Err(TokenError::Expired));
    assert_eq!(judge(r#"{"exp":-0.0}"#), Err(TokenError::Expired));
    assert_eq!(judge(&format!(r#"{{"exp":{},"iat":"never","nbf":0}}"#, NOW + 1)), Ok(NOW + 1));
}

#[test]
fn the_issuer_must_be_on_the_list() {
    let config = Config { issuer: vec!["https://a.example".into(), "https://b.example".into()], ..Config::default() };
    assert!(with_claims(r#","iss":"https://b.example""#, &config).is_ok());
    for members in ["", r#","iss":"https://a.example/""#, r#","iss":"HTTPS://a.example""#, r#","iss":"""#] {
        assert_eq!(with_claims(members, &config).unwrap_err(), TokenError::Issuer, "{members}");
    }
    assert_eq!(with_claims(r#","iss":["https://a.example"]"#, &config).unwrap_err(), TokenError::Claims);
    assert!(with_claims(r#","iss":"https://any.example""#, &Config::default()).is_ok());
}

#[test]
fn the_audience_must_name_one_of_the_list() {
    let config = Config { audience: vec!["chat".into(), "feed".into()], ..Config::default() };
    for members in [r#","aud":"chat""#, r#","aud":["feed"]"#, r#","aud":["other","chat"]"#] {
        assert!(with_claims(members, &config).is_ok(), "{members}");
    }
    for members in ["", r#","aud":"other""#, r#","aud":[]"#, r#","aud":["chat "]"#, r#","aud":"chat feed""#] {
        assert_eq!(with_claims(members, &config).unwrap_err(), TokenError::Audience, "{members}");
    }
    for members in [r#","aud":1"#, r#","aud":null"#, r#","aud":["chat",1]"#, r#","aud":{"chat":1}"#] {
        assert_eq!(with_claims(members, &config).unwrap_err(), TokenError::Claims, "{members}");
    }
    assert!(with_claims(r#","aud":"any""#, &Config::default()).is_ok());
}

#[test]
fn only_what_is_needed_is_kept() {
    let token = claiming(&json!({"exp": NOW + 1, "sub": "alice", "jti": "t1", "tenant": {"id": 7}, "email": "a@b"}));
    let verifier = verifier(Config::default()).keeping(["tenant", "absent"]);
    let alice = verifier.verify(&token, UnixTime::from_secs(NOW)).unwrap();
    assert_eq!((alice.subject(), alice.id()), (Some("alice"), Some("t1")));
    assert_eq!(alice.claim("tenant"), Some(&json!({"id": 7})));
    assert_eq!((alice.claim("absent"), alice.claim("email"), alice.claim("sub")), (None, None, None));
    assert!(size_of::<Verified>() <= 64, "an opening connection keeps this while its app is asked");
    assert!(!format!("{alice:?}").contains("alice"));
}

#[test]
fn names_of_people_and_tokens_are_strings() {
    for members in [r#","sub":7"#, r#","sub":null"#, r#","jti":{}"#] {
        assert_eq!(with_claims(members, &Config::default()).unwrap_err(), TokenError::Claims, "{members}");
    }
    let verified = with_claims("", &Config::default()).unwrap();
    assert_eq!((verified.subject(), verified.id()), (None, None));
}

proptest! {
    #[test]
    fn any_text_has_an_answer(token: String) {
        prop_assert!(verify(&token).is_err());
    }

    #[test]
    fn any_header_and_payload_have_an_answer(header: Vec<u8>, payload: Vec<u8>, signature: Vec<u8>) {
        let parts = [header, payload, signature].map(|part| URL_SAFE_NO_PAD.encode(part));
        prop_assert!(verify(&parts.join(".")).is_err());
    }

    #[test]
    fn any_signed_number_is_a_date_or_none(exp in proptest::num::f64::ANY, now: u64) {
        let token = claiming(&json!({"exp": exp}));
        if let Ok(verified) = verifier(Config::default()).verify(&token, UnixTime::from_secs(now)) {
            prop_assert!(now < verified.expires().secs());
        }
    }
}
