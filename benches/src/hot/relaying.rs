//! What a read costs in the session: judging it, and all that a driver asks about it.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ringside::config::Config;
use ringside::peer::Side;
use ringside::session::{HEADROOM, Session, Start};
use ringside::telemetry::counters::Counters;
use ringside::window::Window;

use super::Work;
use crate::Fault;
use crate::client::{BINARY, TEXT, reply, request};

/// The least that a configuration says: all else is at its default.
const CONFIGURATION: &str = "[listen]\naddress = \"127.0.0.1:0\"\n[app]\naddress = \"unix:app.sock\"\n";

/// What people write, in two scripts: 64 bytes of it.
const WORDS: &str = "Ringside: о чём говорят сегодня, где 聊天";
const _: () = assert!(WORDS.len() == 64);

pub(super) fn judge_binary_64() -> Result<Work, Fault> {
    work(Side::Client, &request(BINARY, &[7; 64]), judge)
}

pub(super) fn judge_binary_16k() -> Result<Work, Fault> {
    work(Side::Client, &request(BINARY, &[7; 16 << 10]), judge)
}

pub(super) fn judge_text_64() -> Result<Work, Fault> {
    work(Side::Client, &request(TEXT, WORDS.as_bytes()), judge)
}

pub(super) fn step_client() -> Result<Work, Fault> {
    work(Side::Client, &request(BINARY, &[7; 64]), step)
}

pub(super) fn step_app() -> Result<Work, Fault> {
    work(Side::App, &reply(BINARY, &[7; 64]), step)
}

/// One session, in which `from` sends this frame over and over, and what is done with it.
fn work(
    from: Side,
    frame: &[u8],
    act: impl Fn(&mut Session, Side, &mut Window<'_>, &Counters, Instant) -> bool + 'static,
) -> Result<Work, Fault> {
    let none: [(&str, &str); 0] = [];
    let loaded = Config::parse(CONFIGURATION, Path::new("ringside.toml"), none);
    let config = loaded.map_err(|problems| problems.to_string())?.config.session;
    let now = Instant::now();
    let start = Start { deflate: false, expires: None, meter: None, entropy: 7, now };
    let mut session = Session::new(Arc::new(config), start);
    let mut received = vec![0; HEADROOM];
    received.extend_from_slice(frame);
    let counters = Counters::default();
    Ok(Box::new(move || {
        let mut filled = HEADROOM..received.len();
        let mut window = Window::new(black_box(&mut received), &mut filled);
        let passes = window.len();
        act(&mut session, from, &mut window, &counters, now) && black_box(window.len()) == passes
    }))
}

/// Judging alone.
fn judge(session: &mut Session, from: Side, window: &mut Window<'_>, counters: &Counters, now: Instant) -> bool {
    session.handle_bytes(from, window, counters.from(from).into(), now).is_ok()
}

/// The same, and what is asked while the bytes go on: at once, and again when they are sent.
fn step(session: &mut Session, from: Side, window: &mut Window<'_>, counters: &Counters, now: Instant) -> bool {
    let judged = judge(session, from, window, counters, now) && session.is_steady();
    black_box((session.counts(from), session.round_trip(from)));
    let to = from.other();
    for _ in 0..2 {
        black_box((session.has_inject(to), session.poll_finish(to), session.end(), session.may_read(from)));
    }
    black_box(session.poll_timeout());
    judged
}
