//! Who may come in: the origin, the token and where it is found; the outcome is a [`permit::Permit`]. No I/O, no clock.
//!
//! ```text
//! request --> origin on the list? --> token: found once --> verified --> Permit { what to strip, who it is }
//! ```

pub mod auth;
pub mod identity;
pub mod origin;
pub mod permit;

use std::collections::BTreeMap;

use crate::bytesize::ByteSize;
use auth::TokenSource;
use identity::HeaderName;
use origin::Allowed;

/// Who may come in, and what the app is told about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Origins that may connect; empty: any.
    pub origins: Vec<Allowed>,
    /// Longest token, in the form in which it is verified.
    pub token_max: ByteSize,
    /// Where a token may stand. Nowhere else is looked.
    pub from: Vec<TokenSource>,
    /// Whether the app gets to see the token.
    pub forward: bool,
    /// The header that tells the app the token's `sub`.
    pub subject_header: HeaderName,
    /// Claims that the app is told, each with its header.
    pub claims_to_headers: BTreeMap<String, HeaderName>,
}
