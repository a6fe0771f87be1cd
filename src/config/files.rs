//! The configuration file itself, and the files that it names.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::findings::Findings;
use super::problem::{Place, Problem, Problems};

/// More than any configuration needs; a device or a wrong file is not read to its end.
const LARGEST: u64 = 1 << 20;

/// What to do when the file cannot be read.
const UNREADABLE: &str = "name the file with --config or RINGSIDE_CONFIG; where none is named and there is no \
                          ./ringside.toml, variables such as RINGSIDE_APP_ADDRESS are the configuration";

/// The text in `file`.
pub(super) fn read(file: &Path) -> Result<String, Problems> {
    let problem = |what: String, help: &str| {
        let place = Place::File { file: file.to_owned(), at: None };
        Problems(vec![Problem { key: String::new(), place, value: None, what, help: help.into() }])
    };
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| problem(reason(&error), UNREADABLE))?;
    if bytes.len() as u64 > LARGEST {
        return Err(problem("is larger than 1 MiB".into(), "this is not a configuration; check its name"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        problem(format!("is not UTF-8 at byte {at}"), "save it as UTF-8")
    })
}

/// Tries every file that the configuration names.
pub(super) fn check(findings: &mut Findings<'_>) {
    for (key, path) in findings.files.clone() {
        if let Err(error) = readable(&path) {
            let what = format!("{}: {}", path.display(), reason(&error));
            findings.wrong(key, what, "put the file there, make it readable for this user, or mend the path");
        }
    }
}

fn readable(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // A pipe is left alone: opening it would wait for its writer.
    if metadata.is_file() {
        File::open(path)?;
    }
    Ok(())
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".into(),
        io::ErrorKind::PermissionDenied => "not readable for this user".into(),
        io::ErrorKind::IsADirectory => "is a directory".into(),
        _ => format!("cannot be read: {error}"),
    }
}
