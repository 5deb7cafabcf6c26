//! Results as tables for a terminal.

use serde_json::Value;

use crate::{Evaluation, Metrics, report::number};

/// Final metrics, a line each.
pub(super) fn metrics(metrics: &Metrics) -> String {
    rows(metrics.iter().map(|(name, &value)| vec![name.replace('_', " "), number(value)]).collect())
}

/// An evaluation: numbers first, then what has parts.
pub(super) fn evaluation(results: &Evaluation) -> String {
    let classes: Vec<String> = match results.get("classes") {
        Some(Value::Array(names)) => names.iter().map(cell).collect(),
        _ => Vec::new(),
    };
    let (parts, plain): (Vec<_>, Vec<_>) = results.iter().partition(|(_, value)| has_parts(value));
    let mut text = rows(plain.into_iter().map(|(name, value)| vec![name.replace('_', " "), cell(value)]).collect());
    for (name, value) in parts.into_iter().filter(|(name, _)| *name != "classes") {
        text += &format!("\n{}\n{}", name.replace('_', " "), part(value, &classes));
    }
    text
}

fn has_parts(value: &Value) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) => true,
        Value::String(text) => text.contains('\n'),
        _ => false,
    }
}

/// What has parts, below its name: a row for each; the rows of a matrix have the names of the classes if there are as many.
fn part(value: &Value, classes: &[String]) -> String {
    match value {
        Value::Object(named) => table(named.iter().map(|(name, value)| (name.clone(), value))),
        Value::Array(list) if list.iter().all(has_parts) => {
            let name = |i: usize| if classes.len() == list.len() { classes[i].clone() } else { (i + 1).to_string() };
            table(list.iter().enumerate().map(|(i, value)| (name(i), value)))
        }
        Value::Array(list) => format!("  {}\n", list.iter().map(cell).collect::<Vec<_>>().join(", ")),
        Value::String(text) => text.trim_end().lines().map(|line| format!("  {line}\n")).collect(),
        value => format!("  {}\n", cell(value)),
    }
}

/// Rows of values by their names. Rows that are tables themselves have columns, named if those are.
fn table<'a>(rows_of: impl Iterator<Item = (String, &'a Value)>) -> String {
    let mut lines = Vec::new();
    for (name, value) in rows_of {
        let name = format!("  {name}");
        match value {
            Value::Object(columns) => {
                if lines.is_empty() {
                    lines.push([vec![String::new()], columns.keys().cloned().collect()].concat());
                }
                lines.push([vec![name], columns.values().map(cell).collect()].concat());
            }
            Value::Array(columns) => lines.push([vec![name], columns.iter().map(cell).collect()].concat()),
            value => lines.push(vec![name, cell(value)]),
        }
    }
    rows(lines)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => number(n.as_f64().unwrap_or(f64::NAN)),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}

/// Lines whose columns stand below each other: the first one to the left, the others to the right unless they are text.
fn rows(lines: Vec<Vec<String>>) -> String {
    let n_columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| lines.iter().filter_map(|line| line.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let line = |line: &Vec<String>| {
        let cells = line.iter().enumerate().map(|(i, cell)| {
            let fill = " ".repeat(widths[i] - cell.chars().count());
            if i == 0 { format!("{cell}{fill}") } else { format!("{fill}{cell}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_is_a_table() {
        let results: Evaluation = serde_json::from_value(serde_json::json!({
            "accuracy": 0.512345678,
            "images": 12,
            "classes": ["cat", "wild dog"],
            "per_class_accuracy": { "cat": 0.5, "wild dog": null },
            "confusion_matrix": [[1, 0], [10, 1]],
            "AP": { "cat": { "AP50": 0.25, "AP75": 0.125 }, "wild dog": { "AP50": 1.0, "AP75": 0.5 } },
        }))
        .unwrap();
        let expected = "\
accuracy  0.5123
images        12

AP
              AP50    AP75
  cat       0.2500  0.1250
  wild dog       1  0.5000

confusion matrix
  cat        1  0
  wild dog  10  1

per class accuracy
  cat       0.5000
  wild dog       –
";
        assert_eq!(evaluation(&results), expected);
    }

    #[test]
    fn metrics_have_a_line_each() {
        let metrics_of = Metrics::from([("best_accuracy".to_owned(), 0.75), ("loss".to_owned(), f64::NAN)]);
        assert_eq!(metrics(&metrics_of), "best accuracy  0.7500\nloss                –\n");
    }
}
