//! What holds for every pod, unless its annotations say otherwise.

use std::fmt;
use std::str::FromStr;

/// What an injector is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The image that has `ringside`.
    pub image: String,
    /// The cluster's version, which decides what its pods can have.
    pub kubernetes: Minor,
    /// Which seccomp profile the sidecar runs under.
    pub seccomp: Seccomp,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: concat!("ringside:", env!("CARGO_PKG_VERSION")).into(),
            kubernetes: Minor::default(),
            seccomp: Seccomp::RuntimeDefault,
        }
    }
}

/// A version of Kubernetes: 1.`0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minor(pub u8);

impl Minor {
    /// Containers that start before the others and end after them, on by default: KEP-753.
    pub const NATIVE_SIDECARS: Self = Self(29);

    /// A preStop hook that sleeps without a program in the image, on by default: KEP-3960.
    pub const SLEEP: Self = Self(30);
}

impl Default for Minor {
    fn default() -> Self {
        Self::SLEEP
    }
}

impl FromStr for Minor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let minor = text.strip_prefix('v').unwrap_or(text).strip_prefix("1.");
        // 1.31.4 and 1.31.4-gke.1 are 1.31.
        let minor = minor.map(|minor| minor.split(['.', '-', '+']).next().unwrap_or_default());
        minor.and_then(|minor| minor.parse().ok()).map(Self).ok_or("write a version such as 1.31")
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// A seccomp profile. Container runtimes' own ones do not let a process use `io_uring`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// The runtime's own. The sidecar then runs on epoll, and says so.
    RuntimeDefault,
    /// This file below the kubelet's seccomp directory, on every node.
    Localhost(String),
}

impl FromStr for Seccomp {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("localhost/") {
            Some(file) if is_below(file) => Ok(Self::Localhost(file.into())),
            None if text == "runtime-default" => Ok(Self::RuntimeDefault),
            _ => {
                Err(r#"write "runtime-default", or "localhost/FILE" with a file below the kubelet's seccomp directory"#)
            }
        }
    }
}

/// A relative path that leads nowhere else: the API server takes no other.
fn is_below(file: &str) -> bool {
    !file.is_empty() && !file.starts_with('/') && file.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::{Minor, Seccomp};

    #[test]
    fn versions_are_written_as_kubectl_shows_them() {
        for (text, minor) in [("1.31", 31), ("v1.29.4", 29), ("1.30.2-gke.1", 30)] {
            assert_eq!(text.parse(), Ok(Minor(minor)));
        }
        for text in ["31", "2.1", "1.", "1.x", ""] {
            assert!(text.parse::<Minor>().is_err(), "{text}");
        }
    }

    #[test]
    fn profiles_stay_below_their_directory() {
        assert_eq!("localhost/a/ringside.json".parse(), Ok(Seccomp::Localhost("a/ringside.json".into())));
        assert_eq!("runtime-default".parse(), Ok(Seccomp::RuntimeDefault));
        for text in ["", "localhost/", "localhost//etc", "localhost/../x", "localhost/a/./b", "unconfined"] {
            assert!(text.parse::<Seccomp>().is_err(), "{text}");
        }
    }
}
