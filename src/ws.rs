//! The items of RFC 6455's wire format, one file each. No I/O.
//!
//! `header` reads one frame header, `sequence` judges headers in their order, `close` reads what a Close frame
//! says, `control` writes control frames of our own and `mask` does the XOR for those two. Payloads of data
//! frames are nobody's business here.

pub mod close;
pub mod control;
pub mod header;
pub mod mask;
pub mod sequence;

#[cfg(test)]
mod tests;
