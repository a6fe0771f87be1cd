use proptest::prelude::*;

use super::super::samples::{CHROME, FIREFOX, NODE, PYTHON};
use super::*;

const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What the app gets for `head`.
fn forwarded(head: &str, strip: &Strip) -> String {
    let identity = [("x-ringside-subject".to_owned(), "alice".to_owned())];
    let reserved = ["x-ringside-subject".to_owned(), "X-Tenant".to_owned()];
    written(head, &identity, &reserved, strip)
}

fn written(head: &str, identity: &[(String, String)], reserved: &[String], strip: &Strip) -> String {
    let request = Request::parse(head.as_bytes(), 100).unwrap();
    let forward = Forward {
        key: KEY,
        strip,
        client: "192.0.2.7".parse().unwrap(),
        secure: true,
        host: "chat.example.com",
        traceparent: TRACEPARENT,
        tracestate: None,
        identity,
        reserved,
    };
    let mut out = Vec::new();
    forward.write(&request, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A handshake with these further lines, and what the app gets for it.
fn forwarded_lines(lines: &str) -> String {
    forwarded(&format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"), &Strip::Nothing)
}

/// The fields as an app's parser reads them.
fn fields(head: &str) -> Vec<(String, String)> {
    let request = Request::parse(head.as_bytes(), 1000).unwrap();
    request.fields.iter().map(|f| (f.name.to_owned(), String::from_utf8_lossy(f.value).into_owned())).collect()
}

fn values(head: &str, name: &str) -> Vec<String> {
    fields(head).into_iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

const OWN: &str = "Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
    X-Forwarded-For: 192.0.2.7\r\n\
    X-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: chat.example.com\r\n\
    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
    x-ringside-subject: alice\r\n\
    \r\n";

#[test]
fn chrome_reaches_the_app_without_its_token() {
    let token = "base64url.bearer.authorization.k8s.io.czNjcmV0";
    let expected = "GET /chat?room=7 HTTP/1.1\r\n\
        Host: chat.example.com\r\n\
        Pragma: no-cache\r\n\
        Cache-Control: no-cache\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36\r\n\
        Origin: https://chat.example.com\r\n\
        Accept-Encoding: gzip, deflate, br, zstd\r\n\
        Accept-Language: en-US,en;q=0.9\r\n\
        Cookie: theme=dark; session=s3cret; lang=en\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
        Sec-WebSocket-Protocol: chat.v2, chat.v1\r\n";
    assert_eq!(forwarded(CHROME, &Strip::Protocols(vec![token.to_owned()])), format!("{expected}{OWN}"));
}

#[test]
fn a_token_is_taken_from_where_it_was_and_from_nowhere_else() {
    let app = forwarded(PYTHON, &Strip::Authorization);
    assert!(values(&app, "authorization").is_empty() && !app.contains("s3cret"));
    assert_eq!(values(&forwarded(PYTHON, &Strip::Nothing), "authorization"), ["Bearer s3cret"]);

    let app = forwarded(CHROME, &Strip::Cookie("session".to_owned()));
    assert_eq!(values(&app, "cookie"), ["theme=dark; lang=en"]);

    let head = CHROME.replacen("room=7", "room=7&access_token=s&x=%20", 1);
    let app = forwarded(&head, &Strip::Query("access_token".to_owned()));
    assert!(app.starts_with("GET /chat?room=7&x=%20 HTTP/1.1\r\n"), "{app}");
}

#[test]
fn a_field_that_held_only_the_token_goes() {
    let head = "GET / HTTP/1.1\r\nHost: h\r\nCookie: session=s3cret\r\nCookie: a=1\r\n\
        Sec-WebSocket-Protocol: bearer, s3cret\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    assert_eq!(values(&forwarded(head, &Strip::Cookie("session".to_owned())), "cookie"), ["a=1"]);
    let strip = Strip::Protocols(vec!["bearer".to_owned(), "s3cret".to_owned()]);
    assert_eq!(values(&forwarded(head, &strip), "sec-websocket-protocol"), ["chat"]);
}

#[test]
fn the_clients_connection_and_what_it_names_end_here() {
    let app = forwarded_lines(
        "Connection: keep-alive, Upgrade, X-Hop\r\nconnection: x-other\r\nX-Hop: 1\r\nX-Other: 2\r\nX-Kept: 3\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nProxy-Authenticate: x\r\nProxy-Authorization: x\r\nTE: trailers\r\n\
         Trailer: x\r\nTransfer-Encoding: x\r\nHTTP2-Settings: AAMA\r\nContent-Length: 0\r\nUpgrade: h2c, websocket\r\n\
         Sec-WebSocket-Key: theirs\r\nSec-WebSocket-Version: 8",
    );
    assert_eq!(app, format!("GET / HTTP/1.1\r\nHost: h\r\nX-Kept: 3\r\n{OWN}"));
}

#[test]
fn connection_cannot_take_from_the_app_what_we_say_or_judged() {
    // CVE-2022-31813 in Apache httpd: `Connection: X-Forwarded-For` took the proxy's own field from the app, which then
    // took the client for the proxy.
    let app = forwarded_lines(
        "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, x-ringside-subject, traceparent, Upgrade\r\n\
         Connection: Host, Origin, Cookie, Authorization, Sec-WebSocket-Protocol, Sec-WebSocket-Extensions\r\n\
         Origin: https://h\r\nCookie: a=1\r\nAuthorization: Basic eA==\r\nSec-WebSocket-Protocol: p\r\n\
         Sec-WebSocket-Extensions: e",
    );
    let kept = "GET / HTTP/1.1\r\nHost: h\r\nOrigin: https://h\r\nCookie: a=1\r\nAuthorization: Basic eA==\r\n\
        Sec-WebSocket-Protocol: p\r\nSec-WebSocket-Extensions: e\r\n";
    assert_eq!(app, format!("{kept}{OWN}"));
}

#[test]
fn a_client_cannot_say_who_it_is_or_where_it_came_from() {
    for lines in [
        "x-ringside-subject: root",
        "X-Ringside-Subject: root\r\nX-RINGSIDE-SUBJECT: root",
        // A name that we reserve but have nothing to say for.
        "x-tenant: victim",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Server: evil",
        "X-Forwarded-User: root\r\nX-Forwarded-Client-Cert: Subject=root",
        "Forwarded: for=127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "traceparent: 00-00000000000000000000000000000001-0000000000000001-01",
        "tracestate: vendor=1\r\nTracestate: vendor=2\r\nConnection: tracestate",
    ] {
        assert_eq!(forwarded_lines(lines), format!("GET / HTTP/1.1\r\nHost: h\r\n{OWN}"), "{lines:?}");
    }
}

#[test]
fn baggage_is_an_end_to_end_field() {
    let app = forwarded_lines("baggage: user=ann;level=1\r\nBaggage: room=7");
    assert_eq!(values(&app, "baggage"), ["user=ann;level=1", "room=7"]);
}

#[test]
fn folded_names_do_not_pass_for_ours() {
    // A CGI-style app reads both `X-Ringside-Subject` and `x_ringside_subject` as HTTP_X_RINGSIDE_SUBJECT.
    for lines in [
        "x_ringside_subject: root\r\nX-Ringside_Subject: root\r\nx.ringside.subject: root",
        "x_tenant: victim",
        "X_Forwarded_For: 127.0.0.1\r\nx_real_ip: 127.0.0.1",
        "Transfer_Encoding: chunked\r\nContent_Length: 5",
        "Sec_WebSocket_Key: theirs\r\nSec_WebSocket_Protocol: other\r\nsec_websocket_extensions: other",
    ] {
        assert_eq!(forwarded_lines(lines), format!("GET / HTTP/1.1\r\nHost: h\r\n{OWN}"), "{lines:?}");
    }
    // A reserved name with `_` of its own is protected as well.
    let reserved = ["x_tenant".to_owned()];
    let head = "GET / HTTP/1.1\r\nHost: h\r\nX-Tenant: victim\r\n\r\n";
    assert!(!written(head, &[], &reserved, &Strip::Nothing).contains("victim"));
}

#[test]
fn an_identity_cannot_inject_a_field() {
    let identity = [("x-name".to_owned(), "eve\r\nx-ringside-subject: root\r\n\r\nGET /admin HTTP/1.1".to_owned())];
    let app = written("GET / HTTP/1.1\r\nHost: h\r\n\r\n", &identity, &[], &Strip::Nothing);
    assert_eq!(values(&app, "x-name"), ["eve%0D%0Ax-ringside-subject: root%0D%0A%0D%0AGET /admin HTTP/1.1"]);
    assert!(values(&app, "x-ringside-subject").is_empty());
}

#[test]
fn all_else_passes_in_order_and_in_its_own_case() {
    let lines = "x-B: 1\r\nX-A: \u{e9}, \"q\"\r\nX-b: 2\r\nVia: 1.1 edge\r\nDNT: 1\r\nX-Empty: ";
    let app = forwarded_lines(lines);
    assert_eq!(app, format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n{OWN}"));
}

#[test]
fn plain_ws_is_called_http() {
    let request = Request::parse(FIREFOX.as_bytes(), 100).unwrap();
    let mut out = Vec::new();
    let client = "2001:db8::7".parse().unwrap();
    Forward {
        key: KEY,
        strip: &Strip::Nothing,
        client,
        secure: false,
        host: "h",
        traceparent: "",
        tracestate: Some("vendor=1"),
        identity: &[],
        reserved: &[],
    }
    .write(&request, &mut out);
    let app = String::from_utf8(out).unwrap();
    assert_eq!(values(&app, "x-forwarded-proto"), ["http"]);
    assert_eq!(values(&app, "x-forwarded-for"), ["2001:db8::7"]);
    assert_eq!(values(&app, "tracestate"), ["vendor=1"]);
}

#[test]
fn debug_shows_no_token() {
    let shown = format!("{:?}", Strip::Protocols(vec!["s3cret".to_owned()]));
    assert_eq!(shown, "Protocols(1 entries)");
}

fn any_strip() -> impl Strategy<Value = Strip> {
    prop_oneof![
        Just(Strip::Nothing),
        Just(Strip::Authorization),
        Just(Strip::Protocols(vec!["a".to_owned()])),
        Just(Strip::Query("a".to_owned())),
        Just(Strip::Cookie("a".to_owned())),
    ]
}

proptest! {
    #[test]
    fn what_is_written_parses_into_what_was_meant(
        query in "[a-c&=%41]{0,12}",
        lines in prop::collection::vec(("[a-cA-C_-]{1,3}|Cookie|Connection|Sec-WebSocket-Protocol|Authorization", "[a-c=;, \"\t\u{e9}]{0,12}"), 0..12),
        subject: String,
        strip in any_strip(),
    ) {
        let lines: String = lines.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
        let head = format!("GET /{query} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        let identity = [("x-ringside-subject".to_owned(), subject.clone())];
        let app = written(&head, &identity, &["a-b".to_owned()], &strip);

        let read = fields(&app);
        let own = ["Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "X-Forwarded-For",
            "X-Forwarded-Proto", "X-Forwarded-Host", "traceparent", "x-ringside-subject"];
        for name in own {
            prop_assert_eq!(values(&app, name).len(), 1, "{}", name);
        }
        prop_assert_eq!(&values(&app, "x-ringside-subject")[0], &*header_value(&subject));
        prop_assert!(read.iter().all(|(name, _)| folded(name) != "a-b"));

        // Every other field is one of the client's, in the client's order.
        let mut sent = fields(&head).into_iter();
        for (name, value) in read.iter().take(read.len() - own.len()) {
            let is_stripped = matches!(name.as_str(), "Cookie" | "Sec-WebSocket-Protocol");
            prop_assert!(sent.any(|(n, v)| n == *name && (is_stripped || v == *value)), "{}: {}", name, value);
        }
    }

    #[test]
    fn real_heads_survive_any_strip(strip in any_strip(), head in prop::sample::select(vec![CHROME, FIREFOX, PYTHON, NODE])) {
        let app = forwarded(head, &strip);
        prop_assert!(super::super::upgrade::Upgrade::check(&Request::parse(app.as_bytes(), 100).unwrap()).is_ok());
    }
}
