//! Which labels the network doubts: the rows of `relabelled.csv`.

use std::path::PathBuf;

use crate::eval::Predictions;

/// Where an image is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    Train,
    /// Cut off the training images: the network has never seen its label.
    Validation,
}

/// What became of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// Training has changed it.
    Relabelled,
    /// Training has left it, but the network finds another class more probable by more than the margin of relabelling.
    Suspect,
}

/// An image whose label is doubted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) status: Status,
    pub(super) split: Split,
    /// Its place in its split.
    pub(super) index: usize,
    pub(super) given: u32,
    pub(super) current: u32,
    /// The class that the trained network finds most probable.
    pub(super) predicted: u32,
    /// The probability of each class, by the trained network.
    pub(super) probabilities: Vec<f64>,
    pub(super) alpha: f64,
}

impl Row {
    pub(super) fn probability(&self, class: u32) -> f64 {
        self.probabilities.get(class as usize).copied().unwrap_or(f64::NAN)
    }
}

/// The doubted labels among the training images, by what the trained network says of them.
pub(super) fn training(predictions: &Predictions, given: &[u32], current: &[u32], margin: f64) -> Vec<Row> {
    doubted(predictions, given, current, margin, Split::Train)
}

/// The doubted labels among the validation images.
pub(super) fn validation(predictions: &Predictions, given: &[u32], margin: f64) -> Vec<Row> {
    doubted(predictions, given, given, margin, Split::Validation)
}

fn doubted(predictions: &Predictions, given: &[u32], current: &[u32], margin: f64, split: Split) -> Vec<Row> {
    let classes = predictions.classes();
    let row = |i: usize| {
        let index = predictions.indices[i];
        let mut row = Row {
            status: Status::Relabelled,
            split,
            index,
            given: given[index],
            current: current[index],
            predicted: classes[i],
            probabilities: predictions.probabilities[i].clone(),
            alpha: predictions.alpha[i],
        };
        if row.given == row.current {
            row.status = Status::Suspect;
            if row.probability(row.predicted) - row.probability(row.given) <= margin {
                return None;
            }
        }
        Some(row)
    };
    (0..classes.len()).filter_map(row).collect()
}

/// Changed labels first, then suspects; within each those first whose given label the network finds least probable.
pub(super) fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| {
        let suspicion = |row: &Row| row.probability(row.given);
        a.status.cmp(&b.status).then(suspicion(a).total_cmp(&suspicion(b)))
    });
}

/// The columns of the table. The crate's README says what each means.
const COLUMNS: [&str; 10] = [
    "file",
    "given_label",
    "current_label",
    "probability",
    "alpha",
    "status",
    "given_probability",
    "predicted_label",
    "predicted_probability",
    "split",
];

/// The table as CSV, a row for each of `rows` in their order.
pub(super) fn to_csv(rows: &[Row], classes: &[String], file: &dyn Fn(&Row) -> PathBuf) -> Vec<u8> {
    let mut writer = csv_core::Writer::new();
    let mut table = Vec::new();
    write_record(&mut writer, &mut table, &COLUMNS.map(str::to_owned));
    let name = |class: u32| classes.get(class as usize).cloned().unwrap_or_default();
    let number = |x: f64| format!("{x:.6}");
    for row in rows {
        let status = match row.status {
            Status::Relabelled => "relabelled",
            Status::Suspect => "suspect",
        };
        let split = match row.split {
            Split::Train => "train",
            Split::Validation => "validation",
        };
        let fields = [
            file(row).display().to_string(),
            name(row.given),
            name(row.current),
            number(row.probability(row.current)),
            number(row.alpha),
            status.to_owned(),
            number(row.probability(row.given)),
            name(row.predicted),
            number(row.probability(row.predicted)),
            split.to_owned(),
        ];
        write_record(&mut writer, &mut table, &fields);
    }
    table
}

/// Appends a line to `table`.
fn write_record(writer: &mut csv_core::Writer, table: &mut Vec<u8>, fields: &[String]) {
    for (i, field) in fields.iter().enumerate() {
        // Room for two quotes around the field, and for each of its own to be doubled.
        let mut buffer = vec![0; 2 * field.len() + 4];
        let mut written = 0;
        if i > 0 {
            written += writer.delimiter(&mut buffer).1;
        }
        written += writer.field(field.as_bytes(), &mut buffer[written..]).2;
        table.extend_from_slice(&buffer[..written]);
    }
    let mut buffer = [0; 4];
    let (_, written) = writer.terminator(&mut buffer);
    table.extend_from_slice(&buffer[..written]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(rows: &[(usize, [f64; 2])]) -> Predictions {
        Predictions {
            indices: rows.iter().map(|(i, _)| *i).collect(),
            alpha: rows.iter().map(|(i, _)| *i as f64 / 10.0).collect(),
            probabilities: rows.iter().map(|(_, p)| p.to_vec()).collect(),
        }
    }

    #[test]
    fn changed_labels_come_first_and_suspects_by_suspicion() {
        let said = predictions(&[(2, [0.9, 0.1]), (0, [0.4, 0.6]), (3, [0.45, 0.55]), (1, [0.8, 0.2])]);
        // 0 was changed, 1 and 2 are suspect, 3 is not by much.
        let mut rows = training(&said, &[0, 1, 1, 0], &[1, 1, 1, 0], 0.2);
        sort(&mut rows);
        let found: Vec<_> = rows.iter().map(|row| (row.index, row.status, row.given, row.predicted)).collect();
        let expected = [(0, Status::Relabelled, 0, 1), (2, Status::Suspect, 1, 0), (1, Status::Suspect, 1, 0)];
        assert_eq!(found, expected);
        assert_eq!(rows[1].alpha, 0.2);
    }

    #[test]
    fn the_margin_is_exceeded_strictly() {
        let said = predictions(&[(0, [0.75, 0.25])]);
        assert_eq!(training(&said, &[1], &[1], 0.5).len(), 0);
        assert_eq!(training(&said, &[1], &[1], 0.49).len(), 1);
    }

    #[test]
    fn names_are_quoted() {
        let rows = training(&predictions(&[(0, [0.125, 0.875])]), &[0], &[1], 0.2);
        let classes = ["a, \"b\"".to_owned(), "new\nline".to_owned()];
        let text = String::from_utf8(to_csv(&rows, &classes, &|_| "x,y/1.png".into())).unwrap();
        let expected = "file,given_label,current_label,probability,alpha,status,given_probability,predicted_label,\
                        predicted_probability,split\n\"x,y/1.png\",\"a, \"\"b\"\"\",\"new\nline\",0.875000,0.000000,\
                        relabelled,0.125000,\"new\nline\",0.875000,train\n";
        assert_eq!(text, expected);
    }
}
