//! The items of RFC 6455's wire format, one file each. No I/O.
//!
//! `header` reads one frame header, `sequence` judges headers in their order, `close` reads what a Close frame
//! says, `control` writes control frames of our own, `utf8` judges the text of text messages and `mask` does the XOR
//! for the three. Other payloads of data frames are nobody's business here.

pub mod close;
pub mod control;
pub mod header;
pub mod mask;
pub mod sequence;
pub mod utf8;

#[cfg(test)]
mod tests;
