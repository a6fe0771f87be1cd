//! The ways in which a token fails.

/// Why a token is not accepted. Says nothing about what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url with objects in them, a name twice in one object, `crit`, encrypted, or of another
    /// type than JWT.
    #[error("not a JWT, or one with something that must be refused")]
    Malformed,
    /// `alg` is unknown (as is `none`), or not one the key is pinned to.
    #[error("its algorithm is not one its key is pinned to")]
    Algorithm,
    /// No key has its `kid`.
    #[error("no key matches it")]
    KeyUnknown,
    /// By none of the keys that match.
    #[error("its signature does not verify")]
    Signature,
    /// `exp` and the leeway have passed.
    #[error("it has expired")]
    Expired,
    /// `nbf` is later than the leeway reaches.
    #[error("it is not valid yet")]
    NotYetValid,
    /// `iss` is missing or not on the list.
    #[error("it is from another issuer")]
    Issuer,
    /// `aud` is missing or names nothing on the list.
    #[error("it is for another audience")]
    Audience,
    /// `exp` is missing, or a claim is of the wrong type or out of range.
    #[error("a claim is missing, of the wrong type or out of range")]
    Claims,
}
