//! `ringside check`: whether a sidecar would run here and how, with everything that is wrong at once: in the
//! configuration, in the files it names, and with the platform.
//!
//! Nothing is listened on or connected to: the sidecar itself may be running.

mod cgroup;
mod json;
mod plan;
mod platform;
mod report;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

pub(super) use self::plan::demanded;
use self::plan::{Advice, Plan};
use self::platform::Platform;
use super::cli::Check;
use super::load::{self, LoadError};
use crate::config::{Config, Loaded, Problem, Problems, Source};
use crate::ring::engine::Engine;

/// Variables that count for a check of the platform alone. The rest of a configuration says nothing about that.
const VARIABLES: &str = "RINGSIDE_RUNTIME_";

/// A configuration that has nothing but its defaults.
const DEFAULTS: &str = "[app]\naddress = \"127.0.0.1:1\"\n";

/// Everything that a check found.
struct Report {
    /// Where the configuration comes from; `None`: there is none, only the platform was looked at.
    source: Option<Source>,
    /// What would run, in one line.
    summary: Option<String>,
    /// What is wrong with the configuration.
    problems: Vec<Problem>,
    /// What is unwise about it.
    warnings: Vec<Problem>,
    platform: Platform,
    /// What would run there; `None` when the configuration is wrong.
    plan: Option<Plan>,
    /// What of that does not go together.
    advice: Vec<Advice>,
}

/// What it all comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// A sidecar would run, on this engine.
    Ready(Engine),
    /// It would not.
    NotReady,
}

/// Checks configuration and platform, tells what it finds, and exits with the verdict.
pub fn check(args: &Check) -> ExitCode {
    let env: Vec<_> = std::env::vars_os().collect();
    let platform = Platform::look();
    let report = if args.platform {
        Report::of_platform(&env, platform)
    } else {
        Report::of(args.configured.source(&env), &env, platform)
    };
    let mut out = io::stdout().lock();
    let written = if args.json { json::write(&report, &mut out) } else { report::write(&report, &mut out) };
    match written {
        Ok(()) => ExitCode::from(report.verdict().exit_code()),
        // A reader that went away has seen what it wanted; the code is for the others.
        Err(_) => ExitCode::FAILURE,
    }
}

impl Report {
    /// Of a configuration on a platform.
    fn of(source: Source, env: &[(OsString, OsString)], platform: Platform) -> Self {
        let loaded = Config::load(&source, env.iter().cloned()).and_then(|loaded| deep(loaded, env));
        let report = Self { source: Some(source), ..Self::new(&loaded, platform) };
        match loaded {
            Ok(Loaded { config, warnings, .. }) => Self { summary: Some(config.summary()), warnings, ..report },
            Err(_) => report,
        }
    }

    /// Of the platform alone, with the defaults of a configuration and what the environment says about the runtime.
    fn of_platform(env: &[(OsString, OsString)], platform: Platform) -> Self {
        let counts = |name: &OsString| name.as_encoded_bytes().starts_with(VARIABLES.as_bytes());
        let env = env.iter().filter(|(name, _)| counts(name)).cloned();
        Self::new(&Config::parse(DEFAULTS, Path::new(""), env), platform)
    }

    /// What `loaded` says about `platform`.
    fn new(loaded: &Result<Loaded, Problems>, platform: Platform) -> Self {
        let (plan, problems) = match loaded {
            Ok(loaded) => (Some(Plan::of(&loaded.config.worker, &platform)), Vec::new()),
            Err(Problems(problems)) => (None, problems.clone()),
        };
        let advice = plan.as_ref().map_or(Vec::new(), |plan| plan.advice(&platform));
        Self { source: None, summary: None, problems, warnings: Vec::new(), platform, plan, advice }
    }

    fn verdict(&self) -> Verdict {
        self.plan.as_ref().and_then(Plan::engine).map_or(Verdict::NotReady, Verdict::Ready)
    }
}

impl Verdict {
    /// What the command line's help says about it.
    const fn exit_code(self) -> u8 {
        match self {
            Self::Ready(Engine::IoUring) => 0,
            Self::NotReady => 1,
            Self::Ready(Engine::Epoll) => 3,
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

    use super::platform::Platform;
    use super::platform::tests::{good, refusing};
    use super::{Engine, Report, Verdict, report};
    use crate::config::Source;
    use crate::jwt::mint::SigningKey;

    const APP: &str = "[app]\naddress = \"127.0.0.1:3000\"\n";

    /// What `text` comes to on `platform`, and what is told about it, with the file's directory left out.
    fn checked_on(platform: Platform, text: &str) -> (Verdict, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ringside.toml");
        fs::write(&file, text).unwrap();
        let (verdict, told) = reported(Source::File(file), &[], platform);
        (verdict, told.replace(&format!("{}/", dir.path().display()), ""))
    }

    /// Whether `text` is good, and what is told about it.
    fn checked(text: &str) -> (bool, String) {
        let (verdict, told) = checked_on(good(), text);
        (verdict != Verdict::NotReady, told)
    }

    fn reported(source: Source, env: &[(&str, &str)], platform: Platform) -> (Verdict, String) {
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let report = Report::of(source, &env, platform);
        let mut out = Vec::new();
        report::write(&report, &mut out).unwrap();
        (report.verdict(), String::from_utf8(out).unwrap())
    }

    #[test]
    fn reads_like_a_compiler() {
        let (good, told) = checked("[listen]\nadress = \"0.0.0.0:8443\"\n[app]\naddress = \"unix:a\"\n");
        assert!(!good);
        let problem = "error: listen.adress: unknown key\n --> ringside.toml:2:1\n  |\n2 | adress ...\n  | ^^^^^^\n\
                       help: did you mean \"address\"?\n\n";
        assert!(told.starts_with(&format!("{problem}kernel ")), "{told}");
        assert!(!told.contains("\nengine "), "what would run is not known: {told}");
        assert!(told.ends_with("\n\nringside.toml: not ready: 1 problem\n"), "{told}");
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
        assert!(
            !good && told.ends_with("ringside.toml: not ready: 2 problems\n") && !told.contains("hunter2"),
            "{told}"
        );
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
        let (verdict, told) = reported(Source::Environment, &[app], good());
        assert_eq!(verdict, Verdict::Ready(Engine::IoUring), "{told}");
        for place in [
            " --> environment variable RINGSIDE_TLS_CERTIFICATE\n",
            " --> environment variable RINGSIDE_AUTH_JWT_KEYS\n",
        ] {
            assert!(told.contains(place), "{told}");
        }
        let last = told.lines().last().unwrap();
        assert_eq!(
            last,
            "environment: ready on io_uring: ws://0.0.0.0:8443 -> 127.0.0.1:3000; no authentication; engine auto"
        );

        let dir = tempfile::tempdir().unwrap();
        let jwks = dir.path().join("jwks.json");
        fs::write(&jwks, "hunter2").unwrap();
        let jwks = jwks.to_str().unwrap();
        let (verdict, told) = reported(Source::Environment, &[app, ("RINGSIDE_AUTH_JWT_KEYS", jwks)], good());
        assert!(
            verdict == Verdict::NotReady
                && told.starts_with(&format!("error: auth.jwt.keys: {jwks}: neither PEM nor a JWK Set")),
            "{told}"
        );
        assert!(told.contains(&format!(" --> RINGSIDE_AUTH_JWT_KEYS={jwks:?}\n")), "{told}");
        assert!(told.ends_with("\n\nenvironment: not ready: 1 problem\n"), "{told}");
    }

    #[test]
    fn warns_and_sums_up() {
        let (verdict, told) = checked_on(good(), APP);
        assert_eq!(verdict, Verdict::Ready(Engine::IoUring));
        assert_eq!(told.matches("warning: ").count(), 2);
        let summary = "ws://0.0.0.0:8443 -> 127.0.0.1:3000; no authentication; engine auto";
        assert_eq!(told.lines().last().unwrap(), format!("ringside.toml: ready on io_uring: {summary}"));
    }

    #[test]
    fn the_verdict_follows_the_engine() {
        let with = |engine: &str| format!("{APP}[runtime]\nengine = \"{engine}\"\n");
        for (engine, platform, code, last) in [
            ("auto", good(), 0, "ready on io_uring: "),
            ("io_uring", good(), 0, "ready on io_uring: "),
            ("epoll", good(), 3, "ready on epoll: "),
            ("auto", refusing(), 3, "ready on epoll: "),
            ("epoll", refusing(), 3, "ready on epoll: "),
            ("io_uring", refusing(), 1, "not ready: 1 problem"),
        ] {
            let (verdict, told) = checked_on(platform, &with(engine));
            assert_eq!(verdict.exit_code(), code, "{told}");
            assert!(told.lines().last().unwrap().starts_with(&format!("ringside.toml: {last}")), "{told}");
        }
    }
}
