//! HTTP/1.1 heads: what a client asks, what we ask the app, what both are answered. No I/O.
//!
//! ```text
//! client --head--> upgrade --(policy judges)--> forward --our own request--> app
//! client <--101 or refusal-- respond <--Verdict-- answer <--------------head-- app
//! ```
//!
//! Nothing is passed through as it came: a request is parsed once, judged, and written anew. A head that two parsers
//! could read in two ways is refused, never repaired; that is what keeps request smuggling out (RFC 9112 section 11.2).

pub mod answer;
pub mod body;
pub mod cookie;
pub mod extension;
pub mod fields;
pub mod forward;
pub mod head;
pub mod respond;
pub mod route;
pub mod syntax;
pub mod target;
pub mod upgrade;

#[cfg(test)]
mod samples;
