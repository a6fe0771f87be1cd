use proptest::prelude::*;

use super::super::extension::Extension;
use super::*;

// The example of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

fn offers() -> Vec<Extension<'static>> {
    extension::parse(b"permessage-deflate; client_max_window_bits, x-other").unwrap()
}

/// The verdict on a head, when `chat.v2`, `chat.v1` and two extensions were offered.
fn verify(head: &str) -> Result<Verdict<'_>, AnswerError> {
    let expected = Expected { key: KEY, protocols: &["chat.v2", "chat.v1"], extensions: &offers() };
    Answer::parse(head.as_bytes(), 100)?.verify(&expected)
}

fn accepted(lines: &str) -> (Option<String>, Option<String>, bool) {
    let head = format!("{SWITCHING}{lines}\r\n");
    let Ok(Verdict::Accepted(accepted)) = verify(&head) else { panic!("not accepted: {lines:?}") };
    (accepted.protocol().map(str::to_owned), accepted.extensions().map(str::to_owned), accepted.deflate())
}

/// What is wrong with a good 101 once `lines` are added.
fn refused_adding(lines: &str) -> AnswerError {
    verify(&format!("{SWITCHING}{lines}\r\n\r\n")).expect_err(lines)
}

/// What is wrong with a good 101 once `from` is `to`.
fn refused_with(from: &str, to: &str) -> AnswerError {
    assert!(SWITCHING.contains(from), "{from}");
    verify(&format!("{}\r\n", SWITCHING.replacen(from, to, 1))).expect_err(to)
}

#[test]
fn a_good_101_is_accepted() {
    assert_eq!(accepted(""), (None, None, false));
    assert_eq!(
        accepted(
            "sec-websocket-protocol: chat.v1\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n"
        ),
        (Some("chat.v1".to_owned()), Some("permessage-deflate; server_max_window_bits=10".to_owned()), true)
    );
    assert_eq!(accepted("Sec-WebSocket-Extensions: x-other\r\n"), (None, Some("x-other".to_owned()), false));
    let uvicorn = SWITCHING.replace("websocket", "WebSocket").replace(": Upgrade", ": keep-alive, upgrade");
    assert!(matches!(verify(&format!("{uvicorn}Date: x\r\nServer: uvicorn\r\n\r\n")), Ok(Verdict::Accepted(_))));
}

#[test]
fn a_wrong_accept_opens_nothing() {
    // A cache or an unrelated server that says 101 does not know our key.
    let right = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    for wrong in ["", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=", "S3PPLMBITXAQ9KYGZZHZRBK+XOO=", KEY] {
        assert_eq!(refused_with(right, wrong), AnswerError::Accept, "{wrong:?}");
    }
    assert_eq!(refused_adding(&format!("Sec-WebSocket-Accept: {right}")), AnswerError::Accept);
    let line = format!("Sec-WebSocket-Accept: {right}\r\n");
    assert_eq!(refused_with(&line, ""), AnswerError::Accept);
}

#[test]
fn a_101_to_something_else_opens_nothing() {
    for line in ["", "Upgrade: h2c\r\n", "Upgrade: websocket, h2c\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n"] {
        assert_eq!(refused_with("Upgrade: websocket\r\n", line), AnswerError::Upgrade, "{line:?}");
    }
    for line in ["", "Connection: close\r\n", "Connection: upgraded\r\n"] {
        assert_eq!(refused_with("Connection: Upgrade\r\n", line), AnswerError::Connection, "{line:?}");
    }
    assert_eq!(refused_with("HTTP/1.1", "HTTP/1.0"), AnswerError::Syntax);
    assert_eq!(refused_adding("Content-Length: 0"), AnswerError::Body);
    assert_eq!(refused_adding("Transfer-Encoding: chunked"), AnswerError::Body);
}

#[test]
fn upgrade_tunnel_smuggling_opens_nothing() {
    // The attack on proxies that relay once they have *asked*: with a version that the app does not know, the app says
    // no, the proxy believes it opened a WebSocket, and the client speaks raw HTTP to the app's internal paths.
    let head = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(verify(head), Ok(Verdict::Refused(Framing::Length(0))));
    // The same with an app that is made to answer 101 to something that is no handshake.
    assert_eq!(verify("HTTP/1.1 101 Switching Protocols\r\n\r\n"), Err(AnswerError::Upgrade));
}

#[test]
fn the_app_may_choose_only_what_was_offered() {
    for lines in [
        "Sec-WebSocket-Protocol: other",
        "Sec-WebSocket-Protocol: CHAT.V1",
        "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.czNjcmV0",
        "Sec-WebSocket-Protocol: chat.v1, chat.v2",
        "Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Protocol: chat.v1",
        "Sec-WebSocket-Protocol:",
    ] {
        assert_eq!(refused_adding(lines), AnswerError::Protocol, "{lines:?}");
    }
    for lines in [
        "Sec-WebSocket-Extensions: x-unasked",
        "Sec-WebSocket-Extensions: permessage-deflate, x-unasked",
        "Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate",
        "Sec-WebSocket-Extensions: x-other\r\nSec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Extensions: permessage-deflate;",
        "Sec-WebSocket-Extensions:",
    ] {
        assert_eq!(refused_adding(lines), AnswerError::Extension, "{lines:?}");
    }
}

#[test]
fn a_refusal_is_the_apps_own() {
    for (head, framing) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\n", Framing::Length(3)),
        ("HTTP/1.1 302 Found\r\nLocation: /login\r\nTransfer-Encoding: chunked\r\n\r\n", Framing::Chunked),
        ("HTTP/1.0 500 Oops\r\n\r\n", Framing::UntilClose),
        ("HTTP/1.1 599\r\n\r\n", Framing::UntilClose),
    ] {
        assert_eq!(verify(head), Ok(Verdict::Refused(framing)), "{head:?}");
    }
    let head = "HTTP/1.1 403 No\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(verify(head), Err(AnswerError::Refusal(BodyError::Ambiguous)));
}

#[test]
fn all_else_breaks_the_handshake() {
    for status in [100, 102, 103, 199, 200, 204, 299, 600, 999] {
        assert_eq!(verify(&format!("HTTP/1.1 {status} X\r\n\r\n")), Err(AnswerError::Status(status)));
    }
    for head in [
        "\r\n\r\n",
        "\r\nHTTP/1.1 403 No\r\n\r\n",
        "HTTP/1.1 403 No\n\n\r\n\r\n",
        "HTTP/1.1 403 No\r\nX : 1\r\n\r\n",
        "HTTP/1.1 403 No\r\nX: 1\r\n folded\r\n\r\n",
        "HTTP/1.1 403 No\r\nX: \0\r\n\r\n",
        "HTTP/2 403\r\n\r\n",
        "HTTP/1.1 40 No\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(verify(head), Err(AnswerError::Syntax), "{head:?}");
    }
    let head = format!("HTTP/1.1 403 No\r\n{}\r\n", "A: b\r\n".repeat(101));
    assert_eq!(verify(&head), Err(AnswerError::TooManyFields));
}

proptest! {
    #[test]
    fn no_input_panics(bytes: Vec<u8>) {
        let _ = Answer::parse(&bytes, 100);
    }

    #[test]
    fn a_101_without_our_accept_is_never_accepted(lines in "((Upgrade|Connection|Sec-WebSocket-Accept): [a-zA-Z=, ]{0,30}\r\n){0,5}") {
        let head = format!("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n{lines}\r\n");
        prop_assert!(verify(&head).is_err());
    }
}
