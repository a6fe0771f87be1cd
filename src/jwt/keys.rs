//! Keys, each pinned to its algorithms, from a JWK Set, from PEM or from a shared secret.

mod jwks;
mod key;
mod pem;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::algorithm::Algorithm;
use crate::bytesize::ByteSize;
use key::Material;

pub(super) use key::Key;
pub use key::Unusable;

/// Most keys in one file.
pub const MAX_KEYS: usize = 100;
/// Largest key file.
pub const MAX_FILE: ByteSize = ByteSize::mib(1);

/// The keys tokens are verified with; at least one.
#[derive(Debug)]
pub struct Keys(Vec<Key>);

/// Keys, and the entries of their file that are not among them.
#[derive(Debug)]
pub struct Loaded {
    /// What can be used.
    pub keys: Keys,
    /// What cannot; worth a warning each.
    pub skipped: Vec<Skipped>,
}

/// An entry of a key file that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Which entry, for people: `key "2026-11"`, `PEM block 2`.
    pub name: String,
    /// Why not.
    pub why: Unusable,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// More than [`MAX_FILE`].
    #[error("larger than {MAX_FILE}")]
    TooLarge,
    /// More than [`MAX_KEYS`].
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
    /// Neither PEM nor JSON, or JSON with a fault.
    #[error("neither PEM nor a JWK Set: {0}")]
    Json(String),
    /// A JSON object without an array `keys` (RFC 7517 section 5).
    #[error("a JWK Set has an array \"keys\"; a lone JWK must be put into one: {{\"keys\": [...]}}")]
    NoKeySet,
    /// PEM with a fault.
    #[error("malformed PEM")]
    Pem,
    /// A private key where only public ones belong.
    #[error("{0} is a private key; a verifier needs the public key only, and this file should be considered leaked")]
    Private(String),
    /// Two usable keys with the same `kid`.
    #[error("two keys have the kid {0:?}")]
    IdTwice(String),
    /// Nothing is left to verify with.
    #[error("no usable key: {}", list(.0))]
    None(Vec<Skipped>),
}

/// Why a key file was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// It holds no keys.
    #[error("{}: {why}", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: KeysError,
    },
}

/// One key of a file, before it is known whether the file as a whole is good.
struct Entry {
    name: String,
    key: Result<Key, Unusable>,
}

impl Keys {
    /// Reads a key file. `accepted` are the algorithms the configuration lists.
    pub fn load(path: &Path, accepted: &[Algorithm]) -> Result<Loaded, LoadError> {
        Self::parse(&read(path)?, accepted).map_err(|why| LoadError::Keys { path: path.to_owned(), why })
    }

    /// Reads a file with a shared secret, see [`read_secret`] and [`from_secret`](Self::from_secret).
    pub fn load_secret(path: &Path, accepted: &[Algorithm]) -> Result<Self, LoadError> {
        let secret = read_secret(path)?;
        Self::from_secret(&secret, accepted).map_err(|why| LoadError::Keys { path: path.to_owned(), why })
    }

    /// Reads the text of a key file: PEM public keys and certificates, or a JWK Set.
    pub fn parse(text: &[u8], accepted: &[Algorithm]) -> Result<Loaded, KeysError> {
        if text.len() > MAX_FILE.len() {
            return Err(KeysError::TooLarge);
        }
        // A JWK Set is an object, and one with `x5c` may hold anything that looks like PEM.
        let is_json = text.trim_ascii_start().first() == Some(&b'{');
        let entries =
            if !is_json && pem::is_pem(text) { pem::parse(text, accepted) } else { jwks::parse(text, accepted) }?;

        let (mut keys, mut skipped) = (Vec::<Key>::new(), Vec::new());
        for Entry { name, key } in entries {
            match key {
                Ok(key) if key.id().is_some() && keys.iter().any(|other| other.id() == key.id()) => {
                    return Err(KeysError::IdTwice(key.id().unwrap_or_default().to_owned()));
                }
                Ok(key) => keys.push(key),
                Err(why) => skipped.push(Skipped { name, why }),
            }
        }
        if keys.is_empty() { Err(KeysError::None(skipped)) } else { Ok(Loaded { keys: Self(keys), skipped }) }
    }

    /// The one key is this shared secret, for those HMAC algorithms among `accepted` whose hash is not longer than it.
    pub fn from_secret(secret: &[u8], accepted: &[Algorithm]) -> Result<Self, KeysError> {
        match Material::secret(secret).pin(None, None, accepted) {
            Ok(key) => Ok(Self(vec![key])),
            Err(why) => Err(KeysError::None(vec![Skipped { name: "the secret".to_owned(), why }])),
        }
    }

    /// These keys and also the `other` ones.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// How many keys there are; never zero.
    #[expect(clippy::len_without_is_empty, reason = "there is always a key")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

/// The shared secret in the file: all of its bytes but one line break at the end, which editors and `echo` put there.
pub fn read_secret(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut secret = read(path)?;
    let line = secret.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    secret.truncate(line.unwrap_or(&secret).len());
    Ok(secret)
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    // One byte more than is allowed tells a file that is too large from one that just fits.
    File::open(path)
        .and_then(|file| file.take(MAX_FILE.get() + 1).read_to_end(&mut bytes))
        .map_err(|why| LoadError::Read { path: path.to_owned(), why })?;
    if bytes.len() > MAX_FILE.len() {
        return Err(LoadError::Keys { path: path.to_owned(), why: KeysError::TooLarge });
    }
    Ok(bytes)
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not used: {}", self.name, self.why)
    }
}

fn list(skipped: &[Skipped]) -> String {
    let lines: Vec<_> = skipped.iter().map(ToString::to_string).collect();
    if lines.is_empty() { "the set is empty".to_owned() } else { lines.join("; ") }
}
