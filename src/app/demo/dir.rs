//! A directory that goes with the demo.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::{env, io, process};

/// Names tried before giving up: others are left behind by demos that were killed and had our process id.
const TRIES: u32 = 100;

/// A directory for this user alone, removed with all that is in it when this is dropped.
#[derive(Debug)]
pub(super) struct Dir(PathBuf);

impl Dir {
    /// Makes one below the directory for temporary files (`TMPDIR`, else `/tmp`).
    pub(super) fn make() -> io::Result<Self> {
        Self::make_in(&env::temp_dir())
    }

    fn make_in(parent: &Path) -> io::Result<Self> {
        let mut last = io::ErrorKind::AlreadyExists.into();
        for n in 0..TRIES {
            let path = parent.join(format!("ringside-demo-{}-{n}", process::id()));
            // Whatever has the name already, a link too, is an error: nobody can put files in our way.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// The path of `name` in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // What cannot be removed is for whoever cleans up temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::Dir;

    #[test]
    fn is_ours_alone_and_goes_with_its_guard() {
        let parent = tempfile::tempdir().unwrap();
        let (one, two) = (Dir::make_in(parent.path()).unwrap(), Dir::make_in(parent.path()).unwrap());
        assert_ne!(one.0, two.0);
        assert_eq!(fs::metadata(&one.0).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(one.file("a"), "a").unwrap();
        drop(one);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
        assert!(two.0.exists());
    }
}
