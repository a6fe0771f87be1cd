use super::super::answer::{Expected, Verdict};
use super::super::extension;
use super::*;

const CLIENT_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const CLIENT_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const APP_KEY: &str = "x3JJHMbDL1EzLkh9GBhXDw==";

const FORBIDDEN: Refusal<'static> = Refusal {
    status: 403,
    reason: "origin_not_allowed",
    detail: "The Origin is not on the list.",
    www_authenticate: None,
    retry_after: None,
    to_head: false,
};

fn refused(with: &Refusal<'_>) -> String {
    let mut out = Vec::new();
    refusal(with, &mut out);
    String::from_utf8(out).unwrap()
}

/// Status, fields and body as a client's parser reads them; the announced length is checked.
fn read(response: &str) -> (u16, Vec<(String, String)>, &str) {
    let (head, body) = response.split_at(response.find("\r\n\r\n").unwrap() + 4);
    let answer = Answer::parse(head.as_bytes(), 100).unwrap();
    let fields: Vec<_> = answer
        .fields
        .iter()
        .map(|field| (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into_owned()))
        .collect();
    (answer.status, fields, body)
}

fn values(response: &str, name: &str) -> Vec<String> {
    read(response).1.into_iter().filter(|(n, _)| n == name).map(|(_, value)| value).collect()
}

#[test]
fn a_refusal_is_small_and_exact() {
    let expected = "HTTP/1.1 403 Forbidden\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        Cache-Control: no-store\r\n\
        ringside-reason: origin_not_allowed\r\n\
        Connection: close\r\n\
        Content-Length: 31\r\n\
        \r\n\
        The Origin is not on the list.\n";
    assert_eq!(refused(&FORBIDDEN), expected);
    let (head, _) = expected.split_at(expected.len() - 31);
    assert_eq!(refused(&Refusal { to_head: true, ..FORBIDDEN }), head);
}

#[test]
fn every_status_has_its_phrase_and_reads_back() {
    for status in [400, 401, 403, 408, 426, 431, 500, 502, 503, 504, 599] {
        let response = refused(&Refusal { status, ..FORBIDDEN });
        let (read_status, _, body) = read(&response);
        assert_eq!((read_status, body), (status, "The Origin is not on the list.\n"));
        assert_eq!(values(&response, "content-length"), [body.len().to_string()]);
        assert_eq!(response.starts_with(&format!("HTTP/1.1 {status} \r\n")), status == 599);
    }
}

#[test]
fn a_426_says_what_to_upgrade_to() {
    let response = refused(&Refusal { status: 426, ..FORBIDDEN });
    assert_eq!(values(&response, "upgrade"), ["websocket"]);
    assert_eq!(values(&response, "connection"), ["Upgrade, close"]);
    assert_eq!(values(&response, "sec-websocket-version"), ["13"]);
}

#[test]
fn challenges_and_pauses() {
    let challenge = "Bearer error=\"invalid_token\"";
    let response = refused(&Refusal { status: 401, www_authenticate: Some(challenge), ..FORBIDDEN });
    assert_eq!(values(&response, "www-authenticate"), [challenge]);
    for (pause, seconds) in [(0, "0"), (1, "1"), (1000, "1"), (1001, "2")] {
        let retry_after = Some(Duration::from_millis(pause));
        let response = refused(&Refusal { status: 503, retry_after, ..FORBIDDEN });
        assert_eq!(values(&response, "retry-after"), [seconds]);
    }
    let retry_after = Some(Duration::MAX);
    assert_eq!(values(&refused(&Refusal { retry_after, ..FORBIDDEN }), "retry-after"), [u64::MAX.to_string()]);
}

#[test]
fn the_101_answers_the_clients_key_with_what_the_app_chose() {
    let head = format!(
        "HTTP/1.1 101 Go\r\nDate: today\r\nUpgrade: websocket\r\nConnection: upgrade, X-Hop\r\nX-Hop: 1\r\n\
         Keep-Alive: timeout=5\r\nSet-Cookie: a=1\r\nsec-websocket-accept: {}\r\nSet-Cookie: b=2\r\nX-App: \u{e9}\r\n\
         Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Version: 13\r\n\r\n",
        derive_accept_key(APP_KEY.as_bytes())
    );
    let answer = Answer::parse(head.as_bytes(), 100).unwrap();
    let extensions = extension::parse(b"permessage-deflate").unwrap();
    let expected = Expected { key: APP_KEY, protocols: &["chat"], extensions: &extensions };
    let Ok(Verdict::Accepted(accepted)) = answer.verify(&expected) else { panic!("not accepted") };

    let mut out = Vec::new();
    switching(CLIENT_KEY, &accepted, &answer, &mut out);
    let written = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {CLIENT_ACCEPT}\r\nSec-WebSocket-Protocol: chat\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\
         Date: today\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-App: \u{e9}\r\n\r\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), written);
}

#[test]
fn the_apps_refusal_keeps_its_fields_but_not_its_framing() {
    let head = "HTTP/1.1 401 Who are you\r\nWWW-Authenticate: Basic realm=\"app\"\r\nTransfer-Encoding: chunked\r\n\
        Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a=1\r\nTrailer: x\r\n\
        Ringside-Reason: token_missing\r\nContent-Type: text/html\r\nProxy-Authenticate: x\r\n\r\n";
    let answer = Answer::parse(head.as_bytes(), 100).unwrap();
    let mut out = Vec::new();
    relayed_refusal(&answer, b"<p>no</p>", &mut out);
    let expected = "HTTP/1.1 401 Who are you\r\n\
        WWW-Authenticate: Basic realm=\"app\"\r\n\
        Set-Cookie: a=1\r\n\
        Content-Type: text/html\r\n\
        ringside-reason: app_refused\r\n\
        Connection: close\r\n\
        Content-Length: 9\r\n\
        \r\n\
        <p>no</p>";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
