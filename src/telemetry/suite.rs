//! What TLS can agree on, as labels.

/// A version and a cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite(usize);

/// Version and IANA name of every suite that our TLS library has, and a place for one it may get. A test of `tls` holds
/// this to the library.
const SUITES: [(&str, &str); 10] = [
    ("1.3", "TLS13_AES_256_GCM_SHA384"),
    ("1.3", "TLS13_AES_128_GCM_SHA256"),
    ("1.3", "TLS13_CHACHA20_POLY1305_SHA256"),
    ("1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ("1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ("1.2", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("1.2", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    OTHER,
];

const OTHER: (&str, &str) = ("other", "other");

impl Suite {
    /// How many there are.
    pub const COUNT: usize = SUITES.len();

    /// The suite of this version and name.
    pub fn of(version: &str, cipher: &str) -> Self {
        let place = SUITES.iter().position(|suite| *suite == (version, cipher));
        Self(place.unwrap_or(SUITES.len() - 1))
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Its place among [`all`](Self::all).
    pub const fn index(self) -> usize {
        self.0
    }

    /// `1.2` or `1.3`.
    pub const fn version(self) -> &'static str {
        SUITES[self.0].0
    }

    /// Its IANA name.
    pub const fn cipher(self) -> &'static str {
        SUITES[self.0].1
    }
}
