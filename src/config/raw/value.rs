//! Values that are written in a form of their own.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// What stands in place of a duration for what is not to happen at all.
const OFF: &str = "off";

/// A text such as "30s".
pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(from)?)
}

/// A text such as "30s", or "off".
pub(super) fn duration_or_off<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    if text == OFF { Ok(None) } else { parse(&text).map(Some) }
}

fn parse<E: de::Error>(text: &str) -> Result<Duration, E> {
    humantime::parse_duration(text).map_err(|error| E::custom(format_args!("not a duration: {error}")))
}

/// One text, or a list of them.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "neither a text nor a list of texts")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    })
}
