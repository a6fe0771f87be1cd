//! `ringside run`: the proxy, until a signal ends it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::check::{demanded, tell};
use super::cli::Configured;
use super::serve::{Server, StartError};
use crate::config::{Config, Loaded, Problems};
use crate::control::admin::connections::{Ask, Means};
use crate::control::admin::{Admin, Sources};
use crate::control::export::Taps;
use crate::control::health::Health;
use crate::control::http::BindError;
use crate::control::log::{self, Guard};
use crate::control::signals::Signals;
use crate::control::vitals::Vitals;
use crate::lifecycle::drain::{self, Drain};
use crate::lifecycle::ready::Ready;
use crate::worker::Door;

/// How long the endpoints may take over what they were asked before the drain was over.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Why the proxy did not run.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Log(#[from] log::LogError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot start the control thread: {0}")]
    Control(#[from] io::Error),
}

/// Runs the proxy. 0 when a signal ended it in order.
pub fn run(args: &Configured) -> ExitCode {
    let env: Vec<_> = std::env::vars_os().collect();
    let loaded = match Config::load(&args.source(&env), env) {
        Ok(loaded) => loaded,
        Err(Problems(problems)) => return refuse(|stderr| tell("error", &problems, stderr)),
    };
    match serve(&loaded) {
        Ok(code) => code,
        Err(RunError::Start(StartError::Load(error))) => {
            let problem = loaded.problem(error.key, error.why.to_string(), error.help());
            refuse(|stderr| tell("error", &[problem], stderr))
        }
        Err(RunError::Start(StartError::Engine(refused))) => {
            refuse(|stderr| writeln!(stderr, "{}", demanded(&refused)))
        }
        Err(error) => refuse(|stderr| writeln!(stderr, "error: {error}")),
    }
}

fn serve(Loaded { config, warnings, .. }: &Loaded) -> Result<ExitCode, RunError> {
    let log = log::init(&config.log)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (server, second) = control.block_on(async {
        let signals = Signals::catch()?;
        let endpoints = Endpoints::bind(config).await?;
        let ready = Ready::default();
        let starting = ready.block("workers are starting");
        let mut server = Server::start(config.clone(), Taps::default())?;
        let drops = log.drops();
        server.export_metrics(move || drops.count())?;
        drop(starting);
        let answering = endpoints.serve(sources(&server, ready, &log));
        let drained = async {
            server.drained().await;
            answering.trigger();
            let _ = timeout(LAST_ANSWERS, answering.done()).await;
        };
        let second = tokio::select! {
            which = signals.drain(server.drain()) => Some(which),
            () = drained => None,
        };
        Ok::<_, RunError>((server, second))
    })?;
    if let Some(which) = second {
        return Ok(ExitCode::from(which.exit_code()));
    }
    server.stop();
    Ok(ExitCode::SUCCESS)
}

/// What answers beside the workers, where it is configured.
struct Endpoints {
    admin: Option<Admin>,
    health: Option<Health>,
}

impl Endpoints {
    async fn bind(config: &Config) -> Result<Self, BindError> {
        let mut endpoints = Self { admin: None, health: None };
        if let Some(admin) = &config.admin {
            endpoints.admin = Some(Admin::bind(admin).await?);
        }
        if let Some(health) = &config.health {
            endpoints.health = Some(Health::bind(health).await?);
        }
        Ok(endpoints)
    }

    /// Has them answer until what this returns is triggered.
    fn serve(self, sources: Sources) -> Drain {
        let (end, watch) = drain::channel();
        if let Some(health) = self.health {
            if let Ok(address) = health.address() {
                tracing::info!(%address, "health endpoint");
            }
            tokio::spawn(health.serve(Arc::clone(&sources.vitals), watch.clone()));
        }
        if let Some(admin) = self.admin {
            if let Ok(address) = admin.address() {
                tracing::info!(%address, "admin endpoint");
            }
            tokio::spawn(admin.serve(sources, watch));
        }
        end
    }
}

fn sources(server: &Server, ready: Ready, log: &Guard) -> Sources {
    let drops = log.drops();
    let vitals = Vitals {
        workers: server.counters().iter().map(Arc::clone).collect(),
        ready,
        process: Box::new(server.process(move || drops.count())),
        drain: server.drain().clone(),
    };
    Sources {
        vitals: Arc::new(vitals),
        pace: server.pace(),
        connections: Means::new(server.doors().iter().cloned().map(ask).collect(), server.recent(), server.shown()),
        filter: log.filter(),
    }
}

/// Asks the worker behind `door`.
fn ask(door: Door) -> Ask {
    Box::new(move |most| {
        let door = door.clone();
        Box::pin(async move { door.ask(most).await })
    })
}

fn refuse(write: impl FnOnce(&mut io::StderrLock<'_>) -> io::Result<()>) -> ExitCode {
    // Nobody reads: the exit code is all that is left to say.
    let _ = write(&mut io::stderr().lock());
    ExitCode::FAILURE
}
