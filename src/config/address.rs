//! Where others listen and where we do, and whether two addresses are the same.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::keys;
use crate::upstream::Address;

/// Bytes of `sun_path` (unix(7)); the last one is the NUL that ends it.
const SUN_PATH: usize = 108;

/// Where we are to listen; when it is no address, that is found, and any will do.
pub(super) fn listen(key: &'static str, text: &str, findings: &mut Findings<'_>) -> SocketAddr {
    text.parse().unwrap_or_else(|_| {
        findings.wrong(key, "not an IP address and a port", format!("write {}", keys::Kind::Listen.form()));
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    })
}

/// The app's address, and otherwise what is wrong and what to do.
pub(super) fn app(text: &str, base: &Path) -> Result<Address, (String, String)> {
    const FORM: &str = "write unix:PATH or HOST:PORT, such as \"unix:app.sock\" or \"127.0.0.1:3000\"";
    let wrong = |what: &str, help: &str| Err((what.to_owned(), help.to_owned()));
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path, base);
    }
    if let Some((_, rest)) = text.split_once("://") {
        return wrong("has a scheme", &format!("leave it out: \"{}\"", rest.trim_end_matches('/')));
    }
    if text.starts_with(['/', '.']) {
        return wrong("looks like a path", &format!("for a Unix socket write \"unix:{text}\""));
    }
    let Some((host, port)) = text.rsplit_once(':') else { return wrong("has no port", FORM) };
    if host.is_empty() {
        return wrong("has no host", FORM);
    }
    match port.parse::<u16>() {
        Err(_) => return wrong("has no port between 1 and 65535", FORM),
        Ok(0) => return wrong("has port 0, where nothing can listen", FORM),
        Ok(_) => {}
    }
    match text.to_socket_addrs().map(Vec::from_iter) {
        Ok(found) if found.is_empty() => wrong("is a host name without an address", FORM),
        Ok(found) => Ok(Address::Tcp(found)),
        Err(error) => {
            Err((format!("cannot be resolved: {error}"), "mend the host name, or write an IP address".into()))
        }
    }
}

fn unix(path: &str, base: &Path) -> Result<Address, (String, String)> {
    if path.is_empty() || path.starts_with('@') || path.contains('\0') {
        let help = "write unix:PATH with the path of a socket file; abstract sockets are not supported";
        return Err(("names no socket file".into(), help.into()));
    }
    let path = base.join(path);
    let length = path.as_os_str().len();
    if length >= SUN_PATH {
        let what = format!("is a path of {length} bytes; a Unix socket's has at most {}", SUN_PATH - 1);
        return Err((what, "move the socket to a shorter path, such as \"unix:/run/app.sock\"".into()));
    }
    Ok(Address::Unix(path))
}

/// Whether a connection to `to` reaches the listener at `listen` on this machine.
pub(super) fn reaches(to: SocketAddr, listen: SocketAddr) -> bool {
    let local = to.ip().is_loopback() || to.ip().is_unspecified();
    to.port() == listen.port() && to.port() != 0 && (to.ip() == listen.ip() || local && listen.ip().is_unspecified())
}

/// Whether two listeners cannot both have what they ask for.
pub(super) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

/// The address as it is written in a configuration.
pub(super) fn show(address: &Address) -> String {
    match address {
        Address::Unix(path) => format!("unix:{}", path.display()),
        Address::Tcp(addresses) => addresses.iter().enumerate().fold(String::new(), |mut text, (n, address)| {
            let comma = if n == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}{address}");
            text
        }),
    }
}

/// What stands in for an address that could not be read.
pub(super) fn stand_in() -> Address {
    Address::Unix(PathBuf::new())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{app, collide, reaches, show};

    fn shown(text: &str) -> Result<String, String> {
        app(text, Path::new("/etc/r")).map(|address| show(&address)).map_err(|(what, help)| format!("{what}; {help}"))
    }

    #[test]
    fn reads_sockets_and_hosts() {
        assert_eq!(shown("unix:app.sock").unwrap(), "unix:/etc/r/app.sock");
        assert_eq!(shown("unix:/run/app.sock").unwrap(), "unix:/run/app.sock");
        assert_eq!(shown("127.0.0.1:3000").unwrap(), "127.0.0.1:3000");
        assert_eq!(shown("[::1]:3000").unwrap(), "[::1]:3000");
        assert!(shown("localhost:3000").unwrap().contains(":3000"));
    }

    #[test]
    fn says_what_to_write_instead() {
        for (text, told) in [
            ("http://127.0.0.1:3000/", "\"127.0.0.1:3000\""),
            ("/run/app.sock", "\"unix:/run/app.sock\""),
            ("./app.sock", "\"unix:./app.sock\""),
            ("localhost", "no port"),
            ("localhost:http", "no port between"),
            ("localhost:0", "port 0"),
            (":3000", "no host"),
            ("", "no port"),
            ("unix:", "no socket file"),
            ("unix:@app", "abstract"),
        ] {
            let error = shown(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn a_unix_path_must_fit() {
        // "/etc/r/" and 100 bytes make 107, the most there is room for.
        assert!(shown(&format!("unix:{}", "a".repeat(100))).is_ok());
        assert!(shown(&format!("unix:{}", "a".repeat(101))).unwrap_err().contains("108 bytes"));
    }

    #[test]
    fn sees_collisions_and_loops() {
        let at = |text: &str| text.parse().unwrap();
        assert!(collide(at("0.0.0.0:1"), at("127.0.0.1:1")) && !collide(at("127.0.0.2:1"), at("127.0.0.1:1")));
        assert!(!collide(at("127.0.0.1:0"), at("127.0.0.1:0")));
        assert!(reaches(at("127.0.0.1:1"), at("0.0.0.0:1")) && reaches(at("10.0.0.1:1"), at("10.0.0.1:1")));
        assert!(!reaches(at("10.0.0.1:1"), at("0.0.0.0:1")) && !reaches(at("127.0.0.1:1"), at("0.0.0.0:2")));
    }
}
