//! What a program sets up before anything else.

/// Has Candle compute its own operations on the thread that asks for them, unless the environment's `CANDLE_NUM_THREADS` says
/// otherwise.
///
/// From 65,536 elements on, Candle 0.11.1 shares what it does element by element among threads of its own, one for every core
/// whatever pool is at work, and waits for them in a loop that does not sleep. On a single core, or where several processes share
/// the cores, every such operation waits for a thread that has none: a sixth of a detector's training step.
/// Ours are computed by the pool that is at work, in either case.
///
/// For the first line of `main`: it sets an environment variable, and so does nothing where the process has other threads already,
/// or the system does not tell how many, as only Linux does.
pub fn keep_candle_on_its_thread() {
    const THREADS: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(THREADS).is_none() && has_one_thread() {
        // SAFETY: there is no other thread that could read or write the environment meanwhile.
        unsafe { std::env::set_var(THREADS, "1") };
    }
}

fn has_one_thread() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Threads:").is_some_and(|n| n.trim() == "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_stays_as_it_is_where_there_are_other_threads() {
        std::thread::scope(|scope| {
            let (done, wait) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || wait.recv());
            assert!(!has_one_thread());
            let before = std::env::var_os("CANDLE_NUM_THREADS");
            keep_candle_on_its_thread();
            assert_eq!(std::env::var_os("CANDLE_NUM_THREADS"), before);
            drop(done);
        });
    }
}
