use proptest::prelude::*;

use super::super::samples::{CHROME, FIREFOX, NODE, PYTHON};
use super::*;

fn check(head: &str) -> Result<Upgrade<'_>, UpgradeError> {
    Upgrade::check(&Request::parse(head.as_bytes(), 100).unwrap())
}

/// What is wrong with Firefox's handshake once the line `from` is `to`; an empty `to` removes the line.
fn refused_with(from: &str, to: &str) -> UpgradeError {
    let from = format!("{from}\r\n");
    assert!(FIREFOX.contains(&from), "{from}");
    let to = if to.is_empty() { String::new() } else { format!("{to}\r\n") };
    check(&FIREFOX.replacen(&from, &to, 1)).expect_err(&to)
}

/// What is wrong with Firefox's handshake once `lines` are added.
fn refused_adding(lines: &str) -> UpgradeError {
    refused_with("Accept: */*", lines)
}

#[test]
fn real_clients_pass() {
    let chrome = check(CHROME).unwrap();
    assert_eq!(chrome.key, "x3JJHMbDL1EzLkh9GBhXDw==");
    assert_eq!(chrome.host, "chat.example.com");
    assert_eq!(chrome.origin, Some(&b"https://chat.example.com"[..]));
    assert_eq!(chrome.protocols, ["base64url.bearer.authorization.k8s.io.czNjcmV0", "chat.v2", "chat.v1"]);
    assert_eq!(chrome.extensions[0].raw, "permessage-deflate; client_max_window_bits");

    assert_eq!(check(FIREFOX).unwrap().extensions[0].name, "permessage-deflate");
    let python = check(PYTHON).unwrap();
    assert_eq!((python.host, python.origin), ("[::1]:8443", None));
    assert_eq!(check(NODE).unwrap().protocols, ["chat", "superchat"]);
}

#[test]
fn names_are_compared_without_case_and_lists_may_be_split() {
    let head = "GET / HTTP/1.1\r\nhost: h\r\nupgrade: WebSocket\r\nCONNECTION: keep-alive\r\nconnection: UPGRADE\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\ncontent-length: 0\r\n\
        sec-websocket-protocol: a\r\nSec-WebSocket-Protocol: A, b\r\n\
        sec-websocket-extensions: x\r\nsec-websocket-extensions: y; z, x; w\r\n\r\n";
    let upgrade = check(head).unwrap();
    assert_eq!(upgrade.protocols, ["a", "A", "b"]);
    assert_eq!(upgrade.extensions.iter().map(|extension| extension.raw).collect::<Vec<_>>(), ["x", "y; z", "x; w"]);
}

#[test]
fn what_never_meant_to_be_a_websocket_is_told_so() {
    for head in [
        "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive\r\n\r\n",
    ] {
        assert_eq!(check(head).unwrap_err(), UpgradeError::NotUpgrade, "{head:?}");
    }
}

#[test]
fn h2c_smuggling_is_no_upgrade() {
    // A proxy that relays `Upgrade: h2c` hands out a raw HTTP/2 connection to the app.
    let head = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\
        HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    assert_eq!(check(head).unwrap_err(), UpgradeError::NotUpgrade);
}

#[test]
fn only_get_is_a_handshake() {
    for method in ["POST", "get", "GETT", "HEAD", "OPTIONS", "CONNECT"] {
        assert_eq!(check(&FIREFOX.replacen("GET", method, 1)).unwrap_err(), UpgradeError::MethodNotGet, "{method}");
    }
}

#[test]
fn one_valid_host() {
    let host = "Host: localhost:8443";
    assert_eq!(refused_with(host, ""), UpgradeError::HostInvalid);
    assert_eq!(refused_with(host, "Host: a\r\nHost: a"), UpgradeError::HostInvalid);
    assert_eq!(refused_with(host, "Host: a\r\nhost: b"), UpgradeError::HostInvalid);
    for value in [
        "",
        ":80",
        "a:",
        "a:65536",
        "a:+80",
        "a:80:80",
        "a b",
        "user@a",
        "a,b",
        "a/b",
        "a?b",
        "a%00",
        "[::1",
        "::1",
        "[::g]",
        "[1.2.3.4]",
        "[::1]x",
        "[fe80::1%25eth0]",
        "h\u{e9}",
        "[]",
        "a[::1]",
    ] {
        assert_eq!(refused_with(host, &format!("Host: {value}")), UpgradeError::HostInvalid, "{value:?}");
    }
    for value in ["a", "A.example.", "10.0.0.1:1", "_srv.my-host:65535", "[::1]", "[2001:db8::7]:443"] {
        assert_eq!(check(&FIREFOX.replacen("localhost:8443", value, 1)).unwrap().host, value);
    }
}

#[test]
fn a_second_origin_is_refused() {
    // Which one would be judged, and which one would the app see?
    let lines = "Origin: https://evil.example";
    assert_eq!(refused_adding(lines), UpgradeError::OriginTwice);
}

#[test]
fn request_smuggling_in_a_body_is_refused() {
    for lines in [
        "Content-Length: 5",
        "Content-Length: 0\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: 0, 5",
        "Content-Length: +0",
        "Content-Length: 00",
        "Content-Length: 0x0",
        "Content-Length: -1",
        "Content-Length:",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
        "transfer-encoding: xchunked\r\nContent-Length: 0",
        "Expect: 100-continue",
    ] {
        assert_eq!(refused_adding(lines), UpgradeError::BodyPresent, "{lines:?}");
    }
}

#[test]
fn only_version_13() {
    let version = "Sec-WebSocket-Version: 13";
    for line in ["", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 13, 8", "Sec-WebSocket-Version: 013"] {
        assert_eq!(refused_with(version, line), UpgradeError::VersionUnsupported, "{line:?}");
    }
    assert_eq!(refused_with(version, &format!("{version}\r\n{version}")), UpgradeError::VersionUnsupported);
}

#[test]
fn one_key_of_16_bytes() {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(refused_with(key, ""), UpgradeError::KeyInvalid);
    assert_eq!(refused_with(key, &format!("{key}\r\n{key}")), UpgradeError::KeyInvalid);
    for value in [
        "",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZWE=",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZR==",
        "dGhlIHNhbXBsZSBub25j-_==",
        "dGhlIHNhbXBs ZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZWZvcnR5dHdvZm9ydHl0d28=",
    ] {
        assert_eq!(refused_with(key, &format!("Sec-WebSocket-Key: {value}")), UpgradeError::KeyInvalid, "{value:?}");
    }
}

#[test]
fn what_is_negotiated_follows_its_grammar() {
    for lines in [
        "Sec-WebSocket-Protocol:",
        "Sec-WebSocket-Protocol: a,,b",
        "Sec-WebSocket-Protocol: a b",
        "Sec-WebSocket-Protocol: \"a\"",
        "Sec-WebSocket-Protocol: a, a",
        "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b, a",
        "Sec-WebSocket-Extensions:",
        "Sec-WebSocket-Extensions: a;",
        "Sec-WebSocket-Extensions: a; b=\"c",
    ] {
        assert_eq!(refused_adding(lines), UpgradeError::NegotiationInvalid, "{lines:?}");
    }
}

#[test]
fn debug_shows_no_token() {
    let shown = format!("{:?}", check(CHROME).unwrap());
    assert!(shown.contains("chat.example.com") && !shown.contains("czNjcmV0"), "{shown}");
}

proptest! {
    #[test]
    fn no_field_value_panics(name in prop::sample::select(vec!["Host", "Connection", "Upgrade", "Content-Length",
        "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"]),
        value in "[ -~\u{80}-\u{ff}]{0,40}") {
        let head = FIREFOX.replacen("Accept:", &format!("{name}: {value}\r\nAccept:"), 1);
        let _ = check(&head);
        let _ = valid_host(value.as_bytes());
        let _ = valid_key(value.as_bytes());
    }
}
