//! Making tokens, for development: `ringside token` and the demo. The proxy itself never signs.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::ThumbprintHash;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde_json::{Map, Value, json};

use super::algorithm::{Algorithm, KeyType};

/// Algorithms a private key is tried with when none is asked for: one per type of key.
const USUAL: [Algorithm; 4] = [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256];

/// A private key that signs with one algorithm.
pub struct SigningKey {
    algorithm: Algorithm,
    id: Option<String>,
    material: EncodingKey,
}

/// A fresh key and what goes with it.
pub struct Generated {
    /// Signs with ES256 and a `kid`.
    pub key: SigningKey,
    /// The private key as PKCS#8 PEM. Secret.
    pub private_pem: String,
    /// The public key as PEM.
    pub public_pem: String,
    /// A JWK Set with the public key alone.
    pub jwks: String,
}

/// Why no token was made. Says nothing about the key's material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// Not a private key in the PEM forms that are read, or of a type that is not supported.
    #[error(
        "not a private key this can sign with; expected unencrypted PKCS#8 PEM (RSA, P-256, P-384 or Ed25519), which \
         `openssl pkcs8 -topk8 -nocrypt` makes of other forms"
    )]
    Key,
    /// The key is of another type than the algorithm needs.
    #[error("the key is not one for {0}")]
    Algorithm(Algorithm),
    /// No verifier that obeys RFC 7518 section 3.2 takes a token that is signed with it.
    #[error("the secret is shorter than the hash of {0}: {min} bytes are needed", min = .0.min_secret())]
    SecretTooShort(Algorithm),
    /// The cryptography library failed.
    #[error("the cryptography library failed")]
    Crypto,
}

impl SigningKey {
    /// Reads a private key: PKCS#8, or PKCS#1 for RSA. `algorithm` follows from the type of the key if it is not given;
    /// `id` becomes the `kid` of every token.
    pub fn from_pem(pem: &[u8], algorithm: Option<Algorithm>, id: Option<String>) -> Result<Self, MintError> {
        let usable = |algorithm| Some((algorithm, read(pem, algorithm)?));
        let usual = || USUAL.into_iter().find_map(usable);
        let (algorithm, material) = match algorithm {
            None => usual().ok_or(MintError::Key)?,
            Some(wanted) => usable(wanted).ok_or_else(|| match usual() {
                Some(_) => MintError::Algorithm(wanted),
                None => MintError::Key,
            })?,
        };
        Ok(Self { algorithm, id, material })
    }

    /// Takes a shared secret for an HMAC algorithm; `id` becomes the `kid` of every token.
    pub fn from_secret(secret: &[u8], algorithm: Algorithm, id: Option<String>) -> Result<Self, MintError> {
        if !algorithm.is_hmac() {
            return Err(MintError::Algorithm(algorithm));
        }
        if secret.len() < algorithm.min_secret() {
            return Err(MintError::SecretTooShort(algorithm));
        }
        Ok(Self { algorithm, id, material: EncodingKey::from_secret(secret) })
    }

    /// Makes a P-256 key for ES256, named by its thumbprint (RFC 7638).
    pub fn generate() -> Result<Generated, MintError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| MintError::Crypto)?;
        let [4, point @ ..] = pair.der_bytes() else { return Err(MintError::Crypto) };
        let (x, y) = point.split_at(point.len() / 2);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        // The required members in this order, without white space (RFC 7638 section 3).
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let digest = (DEFAULT_PROVIDER.key_utils.compute_digest)(canonical.as_bytes(), ThumbprintHash::SHA256);
        let id = URL_SAFE_NO_PAD.encode(digest.map_err(|_| MintError::Crypto)?);

        let private_pem = pair.serialize_pem();
        let key = Self::from_pem(private_pem.as_bytes(), Some(Algorithm::Es256), Some(id.clone()))?;
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "alg": "ES256", "kid": id});
        let jwks = format!("{:#}\n", json!({"keys": [jwk]}));
        Ok(Generated { key, private_pem, public_pem: pair.public_key_pem(), jwks })
    }

    /// The algorithm it signs with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` of its tokens.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Signs a token that claims this.
    pub fn mint(&self, claims: &Map<String, Value>) -> Result<String, MintError> {
        let mut header = json!({"alg": self.algorithm, "typ": "JWT"});
        if let Some(id) = &self.id {
            header["kid"] = id.as_str().into();
        }
        let claims = serde_json::to_vec(claims).map_err(|_| MintError::Crypto)?;
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = sign(&self.material, self.algorithm, message.as_bytes()).ok_or(MintError::Crypto)?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl fmt::Debug for SigningKey {
    /// Shows no material.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).field("id", &self.id).finish_non_exhaustive()
    }
}

/// The key, if it is one that can sign with `algorithm`: it is tried, because the library looks at it only then.
fn read(pem: &[u8], algorithm: Algorithm) -> Option<EncodingKey> {
    let key = match algorithm.key_type() {
        KeyType::Rsa => EncodingKey::from_rsa_pem(pem),
        KeyType::P256 | KeyType::P384 => EncodingKey::from_ec_pem(pem),
        KeyType::Ed25519 => EncodingKey::from_ed_pem(pem),
        KeyType::Secret => return None,
    };
    key.ok().filter(|key| sign(key, algorithm, b"").is_some())
}

fn sign(key: &EncodingKey, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
    (DEFAULT_PROVIDER.signer_factory)(&algorithm.library(), key).ok()?.try_sign(message).ok()
}
