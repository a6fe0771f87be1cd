//! Which sidecar is meant.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::super::cli::Top;
use crate::config::{Config, Problems, keys};

/// Where a sidecar's admin endpoint is when nothing says where: the default of `admin.address`.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// Why it is not known whom to ask.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    #[error("--admin {0:?} is no address: write HOST:PORT, such as {USUAL}")]
    Form(String),
    #[error("--admin {0:?}: no such host: {1}")]
    Host(String, io::Error),
    #[error("cannot read {}: {error}; name the sidecar's admin endpoint with --admin instead", file.display())]
    Read { file: PathBuf, error: io::Error },
    #[error("{} is wrong, as `ringside check` tells:\n{problems}", file.display())]
    Config { file: PathBuf, problems: Problems },
    #[error(
        "{} has no admin endpoint to ask: put [admin] with address = \"{USUAL}\" into it and start the sidecar again",
        .0.display()
    )]
    NoAdmin(PathBuf),
}

/// The admin endpoint that the command line names, else that of the configuration. Without either it is the usual one.
pub(super) fn find(args: &Top, env: &[(OsString, OsString)]) -> Result<SocketAddr, TargetError> {
    if let Some(admin) = &args.admin {
        return resolve(admin);
    }
    let variable = env.iter().find(|(name, _)| name == keys::FILE).map(|(_, value)| value.clone());
    let named = args.configured.named(variable.clone());
    let file = args.configured.file(variable);
    match fs::read_to_string(&file) {
        Ok(text) => configured(&text, file, env),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(USUAL),
        Err(error) => Err(TargetError::Read { file, error }),
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

fn configured(text: &str, file: PathBuf, env: &[(OsString, OsString)]) -> Result<SocketAddr, TargetError> {
    // Not loaded: whoever looks may not read the files that it names.
    match Config::parse(text, Path::new(&file), env.iter().cloned()) {
        Ok(loaded) => match loaded.config.admin {
            Some(admin) => Ok(near(admin.address)),
            None => Err(TargetError::NoAdmin(file)),
        },
        Err(problems) => Err(TargetError::Config { file, problems }),
    }
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

    use super::super::super::cli::{Cli, Command};
    use super::{USUAL, find};
    use crate::config::keys;

    const APP: &str = "[app]\naddress = \"127.0.0.1:3000\"\n";

    fn found(line: &str, env: &[(&str, &str)]) -> Result<String, String> {
        let words = ["ringside", "top"].into_iter().chain(line.split_whitespace());
        let Command::Top(top) = Cli::try_parse_from(words).unwrap().command else { panic!("not top") };
        let env: Vec<_> = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        find(&top, &env).map(|address| address.to_string()).map_err(|error| error.to_string())
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
}
