//! How many messages and bytes may come in a time: token buckets with debt, sans IO.
//!
//! An allowance grows at a [`Rate`] and is kept for at most its burst. What is taken is subtracted; what grows in
//! `n / per_second` seconds pays for `n` units. This is the generic cell rate algorithm of ITU-T I.371, for cells of
//! any size: a bucket is one number, the time when its allowance will be full again.
//!
//! ```text
//!            now                      full_at
//!  ----------|########## used ###########|----------> time
//!            |------- burst -------|=debt=|
//! ```
//!
//! - **Close** refuses what the allowance does not cover, and takes nothing for it. A full bucket lets anything
//!   through and goes into debt: a frame larger than the burst would never pass otherwise.
//! - **Throttle** always takes, because the bytes have come already, and says how long to wait until the debt is
//!   paid. Whoever reads nothing until then keeps to the rate.
//!
//! Either way no more passes within a time `t` than `per_second * (burst + t)` and one largest `n`; with connections
//! that share a throttled bucket, one `n` for each of them.
//!
//! `bucket` is the arithmetic, for one connection and for many threads. `subjects` finds the bucket that all
//! connections of a subject share. `meter` is what one connection is judged by.
//!
//! # Why no library
//!
//! `governor` 0.10 is the obvious candidate. Its limiter reads a clock of its own. For an `n` above the burst its
//! `check_n` answers `InsufficientCapacity` for good, and it cannot take all the same and tell when the debt will be
//! paid, which is what throttling needs. It counts in `u32` and in whole nanoseconds per unit: at 300 MB/s that is 3
//! in place of 3.33, and 11% too much passes. Its keyed stores have no bound and forget only in a walk over every
//! key. Without its default features it would add eight crates to the tree, for the arithmetic of `bucket`.

pub mod bucket;
pub mod meter;
pub mod subjects;

use std::num::NonZeroU64;
use std::time::Duration;

/// So many units a second, and for how long an allowance that is not used is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Units by which the allowance grows in a second. Above 10^9 it limits only what is taken many units at a time.
    pub per_second: NonZeroU64,
    /// The allowance holds what grows in this time. With less than one unit, units pass one at a time.
    pub burst: Duration,
}

/// What happens when more comes than the rate allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// It does not pass, and the connection is closed.
    #[default]
    Close,
    /// It passes, and the client is not read from until the rate is kept again.
    Throttle,
}

/// The rates of one scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Messages, if they are limited.
    pub messages: Option<Rate>,
    /// Bytes, if they are limited.
    pub bytes: Option<Rate>,
    /// What happens when there are more.
    pub action: Action,
}

/// The rates of every scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of each connection by itself.
    pub connection: Limit,
    /// Of all connections together that have the same subject in their tokens.
    pub subject: Limit,
}

impl Limit {
    /// Whether nothing is limited.
    pub const fn is_none(&self) -> bool {
        self.messages.is_none() && self.bytes.is_none()
    }
}
