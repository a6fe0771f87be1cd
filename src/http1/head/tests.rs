use proptest::prelude::*;

use super::*;

const MAX_FIELDS: usize = 100;

fn parse(head: &str) -> Result<Request<'_>, HeadError> {
    Request::parse(head.as_bytes(), MAX_FIELDS)
}

fn refused(head: &str) -> HeadError {
    parse(head).expect_err(head)
}

#[test]
fn a_head_is_parsed_in_order_and_verbatim() {
    let request = parse("GET /a%20b?x=1&y HTTP/1.1\r\nHost: h\r\nCOOKIE:\t a=1 \r\ncookie: b=2\r\nX:\r\n\r\n").unwrap();
    assert_eq!((request.method, request.target), ("GET", "/a%20b?x=1&y"));
    assert_eq!(request.fields.iter().map(|field| field.name).collect::<Vec<_>>(), ["Host", "COOKIE", "cookie", "X"]);
    assert_eq!(request.values("Cookie").collect::<Vec<_>>(), [&b"a=1"[..], b"b=2"]);
    assert_eq!(request.values("x").collect::<Vec<_>>(), [&b""[..]]);
}

#[test]
fn the_end_is_found_over_any_split() {
    let received = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n\x81\x80early";
    let mut end = HeadEnd::default();
    for length in 0..received.len() {
        let expected = (length >= 27).then_some(27);
        assert_eq!(end.find(&received[..length]), expected, "after {length} bytes");
    }
}

#[test]
fn a_slow_client_costs_one_search() {
    // Slowloris: one byte per read must not cost one search of the whole head each.
    let mut end = HeadEnd::default();
    for length in 0..100 {
        assert_eq!(end.find(&[b'a'; 100][..length]), None);
        assert_eq!(end.searched, length);
    }
}

#[test]
fn a_bare_line_feed_ends_no_line() {
    // Smuggling: a parser in front that splits at LF would see a field that we do not, or the other way round.
    for head in [
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\nX-Smuggled: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\n\nGET /admin HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\rX-Smuggled: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n",
    ] {
        assert_eq!(refused(head), HeadError::LineEnd, "{head:?}");
    }
}

#[test]
fn an_empty_line_in_front_is_refused() {
    for head in ["\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n", "", "\r\n"] {
        assert_eq!(refused(head), HeadError::Syntax, "{head:?}");
    }
}

#[test]
fn folded_lines_and_space_around_names_are_refused() {
    // Smuggling: `Transfer-Encoding : chunked` is a known field to some parsers and an unknown one to others.
    for head in [
        "GET / HTTP/1.1\r\nHost: h\r\n X-Folded: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nX: 1\r\n\tfolded\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding\t: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\n: empty name\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nn(me: 1\r\n\r\n",
    ] {
        assert_eq!(refused(head), HeadError::Syntax, "{head:?}");
    }
}

#[test]
fn control_bytes_are_refused_everywhere() {
    for byte in (0..0x20_u8).chain([0x7F]).filter(|byte| !b"\t\r\n".contains(byte)) {
        let byte = char::from(byte);
        for head in [
            format!("GET / HTTP/1.1\r\nX: a{byte}b\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nX{byte}: a\r\n\r\n"),
            format!("GET /{byte} HTTP/1.1\r\nX: a\r\n\r\n"),
            format!("G{byte}T / HTTP/1.1\r\nX: a\r\n\r\n"),
        ] {
            assert_eq!(refused(&head), HeadError::Syntax, "{head:?}");
        }
    }
}

#[test]
fn only_a_path_is_a_target() {
    for target in ["http://h/", "https://other/", "*", "h:443", "x", "?q", "/a#b", "/\u{e9}"] {
        assert_eq!(refused(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")), HeadError::Target, "{target:?}");
    }
    for line in ["GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GET /a b HTTP/1.1", "GET HTTP/1.1", " GET / HTTP/1.1"] {
        assert!(parse(&format!("{line}\r\nHost: h\r\n\r\n")).is_err(), "{line:?}");
    }
}

#[test]
fn only_http_1_1_is_spoken() {
    for version in ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/11"] {
        assert_eq!(refused(&format!("GET / {version}\r\nHost: h\r\n\r\n")), HeadError::Version, "{version}");
    }
    // The preface of HTTP/2 with prior knowledge.
    assert_eq!(refused("PRI * HTTP/2.0\r\n\r\n"), HeadError::Version);
}

#[test]
fn fields_are_counted_before_they_are_parsed() {
    let head = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(parse(&head(MAX_FIELDS)).unwrap().fields.len(), MAX_FIELDS);
    assert_eq!(refused(&head(MAX_FIELDS + 1)), HeadError::TooManyFields);
}

#[test]
fn debug_shows_no_secret() {
    let request = parse("GET /chat?access_token=s3cret HTTP/1.1\r\nAuthorization: Bearer s3cret\r\n\r\n").unwrap();
    let shown = format!("{request:?}");
    assert!(shown.contains("/chat") && shown.contains("Authorization"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

proptest! {
    #[test]
    fn no_input_panics(bytes: Vec<u8>) {
        let _ = Request::parse(&bytes, MAX_FIELDS);
    }

    #[test]
    fn nearly_valid_input_never_panics(head in "(GET|POST|\r\n) [/a?#*]{0,4} HTTP/1.[01]\r\n([A-Z:_-]{0,4}[: \t]{1,2}[a,;=\"\r\n]{0,6}\r\n){0,4}\r\n") {
        if let Ok(request) = parse(&head) {
            prop_assert!(request.target.starts_with('/'));
            prop_assert!(request.fields.iter().all(|field| !field.value.contains(&b'\n')));
        }
    }

    #[test]
    fn any_split_finds_the_same_end(bytes in "[ab\r\n]{0,40}", cuts in prop::collection::vec(0..40_usize, 0..8)) {
        let bytes = bytes.as_bytes();
        let whole = HeadEnd::default().find(bytes);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut end = HeadEnd::default();
        let first = cuts.into_iter().find_map(|cut| end.find(&bytes[..cut]));
        prop_assert_eq!(first.or_else(|| end.find(bytes)), whole);
    }
}
