//! Records for tests.

use std::time::{Duration, SystemTime};

use crate::opcode::Opcode;
use crate::peer::{Peer, Side};
use crate::telemetry::end::{By, End, Why};
use crate::telemetry::moment::Moments;
use crate::telemetry::record::{
    Checkpoint, Connection, ConnectionId, Counts, Handshake, Message, Outcome, RequestFacts, RoundTrip, TlsFacts,
};
use crate::telemetry::step::{Dial, Dialled, Step, Steps};
use crate::telemetry::trace::{Ids, Remote, Sampler, Span, SpanId};

pub(in crate::control) fn started() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)
}

fn client() -> Peer {
    Peer::new(([192, 0, 2, 7], 50_123).into())
}

fn handshake_span(ids: &mut Ids) -> Span {
    let remote = Remote::parse(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    Span::handshake(remote, Sampler::ratio(1.0), ids)
}

pub(in crate::control) fn handshake(outcome: Outcome) -> Handshake {
    Handshake {
        id: ConnectionId(7),
        client: client(),
        span: handshake_span(&mut Ids::from_seed(1)),
        tracestate: None,
        connection: None,
        started: started(),
        took: Duration::from_micros(2500),
        steps: Steps {
            tls: Some(step(1, 0, 1500)),
            token: Some(step(2, 1600, 100)),
            dial: Some(Dial {
                step: step(3, 1800, 500),
                to: Some(Dialled::Unix("/run/app.sock".into())),
                status: Some(101),
            }),
        },
        request_took: Some(Duration::from_micros(50)),
        request: Some(RequestFacts { method: Some("GET"), route: Some("/rooms/{room}".into()) }),
        tls: Some(TlsFacts {
            version: "1.3",
            cipher: "TLS13_AES_128_GCM_SHA256",
            resumed: false,
            client_certificate: true,
        }),
        subject: Some("alice".into()),
        protocol: Some("chat.v1".into()),
        outcome,
        detail: None,
    }
}

/// A part that went well, in microseconds.
fn step(id: u8, after: u64, took: u64) -> Step {
    let [after, took] = [after, took].map(Duration::from_micros);
    Step { id: SpanId([id; 8]), after, took, failed: false }
}

pub(in crate::control) fn connection(by: By, why: Why) -> Connection {
    let mut ids = Ids::from_seed(1);
    let handshake = handshake_span(&mut ids);
    Connection {
        id: ConnectionId(7),
        client: client(),
        span: handshake.child(&mut ids),
        handshake,
        started: started(),
        took: Duration::from_secs(3600),
        subject: Some("alice".into()),
        protocol: None,
        from_client: Counts { frames: 5, messages: 3, bytes: 700, compressed: 2 },
        from_app: Counts { frames: 9, messages: 9, bytes: u64::MAX, compressed: 0 },
        client_round_trip: None,
        app_round_trip: None,
        moments: Moments::default(),
        end: End { by, why, code_sent: Some(1002), code_received: None },
    }
}

/// `connection` with Pings that both sides answered.
pub(super) fn pinged(connection: Connection) -> Connection {
    let trip = |last, least| Some(RoundTrip { last: Duration::from_micros(last), least: Duration::from_micros(least) });
    Connection { client_round_trip: trip(40_500, 20_250), app_round_trip: trip(250, 125), ..connection }
}

/// The second checkpoint of a connection that lives, 60 seconds after the first.
pub(super) fn checkpoint() -> Checkpoint {
    let mut ids = Ids::from_seed(1);
    let handshake = handshake_span(&mut ids);
    let counts = |frames, messages, bytes, compressed| Counts { frames, messages, bytes, compressed };
    Checkpoint {
        id: ConnectionId(7),
        client: client(),
        span: handshake.child(&mut ids).child(&mut ids),
        handshake: handshake.id,
        number: 2,
        opened: started(),
        since: Duration::from_secs(60),
        age: Duration::from_secs(120),
        from_client: [counts(5, 3, 700, 2), counts(15, 13, 7000, 3)],
        from_app: [counts(0, 0, 0, 0), counts(9, 8, 90, 0)],
        client_round_trip: Some(RoundTrip { last: Duration::from_millis(40), least: Duration::from_millis(20) }),
        app_round_trip: None,
        moments: Vec::new(),
    }
}

pub(super) fn message() -> Message {
    let mut ids = Ids::from_seed(1);
    let handshake = handshake_span(&mut ids);
    Message {
        id: ConnectionId(7),
        span: handshake.child(&mut ids).child(&mut ids),
        from: Side::App,
        opcode: Opcode::Binary,
        size: 1000,
        frames: 3,
        compressed: false,
        started: started(),
        took: Duration::from_micros(120),
    }
}
