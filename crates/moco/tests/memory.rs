//! A large bank of features is held once: nothing that measures features copies it.
//!
//! A program of its own: the peak that Linux counts is of the whole process.
#![cfg(target_os = "linux")]

use std::fs;

use sconce_core::Rng;
use sconce_moco::evaluation::{Features, KnnConfig, ProbeConfig, knn_classify, linear_probe};

const ROWS: usize = 100_000;
const DIM: usize = 512;

/// The most memory that the process has had since the last call of [`forget_peak`], in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Lets the peak begin at what the process has now; whether the system lets it.
fn forget_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

#[test]
fn no_measure_copies_a_bank() {
    let mut rng = Rng::new(0, "features");
    let few: Vec<f32> = (0..DIM * 64).map(|_| rng.normal() as f32).collect();
    let mut values = Vec::with_capacity(ROWS * DIM);
    (0..ROWS * DIM).for_each(|i| values.push(few[i % few.len()] + (i / few.len()) as f32 * 1e-3));
    let bank = Features::new(values, DIM, (0..ROWS as u32).map(|i| i % 10).collect()).unwrap();
    let queries = bank.subset(&(0..100).collect::<Vec<_>>());
    let size = ROWS * DIM * size_of::<f32>();
    let growth = |what: &str, f: &mut dyn FnMut()| {
        if !forget_peak() {
            eprintln!("{what} is not measured: this system does not let a process forget its peak");
            return f();
        }
        let before = peak();
        f();
        let growth = peak().saturating_sub(before);
        eprintln!("{what}: {:.1} MB beside a bank of {:.1} MB", growth as f64 / 1e6, size as f64 / 1e6);
        // Pieces and lists of neighbours.
        assert!(growth < size / 2, "{what} takes {growth} bytes beside a bank of {size}");
    };
    let probe = ProbeConfig { epochs: 1, batch_size: 256, lr: 0.01, weight_decay: 0.0 };
    growth("nearest neighbours", &mut || {
        knn_classify(&bank, &queries, &KnnConfig::default()).unwrap();
    });
    growth("a linear classifier", &mut || {
        linear_probe(&bank, &queries, &probe, 0).unwrap();
    });
    let mut bank = Some(bank);
    growth("a tensor", &mut || {
        assert_eq!(bank.take().unwrap().normalized().into_tensor().unwrap().dims(), [ROWS, DIM]);
    });
}
