//! The order of frames in one direction (RFC 6455 sections 5.1, 5.2 and 5.4) and the bounds of a message.

use super::header::Header;
use crate::opcode::Opcode;
use crate::peer::Side;
use crate::rule::Rule;

/// What holds for every frame of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who sends the frames.
    pub sender: Side,
    /// Whether permessage-deflate was negotiated (RFC 7692): it gives RSV1 a meaning.
    pub deflate: bool,
    /// Most bytes of payload in a message, as they are on the wire.
    pub message: u64,
    /// Most frames in a message.
    pub fragments: u32,
}

/// Judges the headers of one direction in their order.
#[derive(Debug)]
pub struct Sequence {
    terms: Terms,
    message: Message,
}

/// Where the direction stands among its data frames. Control frames go in between and change nothing.
///
/// ```text
///             Text/Binary, FIN=0
///          +------------------------>
///  Between                            Begun <--+ Continuation, FIN=0
///    ^  |  <------------------------+   |  |   |
///    +--+     Continuation, FIN=1       +------+
///  Text/Binary, FIN=1
/// ```
#[derive(Clone, Copy, Debug)]
enum Message {
    /// The next data frame begins a message.
    Between,
    /// The next data frame continues one that has so many bytes of payload and frames.
    Begun { size: u64, fragments: u32 },
}

impl Sequence {
    /// The start of a direction.
    pub const fn new(terms: Terms) -> Self {
        Self { terms, message: Message::Between }
    }

    /// Judges the next header. A header that breaks a rule changes nothing, nor does one of a control frame.
    pub fn judge(&mut self, header: &Header) -> Result<(), Rule> {
        self.judge_mask(header)?;
        self.judge_reserved_bits(header)?;
        if header.opcode.is_control() {
            return Ok(());
        }
        let (size, fragments) = match (self.message, header.opcode) {
            // "A fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0,
            // followed by zero or more frames with the FIN bit clear and the opcode set to 0" (section 5.4)
            (Message::Between, Opcode::Continuation) => return Err(Rule::ContinuationWithoutStart),
            (Message::Between, _) => (0, 0),
            // "The fragments of one message MUST NOT be interleaved between the fragments of another message
            // unless an extension has been negotiated that can interpret the interleaving." (section 5.4)
            (Message::Begun { size, fragments }, Opcode::Continuation) => (size, fragments),
            (Message::Begun { .. }, _) => return Err(Rule::DataInsideMessage),
        };
        let (size, fragments) = (size.saturating_add(header.length), fragments.saturating_add(1));
        if size > self.terms.message {
            return Err(Rule::MessageTooBig);
        }
        if fragments > self.terms.fragments {
            return Err(Rule::TooManyFragments);
        }
        self.message = if header.fin { Message::Between } else { Message::Begun { size, fragments } };
        Ok(())
    }

    /// "[A] client MUST mask all frames that it sends to the server [...] A server MUST NOT mask any frames that it
    /// sends to the client." (section 5.1)
    const fn judge_mask(&self, header: &Header) -> Result<(), Rule> {
        match (self.terms.sender, header.mask) {
            (Side::Client, None) => Err(Rule::ClientUnmasked),
            (Side::App, Some(_)) => Err(Rule::AppMasked),
            (Side::Client, Some(_)) | (Side::App, None) => Ok(()),
        }
    }

    /// "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values." (section 5.2)
    ///
    /// permessage-deflate uses RSV1 on the first frame of a data message; an endpoint "MUST NOT set the
    /// "Per-Message Compressed" bit of control frames and non-first fragments of a data message" (RFC 7692
    /// section 6).
    const fn judge_reserved_bits(&self, header: &Header) -> Result<(), Rule> {
        let first_of_message = matches!(header.opcode, Opcode::Text | Opcode::Binary);
        let meaningful = if self.terms.deflate && first_of_message { Header::RSV1 } else { 0 };
        if header.rsv & !meaningful == 0 { Ok(()) } else { Err(Rule::ReservedBits) }
    }
}
