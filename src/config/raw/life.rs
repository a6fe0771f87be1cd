//! What bounds a connection: `[limits]`, `[timeouts]`, `[keepalive]` and `[drain]`.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;

use super::value;
use crate::bytesize::ByteSize;
use crate::rate::Action;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Limits {
    pub(in crate::config) head: ByteSize,
    pub(in crate::config) head_fields: NonZeroUsize,
    pub(in crate::config) token: ByteSize,
    pub(in crate::config) early: ByteSize,
    pub(in crate::config) message: ByteSize,
    pub(in crate::config) fragments: NonZeroU32,
    pub(in crate::config) control_frames: NonZeroU32,
    pub(in crate::config) validate_utf8: bool,
    pub(in crate::config) connection: Option<RateLimit>,
    pub(in crate::config) subject: Option<RateLimit>,
}

impl Default for Limits {
    fn default() -> Self {
        const FIELDS: NonZeroUsize = NonZeroUsize::new(100).unwrap();
        const FRAGMENTS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
        const CONTROL_FRAMES: NonZeroU32 = NonZeroU32::new(1000).unwrap();
        Self {
            head: ByteSize::kib(16),
            head_fields: FIELDS,
            token: ByteSize::kib(8),
            early: ByteSize::kib(16),
            message: ByteSize::mib(16),
            fragments: FRAGMENTS,
            control_frames: CONTROL_FRAMES,
            validate_utf8: true,
            connection: None,
            subject: None,
        }
    }
}

/// `[limits.connection]` or `[limits.subject]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct RateLimit {
    pub(in crate::config) messages: Option<NonZeroU64>,
    pub(in crate::config) bytes: Option<ByteSize>,
    #[serde(deserialize_with = "value::duration")]
    pub(in crate::config) burst: Duration,
    pub(in crate::config) action: RateAction,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { messages: None, bytes: None, burst: Duration::from_secs(1), action: RateAction::Close }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RateAction {
    Close,
    Throttle,
}

impl From<RateAction> for Action {
    fn from(raw: RateAction) -> Self {
        match raw {
            RateAction::Close => Self::Close,
            RateAction::Throttle => Self::Throttle,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Timeouts {
    #[serde(deserialize_with = "value::duration")]
    pub(in crate::config) opening: Duration,
    #[serde(deserialize_with = "value::duration")]
    pub(in crate::config) tls: Duration,
    #[serde(deserialize_with = "value::duration")]
    pub(in crate::config) app: Duration,
    #[serde(deserialize_with = "value::duration")]
    pub(in crate::config) closing: Duration,
    #[serde(deserialize_with = "value::duration")]
    pub(in crate::config) write_stall: Duration,
    #[serde(deserialize_with = "value::duration_or_off")]
    pub(in crate::config) idle: Option<Duration>,
    #[serde(deserialize_with = "value::duration_or_off")]
    pub(in crate::config) max_age: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            opening: Duration::from_secs(10),
            tls: Duration::from_secs(5),
            app: Duration::from_secs(5),
            closing: Duration::from_secs(5),
            write_stall: Duration::from_secs(30),
            idle: None,
            max_age: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Keepalive {
    #[serde(deserialize_with = "value::duration_or_off")]
    pub(in crate::config) client: Option<Duration>,
    #[serde(deserialize_with = "value::duration_or_off")]
    pub(in crate::config) app: Option<Duration>,
    pub(in crate::config) missed: NonZeroU32,
}

impl Default for Keepalive {
    fn default() -> Self {
        const MISSED: NonZeroU32 = NonZeroU32::new(2).unwrap();
        Self { client: Some(Duration::from_secs(30)), app: None, missed: MISSED }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Drain {
    pub(in crate::config) code: u16,
    pub(in crate::config) reason: String,
    #[serde(deserialize_with = "value::duration")]
    pub(in crate::config) spread: Duration,
    #[serde(deserialize_with = "value::duration")]
    pub(in crate::config) timeout: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { code: 1001, reason: String::new(), spread: Duration::from_secs(10), timeout: Duration::from_secs(30) }
    }
}
