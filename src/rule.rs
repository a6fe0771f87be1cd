//! The closed list of rules a frame can break.
//!
//! `ws` and `session` judge by these rules; logs, spans and metrics name them by [`Rule::as_str`]. Each rule says
//! where it stands and which close code answers it, so that the reply is a function of the violation.

use std::fmt;

/// A rule of RFC 6455 (or a bound of ours) that a peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A client frame must be masked.
    ClientUnmasked,
    /// An app frame must not be masked.
    AppMasked,
    /// RSV bits must be zero unless a negotiated extension gives them a meaning.
    ReservedBits,
    /// Opcodes 3-7 and 11-15 are reserved.
    ReservedOpcode,
    /// A control frame must not be fragmented.
    ControlFragmented,
    /// A control frame carries at most 125 bytes.
    ControlTooLong,
    /// A continuation frame needs a message that was begun.
    ContinuationWithoutStart,
    /// A new data frame must not begin inside another message.
    DataInsideMessage,
    /// A payload length must use the fewest bytes that hold it.
    LengthNotMinimal,
    /// The top bit of a 64-bit length must be zero.
    LengthTooLarge,
    /// A close payload is empty, or a code and a reason: one byte alone is neither.
    ClosePayload,
    /// Not every number may stand in a Close frame.
    CloseCode,
    /// A close reason is UTF-8.
    CloseReason,
    /// A text message is UTF-8.
    TextUtf8,
    /// No data frame and no second Close frame follows a Close frame.
    AfterClose,
    /// A message is larger than the configured bound.
    MessageTooBig,
    /// A message has more fragments than the configured bound.
    TooManyFragments,
    /// More control frames a second than the configured bound, without data between them.
    ControlFlood,
    /// More messages a second on one connection than the configured rate.
    MessageRate,
    /// More bytes a second on one connection than the configured rate.
    ByteRate,
    /// More messages a second on all connections of one subject than the configured rate.
    SubjectMessageRate,
    /// More bytes a second on all connections of one subject than the configured rate.
    SubjectByteRate,
}

impl Rule {
    /// Every rule, for tables and tests.
    pub const ALL: [Self; 22] = [
        Self::ClientUnmasked,
        Self::AppMasked,
        Self::ReservedBits,
        Self::ReservedOpcode,
        Self::ControlFragmented,
        Self::ControlTooLong,
        Self::ContinuationWithoutStart,
        Self::DataInsideMessage,
        Self::LengthNotMinimal,
        Self::LengthTooLarge,
        Self::ClosePayload,
        Self::CloseCode,
        Self::CloseReason,
        Self::TextUtf8,
        Self::AfterClose,
        Self::MessageTooBig,
        Self::TooManyFragments,
        Self::ControlFlood,
        Self::MessageRate,
        Self::ByteRate,
        Self::SubjectMessageRate,
        Self::SubjectByteRate,
    ];

    /// Its name in logs, spans and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientUnmasked => "client_unmasked",
            Self::AppMasked => "app_masked",
            Self::ReservedBits => "reserved_bits",
            Self::ReservedOpcode => "reserved_opcode",
            Self::ControlFragmented => "control_fragmented",
            Self::ControlTooLong => "control_too_long",
            Self::ContinuationWithoutStart => "continuation_without_start",
            Self::DataInsideMessage => "data_inside_message",
            Self::LengthNotMinimal => "length_not_minimal",
            Self::LengthTooLarge => "length_too_large",
            Self::ClosePayload => "close_payload",
            Self::CloseCode => "close_code",
            Self::CloseReason => "close_reason",
            Self::TextUtf8 => "text_utf8",
            Self::AfterClose => "after_close",
            Self::MessageTooBig => "message_too_big",
            Self::TooManyFragments => "too_many_fragments",
            Self::ControlFlood => "control_flood",
            Self::MessageRate => "message_rate",
            Self::ByteRate => "byte_rate",
            Self::SubjectMessageRate => "subject_message_rate",
            Self::SubjectByteRate => "subject_byte_rate",
        }
    }

    /// Where the rule stands: a section, or for a bound of ours its key in the configuration.
    pub const fn source(self) -> &'static str {
        match self {
            Self::ClientUnmasked | Self::AppMasked => "RFC 6455 section 5.1",
            Self::ReservedBits | Self::ReservedOpcode | Self::LengthNotMinimal | Self::LengthTooLarge => {
                "RFC 6455 section 5.2"
            }
            Self::ContinuationWithoutStart | Self::DataInsideMessage => "RFC 6455 section 5.4",
            Self::ControlFragmented | Self::ControlTooLong => "RFC 6455 section 5.5",
            Self::ClosePayload | Self::CloseReason | Self::AfterClose => "RFC 6455 section 5.5.1",
            Self::CloseCode => "RFC 6455 section 7.4",
            Self::TextUtf8 => "RFC 6455 section 8.1",
            Self::MessageTooBig => "limits.message",
            Self::TooManyFragments => "limits.fragments",
            Self::ControlFlood => "limits.control_frames",
            Self::MessageRate => "limits.connection.messages",
            Self::ByteRate => "limits.connection.bytes",
            Self::SubjectMessageRate => "limits.subject.messages",
            Self::SubjectByteRate => "limits.subject.bytes",
        }
    }

    /// The close code that answers the peer who broke it (RFC 6455 section 7.4.1).
    pub const fn close_code(self) -> u16 {
        match self {
            Self::CloseReason | Self::TextUtf8 => 1007,
            Self::TooManyFragments
            | Self::ControlFlood
            | Self::MessageRate
            | Self::ByteRate
            | Self::SubjectMessageRate
            | Self::SubjectByteRate => 1008,
            Self::MessageTooBig => 1009,
            _ => 1002,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
