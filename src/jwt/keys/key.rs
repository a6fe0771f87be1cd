//! One key and the algorithms it is pinned to.

use std::fmt;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

use crate::jwt::algorithm::{Algorithm, KeyType};

/// Fewest bits of an RSA modulus (RFC 7518 section 3.3).
const RSA_MIN_BITS: usize = 2048;
/// Most bits the cryptography library takes.
const RSA_MAX_BITS: usize = 8192;
/// Most bytes of an RSA exponent; nearly all are 3 (65537), and a large one makes verification slow.
const RSA_MAX_EXPONENT: usize = 4;

/// A key that can verify at least one algorithm.
pub(in crate::jwt) struct Key {
    id: Option<String>,
    /// Never empty; every one fits the type of the key.
    pins: Vec<Algorithm>,
    library: DecodingKey,
}

/// Why a key in the file is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its type or curve is none this verifier knows.
    #[error("its type or curve is not supported (supported: RSA, EC P-256 and P-384, OKP Ed25519)")]
    Type,
    /// `use` is not `sig`, or `key_ops` lacks `verify`.
    #[error("it is not for verifying signatures")]
    Purpose,
    /// Its `alg` does not fit its type, or the configuration lists none of its algorithms.
    #[error("none of its algorithms is accepted")]
    Algorithm,
    /// This member is missing, of the wrong type or out of range.
    #[error("\"{0}\" is missing or malformed")]
    Member(&'static str),
    /// The DER inside the PEM block is no key.
    #[error("it is malformed")]
    Der,
    /// RFC 7518 section 3.3 for the lower bound; the upper one is the library's.
    #[error("its modulus is malformed or not within 2048 to 8192 bits")]
    RsaSize,
    /// RFC 7518 section 3.2.
    #[error("it is shorter than the hash of its algorithm")]
    SecretTooShort,
    /// A shared secret, while the configuration lists no HMAC algorithm.
    #[error("it is a shared secret and no HS algorithm is configured")]
    SecretNotAccepted,
    /// A PEM block that is neither a public key nor a certificate.
    #[error("it is neither a PUBLIC KEY nor a CERTIFICATE")]
    Block,
}

impl Key {
    pub(in crate::jwt) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(in crate::jwt) fn is_pinned_to(&self, algorithm: Algorithm) -> bool {
        self.pins.contains(&algorithm)
    }

    /// Whether `signature` over `message` is by this key. False without any cryptography for an algorithm that is not
    /// among the pins.
    pub(in crate::jwt) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &Vec<u8>) -> bool {
        // The provider is named, not looked up: the library's process-wide default panics when a dependency elsewhere
        // switches on its second provider.
        self.is_pinned_to(algorithm)
            && (DEFAULT_PROVIDER.verifier_factory)(&algorithm.library(), &self.library)
                .is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
    }
}

impl fmt::Debug for Key {
    /// Shows no material.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("pins", &self.pins).finish_non_exhaustive()
    }
}

/// Key material that is not pinned yet, and therefore of no use.
pub(super) struct Material {
    of: KeyType,
    library: DecodingKey,
    /// Bytes of the secret; zero for a public key.
    secret: usize,
}

impl Material {
    /// An RSA key by its modulus and exponent, both big-endian.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, Unusable> {
        let (modulus, exponent) = (significant(modulus), significant(exponent));
        let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
        if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) {
            return Err(Unusable::RsaSize);
        }
        let odd = exponent.last().is_some_and(|last| last % 2 == 1);
        if !odd || exponent == [1] || exponent.len() > RSA_MAX_EXPONENT {
            return Err(Unusable::Member("e"));
        }
        Ok(Self { of: KeyType::Rsa, library: DecodingKey::from_rsa_raw_components(modulus, exponent), secret: 0 })
    }

    /// An elliptic-curve key by its uncompressed point: `04 x y`.
    pub(super) fn ec(curve: KeyType, point: &[u8]) -> Self {
        Self { of: curve, library: DecodingKey::from_ec_der(point), secret: 0 }
    }

    /// An Ed25519 key by its 32 bytes.
    pub(super) fn ed25519(point: &[u8]) -> Self {
        Self { of: KeyType::Ed25519, library: DecodingKey::from_ed_der(point), secret: 0 }
    }

    /// A shared secret.
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self { of: KeyType::Secret, library: DecodingKey::from_secret(secret), secret: secret.len() }
    }

    /// Pins the key to what its type can do, `stated` allows (a JWK's `alg`) and `accepted` lists (the configuration).
    pub(super) fn pin(
        self,
        id: Option<String>,
        stated: Option<Algorithm>,
        accepted: &[Algorithm],
    ) -> Result<Key, Unusable> {
        let fits =
            |algorithm: &Algorithm| algorithm.key_type() == self.of && stated.is_none_or(|stated| stated == *algorithm);
        let mut pins: Vec<_> = Algorithm::ALL.into_iter().filter(fits).filter(|a| accepted.contains(a)).collect();
        if pins.is_empty() {
            let secret = self.of == KeyType::Secret && !accepted.iter().any(|algorithm| algorithm.is_hmac());
            return Err(if secret { Unusable::SecretNotAccepted } else { Unusable::Algorithm });
        }
        pins.retain(|algorithm| self.secret >= algorithm.min_secret());
        if pins.is_empty() {
            return Err(Unusable::SecretTooShort);
        }
        Ok(Key { id, pins, library: self.library })
    }
}

/// A big-endian number without the zeros in front.
fn significant(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}
