//! Who may come in: `[auth.jwt]` and `[access]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::document::Item;
use super::findings::Findings;
use super::{Jwt, raw, suggest};
use crate::bytesize::ByteSize;
use crate::jwt::algorithm::Algorithm;
use crate::jwt::verify;
use crate::policy;
use crate::policy::auth::TokenSource;
use crate::policy::identity::{HeaderName, HeaderTwice};
use crate::policy::origin::Allowed;

/// With more, `exp` would mean little: RFC 7519 section 4.1.4 has "usually no more than a few minutes".
const LONGEST_LEEWAY: Duration = Duration::from_secs(5 * 60);

/// How tokens are verified, and who may come in.
pub(super) fn resolve(
    raw: Option<raw::Jwt>,
    access: &raw::Access,
    token_max: ByteSize,
    base: &Path,
    findings: &mut Findings<'_>,
) -> (Option<Jwt>, policy::Config) {
    let given = raw.is_some();
    let raw = raw.unwrap_or_default();
    let algorithms = algorithms(&raw.algorithms, findings);
    if given {
        keys(&raw, &algorithms, findings);
        checks(&raw, findings);
    } else {
        let help = "add [auth.jwt] with keys, unless the app itself decides who may connect";
        findings.unwise("auth.jwt", "no authentication: anybody may connect to the app", help);
    }
    let (subject_header, claims_to_headers) = headers(&raw.subject_header, raw.claims_to_headers, findings);
    let policy = policy::Config {
        origins: origins(&access.origins, findings),
        token_max,
        from: sources(&raw.from, findings),
        forward: raw.forward,
        subject_header,
        claims_to_headers,
    };
    let jwt = Jwt {
        keys: findings.file("auth.jwt.keys", raw.keys, base),
        secret: findings.file("auth.jwt.secret_file", raw.secret_file, base),
        algorithms,
        verify: verify::Config { issuer: raw.issuer, audience: raw.audience, leeway: raw.leeway },
    };
    (given.then_some(jwt), policy)
}

fn algorithms(names: &[String], findings: &mut Findings<'_>) -> Vec<Algorithm> {
    const KEY: &str = "auth.jwt.algorithms";
    let known = Algorithm::ALL.map(Algorithm::as_str);
    let help = || format!("write some of {}", known.join(", "));
    if names.is_empty() {
        findings.wrong(KEY, "no algorithm: no token could be accepted", help());
    }
    let mut algorithms = Vec::new();
    for (n, name) in names.iter().enumerate() {
        if let Ok(algorithm) = name.parse() {
            algorithms.push(algorithm);
        } else {
            let near = suggest::nearest(name, known).map(|near| format!("did you mean \"{near}\"?"));
            let what = format!("unknown algorithm {name:?}");
            findings.wrong_item(KEY, Item::At(n), what, near.unwrap_or_else(help));
        }
    }
    algorithms
}

/// Every key is of use to an algorithm, and the other way round (RFC 8725 section 3.1).
fn keys(raw: &raw::Jwt, algorithms: &[Algorithm], findings: &mut Findings<'_>) {
    const KEY: &str = "auth.jwt.algorithms";
    if algorithms.len() < raw.algorithms.len() || algorithms.is_empty() {
        // Said already; what was meant decides which keys are needed.
        return;
    }
    if raw.keys.is_none() && raw.secret_file.is_none() {
        let help = "name a JWKS or PEM file with the public keys that sign tokens (or secret_file for HS256)";
        findings.required("auth.jwt.keys", None::<()>, help);
        return;
    }
    let symmetric = algorithms.iter().any(|algorithm| algorithm.is_hmac());
    let asymmetric = algorithms.iter().any(|algorithm| !algorithm.is_hmac());
    if symmetric && raw.secret_file.is_none() {
        findings.wrong(KEY, "an HS algorithm without a secret", "name the secret's file in secret_file, or drop HS");
    }
    if !symmetric && raw.secret_file.is_some() {
        let help = "write algorithms = [\"HS256\"], or remove secret_file";
        findings.wrong("auth.jwt.secret_file", "no HS algorithm in algorithms uses it", help);
    } else if asymmetric && raw.keys.is_none() {
        findings.wrong(KEY, "an algorithm without public keys", "name a JWKS or PEM file in keys, or drop it");
    }
    if !asymmetric && raw.keys.is_some() {
        let help = "add the algorithm of these keys, such as \"ES256\", or remove keys";
        findings.wrong("auth.jwt.keys", "no algorithm in algorithms uses it", help);
    }
}

fn checks(raw: &raw::Jwt, findings: &mut Findings<'_>) {
    if raw.leeway > LONGEST_LEEWAY {
        let what = "longer than 5 minutes: expired tokens would be good for too long";
        findings.wrong("auth.jwt.leeway", what, "write at most \"5m\"");
    }
    for (key, names, what) in [
        ("auth.jwt.issuer", &raw.issuer, "no issuer: a token of any issuer whose key is trusted is accepted"),
        ("auth.jwt.audience", &raw.audience, "no audience: a token made for another service is accepted"),
    ] {
        if names.is_empty() {
            findings.unwise(key, what, "write what your issuer puts into tokens for this app");
        } else if names.iter().any(String::is_empty) {
            findings.wrong(key, "an empty text", "write what your issuer puts into tokens, or remove the key");
        }
    }
}

fn sources(names: &[String], findings: &mut Findings<'_>) -> Vec<TokenSource> {
    const KEY: &str = "auth.jwt.from";
    const HELP: &str = r#"write some of "header", "subprotocol", "query:NAME", "cookie:NAME""#;
    if names.is_empty() {
        findings.wrong(KEY, "empty: no token could be found", HELP);
    }
    let mut sources = Vec::new();
    for (n, name) in names.iter().enumerate() {
        match name.parse() {
            Ok(source) if sources.contains(&source) => {
                findings.wrong_item(KEY, Item::At(n), "given twice", "remove one");
            }
            Ok(source) => sources.push(source),
            Err(error) => {
                let help = meant_source(name).map_or(HELP.into(), |near| format!("did you mean \"{near}\"?"));
                findings.wrong_item(KEY, Item::At(n), format!("{name:?}: {error}"), help);
            }
        }
    }
    sources
}

/// The place that `written` was probably meant to be.
fn meant_source(written: &str) -> Option<String> {
    let (place, name) = written.split_once(':').unwrap_or((written, ""));
    match (suggest::nearest(place, ["header", "subprotocol", "query", "cookie"])?, name) {
        (near @ ("header" | "subprotocol"), _) => Some(near.into()),
        (near, "") => Some(format!("{near}:NAME")),
        (near, _) if near == place => None,
        (near, name) => Some(format!("{near}:{name}")),
    }
}

/// Each claim goes into a header of its own that nothing else sets.
fn headers(
    subject: &str,
    claims: BTreeMap<String, String>,
    findings: &mut Findings<'_>,
) -> (HeaderName, BTreeMap<String, HeaderName>) {
    const CLAIMS: &str = "auth.jwt.claims_to_headers";
    const HELP: &str = "write a name of your own, such as \"x-tenant\"";
    let subject: HeaderName = subject.parse().unwrap_or_else(|error| {
        findings.wrong("auth.jwt.subject_header", format!("{subject:?}: {error}"), HELP);
        HeaderName::default()
    });
    let mut taken = BTreeSet::from([subject.clone()]);
    let mut headers = BTreeMap::new();
    for (claim, header) in claims {
        let what = match header.parse::<HeaderName>() {
            Ok(name) if !taken.insert(name.clone()) => HeaderTwice(name).to_string(),
            Ok(name) => {
                headers.insert(claim, name);
                continue;
            }
            Err(error) => format!("{header:?}: {error}"),
        };
        findings.wrong_item(CLAIMS, Item::Named(&claim), what, HELP);
    }
    (subject, headers)
}

fn origins(texts: &[String], findings: &mut Findings<'_>) -> Vec<Allowed> {
    const HELP: &str = "write it as a browser sends it, such as \"https://chat.example\", without a path";
    let mut origins = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(origin) => origins.push(origin),
            Err(error) => findings.wrong_item("access.origins", Item::At(n), format!("{text:?}: {error}"), HELP),
        }
    }
    origins
}
