//! Tokens: none is good that its issuer did not mint, and none is left in what the app gets.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ringside::http1::forward::Forward;
use ringside::http1::head::{HeadEnd, Request};
use ringside::http1::upgrade::Upgrade;
use ringside::jwt::algorithm::Algorithm;
use ringside::jwt::keys::Keys;
use ringside::jwt::verify::{Config, Verifier};
use ringside::policy::auth::{TokenSource, find};
use ringside::time::UnixTime;

/// Good until the year 2100: one each of RS256, ES256, EdDSA and HS256. The private keys are gone.
const MINTED: &str = include_str!("token/minted.txt");
/// By the same keys, but expired, not valid yet, for others, without `exp` or with `crit`; then HS256 with the public
/// key as the secret, and `none`.
const NEVER: &str = include_str!("token/never.txt");

const SECRET: &[u8] = b"thirty-two bytes, or a few more of secret";
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const MAX: usize = 1024;

/// By public keys, and by the secret.
static VERIFIERS: LazyLock<[Verifier; 2]> = LazyLock::new(|| {
    let public = Keys::parse(include_bytes!("token/public.pem"), &Algorithm::ALL).expect("good keys").keys;
    let secret = Keys::from_secret(SECRET, &Algorithm::ALL).expect("a good secret");
    let verifiers = [public, secret].map(|keys| {
        let (issuer, audience) = (vec!["https://issuer.example".to_owned()], vec!["chat".to_owned()]);
        Verifier::new(keys, Config { issuer, audience, leeway: Duration::from_secs(30) })
    });
    let is_good = |token| verifiers.iter().filter(|verifier| verifier.verify(token, NOW).is_ok()).count();
    assert!(MINTED.lines().all(|token| is_good(token) == 1), "each is good with one of the two");
    assert!(NEVER.lines().all(|token| is_good(token) == 0));
    verifiers
});

static SOURCES: LazyLock<[TokenSource; 4]> = LazyLock::new(|| {
    let named = |kind: fn(String) -> TokenSource| kind("access_token".to_owned());
    [TokenSource::Header, TokenSource::Subprotocol, named(TokenSource::Query), named(TokenSource::Cookie)]
});

// The first byte says what the rest is: a head, a token, or changes to a token that we have.
fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    match usize::from(*kind) {
        0 => head(rest),
        1 => str::from_utf8(rest).into_iter().for_each(judge),
        n => {
            let bases: Vec<_> = MINTED.lines().chain(NEVER.lines()).collect();
            let changed = change(bases[n % bases.len()].as_bytes().to_vec(), rest);
            str::from_utf8(&changed).into_iter().for_each(judge);
        }
    }
});

/// Four bytes each: where (two), how, and what to write there.
fn change(mut token: Vec<u8>, changes: &[u8]) -> Vec<u8> {
    for &[high, low, how, byte] in changes.as_chunks().0 {
        let at = usize::from(u16::from_be_bytes([high, low])) % (token.len() + 1);
        match how % 5 {
            0 => token.insert(at, byte),
            1 => token.truncate(at.max(1)),
            2 => token.extend_from_within(at..token.len().min(at + usize::from(byte))),
            3 if at < token.len() => drop(token.remove(at)),
            _ => token.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
        }
        token.truncate(4 * MAX);
    }
    token
}

fn judge(token: &str) {
    for verifier in &*VERIFIERS {
        if let Ok(verified) = verifier.verify(token, NOW) {
            assert!(MINTED.lines().any(|minted| minted == token), "nobody minted {token:?}");
            assert_eq!(verified.subject(), Some("alice"));
        }
    }
}

fn head(bytes: &[u8]) {
    let Some(end) = HeadEnd::default().find(bytes) else { return };
    let Ok(request) = Request::parse(&bytes[..end], 100) else { return };
    let found = find(&*SOURCES, MAX, &request);
    let (Ok(upgrade), Ok(found)) = (Upgrade::check(&request), found) else { return };
    assert!(found.token.len() <= MAX);
    judge(&found.token);

    let forward = Forward {
        key: "AAECAwQFBgcICQoLDA0ODw==",
        strip: &found.strip,
        client: [192, 0, 2, 1].into(),
        secure: false,
        host: upgrade.host,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        tracestate: None,
        identity: &[],
        reserved: &[],
    };
    let mut out = Vec::new();
    forward.write(&request, &mut out);
    let sent = Request::parse(&out, usize::MAX).expect("what we write, we can read");
    Upgrade::check(&sent).expect("what we write is a handshake");
    let again = find(&*SOURCES, usize::MAX, &sent);
    assert!(!again.is_ok_and(|again| again.token == found.token), "the app can read the token");
}
