//! The commands.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Cli, Command, Inject, Manifest, Stream, Webhook};
use crate::manifest::{self, policy};
use crate::settings::Settings;
use crate::stream;
use crate::webhook::{self, Cluster, Names, Options, Source};
use crate::workload::Task;
use crate::yaml;

/// Largest stream.
const LARGEST: u64 = 64 << 20;

/// Runs what the command line says.
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Inject(Inject { stream, defaults }) => {
            let settings = Settings::from(defaults);
            apply(&stream, Task::Inject(&settings))
        }
        Command::Uninject(stream) => apply(&stream, Task::Uninject),
        Command::Webhook(args) => webhook(args),
        Command::Manifest(args) => manifest(args),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn apply(args: &Stream, task: Task<'_>) -> Result<ExitCode, String> {
    let name = if args.file == Path::new("-") { "standard input".into() } else { args.file.display().to_string() };
    let text = read(&args.file).map_err(|error| format!("{name}: {error}"))?;
    let done = stream::apply(&text, task).map_err(|error| format!("{name}: {error}"))?;
    if !args.quiet {
        tell(&done.report);
    }
    let out = match (args.check, args.diff) {
        (true, _) => return Ok(if done.is_changed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }),
        (_, true) => &done.diff(),
        _ => &done.text,
    };
    print(out)
}

fn print(text: &str) -> Result<ExitCode, String> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

fn manifest(args: Manifest) -> Result<ExitCode, String> {
    let objects = if args.policy {
        let kubernetes = args.defaults.kubernetes.unwrap_or(policy::BETA);
        let settings = Settings { kubernetes, ..args.defaults.into() };
        policy::objects(&settings).map_err(|problem| problem.to_string())?
    } else {
        manifest::objects(&args.into())
    };
    let documents: Vec<_> = objects.iter().map(yaml::write).collect();
    print(&documents.join("---\n"))
}

fn webhook(args: Webhook) -> Result<ExitCode, String> {
    tracing_subscriber::fmt().json().flatten_event(true).init();
    let names = Names { service: args.service, secret: args.secret, configuration: args.configuration };
    let certificate = match args.certificate {
        Some(directory) => Source::Files(directory),
        None => Source::SelfManaged(Cluster::here(names).map_err(|error| error.to_string())?),
    };
    let options = Options { listen: args.listen, health: args.health, certificate, settings: args.defaults.into() };
    webhook::run(options).map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> io::Result<String> {
    let mut source: Box<dyn Read> =
        if file == Path::new("-") { Box::new(io::stdin().lock()) } else { Box::new(File::open(file)?) };
    let mut text = String::new();
    let size = source.by_ref().take(LARGEST + 1).read_to_string(&mut text)?;
    if size as u64 > LARGEST {
        return Err(io::Error::other(format!("is larger than {} MiB; split it", LARGEST >> 20)));
    }
    Ok(text)
}

/// Standard error may be closed.
fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
