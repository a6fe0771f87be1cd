//! `ringside-injector`: puts the Ringside sidecar into Kubernetes pods.
//!
//! ```text
//!  a stream of YAML (stream) --+                                        +--> YAML, a report
//!                              +--> workload --> render::inject --------+
//!  an admission review         |    (where      (one pure function:     |
//!                            --+    the pods     template, settings     +--> JSON patch
//!                                   are)         -> template, report)
//! ```
//!
//! **Invariants.** The injection is a pure function of the template and the injector's settings. It edits the raw JSON, so
//! that fields nobody here has heard of survive. It is refused as a whole, with everything that is wrong, or done as a
//! whole. What it did is written down in the template, so that `inject(inject(x)) == inject(x)` and
//! `uninject(inject(x)) == x`. Whether the sidecar would start is decided by the proxy's own `config`, and nothing else of
//! the proxy is used.
//!
//! | module | what it has |
//! |---|---|
//! | [`yaml`] | YAML as Kubernetes reads it |
//! | [`problem`], [`settings`], [`annotation`] | what is told, what an injector is told once, what a pod may say |
//! | [`sidecar`] | what every sidecar has |
//! | [`pod`] | a pod template as it was written |
//! | [`wish`] | what a pod is to get |
//! | [`render`] | the injection, and the way back |
//! | [`workload`] | which objects have pods |
//! | [`stream`] | the commands' work |
//! | [`review`] | the webhook's: an admission review and its answer |
//! | [`webhook`] | HTTPS for the API server, and its certificate |
//! | [`manifest`] | what a cluster needs so that the webhook runs |
//! | [`cli`], [`command`] | the command line |

pub mod annotation;
pub mod cli;
pub mod command;
pub mod manifest;
pub mod pod;
pub mod problem;
pub mod render;
pub mod review;
pub mod settings;
pub mod sidecar;
pub mod stream;
pub mod webhook;
pub mod wish;
pub mod workload;
pub mod yaml;
