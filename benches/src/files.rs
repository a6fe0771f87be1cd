//! Certificate, keys and tokens of a run, in a directory that goes with it.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertifiedKey, KeyPair, PKCS_RSA_SHA256};
use serde_json::json;
use tempfile::TempDir;

use crate::Fault;
use crate::client::Target;

/// Who issues the tokens.
pub const ISSUER: &str = "https://issuer.example";

/// For whom they are.
pub const AUDIENCE: &str = "bench";

/// The files of a run: `tls.crt` and `tls.key`, both of them in `tls.pem`; the issuer's public key in `issuer.pem`.
pub struct Files {
    dir: TempDir,
    certificate: String,
    signer: EncodingKey,
    stranger: EncodingKey,
}

impl Files {
    /// Makes them all.
    pub fn new() -> Result<Self, Fault> {
        let dir = tempfile::tempdir()?;
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        fs::write(dir.path().join("tls.crt"), &certificate)?;
        fs::write(dir.path().join("tls.key"), &key)?;
        fs::write(dir.path().join("tls.pem"), format!("{certificate}{key}"))?;
        let signer = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        fs::write(dir.path().join("issuer.pem"), signer.public_key_pem())?;
        let signer = EncodingKey::from_rsa_pem(signer.serialize_pem().as_bytes())?;
        let stranger = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        let stranger = EncodingKey::from_rsa_pem(stranger.serialize_pem().as_bytes())?;
        Ok(Self { dir, certificate, signer, stranger })
    }

    /// The app's socket, or another file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a configuration of Ringside, and says where: TLS, RS256; everything else at its default.
    pub fn configuration(&self, address: SocketAddr, engine: &str, workers: usize) -> Result<PathBuf, Fault> {
        let file = self.path(&format!("{engine}-{}.toml", address.port()));
        let mut text = String::new();
        writeln!(text, "[listen]\naddress = \"{address}\"")?;
        writeln!(text, "[tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"")?;
        writeln!(text, "[app]\naddress = \"unix:app.sock\"")?;
        writeln!(text, "[auth.jwt]\nkeys = \"issuer.pem\"\nalgorithms = [\"RS256\"]")?;
        writeln!(text, "issuer = \"{ISSUER}\"\naudience = [\"{AUDIENCE}\"]")?;
        writeln!(text, "[runtime]\nengine = \"{engine}\"\nworkers = {workers}")?;
        fs::write(&file, text)?;
        Ok(file)
    }

    /// The issuer's public key as a JWKS.
    pub fn jwks(&self) -> Result<String, Fault> {
        let key = Jwk::from_encoding_key(&self.signer, Algorithm::RS256)?;
        Ok(serde_json::to_string(&JwkSet { keys: vec![key] })?)
    }

    /// What a client of `subject` needs to connect to `address`.
    pub fn target(&self, address: SocketAddr, subject: &str) -> Result<Target, Fault> {
        let token = token(&self.signer, subject)?;
        Ok(Target { address, certificate: self.certificate.clone(), token })
    }

    /// The same with a token that somebody else has signed.
    pub fn forged(&self, address: SocketAddr) -> Result<Target, Fault> {
        let token = token(&self.stranger, "load")?;
        Ok(Target { address, certificate: self.certificate.clone(), token })
    }
}

fn token(signer: &EncodingKey, subject: &str) -> Result<String, Fault> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 24 * 60 * 60 });
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, signer)?)
}
