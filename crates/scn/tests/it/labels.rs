//! The label table: what it keeps, what it refuses.

use sconce_scn::{Change, LabelTable, RelabelQuality, ScnError};

fn table() -> LabelTable {
    LabelTable::new(vec![0, 1, 2, 0], 3).unwrap()
}

#[test]
fn an_update_touches_its_indices_alone_and_is_logged() {
    let table = table();
    assert_eq!(table.update(&[3, 1], &[2, 1], 5).unwrap(), 1);
    assert_eq!(table.current(), [0, 1, 2, 2]);
    assert_eq!(table.original(), [0, 1, 2, 0]);
    assert_eq!(table.changes(), [Change { epoch: 5, index: 3, from: 0, to: 2 }]);
    table.update(&[3], &[1], 6).unwrap();
    assert_eq!(table.changes()[1], Change { epoch: 6, index: 3, from: 2, to: 1 });
    assert_eq!(table.of(&[3, 0]).unwrap(), [1, 0]);
}

#[test]
fn bad_labels_and_indices_are_named_and_change_nothing() {
    assert!(matches!(LabelTable::new(vec![0, 3], 3), Err(ScnError::Label { index: 1, label: 3, n_classes: 3 })));
    let table = table();
    assert!(matches!(table.update(&[0, 1], &[1, 7], 1), Err(ScnError::Label { label: 7, .. })));
    assert!(matches!(table.update(&[0, 9], &[1, 1], 1), Err(ScnError::Sample { index: 9, len: 4 })));
    assert!(matches!(table.of(&[4]), Err(ScnError::Sample { index: 4, len: 4 })));
    assert_eq!(table.current(), table.original());
}

#[test]
fn a_stored_table_comes_back_whole_and_only_to_its_own_training_set() {
    let changed = table();
    changed.update(&[2], &[0], 3).unwrap();
    let stored = changed.to_json().unwrap();
    let fresh = table();
    fresh.restore(&stored).unwrap();
    assert_eq!((fresh.current(), fresh.changes()), (changed.current(), changed.changes()));
    let other = LabelTable::new(vec![0, 1, 2, 1], 3).unwrap();
    assert!(matches!(other.restore(&stored), Err(ScnError::LabelTable { .. })));
    assert!(matches!(fresh.restore(b"{}"), Err(ScnError::LabelTable { .. })));
}

#[test]
fn quality_counts_each_kind_of_change() {
    //              right, mended, worse, missed, broken, moved from one wrong class to another
    let truth = [0, 1, 1, 2, 0, 2];
    let given = [0, 0, 1, 0, 0, 1];
    let current = [0, 1, 0, 0, 1, 0];
    let quality = RelabelQuality::new(&given, &current, &truth);
    assert_eq!(quality.relabelled, 4);
    assert_eq!(quality.precision, Some(1.0 / 4.0));
    assert_eq!(quality.recall, Some(1.0 / 3.0));
    assert_eq!(quality.broken, Some(2.0 / 3.0));
    assert_eq!(quality.noise_left, Some(4.0 / 6.0));
    assert_eq!(RelabelQuality::new(&[1], &[1], &[1]).precision, None);
}
