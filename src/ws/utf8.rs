//! UTF-8 of text messages (RFC 6455 sections 5.6 and 8.1), judged as it passes by.
//!
//! "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a valid
//! UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_." (section 8.1) The stream is a whole message:
//! "a particular text frame might include a partial UTF-8 sequence; however, the whole message MUST contain valid
//! UTF-8" (section 5.6). So all there is to remember between two pieces is the character that the cut went through.

use std::fmt;

use super::mask;
use crate::rule::Rule;

#[cfg(test)]
mod tests;

/// Bytes unmasked at a time: enough for the cost of a block not to matter, few enough to stay in the fastest cache.
/// A multiple of the key's length, so that the key fits every block as it fits the first.
const BLOCK: usize = 2048;

/// The same for pieces up to this length: to clear all of [`BLOCK`] for them would take longer than to judge them.
const SMALL_BLOCK: usize = 128;

/// Judges the payload of one text message, piece by piece.
///
/// Nothing is judged after an error: it stands for the rest of the message.
pub struct Utf8 {
    /// The start of the character that the next byte goes on with: the first `len` bytes. Some continuation makes
    /// it a character.
    partial: [u8; 3],
    /// 0 between two characters.
    len: u8,
}

impl Utf8 {
    /// The start of a message.
    pub const fn new() -> Self {
        Self { partial: [0; 3], len: 0 }
    }

    /// Judges the next bytes of the message. `key`: the masking key as it applies to the first of `bytes`, or `None`
    /// when they are not masked.
    ///
    /// Takes about 0.1 ns per byte of a long piece, a quarter of that for ASCII.
    ///
    /// # Errors
    /// [`Rule::TextUtf8`] as soon as no continuation could make the message valid.
    pub fn check(&mut self, bytes: &[u8], key: Option<[u8; 4]>) -> Result<(), Rule> {
        match key {
            None => self.judge(bytes),
            Some(key) if bytes.len() <= SMALL_BLOCK => self.unmask_and_judge::<SMALL_BLOCK>(bytes, key),
            Some(key) => self.unmask_and_judge::<BLOCK>(bytes, key),
        }
    }

    /// The message ends here. What is judged next is another one.
    ///
    /// # Errors
    /// [`Rule::TextUtf8`] when it ends inside a character.
    pub fn finish(&mut self) -> Result<(), Rule> {
        let ended = std::mem::take(self);
        if ended.len == 0 { Ok(()) } else { Err(Rule::TextUtf8) }
    }

    fn unmask_and_judge<const N: usize>(&mut self, bytes: &[u8], key: [u8; 4]) -> Result<(), Rule> {
        let mut clear = [0; N];
        bytes.chunks(N).try_for_each(|block| {
            let clear = &mut clear[..block.len()];
            mask::copy(key, block, clear);
            self.judge(clear)
        })
    }

    fn judge(&mut self, bytes: &[u8]) -> Result<(), Rule> {
        let bytes = self.go_on(bytes)?;
        let (whole, partial) = bytes.split_at(bytes.len() - partial_len(bytes));
        simdutf8::basic::from_utf8(whole).map_err(|_| Rule::TextUtf8)?;
        if partial.is_empty() { Ok(()) } else { self.judge_character(partial) }
    }

    /// Judges what `bytes` hold of the character that was begun before; returns what follows it.
    fn go_on<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], Rule> {
        while self.len > 0
            && let [next, rest @ ..] = bytes
        {
            let len = usize::from(self.len);
            let mut character = [0; 4];
            character[..len].copy_from_slice(&self.partial[..len]);
            character[len] = *next;
            self.judge_character(&character[..=len])?;
            bytes = rest;
        }
        Ok(bytes)
    }

    /// Judges one character, or the start of one, which is remembered.
    #[expect(clippy::cast_possible_truncation, reason = "the copy keeps the length within 3")]
    fn judge_character(&mut self, bytes: &[u8]) -> Result<(), Rule> {
        let partial = match std::str::from_utf8(bytes) {
            Ok(_) => &[],
            // At most three bytes: with its fourth, a character is complete or beyond saving.
            Err(error) if error.error_len().is_none() => bytes,
            Err(_) => return Err(Rule::TextUtf8),
        };
        self.partial[..partial.len()].copy_from_slice(partial);
        self.len = partial.len() as u8;
        Ok(())
    }
}

impl Default for Utf8 {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells how many bytes are kept, not which: they are somebody's words.
impl fmt::Debug for Utf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Utf8").field("len", &self.len).finish_non_exhaustive()
    }
}

/// How many bytes at the end of `bytes` are the start of a character whose end is not there, going by the length
/// that its first byte announces: 2 from C0, 3 from E0, 4 from F0 (RFC 3629 section 3). Bytes that announce nothing
/// valid are for the judges of what is on either side.
fn partial_len(bytes: &[u8]) -> usize {
    match bytes {
        [.., 0xF0..=0xFF, _, _] => 3,
        [.., 0xE0..=0xFF, _] => 2,
        [.., 0xC0..=0xFF] => 1,
        _ => 0,
    }
}
