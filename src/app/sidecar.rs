//! A running sidecar, asked over its admin endpoint by `ringside top` and `ringside drain`.

pub(super) mod ask;
pub(super) mod target;
