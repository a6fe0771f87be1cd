//! A client's request, from its bytes to what the app is asked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringside::http1::fields::folded;
use ringside::http1::forward::{Forward, Strip};
use ringside::http1::head::{HeadEnd, Request};
use ringside::http1::upgrade::Upgrade;
use ringside::telemetry::trace::TraceState;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const MAX_FIELDS: usize = 100;

// The first bytes say how the rest is cut into reads.
fuzz_target!(|input: &[u8]| {
    let Some((cuts, bytes)) = input.split_first_chunk::<4>() else { return };
    let Some(end) = find(bytes, cuts) else { return };
    let Ok(request) = Request::parse(&bytes[..end], MAX_FIELDS) else { return };
    assert!(request.fields.len() <= MAX_FIELDS);
    if let Ok(upgrade) = Upgrade::check(&request) {
        forward(&request, &upgrade);
    }
});

/// The end of the head, which no way of reading it may move.
fn find(bytes: &[u8], cuts: &[u8; 4]) -> Option<usize> {
    let whole = HeadEnd::default().find(bytes);
    let first = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    assert_eq!(whole, first.map(|at| at + 4));

    let mut search = HeadEnd::default();
    let (mut received, mut found) = (0, search.find(b""));
    for cut in cuts.iter().cycle() {
        if found.is_some() || received == bytes.len() {
            break;
        }
        received = bytes.len().min(received + usize::from(*cut).max(1));
        found = search.find(&bytes[..received]);
    }
    assert_eq!(found, whole, "reads moved the end");
    whole
}

fn forward(request: &Request<'_>, upgrade: &Upgrade<'_>) {
    let identity = [("x-ringside-subject".to_owned(), "a\r\nX-Admin: 1".to_owned())];
    let reserved = ["x-ringside-subject".to_owned(), "X-Tenant".to_owned()];
    let state = TraceState::combine(request.values("tracestate"));
    let state = state.as_ref().map(TraceState::as_str);
    let forward = Forward {
        key: KEY,
        strip: &Strip::Nothing,
        client: [192, 0, 2, 1].into(),
        secure: true,
        host: upgrade.host,
        traceparent: TRACE,
        tracestate: state,
        identity: &identity,
        reserved: &reserved,
    };
    let mut out = Vec::new();
    forward.write(request, &mut out);

    assert_eq!(HeadEnd::default().find(&out), Some(out.len()), "one head, and nothing behind it");
    let sent = Request::parse(&out, usize::MAX).expect("what we write, we can read");
    let checked = Upgrade::check(&sent).expect("what we write is a handshake");
    assert_eq!((sent.method, sent.target), ("GET", request.target));
    assert_eq!((checked.key, checked.host, checked.origin), (KEY, upgrade.host, upgrade.origin));
    assert_eq!(checked.protocols, upgrade.protocols);
    assert_eq!(checked.extensions, upgrade.extensions);
    assert_eq!(sent.values("host").count(), 1);

    let own: [(&str, &[u8]); 9] = [
        ("upgrade", b"websocket"),
        ("connection", b"Upgrade"),
        ("sec-websocket-version", b"13"),
        ("sec-websocket-key", KEY.as_bytes()),
        ("x-forwarded-for", b"192.0.2.1"),
        ("x-forwarded-proto", b"https"),
        ("x-forwarded-host", upgrade.host.as_bytes()),
        ("traceparent", TRACE.as_bytes()),
        ("x-ringside-subject", b"a%0D%0AX-Admin: 1"),
    ];
    for (name, value) in own {
        let values: Vec<_> =
            sent.fields.iter().filter(|field| folded(field.name) == name).map(|field| field.value).collect();
        assert_eq!(values, [value], "{name} is ours alone, in every spelling");
    }
    let states: Vec<_> = sent.values("tracestate").collect();
    assert_eq!(states, state.map(str::as_bytes).into_iter().collect::<Vec<_>>(), "as it was judged");
    let mut from_client = request.fields.iter();
    for field in &sent.fields {
        let name = folded(field.name);
        if own.iter().any(|(own, _)| *own == name) || name == "tracestate" {
            continue;
        }
        let is_ours = name.starts_with("x-forwarded-") || ["forwarded", "x-real-ip", "x-tenant"].contains(&&*name);
        assert!(!is_ours, "{name} is not the client's to say");
        assert!(from_client.any(|said| said == field), "{name}: the client said nothing of the kind, or not here");
    }
}
