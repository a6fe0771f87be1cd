//! "Did you mean": the known name nearest to what was written.

use super::keys::{self, PREFIX};

/// The candidate that a few slips of the finger turn into `written`.
pub(super) fn nearest<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let slips = (written.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// What to do about the unknown key `name` in `table`, and the path of the key that was probably meant.
pub(super) fn for_key(table: &str, name: &str) -> (String, Option<String>) {
    let siblings = keys::names_in(table);
    let meant = |name: &str| if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") };
    if let Some(near) = nearest(name, siblings.iter().copied()) {
        return (format!("did you mean \"{near}\"?"), Some(meant(near)));
    }
    let tables: Vec<_> = keys::tables_with(name).into_iter().map(|table| format!("[{table}]")).collect();
    if !tables.is_empty() {
        return (format!("this key belongs in {}", tables.join(" or ")), None);
    }
    if let Some(key) = keys::KEYS.iter().find(|key| nearest(name, [key.name()]).is_some()) {
        return (format!("did you mean \"{}\" in [{}]?", key.name(), key.table()), None);
    }
    let place = if table.is_empty() { "the file may hold".to_owned() } else { format!("[{table}] may hold") };
    (format!("remove it; {place}: {}", siblings.join(", ")), None)
}

/// What to do about the unknown environment variable `name`.
pub(super) fn for_variable(name: &str) -> String {
    let variables: Vec<_> = keys::KEYS.iter().map(keys::Key::variable).collect();
    match nearest(name, variables.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("unset it; names are {PREFIX} and a key's path, such as {PREFIX}LISTEN_ADDRESS"),
    }
}

#[cfg(test)]
mod tests {
    use super::{for_key, for_variable, nearest};

    #[test]
    fn finds_slips_and_not_strangers() {
        assert_eq!(nearest("adress", ["address", "connections"]), Some("address"));
        assert_eq!(nearest("Address", ["address"]), Some("address"));
        assert_eq!(nearest("zebra", ["address", "connections"]), None);
    }

    #[test]
    fn knows_where_a_key_belongs() {
        assert_eq!(for_key("listen", "adress"), ("did you mean \"address\"?".into(), Some("listen.address".into())));
        assert_eq!(for_key("listen", "certificate"), ("this key belongs in [tls]".into(), None));
        assert_eq!(for_key("", "address").0, "this key belongs in [listen] or [app] or [admin] or [health]");
        assert_eq!(for_key("listen", "certficate").0, "did you mean \"certificate\" in [tls]?");
        assert_eq!(for_key("tls", "zebra").0, "remove it; [tls] may hold: certificate, key, client_ca");
    }

    #[test]
    fn knows_variables() {
        assert_eq!(for_variable("RINGSIDE_LISTEN_ADRESS"), "did you mean RINGSIDE_LISTEN_ADDRESS?");
        assert!(for_variable("RINGSIDE_ZEBRA").starts_with("unset it"));
    }
}
