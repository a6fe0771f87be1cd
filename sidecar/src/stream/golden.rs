//! Manifests before and after, as files that can be read as documentation.
//!
//! `tests/golden/NAME.yaml` is what goes in, `NAME.injected.yaml` what comes out, `NAME.report.txt` what is told about it.
//! `BLESS=1 cargo test -p ringside-injector golden` writes them anew; look at the difference then.

use std::fs;
use std::path::{Path, PathBuf};

use crate::settings::Settings;
use crate::stream;
use crate::workload::Task;
use crate::yaml;

fn inputs() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_input = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        !name.contains(".injected.") && !name.contains(".report.")
    };
    let mut inputs: Vec<_> = files.filter(is_input).collect();
    inputs.sort();
    assert!(inputs.len() >= 5, "{inputs:?}");
    inputs
}

fn compare(file: &Path, is: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(file, is).unwrap();
    }
    let was = fs::read_to_string(file).unwrap_or_default();
    assert_eq!(is, was, "{} is different; BLESS=1 writes it anew", file.display());
}

#[test]
fn come_out_as_they_are_written_down() {
    let settings = Settings::default();
    for file in inputs() {
        let done = stream::apply(&fs::read_to_string(&file).unwrap(), Task::Inject(&settings)).unwrap();
        compare(&file.with_extension("injected.yaml"), &done.text);
        compare(&file.with_extension("report.txt"), &done.report);
    }
}

#[test]
fn do_not_change_when_injected_again_and_can_be_taken_back() {
    let settings = Settings::default();
    for file in inputs() {
        let text = fs::read_to_string(&file).unwrap();
        let once = stream::apply(&text, Task::Inject(&settings)).unwrap();
        let twice = stream::apply(&once.text, Task::Inject(&settings)).unwrap();
        assert!(!twice.is_changed(), "{}:\n{}", file.display(), twice.diff());
        assert_eq!(twice.text, once.text);
        let back = stream::apply(&once.text, Task::Uninject).unwrap();
        let values = |text: &str| -> Vec<_> {
            yaml::documents(text).unwrap().into_iter().map(|document| document.value).collect()
        };
        assert_eq!(values(&back.text), values(&text), "{}", file.display());
    }
}
