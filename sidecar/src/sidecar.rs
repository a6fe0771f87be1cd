//! What every sidecar has: its name, its ports, its directories, its user.

/// The container.
pub const NAME: &str = "ringside";

/// Port of `/livez`, `/readyz`, `/metrics` and of the probes that are for the app.
pub const HEALTH_PORT: u16 = 9902;

/// Port of the admin endpoint, on loopback.
pub const ADMIN_PORT: u16 = 9901;

/// Where the certificate is.
pub const TLS_DIRECTORY: &str = "/etc/ringside/tls";

/// Where the issuer's keys are.
pub const JWKS_DIRECTORY: &str = "/etc/ringside/jwks";

/// Where the configuration file of a `ConfigMap` is.
pub const CONFIG_DIRECTORY: &str = "/etc/ringside/config";

/// Where other files are.
pub const SECRET_DIRECTORY: &str = "/etc/ringside/secret";

/// The image's user.
pub const USER: u64 = 65532;
