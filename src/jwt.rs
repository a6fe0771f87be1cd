//! The local JWT verifier (RFC 7519, RFC 8725): keys, and what a token must hold. No clock, and no I/O but reading a
//! key file.
//!
//! AWS-LC does the cryptography: is this signature by this key? It is asked directly, with keys made ready once, where
//! `jsonwebtoken` (11.1) makes them anew for each token. Everything else is judged here, because that crate reads `crit` and
//! goes on, takes the time from the system, lets a token without `iss` or `aud` pass unless each is also listed as required,
//! and leaves claims that stand twice to the type they are read into. It reads key files and mints tokens.
//!
//! Invariants:
//! - A key verifies only the algorithms it is pinned to, and the pin is checked before any cryptography. No public key
//!   is ever pinned to an HMAC algorithm.
//! - Nothing a token brings along (`jwk`, `jku`, `x5c`, `x5u`) is ever a key.
//! - A [`verify::Verified`] exists only where a signature and every claim were judged good.

pub mod algorithm;
mod claims;
pub mod error;
mod header;
mod json;
pub mod keys;
pub mod mint;
pub mod verify;

#[cfg(test)]
mod tests;
