//! How the subject of a token is shown to operators, who may not be allowed to know who the clients are.
//!
//! A hash without a key would hide nothing: subjects are short or follow a pattern, and whoever has the log tries them
//! all. So it is an HMAC (RFC 2104), whose key never leaves this type.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use aws_lc_rs::rand::SystemRandom;

use crate::jwt::keys;

/// A key must be as long as what SHA-256 gives (RFC 2104 section 3).
const LEAST_KEY: usize = 32;

/// How subjects are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// As they stand in tokens.
    Plain,
    /// As the first 16 hex digits of their HMAC-SHA-256: who is who stays known, who it is does not. The chance that
    /// any two of a million subjects look alike is one in 37 million.
    Hashed,
    /// Not at all.
    Off,
}

/// Shows subjects. Clones show the same subject in the same way.
#[derive(Clone, Debug)]
pub struct Subjects(Manner);

/// Why subjects cannot be hashed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file with the key cannot be read.
    #[error(transparent)]
    File(#[from] keys::LoadError),
    /// The key could be found by trying.
    #[error("{} holds {bytes} bytes; a key has at least {LEAST_KEY}", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// Its length, less a line break at its end.
        bytes: usize,
    },
    /// The operating system gives no randomness.
    #[error("there is no randomness for a key")]
    Randomness,
}

#[derive(Clone)]
enum Manner {
    Plain,
    Hashed(Arc<Key>),
    Off,
}

impl Subjects {
    /// Shows them as they are.
    pub const PLAIN: Self = Self(Manner::Plain);

    /// Shows them as chosen. The key of hashes is what stands in `key_file`, but for a line break at its end. Without
    /// a file it is random, so that other processes, and this one when it starts again, hash in another way.
    pub fn load(choice: Choice, key_file: Option<&Path>) -> Result<Self, LoadError> {
        Ok(Self(match choice {
            Choice::Plain => Manner::Plain,
            Choice::Hashed => Manner::Hashed(key_file.map_or_else(random, read)?.into()),
            Choice::Off => Manner::Off,
        }))
    }

    /// What may be shown of `subject`; `None`: nothing.
    pub fn show<'s>(&self, subject: &'s str) -> Option<Cow<'s, str>> {
        match &self.0 {
            Manner::Plain => Some(subject.into()),
            Manner::Hashed(key) => {
                let shown = *hmac::sign(key, subject.as_bytes()).as_ref().first_chunk()?;
                Some(format!("{:016x}", u64::from_be_bytes(shown)).into())
            }
            Manner::Off => None,
        }
    }
}

fn read(path: &Path) -> Result<Key, LoadError> {
    let key = keys::read_secret(path)?;
    if key.len() < LEAST_KEY {
        return Err(LoadError::Short { path: path.to_owned(), bytes: key.len() });
    }
    Ok(Key::new(HMAC_SHA256, &key))
}

fn random() -> Result<Key, LoadError> {
    Key::generate(HMAC_SHA256, &SystemRandom::new()).map_err(|_| LoadError::Randomness)
}

impl fmt::Debug for Manner {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Hashed(_) => "Hashed",
            Self::Off => "Off",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Choice, Subjects};

    fn load(key: &[u8]) -> Result<Subjects, super::LoadError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("subject.key");
        fs::write(&path, key).unwrap();
        Subjects::load(Choice::Hashed, Some(&path))
    }

    fn hashed(key: &[u8]) -> Subjects {
        load(key).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_subject_is_shown_as_chosen() {
        let show = |choice| Subjects::load(choice, None).unwrap().show("alice").map(String::from);
        assert_eq!(show(Choice::Plain).as_deref(), Some("alice"));
        assert_eq!(show(Choice::Off), None);
        let hash = show(Choice::Hashed).unwrap();
        assert!(hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{hash}");
    }

    /// RFC 4231 test case 6, whose key is longer than a block; the key of no other is long enough.
    #[test]
    fn a_hash_is_the_start_of_an_hmac() {
        let subjects = hashed(&[0xaa; 131]);
        let shown = subjects.show("Test Using Larger Than Block-Size Key - Hash Key First").unwrap();
        assert_eq!(shown, "60e431591ee0b67f");
    }

    #[test]
    fn who_has_the_same_key_shows_the_same() {
        let key = b"thirty-two bytes, no more of it!";
        let (one, same) = (hashed(key), hashed(&[key, "\n".as_bytes()].concat()));
        assert_eq!(one.show("alice"), same.show("alice"));
        assert_eq!(one.show("alice"), one.clone().show("alice"));
        assert_ne!(one.show("alice"), one.show("bob"));
        let random = || Subjects::load(Choice::Hashed, None).unwrap().show("alice").unwrap().into_owned();
        assert_ne!(random(), random());
    }

    #[test]
    fn a_key_that_could_be_tried_is_refused_and_none_is_told() {
        let error = load(b"hunter2\n").unwrap_err().to_string();
        assert!(error.ends_with("subject.key holds 7 bytes; a key has at least 32") && !error.contains("hunter2"));
        assert!(load(&[b'k'; 31]).is_err());
        let secret = b"thirty-two bytes, no more of it!";
        assert_eq!(format!("{:?}", hashed(secret)), "Subjects(Hashed)");
        let absent = Subjects::load(Choice::Hashed, Some("/nowhere/subject.key".as_ref())).unwrap_err();
        assert!(absent.to_string().starts_with("cannot read /nowhere/subject.key: "), "{absent}");
    }
}
