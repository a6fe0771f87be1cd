//! Keys from PEM: `PUBLIC KEY` blocks (RFC 7468 section 13) and the keys of `CERTIFICATE` blocks.

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use memchr::memmem;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::server::ParsedCertificate;

use super::key::{Material, Unusable};
use super::{Entry, KeysError, MAX_KEYS};
use crate::jwt::algorithm::{Algorithm, KeyType};

/// What stands before the point in a `SubjectPublicKeyInfo` of P-256 (RFC 5480 section 2), in DER.
const P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The same of P-384.
const P384: &[u8] = b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";
/// The same of Ed25519 (RFC 8410 section 4).
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// Whether this looks like PEM.
pub(super) fn is_pem(text: &[u8]) -> bool {
    memmem::find(text, b"-----BEGIN ").is_some()
}

/// Every key in the file: usable, or why it is not. PEM has no `kid`; such keys serve tokens of any `kid`.
pub(super) fn parse(text: &[u8], accepted: &[Algorithm]) -> Result<Vec<Entry>, KeysError> {
    // All of them: PKCS#1, SEC1, PKCS#8, encrypted, OpenSSH.
    if memmem::find(text, b"PRIVATE KEY-----").is_some() {
        return Err(KeysError::Private("a PEM block".to_owned()));
    }
    let mut entries = Vec::new();
    for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, der) = block.map_err(|_| KeysError::Pem)?;
        if entries.len() == MAX_KEYS {
            return Err(KeysError::TooMany);
        }
        let name = format!("PEM block {}", entries.len() + 1);
        let material = match kind {
            SectionKind::PublicKey => material(&der),
            SectionKind::Certificate => certificate(der),
            _ => Err(Unusable::Block),
        };
        entries.push(Entry { name, key: material.and_then(|material| material.pin(None, None, accepted)) });
    }
    // The reader passes over blocks whose label it does not know, such as `RSA PUBLIC KEY`.
    if memmem::find_iter(text, b"-----BEGIN ").count() > entries.len() {
        entries.push(Entry { name: "a PEM block".to_owned(), key: Err(Unusable::Block) });
    }
    Ok(entries)
}

/// The key alone counts: neither the validity nor the issuer of the certificate is looked at.
fn certificate(der: Vec<u8>) -> Result<Material, Unusable> {
    let der = CertificateDer::from(der);
    let certificate = ParsedCertificate::try_from(&der).map_err(|_| Unusable::Der)?;
    material(&certificate.subject_public_key_info())
}

/// A `SubjectPublicKeyInfo`. The fixed-size ones have exactly one DER form, so that form is what is compared.
fn material(spki: &[u8]) -> Result<Material, Unusable> {
    match (spki.strip_prefix(P256), spki.strip_prefix(P384), spki.strip_prefix(ED25519)) {
        (Some(point @ [4, ..]), ..) if point.len() == 65 => Ok(Material::ec(KeyType::P256, point)),
        (_, Some(point @ [4, ..]), _) if point.len() == 97 => Ok(Material::ec(KeyType::P384, point)),
        (.., Some(point)) if point.len() == 32 => Ok(Material::ed25519(point)),
        _ => rsa(spki),
    }
}

fn rsa(spki: &[u8]) -> Result<Material, Unusable> {
    /// The object identifier `rsaEncryption` (RFC 8017 appendix A.1) in DER.
    const RSA_ENCRYPTION: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    if memmem::find(spki, RSA_ENCRYPTION).is_none() {
        return Err(Unusable::Type);
    }
    // The library does not say which of the two it is.
    let (modulus, exponent) =
        (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(spki).map_err(|_| Unusable::RsaSize)?;
    Material::rsa(&modulus, &exponent)
}
