//! One key and the algorithms it is pinned to.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm};

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
    pins: Vec<(Algorithm, Prepared)>,
}

/// A key made ready for one algorithm: what can be computed from a key alone is computed when it is read, not for every
/// token.
enum Prepared {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
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
    /// The DER inside the PEM block is no key, or the point is not on its curve.
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
        self.prepared(algorithm).is_some()
    }

    /// Whether `signature` over `message` is by this key. False without any cryptography for an algorithm that is not
    /// among the pins.
    pub(in crate::jwt) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.prepared(algorithm).is_some_and(|prepared| match prepared {
            Prepared::Public(key) => key.verify_sig(message, signature).is_ok(),
            Prepared::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        })
    }

    fn prepared(&self, algorithm: Algorithm) -> Option<&Prepared> {
        self.pins.iter().find_map(|(pin, prepared)| (*pin == algorithm).then_some(prepared))
    }
}

impl fmt::Debug for Key {
    /// Shows no material.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pins: Vec<_> = self.pins.iter().map(|(pin, _)| pin).collect();
        f.debug_struct("Key").field("id", &self.id).field("pins", &pins).finish_non_exhaustive()
    }
}

/// Key material that is not pinned yet, and therefore of no use.
pub(super) enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// A point on this curve.
    Point(KeyType, Vec<u8>),
    Secret(Vec<u8>),
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
        Ok(Self::Rsa(RsaPublicKeyComponents { n: modulus.to_vec(), e: exponent.to_vec() }))
    }

    /// An elliptic-curve key by its uncompressed point: `04 x y`.
    pub(super) fn ec(curve: KeyType, point: &[u8]) -> Self {
        Self::Point(curve, point.to_vec())
    }

    /// An Ed25519 key by its 32 bytes.
    pub(super) fn ed25519(point: &[u8]) -> Self {
        Self::Point(KeyType::Ed25519, point.to_vec())
    }

    /// A shared secret.
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self::Secret(secret.to_vec())
    }

    /// Pins the key to what its type can do, `stated` allows (a JWK's `alg`) and `accepted` lists (the configuration).
    pub(super) fn pin(
        self,
        id: Option<String>,
        stated: Option<Algorithm>,
        accepted: &[Algorithm],
    ) -> Result<Key, Unusable> {
        let of = self.key_type();
        let fits =
            |algorithm: &Algorithm| algorithm.key_type() == of && stated.is_none_or(|stated| stated == *algorithm);
        let mut pins: Vec<_> = Algorithm::ALL.into_iter().filter(fits).filter(|a| accepted.contains(a)).collect();
        if pins.is_empty() {
            let secret = of == KeyType::Secret && !accepted.iter().any(|algorithm| algorithm.is_hmac());
            return Err(if secret { Unusable::SecretNotAccepted } else { Unusable::Algorithm });
        }
        if let Self::Secret(secret) = &self {
            pins.retain(|algorithm| secret.len() >= algorithm.min_secret());
        }
        if pins.is_empty() {
            return Err(Unusable::SecretTooShort);
        }
        let prepare = |algorithm| Ok((algorithm, self.prepare(algorithm)?));
        Ok(Key { id, pins: pins.into_iter().map(prepare).collect::<Result<_, _>>()? })
    }

    const fn key_type(&self) -> KeyType {
        match self {
            Self::Rsa(_) => KeyType::Rsa,
            Self::Point(curve, _) => *curve,
            Self::Secret(_) => KeyType::Secret,
        }
    }

    fn prepare(&self, algorithm: Algorithm) -> Result<Prepared, Unusable> {
        let public = match (self, Scheme::of(algorithm)) {
            (Self::Rsa(components), Scheme::Rsa(scheme)) => components.to_parsed_public_key(scheme),
            (Self::Point(_, point), Scheme::Curve(scheme)) => ParsedPublicKey::new(scheme, point),
            (Self::Secret(secret), Scheme::Hmac(scheme)) => {
                return Ok(Prepared::Secret(hmac::Key::new(scheme, secret).into()));
            }
            _ => return Err(Unusable::Algorithm),
        };
        public.map(Prepared::Public).map_err(|_| Unusable::Der)
    }
}

/// An algorithm as the cryptography library knows it.
enum Scheme {
    Rsa(&'static RsaParameters),
    Curve(&'static dyn VerificationAlgorithm),
    Hmac(hmac::Algorithm),
}

impl Scheme {
    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            Algorithm::Es256 => Self::Curve(&signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::Es384 => Self::Curve(&signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDsa => Self::Curve(&signature::ED25519),
            Algorithm::Hs256 => Self::Hmac(hmac::HMAC_SHA256),
            Algorithm::Hs384 => Self::Hmac(hmac::HMAC_SHA384),
            Algorithm::Hs512 => Self::Hmac(hmac::HMAC_SHA512),
        }
    }
}

/// A big-endian number without the zeros in front.
fn significant(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}
