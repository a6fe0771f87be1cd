//! What a frame is: the opcodes of RFC 6455 section 5.2.

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation,
    /// The first fragment of a text message.
    Text,
    /// The first fragment of a binary message.
    Binary,
    /// The last frame of its sender.
    Close,
    /// Asks for a Pong.
    Ping,
    /// Answers a Ping, or nothing.
    Pong,
}

impl Opcode {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 6] = [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong];

    /// The opcode of these four bits; `None` when they are reserved.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Its four bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    /// "Control frames are identified by opcodes where the most significant bit of the opcode is 1." (section 5.5)
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    /// Its name in metrics and spans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Continuation => "continuation",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Close => "close",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Opcode;

    #[test]
    fn each_has_its_bits_and_its_place() {
        for (place, opcode) in Opcode::ALL.into_iter().enumerate() {
            assert_eq!((opcode as usize, Opcode::from_bits(opcode.bits())), (place, Some(opcode)));
        }
        assert_eq!((0..16).filter_map(Opcode::from_bits).count(), Opcode::ALL.len());
    }
}
