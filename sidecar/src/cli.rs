//! What the command line may say.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::manifest::{Certificates, Install};
use crate::settings::{Minor, Seccomp, Settings};

const OVERVIEW: &str = "\
Puts the Ringside sidecar into Kubernetes pods: into manifests, or into pods as a cluster makes them.

  ringside-injector inject chat.yaml | kubectl apply -f -
  ringside-injector inject --diff chat.yaml          what would be different
  ringside-injector inject --check k8s/chat.yaml     whether a committed manifest is up to date
  ringside-injector manifest | kubectl apply -f -    the webhook, which injects pods with the label
                                                     ringside.dev/inject: enabled";

const AFTER: &str = "\
Exit codes:
  0  done; with --check: nothing would be different
  1  something is wrong, and nothing was written; with --check: something would be different
  2  the command line is wrong";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "ringside-injector", version, about = OVERVIEW, after_help = AFTER, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put the sidecar into each workload of a stream of YAML documents, unless it says ringside.dev/inject: disabled
    Inject(Inject),
    /// Take the sidecar out again
    Uninject(Stream),
    /// Inject pods as the API server makes them: an admission webhook over HTTPS
    Webhook(Webhook),
    /// Print the objects that a cluster needs so that the webhook runs, as YAML
    Manifest(Manifest),
}

/// Where the stream comes from, and what is printed.
#[derive(Args, Clone, Debug)]
pub struct Stream {
    /// The manifests; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    /// Print nothing; exit 1 when something would be different
    #[arg(long, conflicts_with = "diff")]
    pub check: bool,
    /// Print what would be different
    #[arg(long)]
    pub diff: bool,
    /// Do not tell on standard error what was done
    #[arg(long, short)]
    pub quiet: bool,
}

/// The stream, and what holds for all its pods.
#[derive(Args, Clone, Debug)]
pub struct Inject {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's description")]
    pub stream: Stream,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the same")]
    pub defaults: Defaults,
}

/// What holds for every pod whose annotations say nothing else.
#[derive(Args, Clone, Debug)]
pub struct Defaults {
    /// The image that has ringside [default: ringside:VERSION]
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// The cluster's version: older than 1.29 has no native sidecars, older than 1.30 no hook that sleeps [default: 1.30]
    #[arg(long, value_name = "1.N")]
    pub kubernetes: Option<Minor>,
    /// Seccomp profile: runtime-default, or localhost/FILE below the kubelet's seccomp directory [default: runtime-default]
    #[arg(long, value_name = "PROFILE")]
    pub seccomp_profile: Option<Seccomp>,
}

/// How the webhook listens, and what with.
#[derive(Args, Clone, Debug)]
pub struct Webhook {
    /// HTTPS for the API server, which posts to /inject
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    pub listen: SocketAddr,
    /// Plain HTTP: /livez, /readyz, /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub health: SocketAddr,
    /// A directory with tls.crt and tls.key that somebody else renews, such as cert-manager [default: the webhook makes
    /// its own, keeps it in the Secret, and tells the API server]
    #[arg(long, value_name = "DIRECTORY")]
    pub certificate: Option<PathBuf>,
    /// The Service in front of it, for the certificate's name
    #[arg(long, value_name = "NAME", default_value = "ringside-injector")]
    pub service: String,
    /// The Secret of the certificate that it makes
    #[arg(long, value_name = "NAME", default_value = "ringside-injector-tls")]
    pub secret: String,
    /// The `MutatingWebhookConfiguration` that it tells the API server's trust
    #[arg(long, value_name = "NAME", default_value = "ringside-injector")]
    pub configuration: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's description")]
    pub defaults: Defaults,
}

/// What may differ between installations.
#[derive(Args, Clone, Debug)]
pub struct Manifest {
    /// The namespace, which is made
    #[arg(long, value_name = "NAME", default_value = "ringside-system")]
    pub namespace: String,
    /// How many webhooks run
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub replicas: u32,
    /// Who makes the webhook's certificate
    #[arg(long, value_enum, default_value_t = Certificates::SelfManaged)]
    pub certificates: Certificates,
    /// Print policies that the API server runs by itself, instead of a webhook: for Kubernetes 1.34 or newer, and for pods
    /// without annotations
    #[arg(long, conflicts_with_all = ["namespace", "replicas", "certificates"])]
    pub policy: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's description")]
    pub defaults: Defaults,
}

impl From<Manifest> for Install {
    fn from(args: Manifest) -> Self {
        let Manifest { namespace, replicas, certificates, defaults, .. } = args;
        let Defaults { image, kubernetes, seccomp_profile } = defaults;
        let image = image.unwrap_or(Settings::default().image);
        Self { namespace, image, replicas, certificates, kubernetes, seccomp: seccomp_profile }
    }
}

impl From<Defaults> for Settings {
    fn from(defaults: Defaults) -> Self {
        let usual = Self::default();
        Self {
            image: defaults.image.unwrap_or(usual.image),
            kubernetes: defaults.kubernetes.unwrap_or(usual.kubernetes),
            seccomp: defaults.seccomp_profile.unwrap_or(usual.seccomp),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
    }
}
