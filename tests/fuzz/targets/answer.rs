//! The app's answer: its head, our verdict and the body of a refusal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringside::http1::answer::{Answer, Expected, Verdict};
use ringside::http1::body::{BodyError, Framing};
use ringside::http1::extension;
use ringside::http1::head::HeadEnd;
use tungstenite::handshake::derive_accept_key;

/// The example of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const PROTOCOLS: [&str; 2] = ["chat.v2", "chat"];
const EXTENSIONS: &[u8] = b"permessage-deflate; client_max_window_bits, x-other";

// The first bytes say at which lengths the body is looked at.
fuzz_target!(|input: &[u8]| {
    let Some((cuts, bytes)) = input.split_first_chunk::<4>() else { return };
    let Some(end) = HeadEnd::default().find(bytes) else { return };
    let Ok(answer) = Answer::parse(&bytes[..end], 100) else { return };
    assert!(answer.status <= 999 && answer.fields.len() <= 100);

    let extensions = extension::parse(EXTENSIONS).expect("a good list");
    let expected = Expected { key: KEY, protocols: &PROTOCOLS, extensions: &extensions };
    match answer.verify(&expected) {
        Ok(Verdict::Accepted(accepted)) => {
            assert_eq!(answer.status, 101);
            let accept = derive_accept_key(KEY.as_bytes());
            assert_eq!(answer.values("sec-websocket-accept").collect::<Vec<_>>(), [accept.as_bytes()]);
            assert!(accepted.protocol().is_none_or(|chosen| PROTOCOLS.contains(&chosen)));
            let chosen = accepted.extensions().map(|list| extension::parse(list.as_bytes()).expect("it was parsed"));
            let chosen = chosen.unwrap_or_default();
            assert!(chosen.iter().all(|one| extensions.iter().any(|offer| offer.name == one.name)));
            assert_eq!(accepted.deflate(), chosen.iter().any(|one| one.name == extension::DEFLATE));
            assert_eq!(answer.values("content-length").chain(answer.values("transfer-encoding")).count(), 0);
        }
        Ok(Verdict::Refused(framing)) => {
            assert!((300..=599).contains(&answer.status));
            body(framing, &bytes[end..], cuts);
        }
        Err(_) => {}
    }
});

/// A body is whole once, and stays what it was; the same of a fault.
fn body(framing: Framing, bytes: &[u8], cuts: &[u8; 4]) {
    let mut before = Ok(None);
    let mut received = 0;
    for cut in cuts.iter().cycle() {
        let now = framing.body(&bytes[..received], false);
        if before != Ok(None) {
            assert_eq!(now, before, "more bytes changed a verdict");
        }
        assert_ne!(now, Err(BodyError::Cut), "not closed yet");
        if let Ok(Some(body)) = &now {
            assert!(body.len() <= received);
            assert!(!matches!(framing, Framing::Length(length) if length != body.len() as u64));
        }
        match framing.body(&bytes[..received], true) {
            Ok(None) => panic!("closed, and still waiting"),
            Err(BodyError::Cut) => assert_eq!(now, Ok(None)),
            closed if framing == Framing::UntilClose => assert_eq!(closed, Ok(Some(bytes[..received].to_vec()))),
            closed => assert_eq!(closed, now),
        }
        if received == bytes.len() {
            return;
        }
        before = now;
        received = bytes.len().min(received + usize::from(*cut).max(1));
    }
}
