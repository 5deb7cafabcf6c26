//! A configuration as TOML in which each key says what it means: by the documentation of the types that it is read into.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{EngineError, Result, config};

/// Where a comment is broken.
const WIDTH: usize = 110;

/// The complete configuration as TOML, the same text for the same configuration. Above each key stands what it means, and
/// below the keys of a table those that may be set but are not.
pub(super) fn to_toml<T: Serialize + JsonSchema>(config: &T) -> Result<String> {
    let text = config::to_toml(config)?;
    let format = |e: &dyn std::fmt::Display| EngineError::format("config.toml", e);
    let values = serde_json::to_value(text.parse::<toml::Table>().map_err(|e| format(&e))?).map_err(|e| format(&e))?;
    let schema = SchemaGenerator::new(SchemaSettings::default()).into_root_schema_for::<T>();
    Ok(explain(&text, &values, schema.as_value()))
}

fn explain(text: &str, values: &Value, root: &Value) -> String {
    let mut out = String::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let top = Place { root, schema: root, value: values };
    let mut place = top;
    for line in text.lines() {
        if let Some((path, is_list)) = header(line) {
            out += &place.absent();
            let count = seen.entry(path).or_default();
            *count += 1;
            let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
            if !out.is_empty() {
                out.push('\n');
            }
            let parent = top.at(parent, &seen);
            if !is_list || *seen.get(path).unwrap_or(&1) == 1 {
                out += &comment(&parent.about(key));
            }
            place = top.at(path, &seen);
        } else if let Some((key, _)) = line.split_once(" = ") {
            out += &comment(&place.about(key));
        }
        // The writer's own blank lines are not where ours are.
        if !line.is_empty() {
            out += line;
            out.push('\n');
        }
    }
    out + &place.absent()
}

/// The path of a table, and whether it is one of a list.
fn header(line: &str) -> Option<(&str, bool)> {
    let inner = line.strip_prefix('[')?.strip_suffix(']')?;
    match inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(path) => Some((path, true)),
        None => Some((inner, false)),
    }
}

/// A table of the configuration, and the schema of it.
#[derive(Clone, Copy)]
struct Place<'a> {
    root: &'a Value,
    schema: &'a Value,
    value: &'a Value,
}

impl<'a> Place<'a> {
    /// The table at `path` below; of a list of tables the one that has been reached.
    fn at(mut self, path: &str, seen: &BTreeMap<&str, usize>) -> Self {
        let mut so_far = String::new();
        for part in path.split('.').filter(|part| !part.is_empty()) {
            so_far += if so_far.is_empty() { "" } else { "." };
            so_far += part;
            let schema = self.properties().get(part).copied().unwrap_or(&Value::Null);
            let value = self.value.get(part).unwrap_or(&Value::Null);
            self = Self { schema, value, ..self };
            if let Value::Array(list) = value {
                let i = seen.get(so_far.as_str()).copied().unwrap_or(1).saturating_sub(1);
                let schema = self.resolved().iter().find_map(|s| s.get("items")).unwrap_or(&Value::Null);
                self = Self { schema, value: list.get(i).unwrap_or(&Value::Null), ..self };
            }
        }
        self
    }

    /// The schemas that together say what this value is: references followed, and of alternatives the one that it is.
    fn resolved(&self) -> Vec<&'a Value> {
        let mut found = Vec::new();
        self.resolve(self.schema, &mut found);
        found
    }

    fn resolve(&self, schema: &'a Value, found: &mut Vec<&'a Value>) {
        found.push(schema);
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/"));
        if let Some(schema) = name.and_then(|name| self.root.get("$defs")?.get(name)) {
            self.resolve(schema, found);
        }
        let list = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten();
        list("allOf").for_each(|schema| self.resolve(schema, found));
        for variant in list("oneOf").chain(list("anyOf")) {
            if self.is_variant(variant) {
                self.resolve(variant, found);
                break;
            }
        }
    }

    /// Whether the value is of this variant of an enum, by its tag.
    fn is_variant(&self, variant: &Value) -> bool {
        if variant.get("type").and_then(Value::as_str) == Some("null") {
            return false;
        }
        let properties = variant.get("properties").and_then(Value::as_object).into_iter().flatten();
        let mut tags = properties.filter_map(|(name, schema)| Some((name, schema.get("const")?)));
        let is_tagged = tags.all(|(name, tag)| self.value.get(name) == Some(tag));
        is_tagged && variant.get("const").is_none_or(|tag| tag == self.value)
    }

    /// The keys of this table by name.
    fn properties(&self) -> BTreeMap<&'a str, &'a Value> {
        let tables = self.resolved();
        let properties = tables.iter().filter_map(|schema| schema.get("properties")?.as_object());
        properties.flat_map(|map: &'a Map<String, Value>| map.iter().map(|(k, v)| (k.as_str(), v))).collect()
    }

    /// What the key of this table means, a paragraph a line.
    fn about(&self, key: &str) -> Vec<String> {
        let Some(schema) = self.properties().get(key).copied() else { return Vec::new() };
        let value = self.value.get(key).unwrap_or(&Value::Null);
        let place = Self { schema, value, ..*self };
        let mut lines: Vec<String> = described(schema).into_iter().collect();
        if let Some(tag) = schema.get("const") {
            // The tag of a variant: what the variant is, and what else there is.
            lines.extend(self.resolved().iter().filter(|s| has_tag(s, key)).find_map(|s| described(s)));
            let others: Vec<String> = self.tags(key).into_iter().filter(|other| *other != tag).map(quoted).collect();
            if !others.is_empty() {
                lines.push(format!("Others: {}.", others.join(", ")));
            }
            return lines;
        }
        if lines.is_empty() {
            lines.extend(place.resolved().into_iter().find_map(described));
        }
        lines.extend(place.choices());
        lines
    }

    /// The values that an enum of plain names can have, each with what it means.
    fn choices(&self) -> Vec<String> {
        let all = self.alternatives();
        let named = all.iter().filter_map(|schema| Some((schema.get("const")?, described(schema))));
        let named = named.map(|(name, about)| match about {
            Some(about) => format!("- {}: {about}", quoted(name)),
            None => format!("- {}", quoted(name)),
        });
        let plain = all.iter().filter_map(|schema| schema.get("enum")?.as_array()).flatten();
        named.chain(plain.filter(|name| name.is_string()).map(|name| format!("- {}", quoted(name)))).collect()
    }

    /// The tags that the variants of this table's enum have at `key`.
    fn tags(&self, key: &str) -> Vec<&'a Value> {
        let all = self.alternatives();
        all.into_iter().filter_map(|schema| schema.get("properties")?.get(key)?.get("const")).collect()
    }

    /// All alternatives of this value's type, itself among them.
    fn alternatives(&self) -> Vec<&'a Value> {
        let mut found = Vec::new();
        for schema in self.resolved() {
            let list = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten();
            found.extend(list("oneOf").chain(list("anyOf")));
            found.push(schema);
        }
        found.sort_by_key(|schema| schema.to_string());
        found.dedup();
        found
    }

    /// The keys of this table that may be set but are not, as comments.
    fn absent(&self) -> String {
        let Some(table) = self.value.as_object() else { return String::new() };
        let absent = self.properties().into_keys().filter(|key| !table.contains_key(*key)).map(|key| {
            let about = self.about(key);
            let (first, rest) = about.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
            comment(&[&[format!("{key} (not set): {first}")], rest].concat())
        });
        absent.collect()
    }
}

fn has_tag(schema: &Value, key: &str) -> bool {
    schema.get("properties").and_then(|p| p.get(key)).is_some_and(|p| p.get("const").is_some())
}

fn quoted(value: &Value) -> String {
    value.to_string()
}

/// The documentation of a schema, without the marks of links.
fn described(schema: &Value) -> Option<String> {
    let text = schema.get("description")?.as_str()?;
    let text = text.split("\n\n").next().unwrap_or(text).replace('\n', " ");
    Some(without_links(&text))
}

/// `[`name`](path)` and `[`name`]` as `name`.
fn without_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("[`") {
        let Some(length) = rest[start..].find("`]") else { break };
        out += &rest[..start];
        out += &rest[start + 1..=start + length];
        rest = &rest[start + length + 2..];
        if let Some(target) = rest.strip_prefix('(') {
            rest = target.split_once(')').map_or(target, |(_, after)| after);
        }
    }
    out + rest
}

/// Lines of comment, broken at [`WIDTH`].
fn comment(paragraphs: &[String]) -> String {
    let mut out = String::new();
    for paragraph in paragraphs {
        let mut line = String::from("#");
        for word in paragraph.split(' ') {
            if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
                out += &line;
                out.push('\n');
                line = String::from("#");
            }
            line.push(' ');
            line += word;
        }
        out += &line;
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// All.
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Config {
        /// How fast it learns, see [`Margin`](super::Margin).
        lr: f64,
        /// Absent for none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip: Option<f64>,
        /// When.
        when: When,
        /// How far.
        margin: Margin,
        /// What is done.
        steps: Vec<Margin>,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum When {
        /// In training alone.
        Training,
        /// At all times.
        Always,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "kebab-case")]
    enum Margin {
        /// None at all.
        Off,
        /// A constant.
        Fixed {
            /// The constant.
            value: f64,
        },
    }

    #[test]
    fn every_key_says_what_it_means() {
        let config = Config {
            lr: 0.5,
            clip: None,
            when: When::Always,
            margin: Margin::Fixed { value: 2.0 },
            steps: vec![Margin::Off, Margin::Fixed { value: 1.0 }],
        };
        let text = to_toml(&config).unwrap();
        let expected = r#"# How fast it learns, see `Margin`.
lr = 0.5
# When.
# - "always": At all times.
# - "training": In training alone.
when = "always"
# clip (not set): Absent for none.

# How far.
[margin]
# A constant.
# Others: "off".
kind = "fixed"
# The constant.
value = 2.0

# What is done.
[[steps]]
# None at all.
# Others: "fixed".
kind = "off"

[[steps]]
# A constant.
# Others: "off".
kind = "fixed"
# The constant.
value = 1.0
"#;
        assert_eq!(text, expected);
        let read: Config = toml::from_str(&text).unwrap();
        assert_eq!(read.steps.len(), 2);
    }
}
