//! What is sent: binary, or text that is more or less work to check.

use crate::client::{BINARY, TEXT};

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Every byte value.
    Binary,
    /// Text of ASCII alone.
    Ascii,
    /// Text in Cyrillic and Chinese: characters of two and three bytes.
    Wide,
}

impl Message {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Binary, Self::Ascii, Self::Wide];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Ascii => "text, ASCII",
            Self::Wide => "text, multi-byte",
        }
    }

    /// The opcode of its frames.
    pub const fn opcode(self) -> u8 {
        match self {
            Self::Binary => BINARY,
            Self::Ascii | Self::Wide => TEXT,
        }
    }

    /// A payload of `size` bytes, at least 8. The first 8 are ASCII, to be written over with a number.
    pub fn payload(self, size: usize) -> Vec<u8> {
        let words = match self {
            Self::Binary => return (0..251).cycle().take(size).collect(),
            Self::Ascii => "what a chat has to say ",
            Self::Wide => "о чём говорят в чате 聊天里说的话",
        };
        let mut text = String::from("00000000");
        for character in words.chars().cycle() {
            if text.len() + character.len_utf8() > size {
                break;
            }
            text.push(character);
        }
        text.extend(std::iter::repeat_n('.', size - text.len()));
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn is_as_long_as_asked_and_text_where_it_says_so() {
        for size in [8, 63, 64, 16 << 10] {
            assert_eq!(Message::Binary.payload(size).len(), size);
            for message in [Message::Ascii, Message::Wide] {
                assert_eq!(String::from_utf8(message.payload(size)).unwrap().len(), size);
            }
        }
        assert!(!Message::Wide.payload(64).is_ascii());
    }
}
