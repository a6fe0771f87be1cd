//! Small edits of JSON whose shape [`crate::pod::Pod::read`] has found to be good.

use serde_json::{Map, Value};

/// The map at `key`, made when it is not there.
pub(super) fn map<'v>(of: &'v mut Value, key: &str) -> &'v mut Value {
    let value = &mut of[key];
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value
}

/// The list at `key`, made when it is not there.
pub(super) fn list<'v>(of: &'v mut Value, key: &str) -> &'v mut Vec<Value> {
    let value = &mut of[key];
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(list) => list,
        _ => unreachable!("made one"),
    }
}

/// The list at `key`; an empty one is taken away afterwards.
pub(super) fn shrink(of: &mut Value, key: &str, keep: impl FnMut(&Value) -> bool) {
    let Some(Value::Array(list)) = of.get_mut(key) else { return };
    list.retain(keep);
    let is_empty = list.is_empty();
    if let (true, Some(map)) = (is_empty, of.as_object_mut()) {
        map.shift_remove(key);
    }
}

/// Takes the member `key` away, and the map it was in when that was all.
pub(super) fn drop_member(of: &mut Value, outer: &str, key: &str) {
    let Some(Value::Object(map)) = of.get_mut(outer) else { return };
    map.shift_remove(key);
    let is_empty = map.is_empty();
    if let (true, Some(map)) = (is_empty, of.as_object_mut()) {
        map.shift_remove(outer);
    }
}

/// Whether `value` has this name.
pub(super) fn is_named(value: &Value, name: &str) -> bool {
    value.get("name").and_then(Value::as_str) == Some(name)
}
