//! Which sidecar is meant.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::{fs, io};

use crate::app::cli::Sidecar;
use crate::config::{Config, Loaded, Problems, Source};

/// Where a sidecar's admin endpoint is when nothing says where: the default of `admin.address`.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// Why it is not known whom to ask.
#[derive(Debug, thiserror::Error)]
pub(in crate::app) enum TargetError {
    #[error("--admin {0:?} is no address: write HOST:PORT, such as {USUAL}")]
    Form(String),
    #[error("--admin {0:?}: no such host: {1}")]
    Host(String, io::Error),
    #[error("cannot read {}: {error}; name the sidecar's admin endpoint with --admin instead", file.display())]
    Read { file: PathBuf, error: io::Error },
    #[error("{from} is wrong, as `ringside check` tells:\n{problems}")]
    Config { from: Source, problems: Problems },
    #[error("{0} has no admin endpoint to ask: {how} and start the sidecar again", how = remedy(.0))]
    NoAdmin(Source),
}

/// The admin endpoint that the command line names, else that of the configuration. Without either it is the usual one.
pub(in crate::app) fn find(args: &Sidecar, env: &[(OsString, OsString)]) -> Result<SocketAddr, TargetError> {
    if let Some(admin) = &args.admin {
        return resolve(admin);
    }
    let is_named = args.configured.named(env).is_some();
    match configured(args.configured.source(env), env) {
        Err(TargetError::Read { error, .. }) if !is_named && error.kind() == io::ErrorKind::NotFound => Ok(USUAL),
        found => found,
    }
}

fn configured(from: Source, env: &[(OsString, OsString)]) -> Result<SocketAddr, TargetError> {
    let env = env.iter().cloned();
    // Not loaded: whoever looks may not read the files that it names.
    let parsed = match &from {
        Source::Environment => Config::parse_env(env),
        Source::File(file) => match fs::read_to_string(file) {
            Ok(text) => Config::parse(&text, file, env),
            Err(error) => return Err(TargetError::Read { file: file.clone(), error }),
        },
    };
    match parsed {
        Ok(Loaded { config, .. }) => config.admin.map(|admin| near(admin.address)).ok_or(TargetError::NoAdmin(from)),
        Err(problems) => Err(TargetError::Config { from, problems }),
    }
}

/// How to get an admin endpoint into this configuration.
fn remedy(from: &Source) -> String {
    match from {
        Source::File(_) => format!("put [admin] with address = \"{USUAL}\" into it"),
        Source::Environment => format!("set RINGSIDE_ADMIN_ADDRESS={USUAL}"),
    }
}

/// The name is resolved here: the endpoint answers those only who call it by an address.
fn resolve(admin: &str) -> Result<SocketAddr, TargetError> {
    let (host, port) = admin.rsplit_once(':').ok_or_else(|| TargetError::Form(admin.into()))?;
    let port: u16 = port.parse().map_err(|_| TargetError::Form(admin.into()))?;
    let host = host.trim_matches(['[', ']']);
    let mut found = (host, port).to_socket_addrs().map_err(|error| TargetError::Host(admin.into(), error))?;
    let found = found.next().ok_or_else(|| TargetError::Host(admin.into(), io::ErrorKind::NotFound.into()))?;
    Ok(near(found))
}

/// Who listens on every address can be asked on loopback.
fn near(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use clap::Parser as _;

    use super::{USUAL, configured, find};
    use crate::app::cli::{Cli, Command};
    use crate::config::{Source, keys};

    const APP: &str = "[app]\naddress = \"127.0.0.1:3000\"\n";

    fn os(env: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
    }

    fn found(line: &str, env: &[(&str, &str)]) -> Result<String, String> {
        let words = ["ringside", "top"].into_iter().chain(line.split_whitespace());
        let Command::Top(top) = Cli::try_parse_from(words).unwrap().command else { panic!("not top") };
        find(&top.sidecar, &os(env)).map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_usual_address_is_the_default_of_its_key() {
        let key = keys::KEYS.iter().find(|key| key.path == "admin.address").unwrap();
        assert_eq!(key.default, Some(format!("\"{USUAL}\"").as_str()));
    }

    #[test]
    fn an_address_may_be_named() {
        assert_eq!(found("--admin 192.0.2.7:99", &[]).unwrap(), "192.0.2.7:99");
        assert_eq!(found("--admin [::1]:99", &[]).unwrap(), "[::1]:99");
        assert_eq!(found("--admin 0.0.0.0:99", &[]).unwrap(), "127.0.0.1:99");
        for wrong in ["9901", "127.0.0.1", "a:b", "http://a/"] {
            let error = found(&format!("--admin {wrong}"), &[]).unwrap_err();
            assert!(error.contains("write HOST:PORT, such as 127.0.0.1:9901"), "{error}");
        }
    }

    #[test]
    fn else_the_configuration_knows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sidecar.toml");
        let file = path.to_str().unwrap();
        let named = format!("--config {file}");
        fs::write(
            &path,
            format!("{APP}[admin]\naddress = \"[::]:99\"\n[tls]\ncertificate = \"gone\"\nkey = \"gone\"\n"),
        )
        .unwrap();
        assert_eq!(found(&named, &[]).unwrap(), "[::1]:99");
        assert_eq!(found("", &[("RINGSIDE_CONFIG", file)]).unwrap(), "[::1]:99");
        assert_eq!(found(&named, &[("RINGSIDE_ADMIN_ADDRESS", "127.0.0.1:98")]).unwrap(), "127.0.0.1:98");
        fs::write(&path, APP).unwrap();
        let error = found(&named, &[]).unwrap_err();
        assert!(error.contains("sidecar.toml has no admin endpoint") && error.contains("put [admin] with"), "{error}");
        fs::write(&path, "[app]\n").unwrap();
        assert!(found(&named, &[]).unwrap_err().contains("app.address"));
        fs::remove_file(&path).unwrap();
        assert!(found(&named, &[]).unwrap_err().contains("name the sidecar's admin endpoint with --admin"));
    }

    #[test]
    fn the_environment_alone_may_be_the_configuration() {
        let app = ("RINGSIDE_APP_ADDRESS", "127.0.0.1:3000");
        let admin = ("RINGSIDE_ADMIN_ADDRESS", "127.0.0.1:98");
        let found = |env: &[(&str, &str)]| configured(Source::Environment, &os(env)).map_err(|error| error.to_string());
        assert_eq!(found(&[app, admin]).unwrap().to_string(), "127.0.0.1:98");
        let error = found(&[app]).unwrap_err();
        let start = "environment has no admin endpoint to ask: set RINGSIDE_ADMIN_ADDRESS=127.0.0.1:9901";
        assert!(error.starts_with(start), "{error}");
        let error = found(&[admin]).unwrap_err();
        assert!(error.contains("RINGSIDE_APP_ADDRESS"), "{error}");
    }
}
