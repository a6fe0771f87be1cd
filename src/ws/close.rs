//! What a Close frame says (RFC 6455 sections 5.5.1 and 7.4).

use super::header::Header;
use crate::rule::Rule;

/// The purpose of the connection is fulfilled.
pub const NORMAL: u16 = 1000;
/// The peer goes away: the client is gone, or this process shuts down.
pub const GOING_AWAY: u16 = 1001;
/// "1005 is a reserved value": how a Close frame without a code is told to those who ask for one. Never on the wire.
pub const NO_STATUS: u16 = 1005;
/// The server met a condition that it did not expect.
pub const INTERNAL_ERROR: u16 = 1011;
/// The server restarts; clients may come back, after a randomized delay (IANA's registry of close codes).
pub const SERVICE_RESTART: u16 = 1012;

/// Most bytes of a reason: what is left of a control frame's payload behind the code.
pub const REASON: usize = Header::MAX_CONTROL - 2;

/// The payload of a Close frame, unmasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseFrame<'p> {
    /// The close code; [`NO_STATUS`] when the payload is empty.
    pub code: u16,
    /// Why, in words; often empty. Not for machines, and possibly not for logs: the peer chose it.
    pub reason: &'p str,
}

impl<'p> CloseFrame<'p> {
    /// Reads a whole, unmasked payload.
    ///
    /// "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network byte
    /// order) representing a status code [...] the body MAY contain UTF-8-encoded data" (section 5.5.1)
    pub fn parse(payload: &'p [u8]) -> Result<Self, Rule> {
        if payload.is_empty() {
            return Ok(Self { code: NO_STATUS, reason: "" });
        }
        let (code, reason) = payload.split_first_chunk().ok_or(Rule::ClosePayload)?;
        let code = u16::from_be_bytes(*code);
        if !may_be_sent(code) {
            return Err(Rule::CloseCode);
        }
        let reason = str::from_utf8(reason).map_err(|_| Rule::CloseReason)?;
        Ok(Self { code, reason })
    }
}

/// Whether `code` may stand in a Close frame: a code of the IANA registry (1000-1003 and 1007-1011 of RFC 6455
/// section 7.4.1, then 1012-1014) or one of the ranges for libraries and applications (section 7.4.2). 1004, 1005,
/// 1006 and 1015 "MUST NOT be set as a status code in a Close control frame"; the others are not assigned.
pub const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
