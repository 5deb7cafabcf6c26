//! A loader's sequence depends on its seed alone, and errors stay where they belong.

use std::{
    collections::BTreeSet,
    error::Error as _,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use sconce_core::{Batches as _, Position, Rng};
use sconce_data::{DataError, Loader, LoaderConfig, Result, Source};

/// Samples that are their index and one draw; one of them may fail.
#[derive(Clone, Default)]
struct Numbers {
    n: usize,
    fails: Option<usize>,
    panics: Option<usize>,
    n_fetched: Arc<AtomicUsize>,
}

impl Source for Numbers {
    type Item = (usize, u64);
    type Batch = Vec<(usize, u64)>;

    fn len(&self) -> usize {
        self.n
    }

    fn fetch(&self, index: usize, rng: &mut Rng) -> Result<Self::Item> {
        self.n_fetched.fetch_add(1, Ordering::Relaxed);
        assert_ne!(Some(index), self.panics, "sample {index} is poisoned");
        if Some(index) == self.fails {
            return Err(DataError::argument("number", index, "another one"));
        }
        Ok((index, rng.below(1 << 40) as u64))
    }

    fn collate(&self, items: Vec<Self::Item>) -> Result<Self::Batch> {
        Ok(items)
    }
}

fn numbers(n: usize) -> Numbers {
    Numbers { n, ..Numbers::default() }
}

fn config(workers: usize) -> LoaderConfig {
    LoaderConfig { batch_size: 8, seed: 5, workers, prefetch: 3, ..LoaderConfig::default() }
}

fn loader(n: usize, config: LoaderConfig) -> Loader<Numbers> {
    Loader::new(numbers(n), config).unwrap()
}

fn take(loader: &mut Loader<Numbers>, n: usize) -> Vec<Vec<(usize, u64)>> {
    (0..n).map(|_| loader.next_batch().unwrap()).collect()
}

#[test]
fn the_sequence_does_not_depend_on_workers_or_prefetch() {
    let expected = take(&mut loader(50, config(0)), 20);
    for workers in [1, 3] {
        for prefetch in [0, 1, 30] {
            let config = LoaderConfig { prefetch, ..config(workers) };
            assert_eq!(take(&mut loader(50, config), 20), expected, "{workers} workers, {prefetch} ahead");
        }
    }
}

#[test]
fn another_seed_and_another_epoch_have_another_order_and_other_draws() {
    let base = take(&mut loader(50, config(0)), 14);
    let other = take(&mut loader(50, LoaderConfig { seed: 6, ..config(0) }), 7);
    let epochs: Vec<Vec<(usize, u64)>> = [&base[..7], &base[7..], &other].map(<[_]>::concat).into();
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let order = |epoch: &[(usize, u64)]| epoch.iter().map(|item| item.0).collect::<Vec<_>>();
        assert_ne!(order(&epochs[a]), order(&epochs[b]));
        let draws = |epoch: &[(usize, u64)]| epoch.iter().map(|item| item.1).collect::<BTreeSet<_>>();
        assert!(draws(&epochs[a]).is_disjoint(&draws(&epochs[b])));
    }
}

#[test]
fn an_epoch_has_every_sample_once() {
    for workers in [0, 2] {
        let mut loader = loader(50, config(workers));
        assert_eq!(loader.batches_per_epoch(), 7);
        for _ in 0..3 {
            let epoch = take(&mut loader, 7);
            assert_eq!(epoch.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 8, 8, 8, 8, 2]);
            let mut indices: Vec<usize> = epoch.concat().iter().map(|item| item.0).collect();
            indices.sort();
            assert_eq!(indices, (0..50).collect::<Vec<_>>());
        }
    }
}

#[test]
fn drop_last_leaves_out_what_is_not_full() {
    let mut loader = loader(50, LoaderConfig { drop_last: true, ..config(1) });
    assert_eq!(loader.batches_per_epoch(), 6);
    assert!(take(&mut loader, 13).iter().all(|batch| batch.len() == 8));
    assert_eq!(loader.position(), Position { epoch: 2, batch: 1 });
}

#[test]
fn without_shuffling_the_order_is_the_sources() {
    let batches = take(&mut loader(20, LoaderConfig { shuffle: false, ..config(2) }), 6);
    let indices: Vec<usize> = batches.concat().iter().map(|item| item.0).collect();
    assert_eq!(indices, (0..20).chain(0..20).collect::<Vec<_>>());
}

#[test]
fn seeking_equals_running_there() {
    let all = take(&mut loader(50, config(0)), 21);
    for workers in [0, 2] {
        let mut loader = loader(50, config(workers));
        take(&mut loader, 2);
        for (epoch, batch) in [(1, 3), (0, 0), (2, 6), (0, 7), (1, 0)] {
            loader.seek(Position { epoch, batch }).unwrap();
            let first = 7 * epoch + batch;
            let n = 4.min(21 - first);
            assert_eq!(take(&mut loader, n), all[first..first + n], "{workers} workers, epoch {epoch}, batch {batch}");
        }
    }
}

#[test]
fn seeking_where_the_loader_stands_keeps_what_is_in_flight() {
    let source = numbers(50);
    let n_fetched = Arc::clone(&source.n_fetched);
    let mut loader = Loader::new(source, config(1)).unwrap();
    let first = loader.next_batch().unwrap();
    loader.seek(Position { epoch: 0, batch: 1 }).unwrap();
    let second = loader.next_batch().unwrap();
    drop(loader);
    assert_eq!(vec![first, second], take(&mut super::loader::loader(50, config(0)), 2));
    // Two batches were used and at most three more were in flight, none of them twice.
    assert!(n_fetched.load(Ordering::Relaxed) <= 5 * 8);
}

#[test]
fn a_position_behind_the_epoch_is_refused() {
    let mut loader = loader(50, config(1));
    assert!(matches!(loader.seek(Position { epoch: 0, batch: 8 }), Err(DataError::Argument { .. })));
    assert_eq!(loader.position(), Position::default());
}

#[test]
fn an_error_surfaces_at_its_batch_and_names_the_sample() {
    let all = take(&mut loader(50, config(0)), 7);
    let bad = all[2][5].0;
    for workers in [0, 1, 3] {
        let source = Numbers { fails: Some(bad), ..numbers(50) };
        let mut loader = Loader::new(source, config(workers)).unwrap();
        assert_eq!(take(&mut loader, 2), all[..2]);
        let error = loader.next_batch().unwrap_err();
        assert_eq!(error.to_string(), format!("sample {bad}"));
        assert_eq!(error.source().unwrap().to_string(), format!("number is {bad}, expected another one"));
        assert_eq!(take(&mut loader, 4), all[3..]);
    }
}

#[test]
fn the_first_error_of_a_batch_is_the_one_reported() {
    struct Broken;
    impl Source for Broken {
        type Item = ();
        type Batch = ();
        fn len(&self) -> usize {
            64
        }
        fn fetch(&self, index: usize, _: &mut Rng) -> Result<()> {
            if index < 3 { Ok(()) } else { Err(DataError::argument("number", index, "less")) }
        }
        fn collate(&self, _: Vec<()>) -> Result<()> {
            Ok(())
        }
    }
    for _ in 0..20 {
        let config = LoaderConfig { batch_size: 64, shuffle: false, workers: 3, ..LoaderConfig::default() };
        let error = Loader::new(Broken, config).unwrap().next_batch().unwrap_err();
        assert_eq!(error.to_string(), "sample 3");
    }
}

#[test]
fn a_panic_becomes_an_error_that_names_the_sample() {
    let all = take(&mut loader(50, config(0)), 2);
    let bad = all[1][0].0;
    for workers in [0, 2] {
        let mut loader = Loader::new(Numbers { panics: Some(bad), ..numbers(50) }, config(workers)).unwrap();
        assert_eq!(loader.next_batch().unwrap(), all[0]);
        let error = loader.next_batch().unwrap_err();
        assert!(matches!(&error, DataError::Sample { index, .. } if *index == bad), "{error:?}");
        assert!(error.source().unwrap().to_string().contains(&format!("sample {bad} is poisoned")));
    }
}

#[test]
fn what_cannot_be_loaded_is_refused() {
    let refused = |n, config| matches!(Loader::new(numbers(n), config), Err(DataError::Argument { .. }));
    assert!(refused(0, config(1)));
    assert!(refused(50, LoaderConfig { batch_size: 0, ..config(1) }));
    assert!(refused(50, config(100_000)));
    assert!(refused(7, LoaderConfig { drop_last: true, ..config(1) }));
    assert!(!refused(8, LoaderConfig { drop_last: true, ..config(1) }));
}

#[test]
fn a_caller_in_a_one_thread_pool_does_not_wait_for_itself() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let inside = pool.install(|| take(&mut loader(50, config(1)), 9));
    assert_eq!(inside, take(&mut loader(50, config(0)), 9));
}

#[test]
fn dropping_a_loader_stops_its_workers() {
    const BATCH: usize = 10;
    const WORKERS: usize = 2;
    /// Behind the first batch, samples are only there once the loader is gone.
    struct Gate {
        n_fetched: AtomicUsize,
        is_gone: Mutex<bool>,
        changed: Condvar,
    }
    struct Gated(Arc<Gate>);
    impl Source for Gated {
        type Item = ();
        type Batch = ();
        fn len(&self) -> usize {
            100_000
        }
        fn fetch(&self, index: usize, _: &mut Rng) -> Result<()> {
            let Gate { n_fetched, is_gone, changed } = &*self.0;
            n_fetched.fetch_add(1, Ordering::Relaxed);
            let is_gone = is_gone.lock().unwrap();
            let _wait = changed.wait_while(is_gone, |is_gone| index >= BATCH && !*is_gone).unwrap();
            Ok(())
        }
        fn collate(&self, _: Vec<()>) -> Result<()> {
            Ok(())
        }
    }
    let gate = Arc::new(Gate { n_fetched: AtomicUsize::new(0), is_gone: Mutex::new(false), changed: Condvar::new() });
    let config = LoaderConfig {
        batch_size: BATCH,
        workers: WORKERS,
        prefetch: 9_999,
        shuffle: false,
        ..LoaderConfig::default()
    };
    let mut loader = Loader::new(Gated(Arc::clone(&gate)), config).unwrap();
    loader.next_batch().unwrap();
    drop(loader);
    *gate.is_gone.lock().unwrap() = true;
    gate.changed.notify_all();
    // The workers hold the gate until they have ended.
    while Arc::strong_count(&gate) > 1 {
        std::thread::yield_now();
    }
    // The first batch came although 9,999 wait behind it, and each worker ends with the sample that it was at.
    assert!(gate.n_fetched.load(Ordering::Relaxed) <= BATCH + WORKERS);
}

#[test]
fn ranks_share_each_batch_sample_by_sample() {
    let whole = take(&mut loader(51, config(0)), 9);
    for (workers, ranks) in [(0, 1), (0, 2), (2, 3)] {
        let mut shares: Vec<_> =
            (0..ranks).map(|rank| loader(51, config(workers)).sharded(rank, ranks).unwrap()).collect();
        assert!(shares.iter().all(|share| share.batches_per_epoch() == 7));
        let shares: Vec<_> = shares.iter_mut().map(|share| take(share, 9)).collect();
        for (i, batch) in whole.iter().enumerate() {
            for (rank, share) in shares.iter().enumerate() {
                let expected: Vec<_> = batch.iter().skip(rank).step_by(ranks).copied().collect();
                assert_eq!(share[i], expected, "batch {i} of rank {rank} of {ranks}");
            }
        }
    }
}

#[test]
fn a_batch_with_fewer_samples_than_ranks_is_refused_at_once() {
    let refused = |n, config: LoaderConfig, rank, ranks| match loader(n, config).sharded(rank, ranks) {
        Err(e @ DataError::Argument { .. }) => e.to_string(),
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("{n} samples for {ranks} ranks were taken"),
    };
    // The last batch has two samples.
    let error = refused(50, config(0), 0, 3);
    assert!(error.contains("50 samples in batches of 8"), "{error}");
    assert!(loader(50, LoaderConfig { drop_last: true, ..config(0) }).sharded(0, 3).is_ok());
    assert!(loader(50, config(0)).sharded(1, 2).is_ok());
    refused(50, LoaderConfig { drop_last: true, ..config(0) }, 0, 9);
    refused(3, config(0), 0, 4);
    refused(50, config(0), 2, 2);
}
