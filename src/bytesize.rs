//! A number of bytes, written with its unit: `"16KiB"`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes. Parsed from and shown as a whole number with `B`, `KiB`, `MiB` or `GiB` (IEC 80000-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(u64);

/// Why a text is not a [`ByteSize`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseByteSizeError {
    /// No whole number with a known unit.
    #[error("expected a whole number with a unit, such as \"16KiB\" (units: B, KiB, MiB, GiB)")]
    Form,
    /// More than a `u64` of bytes.
    #[error("more bytes than can be counted")]
    TooLarge,
}

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl ByteSize {
    /// So many bytes.
    pub const fn bytes(n: u64) -> Self {
        Self(n)
    }

    /// So many times 1024 bytes.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// So many times 1024 KiB.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; what a `usize` cannot hold is its maximum.
    pub fn len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Whether this is zero bytes.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
            .ok_or(ParseByteSizeError::Form)?;
        let number = number.trim_end();
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ParseByteSizeError::Form);
        }
        let number: u64 = number.parse().map_err(|_| ParseByteSizeError::TooLarge)?;
        number.checked_mul(unit).map(Self).ok_or(ParseByteSizeError::TooLarge)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = ParseByteSizeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) =
            UNITS.iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit)).unwrap_or(&UNITS[3]);
        write!(f, "{}{name}", self.0 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::{ByteSize, ParseByteSizeError};

    #[test]
    fn reads_what_it_shows() {
        for text in ["0B", "1B", "1023B", "16KiB", "1MiB", "3GiB", "1025KiB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_why_not() {
        for text in ["", "16", "KiB", "1.5KiB", "16KB", "-1B", "0x10B"] {
            assert_eq!(text.parse::<ByteSize>(), Err(ParseByteSizeError::Form), "{text}");
        }
        assert_eq!("18446744073709551615GiB".parse::<ByteSize>(), Err(ParseByteSizeError::TooLarge));
    }
}
