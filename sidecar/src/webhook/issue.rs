//! Certificates made here: when, and of what. No clock and no cluster.
//!
//! Each time a new authority signs one new certificate, and its key is thrown away. The API server trusts the new authority
//! and the one before, so that replicas may change over one by one.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// How long a certificate is good for.
const LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long before its end it is renewed.
const AHEAD: Duration = Duration::from_secs(120 * 24 * 60 * 60);

/// How far clocks of others may be behind.
const SKEW: Duration = Duration::from_secs(60 * 60);

/// What all replicas share.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Issued {
    /// The authorities that the API server is to trust: this one, and the one before.
    pub(super) authorities: String,
    /// The webhook's certificate.
    pub(super) certificate: String,
    /// Its key.
    pub(super) key: String,
    /// When it ends, in seconds since 1970.
    pub(super) ends: u64,
}

impl fmt::Debug for Issued {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("certificate", &self.certificate)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

/// What takes the place of `last`, which has the same names, when it is time.
pub(super) fn renewed(
    last: Option<&Issued>,
    names: &[String],
    now: SystemTime,
) -> Result<Option<Issued>, rcgen::Error> {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if last.is_some_and(|last| last.ends > seconds + AHEAD.as_secs()) {
        return Ok(None);
    }
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name = named(&format!("ringside-injector {seconds}"));
    (authority.not_before, authority.not_after) = ((now - SKEW).into(), (now + LIFE).into());
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names.to_vec())?;
    leaf.distinguished_name = named("ringside-injector");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    (leaf.not_before, leaf.not_after) = ((now - SKEW).into(), (now + LIFE).into());
    let certificate = leaf.signed_by(&key, &issuer)?.pem();

    let before = last.map_or("", |last| first(&last.authorities));
    Ok(Some(Issued {
        authorities: format!("{}{before}", authority_certificate.pem()),
        certificate,
        key: key.serialize_pem(),
        ends: seconds + LIFE.as_secs(),
    }))
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// The first certificate of a list in PEM.
fn first(pem: &str) -> &str {
    const END: &str = "-----END CERTIFICATE-----";
    pem.find(END).map_or("", |at| &pem[..(at + END.len() + 1).min(pem.len())])
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::{Issued, renewed};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn names() -> Vec<String> {
        vec!["ringside-injector.ringside-system.svc".into()]
    }

    /// Whether who trusts `authorities` takes `certificate` for the webhook's at `now`.
    fn trusts(authorities: &str, certificate: &str, now: SystemTime) -> bool {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            roots.add(authority.unwrap()).unwrap();
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let name = ServerName::try_from(names()[0].clone()).unwrap();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::since_unix_epoch(since)).is_ok()
    }

    fn issue(last: Option<&Issued>, now: SystemTime) -> Issued {
        renewed(last, &names(), now).unwrap().expect("it is time")
    }

    #[test]
    fn each_is_trusted_until_all_have_changed_over() {
        let start = SystemTime::now();
        let first = issue(None, start);
        assert!(trusts(&first.authorities, &first.certificate, start));
        assert_eq!(renewed(Some(&first), &names(), start + 244 * DAY).unwrap(), None);
        let later = start + 246 * DAY;
        let second = issue(Some(&first), later);
        assert!(
            trusts(&second.authorities, &second.certificate, later)
                && trusts(&second.authorities, &first.certificate, later)
        );
        assert!(!trusts(&first.authorities, &second.certificate, later), "authorities are new");
        let third = issue(Some(&second), later + 250 * DAY);
        assert_eq!(third.authorities.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(!trusts(&third.authorities, &first.certificate, later));
    }

    #[test]
    fn what_has_ended_is_renewed() {
        let start = SystemTime::now();
        let first = issue(None, start);
        assert!(!trusts(&first.authorities, &first.certificate, start + 366 * DAY));
        assert!(renewed(Some(&first), &names(), start + 400 * DAY).unwrap().is_some());
    }
}
