//! Every key there is: one table for environment variables, did-you-mean, messages and documentation.
//!
//! The defaults written here are text for people; the values that run are the `Default` impls in `raw`. Tests hold
//! this table, those structs and `config/reference.toml` to the same keys and the same defaults.

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IP address and port to listen on.
    Listen,
    /// Where the app listens: a Unix socket or a host and port.
    App,
    /// A base URL.
    Url,
    /// Any text.
    Text,
    /// A path; relative to the configuration file.
    File,
    /// A time span with its unit.
    Duration,
    /// A time span with its unit, or "off".
    DurationOrOff,
    /// A number of bytes with its unit.
    Size,
    /// A whole number, at least 1.
    Count,
    /// A close code that may be sent.
    CloseCode,
    /// A number from 0 to 1.
    Ratio,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    List,
    /// One text or a list of texts.
    TextOrList,
    /// A table from text to text.
    Map,
}

impl Kind {
    /// What to write, for a remedy: "write ...".
    pub fn form(self) -> String {
        match self {
            Self::Listen => r#"an IP address and a port, such as "0.0.0.0:8443" or "[::]:8443""#.into(),
            Self::App => r#"a Unix socket such as "unix:app.sock", or a host and port such as "127.0.0.1:3000""#.into(),
            Self::Url => r#"a base URL such as "http://127.0.0.1:4318""#.into(),
            Self::Text => "a text in quotes".into(),
            Self::File => "a path in quotes; a relative one starts at this file's directory".into(),
            Self::Duration => r#"a whole number with its unit, such as "30s", "500ms" or "2m""#.into(),
            Self::DurationOrOff => r#"a whole number with its unit, such as "30s" or "2m", or "off""#.into(),
            Self::Size => r#"a whole number with its unit, such as "16KiB" (units: B, KiB, MiB, GiB)"#.into(),
            Self::Count => "a whole number without quotes, at least 1".into(),
            Self::CloseCode => "a close code that may be sent: 1000-1003, 1007-1014 or 3000-4999".into(),
            Self::Ratio => "a number from 0.0 to 1.0".into(),
            Self::Flag => "true or false, without quotes".into(),
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::List => r#"a list of texts, such as ["one", "two"]"#.into(),
            Self::TextOrList => r#"one text in quotes, or a list such as ["one", "two"]"#.into(),
            Self::Map => r#"a table from text to text, such as { name = "value" }"#.into(),
        }
    }

    /// Whether an environment variable's value is the text itself rather than a TOML value.
    pub(super) const fn is_text(self) -> bool {
        matches!(
            self,
            Self::Listen
                | Self::App
                | Self::Url
                | Self::Text
                | Self::File
                | Self::Duration
                | Self::DurationOrOff
                | Self::Size
                | Self::Choice(_)
        )
    }

    /// Whether an environment variable may give the elements separated by commas.
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::List | Self::TextOrList)
    }
}

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Tables and name joined by dots: `listen.address`.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The default as TOML text; `None`: none, see `meaning`.
    pub default: Option<&'static str>,
    /// What it is for, in one line.
    pub meaning: &'static str,
}

impl Key {
    /// The environment variable that overrides it: `RINGSIDE_LISTEN_ADDRESS`.
    pub fn variable(&self) -> String {
        variable(self.path)
    }

    /// Whether it stands in this table, or in one inside it.
    fn is_in(&self, table: &str) -> bool {
        self.path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
    }

    /// The table it stands in: `listen`.
    pub fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// Its name inside its table: `address`.
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }
}

/// The environment variable that names the configuration file when the command line does not.
pub const FILE: &str = "RINGSIDE_CONFIG";

/// What the names of our environment variables begin with.
pub(super) const PREFIX: &str = "RINGSIDE_";

const fn key(path: &'static str, kind: Kind, default: Option<&'static str>, meaning: &'static str) -> Key {
    Key { path, kind, default, meaning }
}

/// All keys, in the order of `config/reference.toml`.
pub const KEYS: &[Key] = &[
    key("listen.address", Kind::Listen, Some(r#""0.0.0.0:8443""#), "where clients connect"),
    key("listen.connections", Kind::Count, None, "most connections at once; absent: what the open-file limit allows"),
    key("tls.certificate", Kind::File, None, "PEM certificate chain, leaf first; required in [tls]"),
    key("tls.key", Kind::File, None, "PEM private key of the certificate; required in [tls]"),
    key("tls.client_ca", Kind::File, None, "PEM authorities; set: clients must show a certificate signed by one"),
    key("app.address", Kind::App, None, "where the app listens; required"),
    key("app.retry", Kind::Duration, Some(r#""5s""#), "most that clients of a dead app are told to wait"),
    key("auth.jwt.keys", Kind::File, None, "public keys that sign tokens: a JWKS, or PEM"),
    key("auth.jwt.secret_file", Kind::File, None, "shared secret for HS256, HS384, HS512"),
    key("auth.jwt.algorithms", Kind::List, Some(r#"["RS256", "ES256", "EdDSA"]"#), "signature algorithms to accept"),
    key("auth.jwt.issuer", Kind::TextOrList, None, "accepted `iss`; absent: any"),
    key("auth.jwt.audience", Kind::TextOrList, None, "accepted `aud`, a token must name one; absent: any"),
    key("auth.jwt.leeway", Kind::Duration, Some(r#""30s""#), "how far clocks may differ, at most 5m"),
    key(
        "auth.jwt.on_expiry",
        Kind::Choice(&["close", "ignore"]),
        Some(r#""close""#),
        "what becomes of a live connection when its token expires",
    ),
    key("auth.jwt.expiry_code", Kind::CloseCode, Some("4401"), "close code when a token expires"),
    key("auth.jwt.from", Kind::List, Some(r#"["header", "subprotocol"]"#), "where a token may stand"),
    key("auth.jwt.forward", Kind::Flag, Some("false"), "let the app see the token"),
    key("auth.jwt.subject_header", Kind::Text, Some(r#""x-ringside-subject""#), "header that tells the app the `sub`"),
    key("auth.jwt.claims_to_headers", Kind::Map, Some("{}"), "further claims for the app, each with its header"),
    key("access.origins", Kind::List, Some("[]"), "accepted `Origin` values; empty: any"),
    key("limits.head", Kind::Size, Some(r#""16KiB""#), "largest request head; beyond: 431"),
    key("limits.head_fields", Kind::Count, Some("100"), "most header fields in a head; beyond: 431"),
    key("limits.token", Kind::Size, Some(r#""8KiB""#), "largest token; beyond: 401"),
    key("limits.early", Kind::Size, Some(r#""16KiB""#), "most bytes behind the head before the 101; beyond: 400"),
    key("limits.message", Kind::Size, Some(r#""16MiB""#), "largest message; beyond: Close 1009"),
    key("limits.fragments", Kind::Count, Some("4096"), "most fragments in a message; beyond: Close 1008"),
    key("limits.control_frames", Kind::Count, Some("1000"), "most control frames a second without data; beyond: 1008"),
    key("limits.validate_utf8", Kind::Flag, Some("true"), "text must be UTF-8, else Close 1007"),
    key("limits.connection.messages", Kind::Count, None, "messages a second from one client; absent: any"),
    key("limits.connection.bytes", Kind::Size, None, "bytes a second from one client; absent: any"),
    key("limits.connection.burst", Kind::Duration, Some(r#""1s""#), "how long unused allowance is kept, at most 1h"),
    key("limits.connection.action", Kind::Choice(&["close", "throttle"]), Some(r#""close""#), "what happens beyond"),
    key("limits.subject.messages", Kind::Count, None, "messages a second from all clients of a subject; absent: any"),
    key("limits.subject.bytes", Kind::Size, None, "bytes a second from all clients of a subject; absent: any"),
    key("limits.subject.burst", Kind::Duration, Some(r#""1s""#), "how long unused allowance is kept, at most 1h"),
    key("limits.subject.action", Kind::Choice(&["close", "throttle"]), Some(r#""close""#), "what happens beyond"),
    key("timeouts.opening", Kind::Duration, Some(r#""10s""#), "from accept to the 101, absolute"),
    key("timeouts.tls", Kind::Duration, Some(r#""5s""#), "from accept to the end of the TLS handshake"),
    key("timeouts.app", Kind::Duration, Some(r#""5s""#), "from dialing the app to the end of its answer's head"),
    key("timeouts.closing", Kind::Duration, Some(r#""5s""#), "how long a closing handshake may take"),
    key("timeouts.write_stall", Kind::Duration, Some(r#""30s""#), "how long a peer may take nothing we write"),
    key("timeouts.idle", Kind::DurationOrOff, Some(r#""off""#), "no data from either side for so long: Close 1000"),
    key("timeouts.max_age", Kind::DurationOrOff, Some(r#""off""#), "Close 1001 when so old, less up to a tenth"),
    key("keepalive.client", Kind::DurationOrOff, Some(r#""30s""#), "a client silent for so long gets a Ping"),
    key("keepalive.app", Kind::DurationOrOff, Some(r#""off""#), "an app silent for so long gets a Ping"),
    key("keepalive.missed", Kind::Count, Some("2"), "Pings in a row without an answer after which a side is dead"),
    key("drain.code", Kind::CloseCode, Some("1001"), "close code when this process is to stop"),
    key("drain.reason", Kind::Text, Some(r#""""#), "sent with the code, at most 123 bytes"),
    key("drain.spread", Kind::Duration, Some(r#""10s""#), "each connection gets its Close at some time within this"),
    key("drain.timeout", Kind::Duration, Some(r#""30s""#), "who is still here then is cut; at least spread"),
    key(
        "telemetry.service_name",
        Kind::Text,
        None,
        "`service.name` on every span; absent: OTEL_SERVICE_NAME, else ringside",
    ),
    key(
        "telemetry.routes",
        Kind::List,
        Some("[]"),
        "templates of paths, such as \"/rooms/{room}\": `http.route` of spans",
    ),
    key(
        "telemetry.traces.endpoint",
        Kind::Url,
        None,
        "base URL of the collector; required, unless OTEL_EXPORTER_OTLP_ENDPOINT names it",
    ),
    key(
        "telemetry.traces.protocol",
        Kind::Choice(&["http/protobuf", "grpc"]),
        Some(r#""http/protobuf""#),
        "OTLP transport",
    ),
    key("telemetry.traces.sample_ratio", Kind::Ratio, Some("1.0"), "share of traces to export, chosen by their id"),
    key("telemetry.traces.trust_client", Kind::Flag, Some("false"), "a client's sampled flag decides, not the ratio"),
    key("telemetry.traces.checkpoint", Kind::DurationOrOff, Some(r#""60s""#), "a span of each connection so often"),
    key("telemetry.traces.messages.sample_ratio", Kind::Ratio, Some("0.01"), "share of messages that get a span"),
    key("telemetry.traces.messages.per_second", Kind::Count, Some("10"), "most of these spans a second, per worker"),
    key(
        "telemetry.metrics.endpoint",
        Kind::Url,
        None,
        "base URL of the collector; required, unless OTEL_EXPORTER_OTLP_ENDPOINT names it",
    ),
    key(
        "telemetry.metrics.protocol",
        Kind::Choice(&["http/protobuf", "grpc"]),
        Some(r#""http/protobuf""#),
        "OTLP transport",
    ),
    key("telemetry.metrics.interval", Kind::Duration, Some(r#""60s""#), "how often metrics are sent, at least 1s"),
    key(
        "admin.address",
        Kind::Listen,
        Some(r#""127.0.0.1:9901""#),
        "plain HTTP: /livez /readyz /metrics /connections /log/filter /drain",
    ),
    key(
        "health.address",
        Kind::Listen,
        Some(r#""0.0.0.0:9902""#),
        "plain HTTP for outside the pod: /livez /readyz /metrics /app/<name>",
    ),
    key("health.app", Kind::Map, Some("{}"), "probes of an app on loopback, by name: http:// or tcp:// URLs"),
    key("log.format", Kind::Choice(&["text", "json"]), Some(r#""text""#), "how log lines look"),
    key("log.filter", Kind::Text, Some(r#""info""#), "what is logged, such as \"info\" or \"ringside=debug\""),
    key(
        "log.subject",
        Kind::Choice(&["plain", "hashed", "off"]),
        Some(r#""plain""#),
        "how lines show the token's `sub`; hashed: 16 hex digits of its HMAC-SHA-256",
    ),
    key("log.subject_key_file", Kind::File, None, "key of those hashes, at least 32 bytes; absent: random"),
    key("log.sample_ratio", Kind::Ratio, Some("1.0"), "share of connections whose lines are written if all went well"),
    key(
        "log.noise",
        Kind::Count,
        Some("100"),
        "most lines a second of refusals and clients' faults; more are summed up",
    ),
    key(
        "runtime.engine",
        Kind::Choice(&["auto", "io_uring", "epoll"]),
        Some(r#""auto""#),
        "auto: io_uring when it works here, else epoll",
    ),
    key("runtime.workers", Kind::Count, None, "how many workers; absent: one per available core"),
    key("runtime.buffers", Kind::Size, Some(r#""64MiB""#), "most memory for buffers, per worker"),
];

/// The key at `path`.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether `path` is a table with keys of ours in it.
pub(super) fn is_table(path: &str) -> bool {
    KEYS.iter().any(|key| key.is_in(path))
}

/// The variable that gives `path`; of a table, that of its first key.
pub(super) fn variable_in(path: &str) -> String {
    variable(KEYS.iter().find(|key| key.is_in(path)).map_or(path, |key| key.path))
}

fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_uppercase())
}

/// The names that may stand in `table`: its keys and its tables. The root is `""`.
pub(super) fn names_in(table: &str) -> Vec<&'static str> {
    let mut names: Vec<_> = KEYS
        .iter()
        .filter_map(|key| match table {
            "" => Some(key.path),
            _ => key.path.strip_prefix(table)?.strip_prefix('.'),
        })
        .filter_map(|rest| rest.split('.').next())
        .collect();
    names.dedup();
    names
}

/// The tables in which `name` may stand.
pub(super) fn tables_with(name: &str) -> Vec<&'static str> {
    KEYS.iter().filter(|key| key.name() == name).map(Key::table).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{KEYS, Key, find, is_table, names_in, tables_with, variable_in};

    #[test]
    fn paths_and_variables_are_unique() {
        let paths: BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
        let variables: BTreeSet<_> = KEYS.iter().map(Key::variable).collect();
        assert_eq!((paths.len(), variables.len()), (KEYS.len(), KEYS.len()));
        assert_eq!(find("listen.address").unwrap().variable(), "RINGSIDE_LISTEN_ADDRESS");
        for (path, variable) in [("listen.address", "LISTEN_ADDRESS"), ("tls", "TLS_CERTIFICATE")] {
            assert_eq!(variable_in(path), format!("RINGSIDE_{variable}"));
        }
    }

    #[test]
    fn names_stand_in_tables() {
        assert_eq!(names_in("tls"), ["certificate", "key", "client_ca"]);
        assert_eq!(names_in("telemetry"), ["service_name", "routes", "traces", "metrics"]);
        assert!(names_in("").contains(&"auth"));
        assert!(is_table("auth") && is_table("auth.jwt") && !is_table("auth.jwt.keys") && !is_table("auth.j"));
        assert_eq!(tables_with("address"), ["listen", "app", "admin", "health"]);
    }
}
