//! `/log/filter`.

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::super::filter::BODY;
use super::{Fixture, read_all};

impl Fixture {
    /// The answer to a PUT of `filter`, with these fields besides.
    async fn put(&self, filter: &[u8], fields: &str) -> String {
        let mut stream = self.connect().await;
        let length = filter.len();
        let head = format!(
            "PUT /log/filter HTTP/1.1\r\nhost: admin\r\n{fields}content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), filter].concat()).await.expect("write");
        read_all(&mut stream).await
    }

    async fn filter(&self) -> String {
        let answer = self.ask("GET /log/filter").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
    }
}

#[tokio::test]
async fn a_put_changes_what_a_get_shows() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.filter().await, "info\n");
    // As `echo` and curl send it.
    let answer = fixture.put(b" warn,ringside=debug\n", "content-type: application/x-www-form-urlencoded\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nwarn,ringside=debug\nbefore: info\n"), "{answer}");
    assert_eq!(fixture.filter().await, "warn,ringside=debug\n");
    assert!(fixture.ask("HEAD /log/filter").await.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn what_is_no_filter_is_told_with_an_example() {
    let fixture = Fixture::start().await;
    for (filter, why) in [
        (&b"ringside=loud"[..], "not a filter: "),
        (b"", "no filter"),
        (b" \r\n", "no filter"),
        (b"info\xff", "the filter is not UTF-8"),
    ] {
        let answer = fixture.put(filter, "").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        assert!(body.starts_with(why) && body.contains("info,ringside::opening=debug"), "{body}");
    }
    assert_eq!(fixture.filter().await, "info\n");
}

#[tokio::test]
async fn a_filter_has_a_length_and_a_time() {
    let fixture = Fixture::start().await;
    let longest = format!("info,{}", "r".repeat(4096 - 5));
    assert!(fixture.put(longest.as_bytes(), "").await.starts_with("HTTP/1.1 200 "));
    let answer = fixture.put(format!("{longest}r").as_bytes(), "").await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("at most 4096 bytes\n"), "{answer}");

    // Without a length, it is found out on the way.
    let mut stream = fixture.connect().await;
    let head = "PUT /log/filter HTTP/1.1\r\nhost: admin\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{head}1001\r\n{longest}r\r\n0\r\n\r\n").as_bytes()).await.expect("write");
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 413 "));

    let mut slow = fixture.connect().await;
    let head = "PUT /log/filter HTTP/1.1\r\nhost: admin\r\ncontent-length: 5\r\nconnection: close\r\n\r\n";
    slow.write_all(format!("{head}debu").as_bytes()).await.expect("write");
    // Nothing can happen any more but timeouts: the paused clock jumps to them.
    tokio::time::pause();
    let began = Instant::now();
    let answer = read_all(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!((BODY..BODY * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(fixture.filter().await, format!("{longest}\n"));
}

#[tokio::test]
async fn only_a_put_that_is_from_no_page_changes_it() {
    let fixture = Fixture::start().await;
    for method in ["POST", "DELETE", "OPTIONS", "PATCH"] {
        let answer = fixture.ask(&format!("{method} /log/filter")).await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nallow: GET, HEAD, PUT\r\n"), "{answer}");
    }
    for origin in ["https://evil.example", "null"] {
        let answer = fixture.put(b"trace", &format!("origin: {origin}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
    assert_eq!(fixture.filter().await, "info\n");
}
