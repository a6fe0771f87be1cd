//! Certificates and signing keys, made once for all tests.

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ringside::jwt::mint::{Generated, SigningKey};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::{Map, Value, json};

/// What the tests' configurations ask of a token.
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "chat";
pub(crate) const SUBJECT: &str = "alice";

/// The server's certificate, the authority of the clients, one client of it, and one of an authority nobody trusts.
static IDENTITIES: LazyLock<Identities> = LazyLock::new(Identities::generate);

/// The key that the proxy trusts, and another one.
static TRUSTED: LazyLock<Generated> = LazyLock::new(|| SigningKey::generate().expect("a key"));
static OTHER: LazyLock<Generated> = LazyLock::new(|| SigningKey::generate().expect("a key"));

struct Identities {
    server: Identity,
    client_ca: String,
    client: Identity,
    stranger: Identity,
}

struct Identity {
    certificate: String,
    key: String,
}

impl Identities {
    fn generate() -> Self {
        let (client_ca, client) = authority_and_client("clients");
        let (_, stranger) = authority_and_client("strangers");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { server: Identity { certificate, key: key.serialize_pem() }, client_ca, client, stranger }
    }
}

fn authority_and_client(name: &str) -> (String, Identity) {
    let mut params = CertificateParams::new(vec![format!("{name}.example")]).expect("a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![format!("one.{name}.example")]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("a certificate").pem();
    (authority.pem(), Identity { certificate, key: key.serialize_pem() })
}

/// Writes the files that the configurations of these tests name into `dir`.
pub(crate) fn write_files(dir: &Path) {
    let files = [
        ("tls.crt", &IDENTITIES.server.certificate),
        ("tls.key", &IDENTITIES.server.key),
        ("clients.crt", &IDENTITIES.client_ca),
        ("jwks.json", &TRUSTED.jwks),
    ];
    for (name, text) in files {
        fs::write(dir.join(name), text).expect("a file");
    }
}

/// Whose certificate a client shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    Nothing,
    /// One that the proxy trusts when it asks.
    Its,
    /// One of an authority that the proxy does not know.
    Strangers,
}

/// A client that trusts the server of these tests.
pub(crate) fn client(versions: &[&'static SupportedProtocolVersion], alpn: &[&str], shows: Shows) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let server = IDENTITIES.server.certificate.as_bytes();
    roots.add(CertificateDer::from_pem_slice(server).expect("a certificate")).expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots);
    let identity = match shows {
        Shows::Nothing => None,
        Shows::Its => Some(&IDENTITIES.client),
        Shows::Strangers => Some(&IDENTITIES.stranger),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("an identity")
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A token that the proxy accepts.
pub(crate) fn token() -> String {
    token_with(json!({}))
}

/// The same with other claims; `null` takes one out.
pub(crate) fn token_with(claims: Value) -> String {
    mint(&TRUSTED.key, claims)
}

/// A token whose signature is of a key with the same `kid` that the proxy does not know.
pub(crate) fn forged() -> String {
    let (good, bad) = (token(), mint(&OTHER.key, json!({})));
    let ((message, _), (_, signature)) = (good.rsplit_once('.').expect("JWS"), bad.rsplit_once('.').expect("JWS"));
    format!("{message}.{signature}")
}

/// A good token of an issuer whose key the proxy does not know.
pub(crate) fn of_unknown_key() -> String {
    mint(&OTHER.key, json!({}))
}

/// Seconds since 1970, moved by `offset`.
pub(crate) fn now(offset: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    i64::try_from(now).expect("fits") + offset
}

fn mint(key: &SigningKey, changes: Value) -> String {
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "exp": now(600), "tenant": "blue",
    });
    let (Value::Object(mut claims), Value::Object(changes)) = (claims, changes) else { panic!("claims are an object") };
    for (name, value) in changes {
        claims.insert(name, value);
    }
    let claims: Map<_, _> = claims.into_iter().filter(|(_, value)| !value.is_null()).collect();
    key.mint(&claims).expect("a token")
}
