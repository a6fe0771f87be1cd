//! What there is to see, as lines: a pure function of two looks and of the room there is.

use std::time::Duration;

use super::super::cli::Sort;
use super::rates::{self, Rates};
use super::table::{Align, Column, Lines, lay_out};
use super::text::{bytes, clip, escape, millis, rate, span};
use crate::control::admin::connections::shape::{Connection, Connections, Gone, How, State};

/// Room for a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

/// As much as it takes.
pub(super) const ENDLESS: Size = Size { width: usize::MAX, height: usize::MAX };

/// A line of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// To be set off from the others.
    pub(super) bold: bool,
}

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'v> {
    /// Where from.
    pub(super) from: &'v str,
    /// The look before.
    pub(super) before: Option<&'v Connections>,
    pub(super) now: &'v Connections,
    /// Which connections come first.
    pub(super) sort: Sort,
    /// Why there is nothing newer to see.
    pub(super) trouble: Option<&'v str>,
}

/// Lines over the rows of a table of those who are gone: a title, and a head of two.
const OVER_GONE: usize = 3;

/// Lines for those who are gone even when there is no room for all who are here: half of it, and no more than this.
const GONE: usize = OVER_GONE + 5;

/// The picture, in at most `size`.
pub(super) fn draw(view: &View<'_>, size: Size) -> Vec<Line> {
    let mut lines = head(view);
    let rows = connections(view);
    let now = view.now;
    // Besides: two blank lines, a head of two, and a line about those that are not shown.
    let left = size.height.saturating_sub(lines.len() + 5);
    let gone = (OVER_GONE + now.recent.len()).min(left.saturating_sub(rows.len()).max(GONE.min(left / 2)));
    let here = rows.len().min(left - gone);
    lines.push(plain(String::new()));
    table(&mut lines, &lay_out(&CONNECTIONS, &rows[..here], size.width));
    let hidden = usize::try_from(now.totals.open).unwrap_or(usize::MAX).saturating_sub(here);
    match (here, hidden) {
        (0, 0) => lines.push(plain("nobody is connected".into())),
        (_, 0) => {}
        _ => lines.push(plain(format!("and {hidden} more"))),
    }
    let rows: Vec<_> =
        now.recent.iter().take(gone.saturating_sub(OVER_GONE)).map(|gone| self::gone(now, gone)).collect();
    if !rows.is_empty() {
        lines.push(plain(String::new()));
        lines.push(bold("recently ended or refused".into()));
        table(&mut lines, &lay_out(&RECENT, &rows, size.width));
    }
    lines.truncate(size.height);
    for line in &mut lines {
        line.text = clip(&line.text, size.width);
    }
    lines
}

fn head(View { from, before, now, trouble, .. }: &View<'_>) -> Vec<Line> {
    let Connections { version, engine, engine_why, totals, workers_silent, .. } = now;
    let pulse = rates::pulse(*before, now);
    let about = if pulse.average { "~" } else { "" };
    let up = span(now.at.since(now.started));
    let [version, engine, why] = [version, engine, engine_why].map(|text| escape(text));
    let between = totals.held.saturating_sub(totals.open);
    let sends = |sent: rates::Rate| format!("{about}{} messages/s {}/s", rate(sent.messages), bytes(sent.bytes));
    let (opened, refused) = (rate(pulse.opened), rate(pulse.refused));
    let mut lines = vec![
        bold(format!("ringside {version} at {from}  engine {engine} ({why})  up {up}")),
        plain(format!(
            "{} of {} connections open, {between} opening or leaving  {about}{opened} opened/s, {about}{refused} refused/s",
            totals.open, totals.limit,
        )),
        plain(format!("from clients {}  from the app {}", sends(pulse.from_client), sends(pulse.from_app))),
    ];
    if totals.draining {
        lines.push(bold("draining: no new clients, and those that are here are told to leave".into()));
    }
    if !workers_silent.is_empty() {
        let workers: Vec<_> = workers_silent.iter().map(ToString::to_string).collect();
        let workers = workers.join(", ");
        lines.push(bold(format!("no answer from worker {workers}: it hangs, and its connections are missing here")));
    }
    if let Some(trouble) = trouble {
        lines.push(bold(escape(trouble.lines().next().unwrap_or_default())));
    }
    lines
}

const fn text(title: &'static str, width: [usize; 2], rank: u8) -> Column {
    Column { group: "", title, align: Align::Left, width, rank }
}

const fn figure(group: &'static str, title: &'static str, least: usize, rank: u8) -> Column {
    Column { group, title, align: Align::Right, width: [least, 20], rank }
}

const FROM_CLIENT: &str = "from client";
const FROM_APP: &str = "from app";
const PING: &str = "ping";

const CONNECTIONS: [Column; 14] = [
    text("CLIENT", [15, 47], 0),
    text("SUBJECT", [8, 32], 0),
    text("SUBPROTOCOL", [8, 24], 4),
    figure("", "AGE", 6, 0),
    figure(FROM_CLIENT, "MSG/S", 6, 0),
    figure(FROM_CLIENT, "BYTES/S", 9, 1),
    figure(FROM_CLIENT, "MESSAGES", 8, 2),
    figure(FROM_APP, "MSG/S", 6, 0),
    figure(FROM_APP, "BYTES/S", 9, 1),
    figure(FROM_APP, "MESSAGES", 8, 2),
    figure(PING, "CLIENT", 7, 3),
    figure(PING, "APP", 7, 5),
    text("STATE", [4, 40], 0),
    figure("", "ID", 2, 6),
];

fn connections(View { before, now, sort, .. }: &View<'_>) -> Vec<[String; CONNECTIONS.len()]> {
    let known = rates::by_number(*before, now);
    let rates = |connection: &Connection| rates::of(known.get(&connection.id).copied(), connection);
    let mut all: Vec<_> = now.connections.iter().map(|connection| (rates(connection), connection)).collect();
    let total = |connection: &Connection| connection.from_client.bytes.saturating_add(connection.from_app.bytes);
    all.sort_by(|(a_rates, a), (b_rates, b)| {
        let first = match sort {
            Sort::Rate => b_rates.bytes().total_cmp(&a_rates.bytes()),
            Sort::Bytes => total(b).cmp(&total(a)),
            Sort::Age => b.age.total_cmp(&a.age),
            Sort::Rtt => b.client_rtt_ms.unwrap_or(-1.0).total_cmp(&a.client_rtt_ms.unwrap_or(-1.0)),
            Sort::Id => std::cmp::Ordering::Equal,
        };
        first.then(a.id.cmp(&b.id))
    });
    all.into_iter().map(|(rates, connection)| row(rates, connection)).collect()
}

fn row(rates: Rates, connection: &Connection) -> [String; CONNECTIONS.len()] {
    let about = if rates.average { "~" } else { "" };
    let [client, app] = [rates.from_client, rates.from_app]
        .map(|sent| [format!("{about}{}", rate(sent.messages)), format!("{about}{}", bytes(sent.bytes))]);
    let ([client_messages, client_bytes], [app_messages, app_bytes]) = (client, app);
    [
        escape(&connection.client),
        some(connection.subject.as_deref()),
        some(connection.subprotocol.as_deref()),
        age(connection.age),
        client_messages,
        client_bytes,
        connection.from_client.messages.to_string(),
        app_messages,
        app_bytes,
        connection.from_app.messages.to_string(),
        connection.client_rtt_ms.map_or("-".into(), millis),
        connection.app_rtt_ms.map_or("-".into(), millis),
        match &connection.state {
            State::Open => "open".into(),
            State::Closing { by, why } => format!("closing: {} by {}", escape(why), escape(by)),
        },
        connection.id.to_string(),
    ]
}

const RECENT: [Column; 8] = [
    figure("", "AGO", 6, 0),
    text("CLIENT", [15, 47], 0),
    text("SUBJECT", [8, 32], 0),
    text("WHY", [25, 40], 0),
    figure("code", "SENT", 4, 1),
    figure("code", "GOT", 4, 1),
    figure("", "AFTER", 6, 2),
    text("MORE", [16, 120], 3),
];

fn gone(now: &Connections, gone: &Gone) -> [String; RECENT.len()] {
    let (why, codes, more) = match &gone.how {
        How::Ended { by, why, source, code_sent, code_received } => {
            (format!("{why} by {by}"), [*code_sent, *code_received], source)
        }
        How::Refused { reason, status, detail } => {
            let status = status.map_or(String::new(), |status| format!("{status} "));
            (format!("refused {status}{reason}"), [None; 2], detail)
        }
    };
    let [sent, got] = codes.map(|code| code.map_or("-".into(), |code| code.to_string()));
    [
        span(now.at.since(gone.at)),
        escape(&gone.client),
        some(gone.subject.as_deref()),
        escape(&why),
        sent,
        got,
        age(gone.age),
        escape(more.as_deref().unwrap_or_default()),
    ]
}

fn table(lines: &mut Vec<Line>, Lines { head, rows }: &Lines) {
    if !rows.is_empty() {
        lines.extend(head.iter().cloned().map(bold));
        lines.extend(rows.iter().cloned().map(plain));
    }
}

fn some(text: Option<&str>) -> String {
    text.map_or("-".into(), escape)
}

/// What is no time is none.
fn age(seconds: f64) -> String {
    span(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

const fn plain(text: String) -> Line {
    Line { text, bold: false }
}

const fn bold(text: String) -> Line {
    Line { text, bold: true }
}

#[cfg(test)]
mod tests;
