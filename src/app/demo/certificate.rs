//! The demo's self-signed certificate.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};

use crate::time::UnixTime;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long it is good for: a demo that runs longer is no demo.
const GOOD_FOR: Duration = Duration::from_secs(7 * DAY.as_secs());

/// A certificate for this host, and its private key.
pub(super) struct Certificate {
    /// Its chain, which is itself alone, as PEM.
    pub(super) pem: String,
    /// Its P-256 key as PKCS#8 PEM. Secret.
    pub(super) key: String,
    /// Itself, for the client that trusts it.
    pub(super) der: rustls::pki_types::CertificateDer<'static>,
}

/// Makes a certificate for `localhost`, `127.0.0.1` and `::1`, good from a day ago on, for clocks that differ.
///
/// It is no authority: who trusts it trusts this demo only.
pub(super) fn make() -> Result<Certificate, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(String::from))?;
    params.distinguished_name.push(DnType::CommonName, "Ringside demo");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(UnixTime::from(SystemTime::now()).secs());
    params.not_before = now - DAY;
    params.not_after = now + GOOD_FOR;
    let certificate = params.self_signed(&key)?;
    Ok(Certificate { pem: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() })
}
