//! What a configuration names, read: certificates, keys, secrets. `run` starts with it, `check` looks whether it could.

use crate::config::{self, Config};
use crate::control::export::{self, ExportError, metrics};
use crate::control::subject::{self, Subjects};
use crate::jwt::keys::{self, Keys, Skipped};
use crate::jwt::verify::Verifier;
use crate::policy::identity::HeaderTwice;
use crate::policy::permit::Policy;
use crate::tls;
use crate::tls::acceptor::Acceptor;

/// What is wrong, and with which key.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {why}")]
pub struct LoadError {
    /// Path of the key: `tls.certificate`.
    pub key: &'static str,
    /// What is wrong with what the key names.
    pub why: Box<Why>,
}

/// What is wrong with what a key names. Says which file.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// A file of `[tls]`.
    #[error(transparent)]
    Tls(#[from] tls::acceptor::LoadError),
    /// A file of `[auth.jwt]`.
    #[error(transparent)]
    Keys(#[from] keys::LoadError),
    /// There is no file to take a key from.
    #[error("neither keys nor a secret is configured")]
    NoKeys,
    /// Two claims for one header.
    #[error(transparent)]
    Headers(#[from] HeaderTwice),
    /// Subjects cannot be hashed.
    #[error(transparent)]
    Subjects(#[from] subject::LoadError),
    /// Spans or metrics cannot be exported so.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// The TLS identity; `None` without `[tls]`.
pub fn acceptor(config: &Config) -> Result<Option<Acceptor>, LoadError> {
    use tls::acceptor::LoadError as Tls;
    let Some(tls) = &config.tls else { return Ok(None) };
    Acceptor::load(tls).map(Some).map_err(|error| {
        let key = match &error {
            Tls::Pem { path, .. } | Tls::Empty(path) if *path == tls.key => "tls.key",
            Tls::Pem { path, .. } | Tls::Empty(path) if Some(path) == tls.client_ca.as_ref() => "tls.client_ca",
            Tls::ClientCa { .. } => "tls.client_ca",
            Tls::Pem { .. } | Tls::Empty(_) | Tls::Identity { .. } | Tls::Provider(_) => "tls.certificate",
        };
        LoadError { key, why: Box::new(error.into()) }
    })
}

/// Who may come in, and what is worth a warning: each key of the key file that is not used.
pub fn policy(config: &Config) -> Result<(Policy, Vec<String>), LoadError> {
    let (verifier, skipped) = config.jwt.as_ref().map(verifier).transpose()?.unzip();
    let headers = |error: HeaderTwice| LoadError { key: "auth.jwt.claims_to_headers", why: Box::new(error.into()) };
    let policy = Policy::new(config.policy.clone(), verifier).map_err(headers)?;
    Ok((policy, skipped.unwrap_or_default().iter().map(Skipped::to_string).collect()))
}

/// What verifies tokens, and the keys of the key file that are not used.
pub fn verifier(jwt: &config::Jwt) -> Result<(Verifier, Vec<Skipped>), LoadError> {
    let wrong = |key| move |error: keys::LoadError| LoadError { key, why: Box::new(error.into()) };
    let public = jwt.keys.as_ref().map(|path| Keys::load(path, &jwt.algorithms));
    let secret = jwt.secret.as_ref().map(|path| Keys::load_secret(path, &jwt.algorithms));
    let public = public.transpose().map_err(wrong("auth.jwt.keys"))?;
    let secret = secret.transpose().map_err(wrong("auth.jwt.secret_file"))?;
    let (public, skipped) = public.map(|loaded| (loaded.keys, loaded.skipped)).unzip();
    let keys = match (public, secret) {
        (Some(public), Some(secret)) => public.and(secret),
        (Some(keys), None) | (None, Some(keys)) => keys,
        (None, None) => return Err(LoadError { key: "auth.jwt.keys", why: Box::new(Why::NoKeys) }),
    };
    Ok((Verifier::new(keys, jwt.verify.clone()), skipped.unwrap_or_default()))
}

/// How the log shows subjects.
pub fn subjects(config: &Config) -> Result<Subjects, LoadError> {
    let log = &config.log;
    Subjects::load(log.subject, log.subject_key.as_deref()).map_err(|error| {
        let key = match &error {
            subject::LoadError::File(_) | subject::LoadError::Short { .. } => "log.subject_key_file",
            subject::LoadError::Randomness => "log.subject",
        };
        LoadError { key, why: Box::new(error.into()) }
    })
}

/// Where spans go, by the configuration and the `variable`s of OpenTelemetry; `None`: nowhere.
pub fn traces(
    config: &Config,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Option<export::Config>, LoadError> {
    let traces = export::Config::resolve(config.traces.clone(), variable);
    let checked = traces.and_then(|traces| traces.as_ref().map_or(Ok(()), export::Config::check).map(|()| traces));
    checked.map_err(|error| blame(error, "telemetry.traces.protocol", "telemetry.traces.endpoint"))
}

/// The same for metrics.
pub fn metrics(
    config: &Config,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Option<metrics::Config>, LoadError> {
    let metrics = metrics::Config::resolve(config.metrics.clone(), variable);
    let checked = metrics.and_then(|metrics| metrics.as_ref().map_or(Ok(()), metrics::Config::check).map(|()| metrics));
    checked.map_err(|error| blame(error, "telemetry.metrics.protocol", "telemetry.metrics.endpoint"))
}

fn blame(error: ExportError, protocol: &'static str, endpoint: &'static str) -> LoadError {
    let key = match &error {
        ExportError::GrpcNotBuilt | ExportError::GrpcOverTls(_) => protocol,
        _ => endpoint,
    };
    LoadError { key, why: Box::new(error.into()) }
}

impl LoadError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self.key {
            "tls.certificate" => "put a PEM chain there, leaf first; the leaf and the key in tls.key must be a pair",
            "tls.key" => "put the unencrypted PEM private key of the certificate there",
            "tls.client_ca" => "put the PEM certificates of the authorities that sign client certificates there",
            "auth.jwt.keys" => "put a JWKS or PEM public keys there, for the algorithms in auth.jwt.algorithms",
            "auth.jwt.secret_file" => {
                "put a random secret there: 32 bytes or more for HS256, 48 for HS384, 64 for HS512"
            }
            "auth.jwt.claims_to_headers" => "give each claim a header of its own",
            "log.subject_key_file" => "put 32 random bytes or more there, the same for all that shall hash alike",
            "log.subject" => "name a key in log.subject_key_file, or write \"off\"",
            "telemetry.metrics.protocol" | "telemetry.metrics.endpoint" => {
                "mend the key or the environment variable, or remove [telemetry.metrics]"
            }
            _ => "mend the key or the environment variable, or remove [telemetry.traces]",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{LoadError, acceptor, metrics, policy, subjects, traces};
    use crate::config::Config;
    use crate::jwt::mint::SigningKey;

    const NO_ENV: [(&str, &str); 0] = [];
    const TLS: &str = "[tls]\ncertificate = \"a.crt\"\nkey = \"a.key\"\nclient_ca = \"ca.crt\"";

    fn config(text: &str, dir: &Path) -> Config {
        let text = format!("[app]\naddress = \"127.0.0.1:3000\"\n{text}\n");
        Config::parse(&text, &dir.join("ringside.toml"), NO_ENV).unwrap().config
    }

    fn told(error: &LoadError) -> (&'static str, String) {
        assert!(!error.help().is_empty());
        (error.key, error.why.to_string())
    }

    #[test]
    fn a_file_of_tls_is_blamed_at_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
        let [one, other] = [(), ()].map(|()| rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap());
        let config = config(TLS, dir);
        for (file, text, key, part) in [
            ("none", String::new(), "tls.certificate", "a.crt"),
            ("a.crt", one.cert.pem(), "tls.key", "a.key"),
            ("a.key", "hunter2".to_owned(), "tls.key", "a.key: no private key"),
            ("a.key", other.signing_key.serialize_pem(), "tls.client_ca", "ca.crt"),
            ("ca.crt", String::new(), "tls.client_ca", "ca.crt: no certificate"),
            ("ca.crt", other.cert.pem(), "tls.certificate", "a.crt with"),
        ] {
            write(file, &text);
            let (blamed, why) = told(&acceptor(&config).unwrap_err());
            assert_eq!(blamed, key, "{file}: {why}");
            assert!(why.contains(part) && !why.contains("hunter2"), "{why}");
        }
        write("a.key", &one.signing_key.serialize_pem());
        assert!(acceptor(&config).unwrap().is_some());
        assert!(acceptor(&self::config("", dir)).unwrap().is_none());
    }

    #[test]
    fn a_file_of_keys_is_blamed_at_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
        let both = "[auth.jwt]\nkeys = \"k\"\nsecret_file = \"s\"\nalgorithms = [\"ES256\", \"HS256\"]";
        let config = config(both, dir);
        write("s", "hunter2\n");
        assert_eq!(told(&policy(&config).unwrap_err()).0, "auth.jwt.keys");
        let jwks = SigningKey::generate().unwrap().jwks;
        write("k", &jwks);
        let (key, why) = told(&policy(&config).unwrap_err());
        assert!(key == "auth.jwt.secret_file" && why.contains("shorter") && !why.contains("hunter2"), "{key}: {why}");
        write("s", "thirty-two bytes or more, as HS256 needs\n");
        assert_eq!(policy(&config).unwrap().1, [""; 0]);
        write("k", &jwks.replace("\"keys\": [", "\"keys\": [{\"kty\": \"EC\", \"kid\": \"odd\"},"));
        let warnings = policy(&config).unwrap().1;
        assert!(warnings.len() == 1 && warnings[0].starts_with("key \"odd\" is not used"), "{warnings:?}");
        assert_eq!(policy(&self::config("", dir)).unwrap().1, [""; 0]);
    }

    #[test]
    fn a_key_of_subjects_is_blamed_at_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let with = |choice: &str| config(&format!("[log]\nsubject = \"{choice}\"\nsubject_key_file = \"s\""), dir);
        let hashed = with("hashed");
        let (key, why) = told(&subjects(&hashed).unwrap_err());
        assert!(key == "log.subject_key_file" && why.starts_with("cannot read ") && why.contains("/s: "), "{why}");
        fs::write(dir.join("s"), "hunter2\n").unwrap();
        let (key, why) = told(&subjects(&hashed).unwrap_err());
        assert!(key == "log.subject_key_file" && why.contains("/s holds 7 bytes"), "{why}");
        assert!(!why.contains("hunter2"), "{why}");
        assert!(subjects(&with("plain")).is_ok(), "it is not read");
        fs::write(dir.join("s"), "thirty-two bytes, no more of it!\n").unwrap();
        let shown = |config| subjects(config).unwrap().show("alice").unwrap().into_owned();
        assert_eq!(shown(&hashed), shown(&hashed));
    }

    #[test]
    fn spans_that_cannot_be_exported_are_told() {
        let table = |rest: &str| config(&format!("[telemetry.traces]\n{rest}"), Path::new(""));
        let over_tls = table("endpoint = \"https://collector.example\"\nprotocol = \"grpc\"");
        assert_eq!(told(&traces(&over_tls, |_| None).unwrap_err()).0, "telemetry.traces.protocol");
        let disabled = |name: &str| (name == "OTEL_SDK_DISABLED").then(|| "true".to_owned());
        assert_eq!(traces(&over_tls, disabled).unwrap(), None);
        let good = table("endpoint = \"https://collector.example\"");
        assert_eq!(traces(&good, |_| None).unwrap(), good.traces);
        let odd = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "collector:4318".to_owned());
        let (_, why) = told(&traces(&config("", Path::new("")), odd).unwrap_err());
        assert!(why.contains("http://"), "{why}");
    }

    #[test]
    fn metrics_that_cannot_be_exported_are_told() {
        let table = |rest: &str| config(&format!("[telemetry.metrics]\n{rest}"), Path::new(""));
        let over_tls = table("endpoint = \"https://collector.example\"\nprotocol = \"grpc\"");
        assert_eq!(told(&metrics(&over_tls, |_| None).unwrap_err()).0, "telemetry.metrics.protocol");
        let good = table("endpoint = \"https://collector.example\"");
        assert_eq!(metrics(&good, |_| None).unwrap(), good.metrics);
        let odd = |name: &str| (name == "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT").then(|| "c/v1/metrics".to_owned());
        let error = metrics(&config("", Path::new("")), odd).unwrap_err();
        assert!(error.key == "telemetry.metrics.endpoint" && error.help().contains("[telemetry.metrics]"), "{error}");
    }
}
