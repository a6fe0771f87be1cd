//! Looks for tests.

use std::time::{Duration, SystemTime};

use crate::control::admin::connections::shape::{Connection, Connections, Gone, How, Sent, State, Time, Totals};

pub(super) fn sent(messages: u64, bytes: u64) -> Sent {
    Sent { frames: messages, messages, bytes }
}

pub(super) fn connection(id: u64, age: f64) -> Connection {
    Connection {
        id,
        client: format!("192.0.2.7:{}", 50_000 + id),
        subject: Some("alice".into()),
        subprotocol: Some("chat.v1".into()),
        trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
        age,
        state: State::Open,
        from_client: Sent::default(),
        from_app: Sent::default(),
        client_rtt_ms: Some(40.5),
        client_rtt_least_ms: Some(20.25),
        app_rtt_ms: Some(0.25),
        app_rtt_least_ms: Some(0.125),
    }
}

/// An hour after the start of the process.
pub(super) fn connections(connections: Vec<Connection>) -> Connections {
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let open = connections.len();
    Connections {
        at: Time(started + Duration::from_secs(3600)),
        version: "0.1.0".into(),
        engine: "epoll".into(),
        engine_why: "configured".into(),
        started: Time(started),
        totals: Totals {
            open: open as u64,
            held: open as u64,
            limit: 9000,
            draining: false,
            accepted: 36,
            opened: 36,
            refused: 0,
            from_client: sent(3600, 36_000),
            from_app: sent(7200, 72_000),
        },
        shown: open,
        workers_silent: Vec::new(),
        connections,
        recent: Vec::new(),
    }
}

/// Went so many seconds before [`connections`].
pub(super) fn gone(id: u64, ago: u64, how: How) -> Gone {
    let at = connections(Vec::new()).at.0 - Duration::from_secs(ago);
    let Connection { client, subject, trace_id, .. } = connection(id, 0.0);
    Gone { at: Time(at), id, client, subject, trace_id, age: 61.5, how }
}
