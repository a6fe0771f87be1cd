//! Attributes in the making: those that several spans have.

use opentelemetry::KeyValue;

use crate::peer::Peer;
use crate::telemetry::record::{Counts, RoundTrip, TlsFacts};

/// What [`Counts`] are called of one side: frames, messages, bytes, and the messages that were compressed.
pub(super) type Names = [&'static str; 4];

/// Those of a client.
pub(super) const FROM_CLIENT: Names = [
    "websocket.from_client.frames",
    "websocket.from_client.messages",
    "websocket.from_client.bytes",
    "websocket.from_client.messages_compressed",
];

/// Those of an app.
pub(super) const FROM_APP: Names = [
    "websocket.from_app.frames",
    "websocket.from_app.messages",
    "websocket.from_app.bytes",
    "websocket.from_app.messages_compressed",
];

/// Those of a client since the checkpoint before.
pub(super) const LATELY_FROM_CLIENT: Names = [
    "websocket.interval.from_client.frames",
    "websocket.interval.from_client.messages",
    "websocket.interval.from_client.bytes",
    "websocket.interval.from_client.messages_compressed",
];

/// Those of an app since the checkpoint before.
pub(super) const LATELY_FROM_APP: Names = [
    "websocket.interval.from_app.frames",
    "websocket.interval.from_app.messages",
    "websocket.interval.from_app.bytes",
    "websocket.interval.from_app.messages_compressed",
];

/// What the [`RoundTrip`] of a client is called.
pub(super) const CLIENT_ROUND_TRIP: [&str; 2] = ["websocket.client.round_trip", "websocket.client.round_trip_least"];

/// What the [`RoundTrip`] of an app is called.
pub(super) const APP_ROUND_TRIP: [&str; 2] = ["websocket.app.round_trip", "websocket.app.round_trip_least"];

/// OTLP knows signed integers only.
pub(super) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[derive(Default)]
pub(super) struct Attributes(Vec<KeyValue>);

impl Attributes {
    pub(super) fn put(&mut self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        self.0.push(KeyValue::new(key, value));
    }

    pub(super) fn put_some(&mut self, key: &'static str, value: Option<impl Into<opentelemetry::Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    pub(super) fn peer(&mut self, client: Peer) {
        let address = client.ip().to_string();
        self.put("client.address", address.clone());
        self.put("network.peer.address", address);
        self.put("network.peer.port", i64::from(client.port()));
    }

    pub(super) fn tls(&mut self, tls: &TlsFacts) {
        self.put("tls.protocol.name", "tls");
        self.put("tls.protocol.version", tls.version);
        self.put("tls.cipher", tls.cipher);
        self.put("tls.resumed", tls.resumed);
        self.put("ringside.tls.client_certificate", tls.client_certificate);
    }

    pub(super) fn counts(&mut self, names: Names, counts: Counts) {
        let Counts { frames, messages, bytes, compressed } = counts;
        for (name, n) in names.into_iter().zip([frames, messages, bytes, compressed]) {
            self.put(name, count(n));
        }
    }

    pub(super) fn round_trip(&mut self, names: [&'static str; 2], trip: Option<RoundTrip>) {
        let Some(RoundTrip { last, least }) = trip else { return };
        for (name, took) in names.into_iter().zip([last, least]) {
            self.put(name, took.as_secs_f64());
        }
    }

    pub(super) fn done(self) -> Vec<KeyValue> {
        self.0
    }
}
