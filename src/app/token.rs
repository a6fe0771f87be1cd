//! `ringside token`: tokens for development, and the key that signs them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::cli::Token;
use crate::jwt::keys::{self, LoadError};
use crate::jwt::mint::{Generated, MintError, SigningKey};
use crate::time::UnixTime;

/// Why there is no token, or no key.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("{}: {error}", file.display())]
    File { file: PathBuf, error: io::Error },
    #[error(transparent)]
    Secret(#[from] LoadError),
    #[error("{}: {error}", file.display())]
    Key { file: PathBuf, error: MintError },
    #[error("no key could be made: {0}")]
    Generate(MintError),
}

/// Prints a token, or writes a key and its JWKS.
pub fn token(args: &Token) -> ExitCode {
    let told = match (&args.generate, &args.key) {
        (Some(dir), _) => generate(dir),
        (None, Some(file)) => mint(file, args, SystemTime::now().into()),
        // The command line requires one of the two.
        (None, None) => return ExitCode::from(2),
    };
    let written = match told {
        Ok(text) => writeln!(io::stdout(), "{text}").map(|()| ExitCode::SUCCESS),
        Err(error) => writeln!(io::stderr(), "error: {error}").map(|()| ExitCode::FAILURE),
    };
    written.unwrap_or(ExitCode::FAILURE)
}

/// A token signed with the private key, or with the secret of an HS algorithm, in `file`.
fn mint(file: &Path, args: &Token, now: UnixTime) -> Result<String, TokenError> {
    let id = args.kid.clone();
    let key = if let Some(alg) = args.alg.filter(|alg| alg.is_hmac()) {
        SigningKey::from_secret(&keys::read_secret(file)?, alg, id)
    } else {
        let pem = fs::read(file).map_err(|error| TokenError::File { file: file.into(), error })?;
        SigningKey::from_pem(&pem, args.alg, id)
    };
    key.and_then(|key| key.mint(&claims(args, now))).map_err(|error| TokenError::Key { file: file.into(), error })
}

fn claims(args: &Token, now: UnixTime) -> Map<String, Value> {
    let mut claims: Map<String, Value> = args.claims.iter().cloned().collect();
    claims.insert("sub".into(), args.sub.clone().into());
    claims.insert("iat".into(), now.secs().into());
    claims.insert("exp".into(), now.saturating_add(args.ttl).secs().into());
    if let Some(iss) = &args.iss {
        claims.insert("iss".into(), iss.clone().into());
    }
    match args.aud.as_slice() {
        [] => None,
        [one] => claims.insert("aud".into(), one.clone().into()),
        many => claims.insert("aud".into(), many.into()),
    };
    claims
}

/// Writes a fresh ES256 key and its JWKS into `dir`, and says what to do next.
fn generate(dir: &Path) -> Result<String, TokenError> {
    let Generated { private_pem, jwks, .. } = SigningKey::generate().map_err(TokenError::Generate)?;
    // Absolute, so that what is printed is right wherever the configuration lies.
    let dir = std::path::absolute(dir).map_err(|error| TokenError::File { file: dir.into(), error })?;
    let (private, public) = (dir.join("private.pem"), dir.join("jwks.json"));
    // Both or none: a JWKS without its key would only puzzle.
    if let Some(file) = [&public, &private].into_iter().find(|file| file.exists()) {
        return Err(TokenError::File { file: file.clone(), error: io::ErrorKind::AlreadyExists.into() });
    }
    fs::create_dir_all(&dir).map_err(|error| TokenError::File { file: dir.clone(), error })?;
    create(&private, 0o600, &private_pem)?;
    create(&public, 0o644, &jwks)?;
    Ok(format!(
        "wrote {private} (keep it to yourself) and {public}\n\
         put into the configuration:\n\n\
         [auth.jwt]\nkeys = {public:?}\nalgorithms = [\"ES256\"]\naudience = \"chat\"\n\n\
         and mint a token:\n\n\
         ringside token --key {private} --aud chat",
        private = private.display(),
        public = public.display().to_string(),
    ))
}

fn create(file: &Path, mode: u32, text: &str) -> Result<(), TokenError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(file)
        .and_then(|mut open| open.write_all(text.as_bytes()))
        .map_err(|error| TokenError::File { file: file.into(), error })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::time::Duration;

    use serde_json::json;

    use super::{Token, generate, mint};
    use crate::jwt::algorithm::Algorithm;
    use crate::jwt::keys::Keys;
    use crate::jwt::verify::{Config, Verifier};
    use crate::time::UnixTime;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn args(alg: Option<Algorithm>) -> Token {
        Token {
            key: None,
            alg,
            kid: None,
            iss: Some("me".into()),
            aud: vec!["chat".into()],
            sub: "ann".into(),
            ttl: Duration::from_secs(60),
            claims: vec![("tenant".into(), json!("acme"))],
            generate: None,
        }
    }

    /// Accepts what `args` ask for.
    fn verifier(keys: Keys) -> Verifier {
        let config = Config { issuer: vec!["me".into()], audience: vec!["chat".into()], leeway: Duration::ZERO };
        Verifier::new(keys, config).keeping(["tenant"])
    }

    fn public_keys(dir: &Path) -> Keys {
        Keys::load(&dir.join("jwks.json"), &[Algorithm::Es256]).unwrap().keys
    }

    #[test]
    fn a_generated_key_signs_what_its_jwks_verifies() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("keys");
        let told = generate(&dir).unwrap();
        let private = dir.join("private.pem");
        assert!(told.contains("private.pem") && !told.contains("BEGIN"));
        assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);

        let token = mint(&private, &args(None), NOW).unwrap();
        let verified = verifier(public_keys(&dir)).verify(&token, NOW).unwrap();
        assert_eq!((verified.subject(), verified.expires().secs()), (Some("ann"), NOW.secs() + 60));
        assert_eq!(verified.claim("tenant"), Some(&json!("acme")));
    }

    #[test]
    fn a_file_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        generate(dir.path()).unwrap();
        let before = fs::read(dir.path().join("private.pem")).unwrap();
        assert!(generate(dir.path()).unwrap_err().to_string().contains("already exists"));
        fs::remove_file(dir.path().join("jwks.json")).unwrap();
        assert!(generate(dir.path()).is_err());
        assert_eq!(fs::read(dir.path().join("private.pem")).unwrap(), before);
        assert!(!dir.path().join("jwks.json").exists());
    }

    #[test]
    fn a_secret_is_read_as_the_server_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hs.secret");
        fs::write(&file, "thirty-two bytes or more, as HS256 needs\n").unwrap();
        let token = mint(&file, &args(Some(Algorithm::Hs256)), NOW).unwrap();
        let keys = Keys::load_secret(&file, &[Algorithm::Hs256]).unwrap();
        assert!(verifier(keys).verify(&token, NOW).is_ok());
    }

    #[test]
    fn says_which_file_and_never_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("k.pem");
        let algorithms = [None, Some(Algorithm::Rs256), Some(Algorithm::EdDsa), Some(Algorithm::Hs256)];
        for alg in algorithms {
            assert!(mint(&file, &args(alg), NOW).unwrap_err().to_string().contains("k.pem"));
        }
        fs::write(&file, "hunter2").unwrap();
        for alg in algorithms {
            let error = mint(&file, &args(alg), NOW).unwrap_err();
            assert!(error.to_string().contains("k.pem: "), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
