//! YAML as Kubernetes reads it.
//!
//! `kubectl` and the API server turn YAML into JSON with Go's YAML 1.1 rules: `0644` is 420, `on` is true. A YAML 1.2
//! library would make 644 and a text of them. So a library tells where scalars stand ([`read`]), what a plain one means
//! is decided as they do (`scalar`), and what is written means the same to readers of both versions ([`mod@write`]).

pub mod read;
mod scalar;
pub mod write;

pub use self::read::{Document, SyntaxError, documents};
pub use self::write::write;
