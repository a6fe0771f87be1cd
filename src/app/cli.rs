//! What the command line may say.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Source, keys};
use crate::control::admin::connections::{MOST, USUAL};
use crate::jwt::algorithm::Algorithm;

const OVERVIEW: &str = "\
A sidecar in front of one WebSocket app: takes wss:// from clients, checks their tokens, relays frames to the app.

  ringside demo                       see it work; needs nothing
  ringside check --config FILE        would it run here, and what is wrong, all at once
  ringside run --config FILE          the proxy
  ringside top --config FILE          who is connected to it, live
  ringside drain --wait               no more clients; returns when the last one is gone";

const AFTER: &str = "\
Environment:
  RINGSIDE_CONFIG           the configuration file, when --config is not given
  RINGSIDE_<TABLE>_<KEY>    overrides a key of the file: RINGSIDE_LISTEN_ADDRESS=127.0.0.1:8443
                            Where no file is named and there is no ./ringside.toml, they are the configuration

Exit codes:
  0  done; of `run`: ended by SIGTERM or Ctrl-C; of `check`: ready on io_uring
  1  the configuration is wrong, or something failed; the reason is on standard error.
     Of `check`: not ready; the reasons are on standard output
  2  the command line is wrong
  3  of `check`: ready, on epoll";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "ringside", version, about = OVERVIEW, after_help = AFTER, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy until SIGTERM or Ctrl-C
    Run(Configured),
    /// Tell whether a sidecar would run here and how, with everything that is wrong at once
    Check(Check),
    /// Mint a token for development, or make the key for it
    Token(Box<Token>),
    /// Show who is connected to a running sidecar, and why others are gone
    Top(Box<Top>),
    /// Have a running sidecar drain: no more clients, and a Close to those that are here
    Drain(Box<Drain>),
    /// Show the whole story with a certificate, a key and an app made up on the spot
    Demo(Demo),
}

/// Which configuration.
#[derive(Args, Clone, Debug)]
pub struct Configured {
    #[arg(
        long,
        short,
        value_name = "FILE",
        help = "The configuration [default: $RINGSIDE_CONFIG, else ./ringside.toml, else the environment alone]"
    )]
    config: Option<PathBuf>,
}

impl Configured {
    /// Where the configuration comes from: the file named here, else the one that `RINGSIDE_CONFIG` names, else
    /// [`Source::unnamed`].
    pub fn source(&self, env: &[(OsString, OsString)]) -> Source {
        self.named(env).map_or_else(|| Source::unnamed(Path::new(USUAL_FILE), env), Source::File)
    }

    /// The file that is named here or by `RINGSIDE_CONFIG`.
    pub fn named(&self, env: &[(OsString, OsString)]) -> Option<PathBuf> {
        let variable = env.iter().find(|(name, value)| name == keys::FILE && !value.is_empty());
        self.config.clone().or_else(|| variable.map(|(_, value)| value.into()))
    }
}

/// Which running sidecar.
#[derive(Args, Clone, Debug)]
pub struct Sidecar {
    /// The sidecar's admin endpoint [default: admin.address of the configuration]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    pub admin: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's description")]
    pub configured: Configured,
}

/// The configuration when none is named.
const USUAL_FILE: &str = "ringside.toml";

const CHECK_NOTES: &str = "\
Examples:
  ringside check --config ringside.toml
      of the configuration, of the files it names, and of this platform
  ringside check --platform
      in a fresh pod or on a host, before there is a configuration; RINGSIDE_RUNTIME_<KEY> counts

Exit codes:
  0  ready on io_uring
  1  not ready: the configuration is wrong, or demands io_uring, which is refused
  3  ready on epoll: io_uring is refused, or runtime.engine is \"epoll\"

Nothing is listened on or connected to: a running sidecar is not disturbed.";

/// What to check, and for whom to tell it.
#[derive(Args, Clone, Debug)]
#[command(after_help = CHECK_NOTES)]
pub struct Check {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's description")]
    pub configured: Configured,
    /// Look at the platform alone, with the defaults of a configuration
    #[arg(long, conflicts_with = "config")]
    pub platform: bool,
    /// Tell it as one JSON object
    #[arg(long)]
    pub json: bool,
}

const TOKEN_EXAMPLES: &str = "\
Examples:
  ringside token --generate .
      writes private.pem and jwks.json; put keys = \"jwks.json\" into [auth.jwt]
  ringside token --key private.pem --aud chat --sub ann --claim tenant=acme
      prints a token for an hour
  TOKEN=$(ringside token --key private.pem --aud chat)
      for the header Authorization: Bearer $TOKEN of a client";

/// The token to mint, or the key to make.
#[derive(Args, Clone, Debug)]
#[command(after_help = TOKEN_EXAMPLES)]
pub struct Token {
    /// Private key as PEM (PKCS #8); with an HS algorithm, the file with the secret
    #[arg(long, value_name = "FILE", required_unless_present = "generate")]
    pub key: Option<PathBuf>,
    /// Signature algorithm, such as PS256 or HS256 [default: the usual one of the key's type]
    #[arg(long)]
    pub alg: Option<Algorithm>,
    /// Key id for the token's header [default: none; then every key of the verifier is tried]
    #[arg(long)]
    pub kid: Option<String>,
    /// Issuer
    #[arg(long)]
    pub iss: Option<String>,
    /// Audience; may be given several times
    #[arg(long)]
    pub aud: Vec<String>,
    /// Subject: who connects
    #[arg(long, default_value = "developer")]
    pub sub: String,
    /// How long the token is good for
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    pub ttl: Duration,
    /// A further claim; its value is read as JSON, and is a text when it is none
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    pub claims: Vec<(String, serde_json::Value)>,
    /// Make an ES256 key instead: DIR/private.pem and DIR/jwks.json; never replaces a file
    #[arg(long, value_name = "DIR", conflicts_with = "key")]
    pub generate: Option<PathBuf>,
}

const TOP_EXAMPLES: &str = "\
Examples:
  ringside top
      of the sidecar that $RINGSIDE_CONFIG or ./ringside.toml configures; q or Ctrl-C ends it
  ringside top --admin 127.0.0.1:9901 --sort rtt
      of any sidecar that can be reached, here behind kubectl port-forward POD 9901
  ringside top --once --sort bytes --most 10
      the ten connections that relayed most, as a table for a file or a ticket

What is seen:
  from client, from app     what each of the two has sent
  ~                         an average over the connection's age, when it was not seen before
  ping                      how long the latest Ping to the client took to be answered, and to the app

The sidecar needs an admin endpoint: [admin] in its configuration. Programs ask it themselves:
GET /connections gives all of this as JSON.";

/// What to show, and from where.
#[derive(Args, Clone, Debug)]
#[command(after_help = TOP_EXAMPLES)]
pub struct Top {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's description")]
    pub sidecar: Sidecar,
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    pub interval: Duration,
    /// Print what there is now and exit; so it is, too, when standard output is no terminal
    #[arg(long)]
    pub once: bool,
    /// What comes first
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Sort::Rate)]
    pub sort: Sort,
    /// Most connections to look at: those that have relayed most bytes
    #[arg(long, value_name = "N", default_value_t = USUAL, value_parser = most)]
    pub most: usize,
}

/// Which connections come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Who relays most bytes a second
    Rate,
    /// Who has relayed most bytes
    Bytes,
    /// Who has been here longest
    Age,
    /// Whose client takes longest to answer a Ping
    Rtt,
    /// Who came first to its worker
    Id,
}

fn interval(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(100);
    let interval = time(text)?;
    if interval >= LEAST { Ok(interval) } else { Err("at least 100ms".into()) }
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write a time such as 2s"))
}

fn most(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|most| *most <= MOST).ok_or_else(|| format!("write a number from 0 to {MOST}"))
}

const DRAIN_EXAMPLES: &str = "\
Examples:
  ringside drain
      tells the sidecar of this configuration to drain, as SIGTERM would, and returns
  ringside drain --wait --timeout 45s && echo nobody is left
      returns when its last connection is gone
  ringside drain --admin 127.0.0.1:9901
      tells any sidecar that can be reached

A preStop hook in Kubernetes, which needs no shell in the image:
  lifecycle: { preStop: { exec: { command: [/usr/local/bin/ringside, drain] } } }

A sidecar that drains already goes on as it does, whoever told it first. It exits when nobody
is left; a hook that waits in its container ends with it. It needs an admin endpoint: [admin].

Exit codes:
  0  told; with --wait: nobody is left
  1  no sidecar answers, or somebody is left when the time is over";

/// Which sidecar is to drain, and whether to wait.
#[derive(Args, Clone, Debug)]
#[command(after_help = DRAIN_EXAMPLES)]
pub struct Drain {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's description")]
    pub sidecar: Sidecar,
    /// Return when nobody is left
    #[arg(long)]
    pub wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "wait", value_parser = time)]
    pub timeout: Duration,
}

const DEMO_ENVIRONMENT: &str = "\
Environment:
  RINGSIDE_RUNTIME_<KEY>    as for `run`: RINGSIDE_RUNTIME_ENGINE=epoll, RINGSIDE_RUNTIME_WORKERS=1";

/// How to show the demo.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = DEMO_ENVIRONMENT)]
pub struct Demo {
    /// Play every scene with a client of its own, check each outcome, and exit
    #[arg(long)]
    pub once: bool,
}

/// `name=value`, where each name that has an option of its own is left to it.
fn claim(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as tenant=acme")?;
    match name {
        "" => Err("the name before the = is missing".into()),
        "iss" | "aud" | "sub" => Err(format!("use --{name}")),
        "exp" | "iat" | "nbf" => Err("set by --ttl".into()),
        _ => Ok((name.into(), serde_json::from_str(value).unwrap_or_else(|_| value.into()))),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use serde_json::json;

    use super::{Cli, Command, Configured, Sort, claim};

    fn command(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
    }

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_file_comes_from_the_line_then_the_variable() {
        let file = |configured: &Configured, variable: &str| {
            let env = [("RINGSIDE_CONFIG", variable)].map(|(name, value)| (name.into(), value.into()));
            configured.source(&env).to_string()
        };
        let Command::Run(named) = command("ringside run --config a.toml").unwrap() else { panic!("not run") };
        assert_eq!(file(&named, "b.toml"), "a.toml");
        let Command::Check(silent) = command("ringside check").unwrap() else { panic!("not check") };
        assert_eq!(file(&silent.configured, "b.toml"), "b.toml");
        assert_eq!(file(&silent.configured, ""), "ringside.toml");
        assert_eq!(silent.configured.source(&[]).to_string(), "ringside.toml");
    }

    #[test]
    fn a_platform_is_checked_without_a_configuration() {
        let Command::Check(check) = command("ringside check --platform --json").unwrap() else { panic!("not check") };
        assert!(check.platform && check.json);
        assert!(command("ringside check --platform --config a.toml").is_err());
    }

    #[test]
    fn a_token_needs_a_key_or_makes_one() {
        assert!(command("ringside token").is_err());
        assert!(command("ringside token --generate d --key k").is_err());
        let line = "ringside token --key k --aud a --aud b --ttl 5m --claim n=3";
        let Command::Token(token) = command(line).unwrap() else { panic!("not token") };
        assert_eq!((token.aud.as_slice(), token.ttl.as_secs()), (&["a".to_owned(), "b".to_owned()][..], 300));
        assert_eq!(token.claims, [("n".into(), json!(3))]);
        assert!(command("ringside token --key k --alg none").unwrap_err().to_string().contains("unknown algorithm"));
        assert!(matches!(command("ringside demo --once").unwrap(), Command::Demo(demo) if demo.once));
    }

    #[test]
    fn top_looks_in_one_place_and_not_too_often() {
        let Command::Top(top) = command("ringside top").unwrap() else { panic!("not top") };
        assert_eq!((top.interval.as_secs(), top.sort, top.most, top.once), (2, Sort::Rate, 1000, false));
        let Command::Top(top) = command("ringside top --admin a:1 --sort rtt --most 10000").unwrap() else {
            panic!("not top")
        };
        assert_eq!((top.sidecar.admin.as_deref(), top.sort, top.most), (Some("a:1"), Sort::Rtt, 10_000));
        assert!(command("ringside top --admin a:1 --config b").is_err());
        for (line, help) in [("--interval 0s", "100ms"), ("--interval 2", "2s"), ("--most 10001", "0 to 10000")] {
            let error = command(&format!("ringside top {line}")).unwrap_err().to_string();
            assert!(error.contains(help), "{error}");
        }
    }

    #[test]
    fn drain_waits_when_it_is_told_to() {
        let Command::Drain(drain) = command("ringside drain").unwrap() else { panic!("not drain") };
        assert_eq!((drain.wait, drain.timeout.as_secs()), (false, 60));
        let Command::Drain(drain) = command("ringside drain --admin a:1 --wait --timeout 1m30s").unwrap() else {
            panic!("not drain")
        };
        assert_eq!((drain.sidecar.admin.as_deref(), drain.timeout.as_secs()), (Some("a:1"), 90));
        for line in ["--timeout 5s", "--wait --timeout 5", "--admin a:1 --config b"] {
            assert!(command(&format!("ringside drain {line}")).is_err(), "{line}");
        }
    }

    #[test]
    fn claims_are_json_or_text() {
        assert_eq!(claim("a={\"b\":[1]}").unwrap().1, json!({"b": [1]}));
        assert_eq!(claim("a=b=c").unwrap(), ("a".into(), json!("b=c")));
        assert!(claim("a").is_err() && claim("=a").is_err());
        assert_eq!(claim("aud=x").unwrap_err(), "use --aud");
        assert_eq!(claim("exp=1").unwrap_err(), "set by --ttl");
    }
}
