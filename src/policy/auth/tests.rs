use proptest::prelude::*;

use super::*;
use crate::http1::forward::Forward;
use crate::http1::head::Field;

const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjF9.c2ln";
const MAX: usize = 100;

fn request<'h>(target: &'h str, fields: &[(&'h str, &'h str)]) -> Request<'h> {
    let fields = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
    Request { method: "GET", target, fields }
}

fn sources(names: &[&str]) -> Vec<TokenSource> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// The token and how to strip it, looked for in the places called `names`.
fn look(names: &[&str], target: &str, fields: &[(&str, &str)]) -> Result<(String, Strip), FindError> {
    let (sources, request) = (sources(names), request(target, fields));
    find(&sources, MAX, &request).map(|found| (found.token.into_owned(), found.strip))
}

/// The same for one line of `Authorization`.
fn authorization(value: &str) -> Result<String, FindError> {
    look(&["header"], "/", &[("Authorization", value)]).map(|(token, strip)| {
        assert_eq!(strip, Strip::Authorization);
        token
    })
}

/// The same for `Sec-WebSocket-Protocol`, in one line or several.
fn subprotocol(lines: &[&str]) -> Result<(String, Vec<String>), FindError> {
    let fields: Vec<_> = lines.iter().map(|line| ("sec-websocket-protocol", *line)).collect();
    look(&["subprotocol"], "/", &fields).map(|(token, strip)| match strip {
        Strip::Protocols(entries) => (token, entries),
        other => panic!("{other:?}"),
    })
}

fn kubernetes(token: &str) -> String {
    format!("{KUBERNETES}{}", URL_SAFE_NO_PAD.encode(token))
}

#[test]
fn a_bearer_is_found_in_the_header() {
    for value in
        [format!("Bearer {TOKEN}"), format!("bearer {TOKEN}"), format!("BEARER   {TOKEN}"), format!("Bearer\t{TOKEN}")]
    {
        assert_eq!(authorization(&value).as_deref(), Ok(TOKEN), "{value}");
    }
    for value in ["Basic dXNlcjpwYXNz", "Bearerx", "Bear er", "", TOKEN, "Digest Bearer"] {
        assert_eq!(authorization(value), Err(FindError::Missing), "{value}");
    }
    // For the verifier to refuse: somebody meant to send a token.
    assert_eq!(authorization("Bearer").as_deref(), Ok(""));
    assert_eq!(authorization("Bearer a b").as_deref(), Ok("a b"));
}

#[test]
fn a_second_authorization_beside_a_token_is_one_too_many() {
    let bearer = format!("Bearer {TOKEN}");
    for second in [&*bearer, "Basic dXNlcjpwYXNz", ""] {
        let fields = [("Authorization", &*bearer), ("authorization", second)];
        assert_eq!(look(&["header"], "/", &fields), Err(FindError::Twice), "{second}");
    }
    let fields = [("Authorization", "Basic a"), ("Authorization", "Basic b")];
    assert_eq!(look(&["header"], "/", &fields), Err(FindError::Missing));
}

#[test]
fn kubernetes_hides_the_token_beside_a_real_subprotocol() {
    let entry = kubernetes(TOKEN);
    let expected = Ok((TOKEN.to_owned(), vec![entry.clone()]));
    assert_eq!(subprotocol(&[&format!("{entry}, chat")]), expected);
    assert_eq!(subprotocol(&[&format!("chat,{entry}")]), expected);
    assert_eq!(subprotocol(&["chat", &entry]), expected);
    assert_eq!(subprotocol(&[&entry]), Err(FindError::SubprotocolMissing));
    assert_eq!(subprotocol(&[&format!("{KUBERNETES}!, chat")]), Err(FindError::Malformed));
    assert_eq!(subprotocol(&[&format!("{KUBERNETES}_w, chat")]), Err(FindError::Malformed));
    assert_eq!(subprotocol(&[&format!("{entry}=, chat")]), Err(FindError::Missing), "an entry must be a token");
}

#[test]
fn a_pair_holds_the_token_in_its_second_entry() {
    let expected = Ok((TOKEN.to_owned(), vec!["bearer".to_owned(), TOKEN.to_owned()]));
    assert_eq!(subprotocol(&[&format!("bearer, {TOKEN}, chat")]), expected);
    assert_eq!(subprotocol(&[&format!("chat, bearer, {TOKEN}")]), expected);
    assert_eq!(subprotocol(&["bearer", TOKEN]), expected);
    for not in ["bearer", "chat, bearer", "chat", "bearers, x", ""] {
        assert_eq!(subprotocol(&[not]), Err(FindError::Missing), "{not}");
    }
}

#[test]
fn two_tokens_among_the_subprotocols_are_one_too_many() {
    let entry = kubernetes(TOKEN);
    for offered in [
        format!("{entry}, {entry}, chat"),
        format!("{entry}, bearer, {TOKEN}"),
        format!("bearer, {TOKEN}, {entry}"),
        format!("bearer, {TOKEN}, bearer, {TOKEN}"),
        format!("{entry}, {KUBERNETES}!, chat"),
    ] {
        assert_eq!(subprotocol(&[&offered]), Err(FindError::Twice), "{offered}");
    }
    // An entry that is a token itself is not what `bearer` announces.
    assert_eq!(subprotocol(&[&format!("bearer, {entry}")]), Ok((TOKEN.to_owned(), vec![entry])));
}

#[test]
fn a_query_parameter_is_decoded() {
    let look = |target| {
        look(&["query:access_token"], target, &[]).map(|(token, strip)| {
            assert_eq!(strip, Strip::Query("access_token".into()));
            token
        })
    };
    assert_eq!(look("/chat?access_token=a.b.c").as_deref(), Ok("a.b.c"));
    assert_eq!(look("/chat?room=1&acc%65ss_token=a%2Eb%2ec&x").as_deref(), Ok("a.b.c"));
    assert_eq!(look("/chat?access_token"), Ok(String::new()));
    assert_eq!(look("/chat?access_token=%ff"), Err(FindError::Malformed));
    assert_eq!(look("/chat?Access_token=a"), Err(FindError::Missing));
    assert_eq!(look("/access_token=a"), Err(FindError::Missing));
    assert_eq!(look("/chat?access_token=a&access_token=a"), Err(FindError::Twice));
    assert_eq!(look("/chat?access_token=a&access%5ftoken"), Err(FindError::Twice));
}

#[test]
fn a_cookie_may_be_quoted() {
    let look = |lines: &[&str]| {
        let fields: Vec<_> = lines.iter().map(|line| ("Cookie", *line)).collect();
        look(&["cookie:session"], "/", &fields).map(|(token, strip)| {
            assert_eq!(strip, Strip::Cookie("session".into()));
            token
        })
    };
    assert_eq!(look(&["a=b; session=a.b.c; d=e"]).as_deref(), Ok("a.b.c"));
    assert_eq!(look(&["a=b", "session=\"a.b.c\""]).as_deref(), Ok("a.b.c"));
    assert_eq!(look(&["Session=a; xsession=b; session"]), Err(FindError::Missing));
    assert_eq!(look(&["session=a; session=a"]), Err(FindError::Twice));
    assert_eq!(look(&["session=a", "session="]), Err(FindError::Twice));
}

#[test]
fn only_configured_places_are_looked_at() {
    let bearer = format!("Bearer {TOKEN}");
    let fields = [("Authorization", &*bearer), ("Cookie", "session=other"), ("Sec-WebSocket-Protocol", "bearer, x")];
    let target = "/?access_token=other";
    let places = ["header", "cookie:session", "subprotocol", "query:access_token"];
    for place in places {
        assert!(look(&[place], target, &fields).is_ok(), "{place}");
    }
    for pair in places.windows(2) {
        assert_eq!(look(pair, target, &fields), Err(FindError::Twice), "{pair:?}");
    }
    assert_eq!(look(&["cookie:sid", "query:token"], target, &fields), Err(FindError::Missing));
    assert_eq!(look(&[], target, &fields), Err(FindError::Missing));
}

#[test]
fn a_token_is_bounded_in_the_form_that_is_verified() {
    let longest = "x".repeat(MAX);
    assert_eq!(authorization(&format!("Bearer {longest}")).as_deref(), Ok(&*longest));
    assert_eq!(authorization(&format!("Bearer {longest}x")), Err(FindError::TooLarge));
    assert!(subprotocol(&["chat", &kubernetes(&longest)]).is_ok());
    assert_eq!(subprotocol(&["chat", &kubernetes(&format!("{longest}x"))]), Err(FindError::TooLarge));
}

#[test]
fn bytes_that_are_no_text_are_no_token() {
    let (sources, mut request) = (sources(&["header", "cookie:session"]), request("/", &[]));
    request.fields.push(Field { name: "authorization", value: b"Bearer \xff" });
    assert_eq!(find(&sources, MAX, &request).unwrap_err(), FindError::Malformed);
    request.fields[0] = Field { name: "cookie", value: b"session=\xff" };
    assert_eq!(find(&sources, MAX, &request).unwrap_err(), FindError::Malformed);
}

#[test]
fn a_place_reads_what_it_shows() {
    for text in ["header", "subprotocol", "query:access_token", "query:a:b", "cookie:session"] {
        assert_eq!(text.parse::<TokenSource>().unwrap().to_string(), text);
    }
    for text in ["", "Header", "body", "header:", "header:x", "subprotocol:x", "query", "cookie"] {
        assert_eq!(text.parse::<TokenSource>(), Err(ParseTokenSourceError::Form), "{text}");
    }
    assert_eq!("query:".parse::<TokenSource>(), Err(ParseTokenSourceError::NameMissing));
    assert_eq!("cookie:".parse::<TokenSource>(), Err(ParseTokenSourceError::NameMissing));
    assert_eq!("cookie:a b".parse::<TokenSource>(), Err(ParseTokenSourceError::CookieName));
    assert_eq!("cookie:a=b".parse::<TokenSource>(), Err(ParseTokenSourceError::CookieName));
}

#[test]
fn what_was_found_is_not_shown() {
    let (sources, request) = (sources(&["query:t"]), request("/?t=s3cret", &[]));
    assert!(!format!("{:?}", find(&sources, MAX, &request)).contains("s3cret"));
}

#[test]
fn what_was_found_does_not_reach_the_app() {
    let (bearer, cookie) = (format!("Bearer {TOKEN}"), format!("a=b; session=\"{TOKEN}\""));
    let (entry, pair) = (format!("{}, chat", kubernetes(TOKEN)), format!("chat, bearer, {TOKEN}"));
    let query = format!("/?room=1&t%6Fken={TOKEN}");
    for (target, name, value) in [
        ("/?room=1", "Authorization", &*bearer),
        ("/?room=1", "Cookie", &cookie),
        ("/?room=1", "Sec-WebSocket-Protocol", &entry),
        ("/?room=1", "Sec-WebSocket-Protocol", &pair),
        (&query, "Cookie", "a=b"),
    ] {
        let sources = sources(&["header", "subprotocol", "query:token", "cookie:session"]);
        let request = request(target, &[(name, value)]);
        let Found { token, strip } = find(&sources, MAX, &request).unwrap();
        assert_eq!(token, TOKEN);
        let forward = Forward {
            key: "",
            strip: &strip,
            client: [127, 0, 0, 1].into(),
            secure: true,
            host: "app.example",
            traceparent: "",
            tracestate: None,
            identity: &[],
            reserved: &[],
        };
        let mut head = Vec::new();
        forward.write(&request, &mut head);
        let head = String::from_utf8(head).unwrap();
        assert!(!head.contains(TOKEN) && !head.contains(&URL_SAFE_NO_PAD.encode(TOKEN)), "{head}");
        assert!(head.starts_with("GET /?room=1 HTTP/1.1\r\n"), "{head}");
        let expected = if name == "Cookie" { "Cookie: a=b\r\n" } else { "Sec-WebSocket-Protocol: chat\r\n" };
        assert_eq!(head.contains(expected), name != "Authorization", "{head}");
    }
}

proptest! {
    #[test]
    fn any_request_has_an_answer(target in "/[ -~]{0,40}", name in "(authorization|cookie|sec-websocket-protocol)", value: Vec<u8>) {
        let sources = sources(&["header", "subprotocol", "query:t", "cookie:t"]);
        let request = Request { method: "GET", target: &target, fields: vec![Field { name: &name, value: &value }] };
        if let Ok(found) = find(&sources, MAX, &request) {
            prop_assert!(found.token.len() <= MAX && found.strip != Strip::Nothing);
        }
    }

    #[test]
    fn what_is_stripped_was_offered(offered in proptest::collection::vec("(bearer|chat|a\\.b\\.c|base64url\\.bearer\\.authorization\\.k8s\\.io\\.YQ)", 0..5)) {
        if let Ok((_, entries)) = subprotocol(&[&offered.join(", ")]) {
            prop_assert!(entries.iter().all(|entry| offered.contains(entry)));
        }
    }
}
