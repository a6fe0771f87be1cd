//! Readiness and the wish to stop, both by ownership: who holds a guard is waited for, and a guard cannot be
//! forgotten, because dropping it is how it is given back.

pub mod drain;
pub mod ready;
