//! Where a configuration comes from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use super::keys::KEYS;

/// A file that the environment overrides, or the environment alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This file. Relative paths start at its directory.
    File(PathBuf),
    /// Variables and nothing else. Relative paths start at the working directory.
    Environment,
}

impl Source {
    /// The source when nobody names a file: `file` if it is there, else the environment if it holds a key. Without either it
    /// is `file`, which is then told to be missing.
    pub fn unnamed(file: &Path, env: &[(OsString, OsString)]) -> Self {
        let is_absent = fs::symlink_metadata(file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let holds_a_key = || KEYS.iter().any(|key| env.iter().any(|(name, _)| *name == *key.variable()));
        if is_absent && holds_a_key() { Self::Environment } else { Self::File(file.to_owned()) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Environment => f.write_str("environment"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::Source;

    #[test]
    fn a_file_goes_before_the_environment_and_a_key_before_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ringside.toml");
        let unnamed = |name: &str| Source::unnamed(&file, &[(OsString::from(name), OsString::from("x"))]);
        assert_eq!(unnamed("RINGSIDE_APP_ADDRESS"), Source::Environment);
        // No key: who sets only this has a file in mind, or a Service of that name in the namespace.
        for name in ["RINGSIDE_CONFIG", "RINGSIDE_APP_ADRESS", "RINGSIDE_SERVICE_HOST", "HOME"] {
            assert_eq!(unnamed(name), Source::File(file.clone()), "{name}");
        }
        fs::write(&file, "").unwrap();
        assert_eq!(unnamed("RINGSIDE_APP_ADDRESS"), Source::File(file.clone()));
        // A link that leads nowhere is a mistake to be told of, not an absent file.
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(dir.path().join("gone"), &file).unwrap();
        assert_eq!(unnamed("RINGSIDE_APP_ADDRESS"), Source::File(file.clone()));
    }
}
