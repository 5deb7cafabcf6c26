//! Configurations: a preset, overlaid by a TOML file, overlaid by `--set key=value`.
//!
//! Tables are merged key by key; anything else is replaced. The keys `name` and `kind` of a table are tags of an enum: an
//! overlay that changes one replaces the table, because the keys beside it belong to the other variant. A file that is complete, as
//! [`to_toml`] writes it, stands for itself, so that what it leaves out (an optional key) is not taken from the preset.

use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use crate::{EngineError, Result};

/// The keys that say which variant of an enum a table is.
const TAGS: [&str; 2] = ["name", "kind"];

/// How values given on the command line are called in errors.
const SETS: &str = "--set";

/// `default`, overlaid by `file` (its path and text), overlaid by `sets` (`a.b=value`).
///
/// A value of `sets` is TOML; a bare word is a string; nothing at all (`a.b=`) leaves an optional key out.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     epochs: usize,
///     lr: f64,
/// }
///
/// let preset = Config { epochs: 40, lr: 0.1 };
/// let config = sconce_engine::config::parse(&preset, None, &["lr=1e-3".to_owned()])?;
/// assert_eq!((config.epochs, config.lr), (40, 1e-3));
///
/// let error = sconce_engine::config::parse(&preset, None, &["epoch=3".to_owned()]).err().unwrap();
/// assert_eq!(error.to_string(), "--set: unknown key `epoch`; the nearest is `epochs`");
/// # Ok::<(), sconce_engine::EngineError>(())
/// ```
///
/// # Errors
/// [`EngineError::UnknownKey`], [`EngineError::BadValue`] if a value is of the wrong type, [`EngineError::Format`] if the file
/// is not TOML.
pub fn parse<T>(default: &T, file: Option<(&Path, &str)>, sets: &[String]) -> Result<T>
where
    T: Serialize + DeserializeOwned,
{
    let mut base = table(default)?;
    let mut overlays = Vec::new();
    if let Some((path, text)) = file {
        let overlay: Table = text.parse().map_err(|e| EngineError::format(path, e))?;
        if is_complete::<T>(&overlay) {
            base = overlay;
        } else {
            overlays.push((path.display().to_string(), overlay));
        }
    }
    let mut removed = Vec::new();
    let mut overlay = Table::new();
    for set in sets {
        let (path, value) = assignment(set)?;
        match value {
            Some(value) => {
                // The last one counts.
                removed.retain(|earlier| *earlier != path);
                insert(&mut overlay, &path, value);
            }
            None => removed.push(path),
        }
    }
    overlays.push((SETS.to_owned(), overlay));

    let mut merged = base.clone();
    for (_, overlay) in &overlays {
        merge(&mut merged, overlay);
    }
    let mut config = check(&merged).map_err(|fault| blame::<T>(&base, &overlays, fault))?;
    for path in &removed {
        if remove(&mut merged, path).is_none() {
            return Err(unknown(SETS, &path.join("."), &[], &merged));
        }
        config = check(&merged).map_err(|fault| fault.into_error(SETS, path, None, &merged))?;
    }
    Ok(config)
}

/// A complete configuration from its own text, such as a checkpoint's `config.toml`.
///
/// # Errors
/// As [`parse`]; also if a key is missing.
pub fn read<T: Serialize + DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    let table: Table = text.parse().map_err(|e| EngineError::format(path, e))?;
    check(&table).map_err(|fault| fault.into_error(&path.display().to_string(), &[], None, &table))
}

/// A complete configuration of a file as [`to_toml`] writes it today: keys that the file lacks have their defaults.
///
/// # Errors
/// As [`read`].
pub fn rewrite<T: Serialize + DeserializeOwned>(path: &Path, text: &str) -> Result<String> {
    to_toml(&read::<T>(path, text)?)
}

/// The complete configuration as TOML, the same text for the same configuration.
///
/// # Errors
/// [`EngineError::Format`] if TOML cannot hold a value, such as an integer beyond 2⁶³.
pub fn to_toml<T: Serialize>(config: &T) -> Result<String> {
    toml::to_string(config).map_err(|e| EngineError::format("config.toml", e))
}

/// SHA-256 of `text` in hexadecimal.
pub fn hash(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The values of a configuration in TOML by their path, in alphabetical order; none of a text that is no TOML.
#[cfg(feature = "cli")]
pub fn leaves(text: &str) -> std::collections::BTreeMap<String, String> {
    fn walk(prefix: &str, table: &Table, found: &mut std::collections::BTreeMap<String, String>) {
        for (key, value) in table {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Value::Table(inner) => walk(&path, inner, found),
                value => drop(found.insert(path, value.to_string())),
            }
        }
    }
    let mut found = std::collections::BTreeMap::new();
    if let Ok(table) = text.parse::<Table>() {
        walk("", &table, &mut found);
    }
    found
}

/// Why a table is no `T`.
enum Fault {
    /// Deserialisation failed, with this message.
    Message(String),
    /// `T` took no notice of the key at this path.
    Ignored(Vec<String>),
}

impl Fault {
    /// The error for a fault that came with the value at `path`, where `switched` is the tag that is another one than before.
    fn into_error(self, origin: &str, path: &[String], switched: Option<&str>, known: &Table) -> EngineError {
        let message = match self {
            Self::Ignored(path) => return unknown(origin, &path.join("."), &[], known),
            Self::Message(message) => message,
        };
        let (found, expected) = backticked(&message);
        let below = |key: &str| {
            let mut path = path.to_vec();
            if path.last().is_none_or(|last| last != key) {
                path.push(key.to_owned());
            }
            path.join(".")
        };
        if message.starts_with("unknown field") {
            return unknown(origin, &below(&found), &expected, known);
        }
        let is_variant = message.starts_with("unknown variant");
        let key = switched.filter(|_| is_variant).map_or_else(|| path.join("."), below);
        let hint = if is_variant { nearest(&found, &expected) } else { None };
        let what = hint.map_or(message.clone(), |hint| format!("{message}; the nearest is `{hint}`"));
        EngineError::BadValue { origin: origin.to_owned(), key, what }
    }
}

fn table<T: Serialize>(config: &T) -> Result<Table> {
    Table::try_from(config).map_err(|e| EngineError::format("config.toml", e))
}

fn check<T: Serialize + DeserializeOwned>(table: &Table) -> std::result::Result<T, Fault> {
    let config: T = table.clone().try_into().map_err(|e: toml::de::Error| Fault::Message(e.message().to_owned()))?;
    // A type without `deny_unknown_fields` drops what it does not know; it shows when the value is written again.
    let known = Table::try_from(&config).map_err(|e| Fault::Message(e.to_string()))?;
    match absent(table, &known).into_iter().find(|path| takes_anything::<T>(table, path)) {
        Some(path) => Err(Fault::Ignored(path)),
        None => Ok(config),
    }
}

/// The paths of the keys that are in `given` but not in `known`.
fn absent(given: &Table, known: &Table) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for (key, value) in given {
        let below = match (value, known.get(key)) {
            (_, None) => vec![Vec::new()],
            (Value::Table(given), Some(Value::Table(known))) => absent(given, known),
            _ => Vec::new(),
        };
        all.extend(below.into_iter().map(|path| [std::slice::from_ref(key), &path].concat()));
    }
    all
}

/// Whether any value at `path` of `table` makes a `T`. A key that is known, but not written at its default, wants a value of
/// its type, and none has all of these.
fn takes_anything<T: DeserializeOwned>(table: &Table, path: &[String]) -> bool {
    [Value::Boolean(true), Value::String("\0".to_owned()), Value::Array(Vec::new())].into_iter().all(|value| {
        let mut tried = table.clone();
        insert(&mut tried, path, value);
        tried.try_into::<T>().is_ok()
    })
}

/// Whether a file has every key that the configuration in it would be written with.
fn is_complete<T: Serialize + DeserializeOwned>(file: &Table) -> bool {
    check::<T>(file)
        .ok()
        .and_then(|config| Table::try_from(&config).ok())
        .is_some_and(|all| absent(&all, file).is_empty())
}

/// `a.b=value`, taken apart. No value leaves the key out.
fn assignment(set: &str) -> Result<(Vec<String>, Option<Value>)> {
    let malformed = || EngineError::BadValue {
        origin: SETS.to_owned(),
        key: set.to_owned(),
        what: "expected `key=value`, where the key may have dots".to_owned(),
    };
    let (key, value) = set.split_once('=').ok_or_else(malformed)?;
    let path: Vec<String> = key.split('.').map(|part| part.trim().to_owned()).collect();
    if path.iter().any(String::is_empty) {
        return Err(malformed());
    }
    let value = value.trim();
    if value.is_empty() {
        return Ok((path, None));
    }
    let parsed = format!("value = {value}").parse::<Table>().ok().filter(|table| table.len() == 1);
    let value = parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(value.to_owned()));
    Ok((path, Some(value)))
}

fn insert(table: &mut Table, path: &[String], value: Value) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let inner = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    if !inner.is_table() {
        *inner = Value::Table(Table::new());
    }
    if let Value::Table(inner) = inner {
        insert(inner, rest, value);
    }
}

fn remove(table: &mut Table, path: &[String]) -> Option<Value> {
    match path {
        [] => None,
        [key] => table.remove(key),
        [first, rest @ ..] => remove(table.get_mut(first)?.as_table_mut()?, rest),
    }
}

/// The tag by which `overlay` makes another variant of the enum in `base`.
fn switches(base: &Table, overlay: &Table) -> Option<&'static str> {
    TAGS.into_iter().find(|&tag| matches!((base.get(tag), overlay.get(tag)), (Some(a), Some(b)) if a != b))
}

fn merge(base: &mut Table, overlay: &Table) {
    if switches(base, overlay).is_some() {
        *base = overlay.clone();
        return;
    }
    for (key, value) in overlay {
        match (base.get_mut(key), value) {
            (Some(Value::Table(base)), Value::Table(overlay)) => merge(base, overlay),
            _ => drop(base.insert(key.clone(), value.clone())),
        }
    }
}

/// A part of an overlay that is right or wrong by itself: a value, or a whole table of another variant.
struct Part {
    path: Vec<String>,
    value: Value,
    switched: Option<&'static str>,
}

fn parts(base: &Table, overlay: &Table, path: &[String], found: &mut Vec<Part>) {
    if let Some(tag) = switches(base, overlay) {
        found.push(Part { path: path.to_vec(), value: Value::Table(overlay.clone()), switched: Some(tag) });
        return;
    }
    for (key, value) in overlay {
        let path = [path, std::slice::from_ref(key)].concat();
        match (base.get(key), value) {
            (Some(Value::Table(base)), Value::Table(overlay)) => parts(base, overlay, &path, found),
            _ => found.push(Part { path, value: value.clone(), switched: None }),
        }
    }
}

/// The error that names the part of the overlays without which there would be none.
fn blame<T: Serialize + DeserializeOwned>(base: &Table, overlays: &[(String, Table)], fault: Fault) -> EngineError {
    let mut current = base.clone();
    for (origin, overlay) in overlays {
        let mut candidates = Vec::new();
        parts(&current, overlay, &[], &mut candidates);
        for part in candidates {
            let mut tried = current.clone();
            match (part.path.as_slice(), &part.value) {
                ([], Value::Table(whole)) => tried = whole.clone(),
                (path, value) => insert(&mut tried, path, value.clone()),
            }
            match check::<T>(&tried) {
                // A later overlay may bring what another variant lacks.
                Err(Fault::Message(message)) if message.starts_with("missing field") => {}
                Err(fault) => return fault.into_error(origin, &part.path, part.switched, &current),
                Ok(_) => {}
            }
        }
        merge(&mut current, overlay);
    }
    let mut switched = Vec::new();
    for (origin, overlay) in overlays {
        parts(base, overlay, &[], &mut switched);
        if let Some(part) = switched.iter().find(|part| part.switched.is_some()) {
            return fault.into_error(origin, &part.path, None, base);
        }
    }
    let origins: Vec<&str> = overlays.iter().map(|(origin, _)| origin.as_str()).collect();
    fault.into_error(&origins.join(" with "), &[], None, base)
}

fn unknown(origin: &str, key: &str, expected: &[String], known: &Table) -> EngineError {
    let (parent, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut siblings = expected.to_vec();
    let mut table = Some(known);
    for part in parent.split('.').filter(|part| !part.is_empty()) {
        table = table.and_then(|table| table.get(part)).and_then(Value::as_table);
    }
    siblings.extend(table.into_iter().flat_map(|table| table.keys().cloned()));
    // Another variant may have had the very key.
    siblings.retain(|sibling| sibling != last);
    let within = |name: String| if parent.is_empty() { name } else { format!("{parent}.{name}") };
    // The right key in the wrong table is as likely as a slip of the hand, but only if no sibling looks like it.
    let nearest =
        nearest(last, &siblings).map(within).or_else(|| elsewhere(known, "", last)).filter(|nearest| nearest != key);
    EngineError::UnknownKey { origin: origin.to_owned(), key: key.to_owned(), nearest }
}

/// The path of a key of this name anywhere in `table`.
fn elsewhere(table: &Table, prefix: &str, name: &str) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let path = format!("{prefix}{key}");
        match value {
            _ if key == name => Some(path),
            Value::Table(inner) => elsewhere(inner, &format!("{path}."), name),
            _ => None,
        }
    })
}

/// The candidate that looks most like `word`, if any looks like it at all; the first of equals.
pub(crate) fn nearest(word: &str, candidates: &[String]) -> Option<String> {
    let mut best: Option<(f64, &String)> = None;
    for candidate in candidates {
        let likeness = strsim::normalized_damerau_levenshtein(word, candidate).max(prefix_likeness(word, candidate));
        if likeness >= 0.5 && best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate.clone())
}

/// `momentum_sgd` and `momentum` are alike, however much is appended.
fn prefix_likeness(a: &str, b: &str) -> f64 {
    let is_prefix = a.len().min(b.len()) >= 3 && (a.starts_with(b) || b.starts_with(a));
    if is_prefix { 0.6 } else { 0.0 }
}

/// The names in a message of serde's: the offending one, and what was expected.
fn backticked(message: &str) -> (String, Vec<String>) {
    let mut names = message.split('`').skip(1).step_by(2).map(str::to_owned);
    (names.next().unwrap_or_default(), names.collect())
}

#[cfg(test)]
mod tests;
