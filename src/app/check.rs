//! `ringside check`: everything that is wrong with a configuration, at once.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use super::cli::Configured;
use super::load::{self, LoadError};
use crate::config::{Config, Loaded, Problem, Problems, Source};

/// Checks the configuration, tells what it finds, and fails when something is wrong.
pub fn check(args: &Configured) -> ExitCode {
    let env: Vec<_> = std::env::vars_os().collect();
    match report(&args.source(&env), &env, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        // A reader that went away has seen what it wanted; the code is for the others.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// Writes what is wrong and what is unwise about the configuration in `source` to `out`, and whether it would run.
fn report(source: &Source, env: &[(OsString, OsString)], out: &mut impl Write) -> io::Result<bool> {
    let loaded = Config::load(source, env.iter().cloned()).and_then(|loaded| deep(loaded, env));
    match loaded {
        Ok(Loaded { config, warnings, .. }) => {
            tell("warning", &warnings, out)?;
            writeln!(out, "{source}: good: {}", config.summary())?;
            Ok(true)
        }
        Err(Problems(problems)) => {
            tell("error", &problems, out)?;
            let plural = if problems.len() == 1 { "" } else { "s" };
            writeln!(out, "{source}: {} problem{plural}", problems.len())?;
            Ok(false)
        }
    }
}

/// Writes each problem with the line it stands on, and a blank line behind it.
pub fn tell(severity: &str, problems: &[Problem], out: &mut impl Write) -> io::Result<()> {
    problems.iter().try_for_each(|problem| writeln!(out, "{severity}: {problem:#}\n"))
}

/// The same with a warning for each key that is not used; otherwise what is wrong inside the files that it names.
///
/// Looked at only when the configuration itself is good.
fn deep(mut loaded: Loaded, env: &[(OsString, OsString)]) -> Result<Loaded, Problems> {
    let config = &loaded.config;
    let variable = |name: &str| env.iter().find(|(known, _)| known == name)?.1.to_str().map(String::from);
    let (unused, policy) = match load::policy(config) {
        Ok((_, unused)) => (unused, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let (spans, metrics) = (load::traces(config, variable).err(), load::metrics(config, variable).err());
    let wrong = [load::acceptor(config).err(), policy, spans, metrics, load::subjects(config).err()];
    let problem = |error: LoadError| loaded.problem(error.key, error.why.to_string(), error.help());
    let problems: Vec<_> = wrong.into_iter().flatten().map(problem).collect();
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let help = "mend or remove it in the file; tokens that it signed are refused";
    let unused: Vec<_> = unused.into_iter().map(|what| loaded.problem("auth.jwt.keys", what, help)).collect();
    loaded.warnings.extend(unused);
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::report;
    use crate::config::Source;
    use crate::jwt::mint::SigningKey;

    /// Whether `text` is good, and what is told about it, with the file's directory left out.
    fn checked(text: &str) -> (bool, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ringside.toml");
        fs::write(&file, text).unwrap();
        let (good, told) = reported(&Source::File(file), &[]);
        (good, told.replace(&format!("{}/", dir.path().display()), ""))
    }

    fn reported(source: &Source, env: &[(&str, &str)]) -> (bool, String) {
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut out = Vec::new();
        let good = report(source, &env, &mut out).unwrap();
        (good, String::from_utf8(out).unwrap())
    }

    #[test]
    fn reads_like_a_compiler() {
        let (good, told) = checked("[listen]\nadress = \"0.0.0.0:8443\"\n[app]\naddress = \"unix:a\"\n");
        assert!(!good);
        assert_eq!(
            told,
            "error: listen.adress: unknown key\n --> ringside.toml:2:1\n  |\n2 | adress ...\n  | ^^^^^^\n\
             help: did you mean \"address\"?\n\nringside.toml: 1 problem\n"
        );
    }

    #[test]
    fn looks_into_the_files_and_points_at_their_keys() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["tls.crt", "tls.key", "jwks.json"] {
            fs::write(dir.path().join(name), "hunter2").unwrap();
        }
        let path = |name: &str| format!("{}/{name}", dir.path().display());
        let (crt, key, jwks) = (path("tls.crt"), path("tls.key"), path("jwks.json"));
        let (good, told) = checked(&format!(
            "[app]\naddress = \"127.0.0.1:3000\"\n[tls]\ncertificate = {crt:?}\nkey = {key:?}\n\
             [auth.jwt]\nkeys = {jwks:?}\n"
        ));
        assert!(!good && told.ends_with("ringside.toml: 2 problems\n") && !told.contains("hunter2"), "{told}");
        assert!(told.starts_with(&format!("error: tls.certificate: {crt}: no certificate\n --> ringside.toml:4:15\n")));
        assert!(told.contains(&format!("error: auth.jwt.keys: {jwks}: neither PEM nor a JWK Set")), "{told}");
        assert!(told.contains(" --> ringside.toml:7:8\n"), "{told}");
    }

    #[test]
    fn warns_of_keys_that_are_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let jwks = dir.path().join("jwks.json");
        let odd = SigningKey::generate().unwrap().jwks.replace('[', "[{\"kty\": \"EC\", \"kid\": \"odd\"},");
        fs::write(&jwks, odd).unwrap();
        let (good, told) = checked(&format!("[app]\naddress = \"127.0.0.1:3000\"\n[auth.jwt]\nkeys = {jwks:?}\n"));
        assert!(good && told.contains("warning: auth.jwt.keys: key \"odd\" is not used"), "{told}");
    }

    #[test]
    fn without_a_file_it_points_at_variables() {
        let app = ("RINGSIDE_APP_ADDRESS", "127.0.0.1:3000");
        let (good, told) = reported(&Source::Environment, &[app]);
        assert!(good, "{told}");
        for place in [
            " --> environment variable RINGSIDE_TLS_CERTIFICATE\n",
            " --> environment variable RINGSIDE_AUTH_JWT_KEYS\n",
        ] {
            assert!(told.contains(place), "{told}");
        }
        let last = told.lines().last().unwrap();
        assert_eq!(last, "environment: good: ws://0.0.0.0:8443 -> 127.0.0.1:3000; no authentication; engine auto");

        let dir = tempfile::tempdir().unwrap();
        let jwks = dir.path().join("jwks.json");
        fs::write(&jwks, "hunter2").unwrap();
        let jwks = jwks.to_str().unwrap();
        let (good, told) = reported(&Source::Environment, &[app, ("RINGSIDE_AUTH_JWT_KEYS", jwks)]);
        assert!(
            !good && told.starts_with(&format!("error: auth.jwt.keys: {jwks}: neither PEM nor a JWK Set")),
            "{told}"
        );
        assert!(told.contains(&format!(" --> RINGSIDE_AUTH_JWT_KEYS={jwks:?}\n")), "{told}");
        assert!(told.ends_with("\n\nenvironment: 1 problem\n"), "{told}");
    }

    #[test]
    fn warns_and_sums_up() {
        let (good, told) = checked("[app]\naddress = \"127.0.0.1:3000\"\n");
        assert!(good);
        assert_eq!(told.matches("warning: ").count(), 2);
        let last = told.lines().last().unwrap();
        assert_eq!(last, "ringside.toml: good: ws://0.0.0.0:8443 -> 127.0.0.1:3000; no authentication; engine auto");
    }
}
