//! Keys from a JWK Set (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::key::{Key, Material, Unusable};
use super::{Entry, KeysError, MAX_KEYS};
use crate::jwt::algorithm::{Algorithm, KeyType};
use crate::jwt::json;

/// Members that only a private key has (RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037 section 2).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// Every key in the set: usable, or why it is not (RFC 7517 section 5 wants unknown ones ignored, not fatal).
pub(super) fn parse(text: &[u8], accepted: &[Algorithm]) -> Result<Vec<Entry>, KeysError> {
    let set = json::object(text).map_err(|error| KeysError::Json(error.to_string()))?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or(KeysError::NoKeySet)?;
    if keys.len() > MAX_KEYS {
        return Err(KeysError::TooMany);
    }
    keys.iter().enumerate().map(|(index, jwk)| entry(index, jwk, accepted)).collect()
}

fn entry(index: usize, jwk: &Value, accepted: &[Algorithm]) -> Result<Entry, KeysError> {
    let id = jwk.get("kid").and_then(Value::as_str);
    let name = id.map_or_else(|| format!("key {} of the set", index + 1), |id| format!("key {id:?}"));
    if PRIVATE.iter().any(|member| jwk.get(member).is_some()) {
        return Err(KeysError::Private(name));
    }
    let key = jwk.as_object().ok_or(Unusable::Type).and_then(|jwk| key(jwk, accepted));
    Ok(Entry { name, key })
}

fn key(jwk: &Map<String, Value>, accepted: &[Algorithm]) -> Result<Key, Unusable> {
    let material = material(jwk)?;
    let for_signatures = text(jwk, "use")?.is_none_or(|purpose| purpose == "sig");
    let may_verify = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => return Err(Unusable::Member("key_ops")),
    };
    if !for_signatures || !may_verify {
        return Err(Unusable::Purpose);
    }
    let stated = match text(jwk, "alg")? {
        Some(name) => Some(name.parse().map_err(|_| Unusable::Algorithm)?),
        None => None,
    };
    material.pin(text(jwk, "kid")?.map(str::to_owned), stated, accepted)
}

fn material(jwk: &Map<String, Value>) -> Result<Material, Unusable> {
    match (text(jwk, "kty")?, text(jwk, "crv")?) {
        (Some("RSA"), _) => Material::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?),
        (Some("EC"), Some("P-256")) => Ok(Material::ec(KeyType::P256, &point(jwk, 32)?)),
        (Some("EC"), Some("P-384")) => Ok(Material::ec(KeyType::P384, &point(jwk, 48)?)),
        (Some("OKP"), Some("Ed25519")) => Ok(Material::ed25519(&sized(jwk, "x", 32)?)),
        (Some("oct"), _) => Ok(Material::secret(&bytes(jwk, "k")?)),
        _ => Err(Unusable::Type),
    }
}

/// The uncompressed point; each coordinate has the full size of the field (RFC 7518 section 6.2.1.2).
fn point(jwk: &Map<String, Value>, size: usize) -> Result<Vec<u8>, Unusable> {
    Ok([&[4], sized(jwk, "x", size)?.as_slice(), sized(jwk, "y", size)?.as_slice()].concat())
}

fn sized(jwk: &Map<String, Value>, member: &'static str, size: usize) -> Result<Vec<u8>, Unusable> {
    bytes(jwk, member).and_then(|bytes| if bytes.len() == size { Ok(bytes) } else { Err(Unusable::Member(member)) })
}

fn bytes(jwk: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, Unusable> {
    let text = text(jwk, member)?.ok_or(Unusable::Member(member))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Unusable::Member(member))
}

fn text<'j>(jwk: &'j Map<String, Value>, member: &'static str) -> Result<Option<&'j str>, Unusable> {
    jwk.get(member).map(|value| value.as_str().ok_or(Unusable::Member(member))).transpose()
}
