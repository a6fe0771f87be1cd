//! The instructions that each hot path takes, counted by callgrind, next to those on record in `baseline.toml`.
//!
//! Time on a machine that others use is noise; instructions are the same at each run. `benches/count` builds and runs
//! this, and with `BLESS=1` it writes the record anew.

#![expect(clippy::print_stdout, reason = "the figures are of interest also when they are as they should be")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use ringside_bench::Fault;
use ringside_bench::hot::{COUNTED, PATHS, RUNS};

/// How many per cent a path may differ from the record.
const TOLERANCE: f64 = 3.0;

/// The same where something that is recorded beside is different: a compiler makes other code of the same source.
const ELSEWHERE: f64 = 25.0;

/// How to record.
const RECORD: &str = "`BLESS=1 benches/count` records it";

/// What instruction counts depend on besides the source, and the counts themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    built: BTreeMap<String, String>,
    instructions: BTreeMap<String, u64>,
}

impl Record {
    fn count() -> Result<Self, Fault> {
        if cfg!(debug_assertions) {
            return Err("built otherwise than what is on record: run `benches/count`".into());
        }
        let counted = PATHS.iter().map(|(name, _)| Ok(((*name).to_owned(), count(name)?)));
        Ok(Self { built: built()?, instructions: counted.collect::<Result<_, Fault>>()? })
    }

    fn load(file: &Path) -> Result<Self, Fault> {
        let table: toml::Table = fs::read_to_string(file)?.parse()?;
        let section = |name: &str| {
            let section = table.get(name).and_then(toml::Value::as_table);
            section.ok_or_else(|| format!("{}: no [{name}]; {RECORD}", file.display()))
        };
        let text = |value: &toml::Value| Some(value.as_str()?.to_owned());
        let number = |value: &toml::Value| value.as_integer()?.try_into().ok();
        let built = section("built")?.iter().map(|(name, value)| Some((name.clone(), text(value)?)));
        let counts = section("instructions")?.iter().map(|(name, value)| Some((name.clone(), number(value)?)));
        let wrong = || format!("{}: not a record; {RECORD}", file.display());
        Ok(Self {
            built: built.collect::<Option<_>>().ok_or_else(wrong)?,
            instructions: counts.collect::<Option<_>>().ok_or_else(wrong)?,
        })
    }

    fn save(&self, file: &Path) -> Result<(), Fault> {
        let mut text =
            "# Instructions per run of each hot path: written by `BLESS=1 benches/count`.\n\n[built]\n".to_owned();
        for (name, value) in &self.built {
            writeln!(text, "{name} = {value:?}")?;
        }
        text += "\n[instructions]\n";
        for (name, count) in &self.instructions {
            writeln!(text, "{name:?} = {count}")?;
        }
        Ok(fs::write(file, text)?)
    }

    /// What is not as it was on `record`.
    fn problems(&self, record: &Self) -> Vec<String> {
        let tolerance = if self.built == record.built { TOLERANCE } else { ELSEWHERE };
        let mut problems = Vec::new();
        for (name, &now) in &self.instructions {
            let Some(&before) = record.instructions.get(name) else {
                problems.push(format!("{name}: {now} instructions, and none on record; {RECORD}"));
                continue;
            };
            let change = percent(now, before);
            let advice = match change {
                dearer if dearer > tolerance => format!("find out why; if it is worth it, {RECORD}"),
                cheaper if cheaper < -tolerance => format!("with this on record it stays so; {RECORD}"),
                _ => continue,
            };
            problems.push(format!(
                "{name}: {now} instructions, {before} on record: {change:+.1}% where {tolerance}% are tolerated; {advice}"
            ));
        }
        let gone = record.instructions.keys().filter(|name| !self.instructions.contains_key(*name));
        problems.extend(gone.map(|name| format!("{name}: on record, but there is no such path; {RECORD}")));
        problems
    }

    /// In what the record was made under other circumstances.
    fn differences(&self, record: &Self) -> Vec<String> {
        let here = self.built.iter().filter(|(name, here)| record.built.get(*name) != Some(here));
        here.map(|(name, here)| match record.built.get(name) {
            Some(there) => format!("{name}: {here:?} here, {there:?} on record"),
            None => format!("{name}: {here:?} here, nothing on record"),
        })
        .collect()
    }
}

/// By how many per cent `now` is more than `before`.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn percent(now: u64, before: u64) -> f64 {
    (now as f64 - before as f64) * 100.0 / before as f64
}

/// Instructions per run of a path.
fn count(path: &str) -> Result<u64, Fault> {
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("callgrind.out");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", &format!("--toggle-collect={COUNTED}*")]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display()));
    // Nothing of the environment, not even the room it takes on the stack.
    valgrind.arg(env!("CARGO_BIN_EXE_ringside-bench")).args(["hot", path]).env_clear().env("PATH", "/usr/bin:/bin");
    let output = valgrind.output().map_err(|error| format!("valgrind: {error}; install it, or run `benches/count`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{path}: {said}").into());
    }
    let totals = fs::read_to_string(&out)?;
    let total = totals.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<u64>().ok());
    match total {
        Some(total) if total > 0 => Ok(total / u64::from(RUNS)),
        _ => Err(format!("{path}: callgrind has counted nothing in {COUNTED}:\n{said}").into()),
    }
}

/// Compilers, library and tool, and what of the processor code is chosen by: callgrind simulates one of its own, which has
/// AVX2 if the real one does and nothing newer.
fn built() -> Result<BTreeMap<String, String>, Fault> {
    let first_line = |command: &[&str]| -> Result<String, Fault> {
        let output = Command::new(command[0]).args(&command[1..]).output();
        let output = output.map_err(|error| format!("{}: {error}", command[0]))?;
        Ok(String::from_utf8(output.stdout)?.lines().next().unwrap_or_default().to_owned())
    };
    let mut built = BTreeMap::new();
    for (name, command) in [
        ("rustc", &["rustc", "--version"][..]),
        ("cc", &["cc", "--version"]),
        ("libc", &["getconf", "GNU_LIBC_VERSION"]),
        ("valgrind", &["valgrind", "--version"]),
    ] {
        built.insert(name.to_owned(), first_line(command)?);
    }
    #[cfg(target_arch = "x86_64")]
    let avx2 = std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let avx2 = false;
    built.insert("cpu".to_owned(), format!("{}{}", std::env::consts::ARCH, if avx2 { " with AVX2" } else { "" }));
    Ok(built)
}

#[test]
#[ignore = "`benches/count` builds it as it must be, and runs it"]
fn hot_paths_take_as_many_instructions_as_on_record() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.toml");
    let counted = Record::count().unwrap();
    if std::env::var_os("BLESS").is_some() {
        counted.save(&file).unwrap();
    }
    let record = Record::load(&file).unwrap();
    for (name, now) in &counted.instructions {
        let change =
            record.instructions.get(name).map_or(String::new(), |&before| format!("{:+.1}%", percent(*now, before)));
        println!("{now:>10} {change:>7}  {name}");
    }
    for difference in counted.differences(&record) {
        println!("{difference}; {ELSEWHERE}% are tolerated instead of {TOLERANCE}% until it is recorded");
    }
    let problems = counted.problems(&record);
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn what_is_dearer_cheaper_new_or_gone_is_a_problem() {
    let record = |counts: &[(&str, u64)]| Record {
        built: BTreeMap::from([("rustc".to_owned(), "1".to_owned())]),
        instructions: counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
    };
    let before = record(&[("a", 1000), ("b", 1000)]);
    let problems = |counts: &[(&str, u64)]| record(counts).problems(&before);
    assert!(problems(&[("a", 1030), ("b", 970)]).is_empty());
    let [dearer, cheaper] = &problems(&[("a", 1031), ("b", 969)])[..] else { panic!("two") };
    assert!(dearer.starts_with("a: 1031 instructions, 1000 on record: +3.1%"), "{dearer}");
    assert!(cheaper.starts_with("b: 969 instructions, 1000 on record: -3.1%"), "{cheaper}");
    let [new, gone] = &problems(&[("a", 1000), ("c", 1)])[..] else { panic!("two") };
    assert!(
        new.starts_with("c: 1 instructions, and none on record") && gone.starts_with("b: on record"),
        "{new} {gone}"
    );

    let mut elsewhere = record(&[("a", 1250), ("b", 1251)]);
    elsewhere.built.insert("rustc".to_owned(), "2".to_owned());
    assert_eq!(elsewhere.differences(&before), [r#"rustc: "2" here, "1" on record"#]);
    let [problem] = &elsewhere.problems(&before)[..] else { panic!("one") };
    assert!(problem.starts_with("b: 1251 instructions, 1000 on record: +25.1%"), "{problem}");
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let record = Record {
        built: BTreeMap::from([("cc".to_owned(), "cc (a \"b\") 1".to_owned())]),
        instructions: BTreeMap::from([("judge it".to_owned(), 7)]),
    };
    record.save(file.path()).unwrap();
    assert_eq!(Record::load(file.path()).unwrap(), record);
    fs::write(file.path(), "[built]\n").unwrap();
    assert!(Record::load(file.path()).unwrap_err().to_string().contains("no [instructions]; `BLESS=1"));
}
