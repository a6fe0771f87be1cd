//! Records for tests.

use std::time::{Duration, SystemTime};

use crate::peer::Peer;
use crate::telemetry::end::{By, End, Why};
use crate::telemetry::moment::Moments;
use crate::telemetry::record::{Connection, ConnectionId, Counts, Handshake, Outcome, RoundTrip, TlsFacts};
use crate::telemetry::trace::{Ids, Remote, Sampler, Span};

pub(super) fn started() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)
}

fn client() -> Peer {
    Peer::new(([192, 0, 2, 7], 50_123).into())
}

fn handshake_span(ids: &mut Ids) -> Span {
    let remote = Remote::parse(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    Span::handshake(remote, Sampler::ratio(1.0), ids)
}

pub(super) fn handshake(outcome: Outcome) -> Handshake {
    Handshake {
        id: ConnectionId(7),
        client: client(),
        span: handshake_span(&mut Ids::from_seed(1)),
        connection: None,
        started: started(),
        took: Duration::from_micros(2500),
        tls_took: Some(Duration::from_micros(1500)),
        app_took: Some(Duration::from_micros(500)),
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

pub(super) fn connection(by: By, why: Why) -> Connection {
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
