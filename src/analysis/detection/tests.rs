//! Detection against definitions, reference numbers and simulated scores.

use super::*;

#[test]
fn it_is_the_share_of_pairs_in_the_right_order() {
    assert_eq!(auroc(&[0.0, 1.0], &[2.0, 3.0]).unwrap(), 1.0);
    assert_eq!(auroc(&[2.0, 3.0], &[0.0, 1.0]).unwrap(), 0.0);
    // 3 beats both, 1 ties with one and beats the other: 3.5 of 4.
    assert_eq!(auroc(&[1.0, 0.5], &[3.0, 1.0]).unwrap(), 3.5 / 4.0);
    assert_eq!(auroc(&[0.0; 7], &[-0.0; 3]).unwrap(), 0.5);
    assert_eq!(auroc(&[f64::NEG_INFINITY], &[f64::INFINITY]).unwrap(), 1.0);
}

#[test]
fn nothing_to_compare_is_refused() {
    for (negatives, positives) in [(&[][..], &[1.0][..]), (&[1.0], &[]), (&[1.0, f64::NAN], &[2.0]), (&[1.0], &[f64::NAN])] {
        assert!(auroc(negatives, positives).is_err(), "{negatives:?} {positives:?}");
    }
}

fn noise(number: u32, count: u32, shift: f64) -> Vec<f64> {
    let stream = Stream::new(number, Purpose::Choice);
    (0..count).map(|index| stream.normal([0; 3], index) + shift).collect()
}

#[test]
fn a_score_and_its_reverse_share_all_pairs() {
    for ties in [false, true] {
        let of = |number, count| -> Vec<f64> {
            noise(number, count, 0.3).into_iter().map(|score| if ties { score.round() } else { score }).collect()
        };
        let (negatives, positives) = (of(1, 70), of(2, 30));
        let reversed = |scores: &[f64]| scores.iter().map(|score| -score).collect::<Vec<_>>();
        let sum = auroc(&negatives, &positives).unwrap() + auroc(&reversed(&negatives), &reversed(&positives)).unwrap();
        assert!((sum - 1.0).abs() <= 1e-15, "{sum}");
    }
}

#[test]
fn curves_go_from_end_to_end_and_hold_the_area() {
    let ranking = Ranking::new(&noise(3, 50, 0.0), &noise(4, 40, 1.0)).unwrap();
    let roc = ranking.roc();
    assert_eq!((roc[0], roc[roc.len() - 1]), ([0.0; 2], [1.0; 2]));
    let area: f64 = roc.windows(2).map(|pair| (pair[1][0] - pair[0][0]) * (pair[0][1] + pair[1][1]) / 2.0).sum();
    assert!((area - ranking.auroc()).abs() <= 1e-12);
    let curve = ranking.precision_recall();
    assert_eq!((curve.len(), curve[curve.len() - 1]), (ranking.thresholds.len(), [1.0, 40.0 / 90.0]));
}

#[test]
fn the_rates_of_a_threshold_lie_on_the_curves() {
    let ranking = Ranking::new(&noise(5, 50, 0.0), &noise(6, 60, 1.0)).unwrap();
    for (place, &threshold) in ranking.thresholds.iter().enumerate() {
        let [fpr, tpr, precision] = ranking.rates(threshold);
        assert_eq!([fpr, tpr], ranking.roc()[place + 1]);
        assert_eq!([tpr, precision], ranking.precision_recall()[place]);
        assert_ne!([fpr, tpr], ranking.roc()[place], "the negative control");
    }
    assert_eq!(ranking.rates(f64::INFINITY), [0.0, 0.0, 1.0]);
    let [fpr, tpr, _] = ranking.rates(ranking.threshold_at_95_tpr());
    assert_eq!((fpr, tpr), (ranking.fpr_at_95_tpr(), 0.95));
}

#[test]
fn intervals_are_the_same_for_the_same_seed_only() {
    let ranking = Ranking::new(&noise(7, 80, 0.0), &noise(8, 60, 1.0)).unwrap();
    let quality = ranking.quality(200, 1);
    assert!(quality == ranking.quality(200, 1) && quality != ranking.quality(200, 2));
    for estimate in quality.estimates() {
        assert!(estimate.low <= estimate.value && estimate.value <= estimate.high && estimate.low < estimate.high, "{estimate:?}");
    }
}

#[test]
fn a_single_positive_or_negative_has_no_interval() {
    for (negatives, positives) in [(1, 20), (20, 1)] {
        let ranking = Ranking::new(&noise(1, negatives, 0.0), &noise(2, positives, 1.0)).unwrap();
        assert!(ranking.quality(100, 0).estimates().iter().all(|estimate| estimate.interval().is_none() && !estimate.value.is_nan()));
    }
    let ranking = Ranking::new(&noise(1, 20, 0.0), &noise(2, 2, 1.0)).unwrap();
    assert!(ranking.quality(100, 0).auroc.interval().is_some(), "the negative control");
}

#[test]
fn rates_at_few_false_alarms_are_those_of_the_curve() {
    let ranking = Ranking::new(&noise(9, 100, 0.0), &noise(10, 70, 1.5)).unwrap();
    let best = |most: f64| ranking.roc().iter().filter(|point| point[0] <= most).map(|point| point[1]).fold(0.0, f64::max);
    assert_eq!([ranking.tpr_at_1_fpr(), ranking.tpr_at_5_fpr()], [best(0.01), best(0.05)]);
    assert!(best(0.01) > best(0.009) && best(0.05) > best(0.01), "one alarm in a hundred is allowed");
    // All scores are equal: a threshold that detects one image raises an alarm for all.
    assert_eq!(Ranking::new(&[1.0; 9], &[1.0; 9]).unwrap().tpr_at_5_fpr(), 0.0);
}

#[test]
fn numbers_with_ties_are_those_of_all_pairs_and_thresholds() {
    for number in 0..8 {
        let rounded = |number, count, shift| noise(number, count, shift).into_iter().map(|score| (2.0 * score).round()).collect::<Vec<_>>();
        let (negatives, positives) = (rounded(number, 53, 0.0), rounded(number + 50, 31, 0.7));
        let ranking = Ranking::new(&negatives, &positives).unwrap();
        let win = |n: f64, p: f64| {
            if p > n {
                1.0
            } else if p == n {
                0.5
            } else {
                0.0
            }
        };
        let wins: f64 = negatives.iter().flat_map(|&n| positives.iter().map(move |&p| win(n, p))).sum();
        assert!((ranking.auroc() - wins / (53.0 * 31.0)).abs() <= 1e-12);
        // At each threshold anew from all scores.
        let mut thresholds: Vec<f64> = negatives.iter().chain(&positives).copied().collect();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        let above = |scores: &[f64], threshold: f64| scores.iter().filter(|score| **score >= threshold).count() as f64;
        let (mut precision, mut recall, mut fpr) = (0.0, 0.0, None);
        for threshold in thresholds {
            let [false_alarms, detected] = [above(&negatives, threshold), above(&positives, threshold)];
            precision += (detected / 31.0 - recall) * detected / (detected + false_alarms);
            recall = detected / 31.0;
            fpr = fpr.or((recall >= 0.95).then_some(false_alarms / 53.0));
        }
        assert!((ranking.average_precision() - precision).abs() <= 1e-12);
        assert_eq!(Some(ranking.fpr_at_95_tpr()), fpr);
    }
}

/// How often the interval of the AUROC, and that of the difference between two detectors, hold the truth. Each image has a clean and
/// a noisy version, which share most of what makes them uncertain, and an attacked one, on which the attack turns it around. The
/// second detector sees the first one's scores through noise of its own.
fn coverage(by_image: bool) -> [f64; 2] {
    const IMAGES: u32 = 100;
    const RUNS: u32 = 1500;
    let (shared, own, blur) = (0.95_f64, 0.3_f64, 0.5_f64);
    let phi = |x: f64| 1.0 - 0.5 * complementary_error_function(x / std::f64::consts::SQRT_2);
    let spread = |blur: f64| (2.0 * (shared * shared + own * own + blur * blur)).sqrt();
    let truth = [phi(1.0 / spread(0.0)), phi(1.0 / spread(blur))];
    let held: Vec<[bool; 2]> = (0..RUNS)
        .into_par_iter()
        .map(|run| {
            let stream = Stream::new(run, Purpose::Choice);
            let common = |image: u32| shared * stream.normal([0; 3], image);
            // Versions 0 and 1 are negatives, 2 is attacked. The clean and attacked versions turn on an image's own level.
            let score = |image: u32, version: u32| {
                let level = if version == 2 { 1.0 - common(image) } else { common(image) };
                level + own * stream.normal([1, version, 0], image)
            };
            let blurred = |image: u32, version: u32| score(image, version) + blur * stream.normal([2, version, 0], image);
            let ranking = |of: &dyn Fn(u32, u32) -> f64| {
                let negatives: Vec<f64> =
                    (0..2).flat_map(|version| (0..IMAGES).map(move |image| (image, version))).map(|(i, v)| of(i, v)).collect();
                Ranking::new(&negatives, &(0..IMAGES).map(|image| of(image, 2)).collect::<Vec<_>>()).unwrap()
            };
            let rankings = [ranking(&score), ranking(&blurred)];
            let images: Vec<u32> = (0..IMAGES).collect();
            let clusters = if by_image {
                Clusters::paired([&images[..], &images[..]].concat(), images, IMAGES as usize)
            } else {
                Clusters::independent(2 * IMAGES as usize, IMAGES as usize)
            };
            let comparison = Comparison::new(&rankings, &clusters, 400, run);
            let holds = |estimate: Estimate, truth: f64| estimate.low <= truth && truth <= estimate.high;
            [holds(comparison.qualities[0].auroc, truth[0]), holds(comparison.difference(0, 1), truth[0] - truth[1])]
        })
        .collect();
    [0, 1].map(|which| held.iter().filter(|held| held[which]).count() as f64 / f64::from(RUNS))
}

/// erfc to 1.2e-7 (Numerical Recipes).
fn complementary_error_function(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.5 * x.abs());
    let coefficients = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let sum = coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * t + coefficient);
    let value = t * (sum - x * x).exp();
    if x < 0.0 { 2.0 - value } else { value }
}

#[test]
fn intervals_by_image_hold_the_truth_in_95_of_100_cases() {
    let [area, difference] = coverage(true);
    assert!((0.93..=0.97).contains(&area) && (0.93..=0.97).contains(&difference), "{area}, {difference}");
    let [area, _] = coverage(false);
    assert!(area < 0.9, "the negative control, versions resampled as if they were different images: {area}");
}
