//! What the app is asked, and that no token reaches anybody it is not meant for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::support::app::App;
use crate::support::engines::{Engine, on_both_engines};
use crate::support::http::{KEY, Message, upgrade, upgrade_to};
use crate::support::material::{forged, token, token_with};
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(
    end_to_end_fields_pass_in_order,
    the_app_learns_who_it_is,
    each_tokens_place_is_emptied,
    a_token_is_forwarded_when_asked_for,
    the_apps_fields_reach_the_client,
    no_token_is_reported,
);

/// All places for a token.
const EVERYWHERE: &str = "from = [\"header\", \"subprotocol\", \"query:access_token\", \"cookie:session\"]";

/// What the app is asked for this request, which it accepts.
fn asked(proxy: &Proxy, app: &App, request: &str, answer: &[&str]) -> (Message, Message) {
    let mut client = proxy.ask(request);
    let mut joined = app.accept();
    joined.answer(answer);
    let answer = client.head();
    assert_eq!(answer.status(), 101, "{answer:?}");
    (joined.request().clone(), answer)
}

fn end_to_end_fields_pass_in_order(engine: Engine) {
    let app = App::unix();
    for (setup, proto) in [(Setup::new(engine), "https"), (Setup::new(engine).plain(), "http")] {
        let proxy = setup.start(&app);
        let request = upgrade_to(
            "/a%20b//c?x=1&x=2&empty=#",
            &[
                "Cookie: a=1; b=\"two\"",
                "Origin: https://chat.example",
                "X-CaSe: KePt  as it is",
                "X-Twice: 1",
                "Connection: X-Hop",
                "X-Hop: gone",
                "Keep-Alive: gone",
                "Proxy-Authorization: gone",
                "X-Twice: 2",
                "X-Forwarded-For: 203.0.113.9",
                "X-Forwarded-Proto: gone",
                "X-Forwarded-Host: gone",
                "X-Forwarded-Anything: gone",
                "Forwarded: for=gone",
                "X-Real-IP: gone",
                "X-Ringside-Subject: mallory",
                "Authorization: Basic dXNlcjpwYXNz",
                "baggage: user=ann",
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "Last: one",
            ],
        );
        let request = request.replace('#', "");
        let (asked, _) = asked(&proxy, &app, &request, &[]);
        assert_eq!(asked.line, "GET /a%20b//c?x=1&x=2&empty= HTTP/1.1");
        let fields: Vec<_> = asked.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let wanted = [
            "Host: chat.example",
            "Cookie: a=1; b=\"two\"",
            "Origin: https://chat.example",
            "X-CaSe: KePt  as it is",
            "X-Twice: 1",
            "X-Twice: 2",
            "Authorization: Basic dXNlcjpwYXNz",
            "baggage: user=ann",
            "Last: one",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
        ];
        assert_eq!(fields[..wanted.len()], wanted);
        assert_ne!(asked.field("sec-websocket-key"), Some(KEY));
        assert_eq!(asked.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(asked.field("x-forwarded-proto"), Some(proto));
        assert_eq!(asked.field("x-forwarded-host"), Some("chat.example"));
        let handshake = proxy.handshake();
        let dial = handshake.steps.dial.expect("a dial").step;
        let span = handshake.span.above(dial.id);
        assert_eq!(asked.field("traceparent"), Some(&*span.traceparent()));
        assert!(span.traceparent().starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "the client's trace");
        assert!(!fields.iter().any(|field| field.contains("gone") || field.contains("mallory")), "{fields:?}");
    }
}

fn the_app_learns_who_it_is(engine: Engine) {
    let app = App::unix();
    let claims = "claims_to_headers = { tenant = \"x-tenant\", level = \"x-level\" }";
    let proxy = Setup::new(engine).jwt(claims).start(&app);
    let bearer = format!("Authorization: Bearer {}", token_with(json!({ "level": 7 })));
    let forged = ["x-ringside-subject: mallory", "X-Tenant: red", "x_tenant: red", "X-Level: 9"];
    let request = upgrade(&[&[bearer.as_str()], &forged[..]].concat());
    let (asked, _) = asked(&proxy, &app, &request, &[]);
    assert_eq!(asked.field("x-ringside-subject"), Some("alice"));
    assert_eq!(asked.field("x-tenant"), Some("blue"));
    assert_eq!(asked.field("x-level"), Some("7"));
    assert_eq!(asked.field("x_tenant"), None);
    assert_eq!(proxy.handshake().subject.as_deref(), Some("alice"));
}

/// A request with `token` in each place, and what is left of that place.
fn placed(token: &str) -> Vec<(String, &'static str, Option<&'static str>)> {
    let hidden = URL_SAFE_NO_PAD.encode(token);
    let protocols = |list: String| upgrade(&[&format!("Sec-WebSocket-Protocol: {list}")]);
    vec![
        (upgrade(&[&format!("Authorization: Bearer {token}")]), "authorization", None),
        (
            protocols(format!("base64url.bearer.authorization.k8s.io.{hidden}, chat")),
            "sec-websocket-protocol",
            Some("chat"),
        ),
        (protocols(format!("chat, bearer, {token}, v2")), "sec-websocket-protocol", Some("chat, v2")),
        (upgrade_to(&format!("/c?a=1&access_token={token}&b=2"), &[]), "target", Some("/c?a=1&b=2")),
        (upgrade(&[&format!("Cookie: a=1; session={token}; b=2")]), "cookie", Some("a=1; b=2")),
    ]
}

fn each_tokens_place_is_emptied(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).jwt(EVERYWHERE).start(&app);
    let token = token();
    for (request, place, left) in placed(&token) {
        let chosen: &[&str] = if place == "sec-websocket-protocol" { &["Sec-WebSocket-Protocol: chat"] } else { &[] };
        let (asked, answer) = asked(&proxy, &app, &request, chosen);
        let found = if place == "target" { asked.line.split(' ').nth(1) } else { asked.field(place) };
        assert_eq!(found, left, "{place}");
        assert!(!shows(&format!("{asked:?}"), &token), "{place}: {asked:?}");
        assert_eq!(asked.field("x-ringside-subject"), Some("alice"), "{place}");
        let real = (place == "sec-websocket-protocol").then_some("chat");
        assert_eq!(answer.field("sec-websocket-protocol"), real);
        assert_eq!(proxy.handshake().protocol.as_deref(), real);
    }
}

fn a_token_is_forwarded_when_asked_for(engine: Engine) {
    let app = App::unix();
    let lines = Box::leak(format!("{EVERYWHERE}\nforward = true").into_boxed_str());
    let proxy = Setup::new(engine).jwt(lines).start(&app);
    let token = token();
    for (request, place, _) in placed(&token) {
        let (asked, _) = asked(&proxy, &app, &request, &[]);
        assert!(shows(&format!("{asked:?}"), &token), "{place}: {asked:?}");
        let line =
            |wanted: &str| request.lines().find(|line| line.to_lowercase().starts_with(wanted)).map(str::to_owned);
        if place == "target" {
            assert_eq!(Some(asked.line.clone()), line("get"));
        } else {
            let value = line(place).map(|line| line.split_once(": ").expect("a field").1.to_owned());
            assert_eq!(asked.field(place).map(str::to_owned), value);
        }
    }
}

fn the_apps_fields_reach_the_client(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).start(&app);
    let offer = upgrade(&[
        "Sec-WebSocket-Protocol: chat.v1, chat.v2",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    ]);
    let fields = [
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "Sec-WebSocket-Protocol: chat.v2",
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",
        "X-App: yes",
        "ringside-reason: none of yours",
    ];
    let (asked, answer) = asked(&proxy, &app, &offer, &fields);
    assert_eq!(asked.field("sec-websocket-protocol"), Some("chat.v1, chat.v2"));
    assert_eq!(asked.field("sec-websocket-extensions"), Some("permessage-deflate; client_max_window_bits"));
    assert_eq!(answer.field("sec-websocket-accept"), Some(crate::support::http::ACCEPT));
    assert_eq!(answer.field("sec-websocket-protocol"), Some("chat.v2"));
    assert_eq!(answer.field("sec-websocket-extensions"), Some("permessage-deflate; server_no_context_takeover"));
    assert_eq!((answer.field("x-app"), answer.field("ringside-reason")), (Some("yes"), None));
    let cookies: Vec<_> = answer.fields.iter().filter(|(name, _)| name == "Set-Cookie").map(|(_, v)| v).collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(proxy.handshake().protocol.as_deref(), Some("chat.v2"));
}

fn no_token_is_reported(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).jwt(EVERYWHERE).start(&app);
    let (good, bad) = (token(), forged());
    for (request, ..) in placed(&good) {
        asked(&proxy, &app, &request, &[]);
    }
    for (request, ..) in placed(&bad) {
        let mut client = proxy.ask(&request);
        let answer = client.head();
        assert_eq!((answer.status(), answer.reason()), (401, "token_signature"));
        assert!(!shows(&format!("{answer:?}"), &bad), "{answer:?}");
    }
    proxy.wait_until_held(0);
    let places = placed("").len();
    let reported = proxy.reported(3 * places);
    for token in [&good, &bad] {
        assert!(!shows(&reported, token), "{reported}");
    }
    assert!(reported.contains("alice"), "the reports are those of these connections: {reported}");
}

/// Whether any form of a token, or its signature alone, stands in `text`.
fn shows(text: &str, token: &str) -> bool {
    let (_, signature) = token.rsplit_once('.').expect("JWS");
    text.contains(signature) || text.contains(&URL_SAFE_NO_PAD.encode(token))
}
