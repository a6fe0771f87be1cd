//! What bounds a connection: `[limits]` and `[timeouts]`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;

use super::value;
use crate::bytesize::ByteSize;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Limits {
    pub(in crate::config) head: ByteSize,
    pub(in crate::config) head_fields: NonZeroUsize,
    pub(in crate::config) token: ByteSize,
    pub(in crate::config) early: ByteSize,
    pub(in crate::config) message: ByteSize,
    pub(in crate::config) fragments: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        const FIELDS: NonZeroUsize = NonZeroUsize::new(100).unwrap();
        const FRAGMENTS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
        Self {
            head: ByteSize::kib(16),
            head_fields: FIELDS,
            token: ByteSize::kib(8),
            early: ByteSize::kib(16),
            message: ByteSize::mib(16),
            fragments: FRAGMENTS,
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
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            opening: Duration::from_secs(10),
            tls: Duration::from_secs(5),
            app: Duration::from_secs(5),
            closing: Duration::from_secs(5),
            write_stall: Duration::from_secs(30),
        }
    }
}
