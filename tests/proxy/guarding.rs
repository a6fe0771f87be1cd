//! The guard in front of sides that check nothing: every rule, broken by a client and by an app, however it arrives.
//!
//! What a side gets is compared byte by byte: all that came before the offence, then a Close of ours, then the end.

use ringside::rule::Rule;
use ringside::telemetry::end::{By, End, Why};

use crate::support::app::{App, Joined};
use crate::support::client::{Client, Seen};
use crate::support::engines::{Engine, on_both_engines};
use crate::support::frame::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, TEXT};
use crate::support::proxy::{Proxy, Setup};

on_both_engines!(
    a_client_breaks_each_rule,
    a_client_breaks_each_rule_byte_by_byte,
    an_app_breaks_each_rule,
    an_app_breaks_each_rule_byte_by_byte,
    who_speaks_behind_its_close_gets_the_answer,
    a_clients_text_turns_bad_in_a_later_read,
    an_apps_text_turns_bad_in_a_later_read,
    text_is_not_checked_where_that_is_off,
);

/// Bounds that are soon reached: bytes of a message, its fragments, control frames a second.
const MESSAGE: usize = 1024;
const FRAGMENTS: usize = 8;
const CONTROL_FRAMES: usize = 20;

/// A violation of a rule.
struct Offence {
    rule: Rule,
    /// What leads to it, and passes.
    before: Vec<u8>,
    /// What breaks the rule, and does not pass.
    frame: Vec<u8>,
}

/// Each offence that `by` can commit in a single frame or in a row of them.
fn offences(by: By) -> Vec<Offence> {
    let frame = |first: u8, payload: &[u8]| encode(by, first, payload);
    let mask = if by == By::Client { 0x80 } else { 0 };
    let one = |rule, frame| Offence { rule, before: Vec::new(), frame };
    let behind = |rule, before: Vec<u8>, frame| Offence { rule, before, frame };
    let begun = || frame(TEXT, b"begun");
    let mut offences = vec![
        one(Rule::LengthNotMinimal, vec![FIN | BINARY, mask + 126, 0, 125]),
        one(Rule::LengthNotMinimal, vec![FIN | BINARY, mask + 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        one(Rule::LengthTooLarge, vec![FIN | BINARY, mask + 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        one(Rule::ControlTooLong, frame(FIN | PING, &[0; 126])),
        one(Rule::ControlTooLong, frame(FIN | CLOSE, &frame::close(1000, &"x".repeat(124)))),
        one(Rule::ContinuationWithoutStart, frame(CONTINUATION, b"x")),
        one(Rule::ContinuationWithoutStart, frame(FIN | CONTINUATION, b"x")),
        behind(Rule::DataInsideMessage, begun(), frame(FIN | TEXT, b"x")),
        behind(Rule::DataInsideMessage, begun(), frame(BINARY, b"x")),
        one(Rule::ClosePayload, frame(FIN | CLOSE, b"x")),
        one(Rule::CloseReason, frame(FIN | CLOSE, b"\x03\xe8\xce\xba\xe1")),
        one(Rule::MessageTooBig, frame(FIN | BINARY, &[0; MESSAGE + 1])),
        behind(Rule::MessageTooBig, frame(BINARY, &[0; MESSAGE]), frame(CONTINUATION, b"x")),
        behind(
            Rule::TooManyFragments,
            [frame(BINARY, b"x"), frame(CONTINUATION, b"x").repeat(FRAGMENTS - 1)].concat(),
            frame(FIN | CONTINUATION, b"x"),
        ),
        behind(Rule::ControlFlood, frame(FIN | PONG, b"").repeat(CONTROL_FRAMES), frame(FIN | PING, b"")),
        match by {
            By::Client => one(Rule::ClientUnmasked, frame::bare(FIN | TEXT, b"bare")),
            _ => one(Rule::AppMasked, frame::masked(FIN | TEXT, b"masked")),
        },
    ];
    let reserved = [0x10, 0x20, RSV1, 0x70].map(|bits| frame(bits | FIN | TEXT, b"x"));
    offences.extend(reserved.into_iter().map(|frame| one(Rule::ReservedBits, frame)));
    offences.push(behind(Rule::ReservedBits, begun(), frame(RSV1 | FIN | CONTINUATION, b"x")));
    offences.push(one(Rule::ReservedBits, frame(RSV1 | FIN | CLOSE, &frame::close(1000, ""))));
    let opcodes = (3..=7).chain(11..=15).map(|opcode| frame(FIN | opcode, b"x"));
    offences.extend(opcodes.map(|frame| one(Rule::ReservedOpcode, frame)));
    offences.extend([CLOSE, PING, PONG].map(|opcode| one(Rule::ControlFragmented, frame(opcode, b""))));
    let codes = [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535];
    offences.extend(codes.map(|code| one(Rule::CloseCode, frame(FIN | CLOSE, &frame::close(code, "why")))));
    offences
}

/// Text that is none, in one frame or in its last one. Cut into reads it passes up to the fault: another story.
fn bad_texts(by: By) -> Vec<Offence> {
    let frame = |first: u8, payload: &[u8]| encode(by, first, payload);
    // Never a byte of UTF-8, continuing nothing, overlong, a surrogate, beyond Unicode, without its end.
    let texts: [&[u8]; 6] = [
        b"a\xff",
        b"a\x80",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        "cut \u{20ac}".as_bytes().split_at(6).0,
    ];
    let whole = texts.map(|text| Offence { rule: Rule::TextUtf8, before: Vec::new(), frame: frame(FIN | TEXT, text) });
    let before = [frame(TEXT, b"\xe2\x82"), frame(FIN | PING, b"\xff"), frame(CONTINUATION, b"")].concat();
    let last = [&b"\xac\xff"[..], b"!", b""].map(|text| Offence {
        rule: Rule::TextUtf8,
        before: before.clone(),
        frame: frame(FIN | CONTINUATION, text),
    });
    whole.into_iter().chain(last).collect()
}

fn encode(by: By, first: u8, payload: &[u8]) -> Vec<u8> {
    if by == By::Client { frame::masked(first, payload) } else { frame::bare(first, payload) }
}

/// A proxy with the bounds above.
fn guard(setup: Setup, app: &App) -> Proxy {
    let limits = format!("message = \"{MESSAGE}B\"\nfragments = {FRAGMENTS}\ncontrol_frames = {CONTROL_FRAMES}");
    setup.table("limits", &limits).start(app)
}

/// With TLS to a Unix socket, without to TCP.
fn everywhere(engine: Engine, test: fn(&Proxy, &App)) {
    for (setup, app) in [(Setup::new(engine), App::unix()), (Setup::new(engine).plain(), App::tcp())] {
        let proxy = guard(setup, &app);
        test(&proxy, &app);
        proxy.wait_until_held(0);
    }
}

/// A pair that has exchanged a message.
fn join(proxy: &Proxy, app: &App) -> (Client, Joined) {
    let (mut client, mut joined) = proxy.join(app);
    client.send(&frame::from_client(TEXT, "grüß dich".as_bytes()));
    let heard = joined.frame();
    joined.send(&frame::bare(heard.first, &heard.payload));
    assert_eq!(client.frame().payload, "grüß dich".as_bytes());
    (client, joined)
}

/// How the bytes of an offence come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coming {
    InOneWrite,
    ByteByByte,
}

impl Coming {
    fn send(self, bytes: &[u8], mut send: impl FnMut(&[u8])) {
        match self {
            Self::InOneWrite => send(bytes),
            Self::ByteByByte => bytes.chunks(1).for_each(send),
        }
    }

    fn offences(self, by: By) -> Vec<Offence> {
        let mut offences = offences(by);
        match self {
            Self::InOneWrite => offences.extend(bad_texts(by)),
            // Each byte takes time, and a flood is one only if it takes little.
            Self::ByteByByte => offences.retain(|offence| offence.rule != Rule::ControlFlood),
        }
        offences
    }
}

/// What `by` is told when it breaks `rule`.
fn told(by: By, rule: Rule) -> (u16, String) {
    (rule.close_code(), format!("the {} broke {rule} ({})", by.as_str(), rule.source()))
}

fn client_breaks(proxy: &Proxy, app: &App, offence: &Offence, coming: Coming) {
    let Offence { rule, before, frame: offending } = offence;
    let (mut client, mut joined) = join(proxy, app);
    let passing = [&frame::from_client(BINARY, b"first"), &before[..]].concat();
    let all = [&passing[..], offending, &frame::from_client(BINARY, b"never").repeat(3)].concat();
    coming.send(&all, |bytes| client.send(bytes));
    assert_eq!(joined.receive(passing.len()), passing, "{rule}");
    assert_eq!(joined.close(), (1001, String::new()), "{rule}");
    // What the app still says comes too late.
    joined.send(&[frame::from_app(BINARY, b"first"), frame::from_app(CLOSE, &frame::close(1001, ""))].concat());
    assert_eq!(joined.end(), Seen::Orderly, "{rule}");
    assert_eq!(client.close(), told(By::Client, *rule));
    assert_eq!(client.rest(), (Vec::new(), Seen::Orderly), "{rule}");
    drop((client, joined));
    let end =
        End { by: By::Client, why: Why::Violation(*rule), code_sent: Some(rule.close_code()), code_received: None };
    assert_eq!(proxy.connection().end, end);
}

fn app_breaks(proxy: &Proxy, app: &App, offence: &Offence, coming: Coming) {
    let Offence { rule, before, frame: offending } = offence;
    let (mut client, mut joined) = join(proxy, app);
    let passing = [&frame::from_app(BINARY, b"first"), &before[..]].concat();
    let all = [&passing[..], offending, &frame::from_app(BINARY, b"never").repeat(3)].concat();
    coming.send(&all, |bytes| joined.send(bytes));
    assert_eq!(client.receive(passing.len()), passing, "{rule}");
    assert_eq!(client.close(), (1011, String::new()), "{rule}");
    client.send(&[frame::from_client(BINARY, b"late"), frame::from_client(CLOSE, &frame::close(1011, ""))].concat());
    assert_eq!(client.rest(), (Vec::new(), Seen::Orderly), "{rule}");
    assert_eq!(joined.close(), told(By::App, *rule));
    assert_eq!(joined.end(), Seen::Orderly, "{rule}");
    drop((client, joined));
    let end = End { by: By::App, why: Why::Violation(*rule), code_sent: Some(1011), code_received: Some(1011) };
    assert_eq!(proxy.connection().end, end);
}

fn a_client_breaks_each_rule(engine: Engine) {
    everywhere(engine, |proxy, app| {
        for offence in Coming::InOneWrite.offences(By::Client) {
            client_breaks(proxy, app, &offence, Coming::InOneWrite);
        }
    });
}

fn a_client_breaks_each_rule_byte_by_byte(engine: Engine) {
    everywhere(engine, |proxy, app| {
        for offence in Coming::ByteByByte.offences(By::Client) {
            client_breaks(proxy, app, &offence, Coming::ByteByByte);
        }
    });
}

fn an_app_breaks_each_rule(engine: Engine) {
    everywhere(engine, |proxy, app| {
        for offence in Coming::InOneWrite.offences(By::App) {
            app_breaks(proxy, app, &offence, Coming::InOneWrite);
        }
    });
}

fn an_app_breaks_each_rule_byte_by_byte(engine: Engine) {
    everywhere(engine, |proxy, app| {
        for offence in Coming::ByteByByte.offences(By::App) {
            app_breaks(proxy, app, &offence, Coming::ByteByByte);
        }
    });
}

/// A Close of ours would be its second: it gets the other side's answer instead, and the fault is on record.
fn who_speaks_behind_its_close_gets_the_answer(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let close = |code| frame::close(code, "");
        for late in [TEXT, CONTINUATION, CLOSE] {
            let (mut client, mut joined) = join(proxy, app);
            client.send(&[frame::from_client(CLOSE, &close(4000)), frame::from_client(late, &close(1000))].concat());
            assert_eq!(joined.close().0, 4000);
            joined.send(&frame::from_app(CLOSE, &close(4001)));
            assert_eq!((joined.end(), client.close().0, client.end()), (Seen::Orderly, 4001, Seen::Orderly));
            drop((client, joined));
            let why = Why::Violation(Rule::AfterClose);
            let end = End { by: By::Client, why, code_sent: Some(4001), code_received: Some(4000) };
            assert_eq!(proxy.connection().end, end);

            let (mut client, mut joined) = join(proxy, app);
            joined.send(&[frame::from_app(CLOSE, &close(4000)), frame::from_app(late, &close(1000))].concat());
            assert_eq!(client.close().0, 4000);
            client.send(&frame::from_client(CLOSE, &close(4001)));
            assert_eq!((client.end(), joined.close().0, joined.end()), (Seen::Orderly, 4001, Seen::Orderly));
            drop((client, joined));
            let end = End { by: By::App, why, code_sent: Some(4000), code_received: Some(4001) };
            assert_eq!(proxy.connection().end, end);
        }
    });
}

/// Its good part has passed, and nothing can be said inside a frame: the receiver is cut there.
fn a_clients_text_turns_bad_in_a_later_read(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let (mut client, mut joined) = join(proxy, app);
        let good = "good so far: \u{20ac}";
        let text = frame::from_client(TEXT, &[good.as_bytes(), b"\xe2\x82! and more"].concat());
        let header = text.len() - good.len() - 12;
        // Each byte is waited for, or the next might come with it in one read.
        client.send(&text[..header]);
        for (at, byte) in text.iter().enumerate().skip(header).take(good.len() + 2) {
            client.send(&[*byte]);
            let passed = if at == header { &text[..=header] } else { &text[at..=at] };
            assert_eq!(joined.receive(passed.len()), passed);
        }
        client.send(&text[text.len() - 10..]);
        assert_eq!(joined.rest().0, b"", "nothing of what is bad, and nothing made up");
        assert_eq!(client.close(), told(By::Client, Rule::TextUtf8));
        assert_eq!(client.end(), Seen::Orderly);
        drop((client, joined));
        let why = Why::Violation(Rule::TextUtf8);
        let end = End { by: By::Client, why, code_sent: Some(1007), code_received: None };
        assert_eq!(proxy.connection().end, end);
    });
}

fn an_apps_text_turns_bad_in_a_later_read(engine: Engine) {
    everywhere(engine, |proxy, app| {
        let (mut client, mut joined) = join(proxy, app);
        let text = frame::from_app(TEXT, b"good so far, then \xff, and more");
        let (good, bad) = text.split_at(20);
        joined.send(good);
        assert_eq!(client.receive(good.len()), good);
        joined.send(bad);
        assert_eq!(joined.close(), told(By::App, Rule::TextUtf8));
        assert_eq!(joined.end(), Seen::Orderly);
        assert_eq!(client.rest().0, b"", "nothing of what is bad, and nothing made up");
        drop((client, joined));
        let end = End { by: By::App, why: Why::Violation(Rule::TextUtf8), code_sent: None, code_received: None };
        assert_eq!(proxy.connection().end, end);
    });
}

fn text_is_not_checked_where_that_is_off(engine: Engine) {
    let app = App::unix();
    let proxy = Setup::new(engine).table("limits", "validate_utf8 = false").start(&app);
    let (mut client, mut joined) = proxy.join(&app);
    for Offence { before, frame, .. } in bad_texts(By::Client) {
        let sent = [before, frame].concat();
        client.send(&sent);
        assert_eq!(joined.receive(sent.len()), sent);
    }
}

/// Rates are of `limiting`; what follows a Close is above.
#[test]
fn no_rule_is_left_out() {
    let elsewhere =
        [Rule::AfterClose, Rule::MessageRate, Rule::ByteRate, Rule::SubjectMessageRate, Rule::SubjectByteRate];
    for by in [By::Client, By::App] {
        let told: Vec<_> = Coming::InOneWrite.offences(by).into_iter().map(|offence| offence.rule).collect();
        for rule in Rule::ALL.into_iter().filter(|rule| Why::Violation(*rule).by().contains(&by)) {
            assert!(told.contains(&rule) || elsewhere.contains(&rule), "{rule} by {by:?}");
        }
    }
}
