use std::time::Duration;

use super::super::example::{connection, connections, gone, sent};
use super::{ENDLESS, Line, Size, Sort, View, draw};
use crate::control::admin::connections::shape::{Connection, Connections, How, State, Time};

fn view<'v>(before: Option<&'v Connections>, now: &'v Connections) -> View<'v> {
    View { from: "127.0.0.1:9901", before, now, sort: Sort::Rate, trouble: None }
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

/// The columns of the line that contains this.
fn cells(lines: &[Line], wanted: &str) -> Vec<String> {
    let line = lines.iter().find(|line| line.text.contains(wanted));
    let line = line.unwrap_or_else(|| panic!("no {wanted} in\n{}", texts(lines).join("\n")));
    line.text.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(String::from).collect()
}

/// Two connections, one of which relays.
fn two() -> [Connections; 2] {
    let busy = Connection { from_client: sent(10, 1000), from_app: sent(20, 4096), ..connection(7, 60.0) };
    let idle = Connection { subject: None, subprotocol: None, client_rtt_ms: None, ..connection(8, 3600.0) };
    let before = connections(vec![busy.clone(), idle.clone()]);
    let mut now = before.clone();
    now.at = Time(before.at.0 + Duration::from_secs(2));
    now.connections[0] = Connection { from_client: sent(34, 1240), age: 62.0, ..busy };
    now.connections[1].age = 3602.0;
    now.totals.from_client = sent(3624, 36_240);
    [before, now]
}

fn ends() -> Vec<How> {
    vec![
        How::Ended {
            by: "client".into(),
            why: "text_utf8".into(),
            source: Some("RFC 6455 section 8.1".into()),
            code_sent: Some(1007),
            code_received: None,
        },
        How::Refused { reason: "token_expired".into(), status: Some(401), detail: Some("an hour ago".into()) },
    ]
}

#[test]
fn a_connection_is_told_of_by_what_came_since_the_look_before() {
    let [before, now] = two();
    let lines = draw(&view(Some(&before), &now), ENDLESS);
    assert_eq!(lines[0].text, "ringside 0.1.0 at 127.0.0.1:9901  engine epoll (configured)  up 1h 00m");
    assert_eq!(lines[1].text, "2 of 9000 connections open, 0 opening or leaving  0 opened/s, 0 refused/s");
    assert_eq!(lines[2].text, "from clients 12.0 messages/s 120 B/s  from the app 0 messages/s 0 B/s");
    let busy = [
        "192.0.2.7:50007",
        "alice",
        "chat.v1",
        "1m 02s",
        "12.0",
        "120 B",
        "34",
        "0",
        "0 B",
        "20",
        "40.5 ms",
        "0.25 ms",
        "open",
        "7",
    ];
    assert_eq!(cells(&lines, "192.0.2.7:50007"), busy);
    assert_eq!(cells(&lines, "192.0.2.7:50008")[1..4], ["-", "-", "1h 00m"]);
    let groups = cells(&lines, "from client -");
    assert_eq!(groups.len(), 3, "{groups:?}");
}

#[test]
fn what_was_not_seen_before_is_an_average() {
    let [now, _] = two();
    let lines = draw(&view(None, &now), ENDLESS);
    assert_eq!(lines[2].text, "from clients ~1.00 messages/s 10 B/s  from the app ~2.00 messages/s 20 B/s");
    assert_eq!(cells(&lines, "192.0.2.7:50007")[4..9], ["~0.17", "~17 B", "10", "~0.33", "~68 B"]);
}

#[test]
fn what_is_asked_for_first_comes_first() {
    let [_, mut now] = two();
    now.connections.push(Connection { client_rtt_ms: Some(900.0), ..connection(2, 1.0) });
    for (sort, ids) in [
        (Sort::Rate, [7, 2, 8]),
        (Sort::Bytes, [7, 2, 8]),
        (Sort::Age, [8, 7, 2]),
        (Sort::Rtt, [2, 7, 8]),
        (Sort::Id, [2, 7, 8]),
    ] {
        let lines = draw(&View { sort, ..view(None, &now) }, ENDLESS);
        let shown: Vec<u64> = lines
            .iter()
            .filter(|line| line.text.starts_with("192."))
            .map(|line| line.text.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(shown, ids, "{sort:?}");
    }
}

#[test]
fn those_who_are_gone_say_why() {
    let [_, mut now] = two();
    now.recent = ends().into_iter().zip(1..).map(|(how, n)| gone(n, n, how)).collect();
    let lines = draw(&view(None, &now), ENDLESS);
    let ended =
        ["3.0s", "192.0.2.7:50001", "alice", "text_utf8 by client", "1007", "-", "1m 01s", "RFC 6455 section 8.1"];
    assert_eq!(cells(&lines, "text_utf8"), ended);
    let refused = ["4.0s", "192.0.2.7:50002", "alice", "refused 401 token_expired", "-", "-", "1m 01s", "an hour ago"];
    assert_eq!(cells(&lines, "token_expired"), refused);
}

#[test]
fn what_is_not_in_order_stands_out() {
    let [_, mut now] = two();
    now.totals.draining = true;
    now.workers_silent = vec![1, 3];
    now.connections[0].state = State::Closing { by: "ringside".into(), why: "drain".into() };
    let lines = draw(&View { trouble: Some("old: no answer\nread the manual"), ..view(None, &now) }, ENDLESS);
    let loud: Vec<_> = lines.iter().filter(|line| line.bold).map(|line| line.text.as_str()).collect();
    assert!(loud[1].starts_with("draining: "), "{loud:?}");
    assert!(loud[2].contains("worker 1, 3: it hangs"), "{loud:?}");
    assert_eq!(loud[3], "old: no answer");
    assert!(cells(&lines, "192.0.2.7:50007").contains(&"closing: drain by ringside".to_owned()));
}

#[test]
fn nobody_is_told_too() {
    let lines = draw(&view(None, &connections(Vec::new())), ENDLESS);
    assert_eq!(texts(&lines)[3..], ["", "nobody is connected"]);
}

#[test]
fn it_fits_whatever_the_room() {
    let [before, mut now] = two();
    now.connections = (0..200).map(|id| connection(id, 5.0)).collect();
    now.totals.open = 5000;
    now.recent = (0..64).zip(ends().into_iter().cycle()).map(|(n, how)| gone(n, n, how)).collect();
    for (width, height) in [(0, 0), (1, 1), (20, 5), (80, 10), (80, 24), (120, 40), (200, 400)] {
        let lines = draw(&view(Some(&before), &now), Size { width, height });
        assert!(lines.len() <= height, "{} of {height}", lines.len());
        for line in &lines {
            assert!(super::super::text::width(&line.text) <= width, "{width}: {}", line.text);
        }
    }
    let lines = draw(&view(Some(&before), &now), Size { width: 80, height: 24 });
    assert_eq!(lines.len(), 24, "all of it is used:\n{}", texts(&lines).join("\n"));
    let gone = lines.iter().position(|line| line.text == "recently ended or refused").expect("some of them");
    assert!(lines[gone - 2].text.starts_with("and 49"), "{}", lines[gone - 2].text);
    assert_eq!(lines.len() - gone, 8, "as many as are promised");
    for title in ["CLIENT", "SUBJECT", "AGE", "MSG/S", "BYTES/S", "STATE"] {
        assert!(lines[5].text.contains(title), "{title} is missing in {}", lines[5].text);
    }
}

#[test]
fn nothing_a_stranger_writes_leaves_its_cell() {
    let hostile = "a\u{1b}[2J\r\nopened \u{202e}x".repeat(20);
    let [_, mut now] = two();
    now.connections[0].subject = Some(hostile.clone());
    now.connections[0].subprotocol = Some(hostile.clone());
    now.connections[0].client.clone_from(&hostile);
    now.engine_why.clone_from(&hostile);
    now.recent =
        vec![gone(1, 1, How::Refused { reason: hostile.clone(), status: None, detail: Some(hostile.clone()) })];
    let lines = draw(&View { trouble: Some(&hostile), ..view(None, &now) }, ENDLESS);
    for line in &lines {
        assert!(!line.text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{}", line.text);
    }
    let cells = cells(&lines, "1m 02s");
    assert_eq!(cells.len(), 14, "{cells:?}");
    assert!(cells[1].starts_with("a\\u{1b}[2J\\r\\nopened") && cells[1].ends_with('…'), "{cells:?}");
    assert!(cells.iter().all(|cell| cell.chars().count() <= 47), "{cells:?}");
}
