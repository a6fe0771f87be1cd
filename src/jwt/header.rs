//! The three parts of a token, and its JOSE header (RFC 7515 section 4).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::Algorithm;
use super::error::TokenError;
use super::json;

/// A token in the compact serialization (RFC 7515 section 7.1), nothing verified yet.
pub(super) struct Parts<'t> {
    /// What is signed: the first two parts as they were written.
    pub(super) message: &'t str,
    /// The first part, still encoded.
    pub(super) header: &'t str,
    /// The second part, still encoded: what it says is looked at only once the signature is good.
    pub(super) payload: &'t str,
    /// The third part, decoded.
    pub(super) signature: Vec<u8>,
}

/// What of a header is used.
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
}

impl<'t> Parts<'t> {
    pub(super) fn split(token: &'t str) -> Result<Self, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        if payload.contains('.') {
            return Err(TokenError::Malformed);
        }
        Ok(Self { message, header, payload, signature: decode(signature)? })
    }
}

impl Header {
    pub(super) fn parse(encoded: &str) -> Result<Self, TokenError> {
        let members = json::object(&decode(encoded)?).map_err(|_| TokenError::Malformed)?;
        // `crit` lists extensions that must be understood (RFC 7515 section 4.1.11) and none is; `b64` is one of them
        // (RFC 7797); `enc` and `zip` belong to encrypted tokens (RFC 7516). Other unknown members must be ignored, and
        // among them are `jku`, `jwk`, `x5u` and `x5c`: a token does not choose the key it is verified with.
        if ["crit", "b64", "enc", "zip"].iter().any(|name| members.contains_key(*name)) {
            return Err(TokenError::Malformed);
        }
        let text = |name| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(TokenError::Malformed),
        };
        if !text("typ")?.is_none_or(is_access_token) {
            return Err(TokenError::Malformed);
        }
        let algorithm = text("alg")?.ok_or(TokenError::Malformed)?.parse().map_err(|_| TokenError::Algorithm)?;
        Ok(Self { algorithm, key_id: text("kid")?.map(str::to_owned) })
    }
}

/// Explicit types keep other kinds of JWT, such as ID or logout tokens, out (RFC 8725 section 3.11, RFC 9068 section
/// 2.1). A media type is compared without case, and may go without its `application/` (RFC 7515 section 4.1.9).
fn is_access_token(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}

/// Base64url without padding (RFC 7515 section 2). Bits that decode to nothing must be zero, so that no two texts are
/// the same signature.
pub(super) fn decode(encoded: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Malformed)
}
