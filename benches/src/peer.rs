//! The peers: other proxies, as their own documentation wants them set up for WebSocket.
//!
//! All of them terminate TLS 1.3 with the same certificate, resume by ticket, log no access, check the token where they
//! can, and take the upgrade to the app's Unix socket with one worker on one core. What their documentation does not
//! advise otherwise is at its default.

mod caddy;
mod envoy;
mod haproxy;
mod nginx;

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fault;
use crate::files::Files;

/// What one has to know to run a peer.
pub struct Peer {
    /// Its name, which is that of its program.
    pub name: &'static str,
    /// How it is installed.
    pub install: &'static str,
    /// Whether it can check a token.
    pub checks_token: bool,
    /// What makes it tell its version.
    version: &'static str,
    /// Gives the command what it needs to serve a site, and writes its configuration.
    configure: fn(&mut Command, &Site<'_>) -> Result<(), Fault>,
}

/// Where and how a peer serves.
struct Site<'s> {
    files: &'s Files,
    address: SocketAddr,
    workers: usize,
}

/// All peers.
pub const ALL: [Peer; 4] = [envoy::PEER, haproxy::PEER, nginx::PEER, caddy::PEER];

/// A peer that is here.
pub struct Installed {
    /// Which one.
    pub peer: &'static Peer,
    /// What it says its version is.
    pub version: String,
    program: PathBuf,
}

impl Peer {
    /// Looks for it: at `given`, where `benches/peers` puts it, or in the `PATH`. `None` when it is not here.
    ///
    /// # Errors
    /// When `given` does not tell its version.
    pub fn find(&'static self, given: Option<&Path>) -> Result<Option<Installed>, Fault> {
        let path = env::var_os("PATH").unwrap_or_default();
        let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/bin");
        let places = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        let found = || [fetched].into_iter().chain(places).map(|dir| dir.join(self.name)).find(|file| file.is_file());
        let Some(program) = given.map(Path::to_path_buf).or_else(found) else { return Ok(None) };
        let told = Command::new(&program).arg(self.version).output();
        let told = told.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let text = [told.stdout, told.stderr].concat();
        let version = version(&String::from_utf8_lossy(&text));
        let version = version.ok_or_else(|| format!("{} does not tell its version", program.display()))?;
        Ok(Some(Installed { peer: self, version, program }))
    }
}

impl Installed {
    /// The command that serves at `address`, its configuration written.
    pub fn command(&self, files: &Files, address: SocketAddr, workers: usize) -> Result<Command, Fault> {
        let mut command = Command::new(&self.program);
        (self.peer.configure)(&mut command, &Site { files, address, workers })?;
        Ok(command)
    }
}

impl Site<'_> {
    /// Writes a file for the peer, and says where it is.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf, Fault> {
        let file = self.files.path(&format!("{}-{name}", self.address.port()));
        std::fs::write(&file, text)?;
        Ok(file)
    }

    /// A file of the run, as it stands in a configuration.
    fn path(&self, name: &str) -> String {
        self.files.path(name).display().to_string()
    }
}

/// The first number with dots in what a program says of its version.
fn version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    let told = line.rsplit_once("version").map_or(line, |(_, told)| told);
    told.split(|c: char| c.is_whitespace() || c == '/')
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
        .map(String::from)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{ALL, Site, version};
    use crate::files::Files;

    #[test]
    fn versions_are_found_in_what_the_peers_say() {
        for (said, told) in [
            ("\n/opt/3.11/envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n", "1.40.0"),
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\nStatus: 1.2", "2.6.12-1+deb12u4"),
            ("v2.11.7 h1:yj0Y4fYZ=\n", "2.11.7"),
        ] {
            assert_eq!(version(said).as_deref(), Some(told), "{said}");
        }
        assert_eq!(version("command not found"), None);
    }

    #[test]
    fn configurations_name_the_address_the_app_and_the_issuers_key_where_it_is_checked() {
        let files = Files::new().unwrap();
        for (port, peer) in (7000..).zip(&ALL) {
            let address = ([127, 0, 0, 1], port).into();
            (peer.configure)(&mut Command::new("true"), &Site { files: &files, address, workers: 1 }).unwrap();
            let written: String = std::fs::read_dir(files.path(""))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|file| file.file_name().unwrap().to_string_lossy().starts_with(&port.to_string()))
                .filter(|file| file.is_file())
                .map(|file| std::fs::read_to_string(file).unwrap())
                .collect();
            assert!(written.contains(&port.to_string()), "{}: {written}", peer.name);
            assert!(written.contains("app.sock"), "{}: {written}", peer.name);
            let issuer = written.contains("issuer.pem") || written.contains("\\\"kty\\\"");
            assert_eq!(issuer, peer.checks_token, "{}: {written}", peer.name);
        }
    }
}
