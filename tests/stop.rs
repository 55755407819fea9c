//! A block of work that nobody wants any more ends in its middle, on every engine.

use crate::conformance::Case;
use crate::engines::{dense_decoder, engines, models};
use crate::networks::classifier;
use epistemap::engine::Stop;
use epistemap::error::Error;
use epistemap::nets::cnn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// One that is set once it has been asked so often, and how often it was asked.
fn after(count: u32) -> (Stop, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    (Stop::when(move || counter.fetch_add(1, Ordering::SeqCst) >= count), asked)
}

#[test]
fn a_block_ends_soon_after_it_is_given_up_and_leaves_nothing_half_done() {
    let members = (0..2).map(|seed| classifier(&[2, 7, 9], cnn([2, 7, 9], 3, [4, 3], 5, [0.3, 0.4]), seed)).collect();
    let case = Case::new(models(Some(dense_decoder([2, 7, 9], &[5], 2, 1)), members), 40, 0..200);
    for (name, open) in engines() {
        let expected = open(Arc::new(case.models.clone())).unwrap().statistics(&case.whole()).unwrap();
        for count in [0, 1, 5] {
            let mut engine = open(Arc::new(case.models.clone())).unwrap();
            for is_logits in [false, true] {
                let (stop, asked) = after(count);
                engine.heed(&stop);
                let ended = if is_logits { engine.probabilities(&case.whole()).err() } else { engine.statistics(&case.whole()).err() };
                assert!(matches!(ended, Some(Error::Cancelled)), "{name}, after {count}: {ended:?}");
                // 40 points, two members and 200 draws are 16,000 passes.
                let asked = asked.load(Ordering::SeqCst);
                assert!(asked < 1000, "{name}, after {count}: it went on, and asked {asked} times");
            }
            engine.heed(&after(0).0);
            assert!(matches!(engine.decode(&[0.5, 0.25]), Err(Error::Cancelled)), "{name}");
            engine.heed(&Stop::default());
            assert_eq!(engine.statistics(&case.whole()).unwrap(), expected, "{name}, after {count}");
        }
        let mut engine = open(Arc::new(case.models.clone())).unwrap();
        let (never, asked) = after(u32::MAX);
        engine.heed(&never);
        assert_eq!(engine.statistics(&case.whole()).unwrap(), expected, "{name}");
        assert!(asked.load(Ordering::SeqCst) > 5, "{name} looks up only at the ends of a block");
    }
}
