//! Counter-based randomness: every random number is a hash of what it is for, so any engine on any machine, in any order,
//! draws the same. The hash is Philox 4×32-10 (Salmon et al. 2011, *Parallel random numbers: as easy as 1, 2, 3*).

/// Philox 4×32 with ten rounds: four random words of a counter and a key.
pub fn philox([mut c0, mut c1, mut c2, mut c3]: [u32; 4], [mut k0, mut k1]: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let p0 = u64::from(c0) * 0xD251_1F53;
        let p1 = u64::from(c2) * 0xCD9E_8D57;
        (c0, c1, c2, c3) = ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

/// What a stream of random words is for; part of the key, so that no two uses share their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A dropout mask of ensemble member `n` in the engines.
    Member(u32),
    /// Dropout masks while training.
    TrainingMask,
    /// The latent noise of a VAE while training or evaluating.
    LatentNoise,
    /// The order of the training images.
    Shuffle,
    /// Initial weights.
    Weights,
    /// Subsets, pairs and other choices of an analysis.
    Choice,
    /// Where attacks start, and the steps of those that go at random.
    Attack,
    /// The noise that attacked images are compared with.
    Noise,
    /// The resamples of a bootstrap.
    Bootstrap,
    /// Which training labels are wrong, and what stands in their place.
    LabelNoise,
    /// Flips, shifts and crops of the training images.
    Augmentation,
}

/// A stream of random words, addressed by (a, b, c, index).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
}

impl Stream {
    /// The stream of a seed for a purpose.
    pub fn new(seed: u32, purpose: Purpose) -> Self {
        let tag = match purpose {
            Purpose::Member(number) => {
                assert!(number < 0x8000_0000, "members are numbered below 2³¹");
                number
            }
            Purpose::TrainingMask => 0x8000_0000,
            Purpose::LatentNoise => 0x8000_0001,
            Purpose::Shuffle => 0x8000_0002,
            Purpose::Weights => 0x8000_0003,
            Purpose::Choice => 0x8000_0004,
            Purpose::Attack => 0x8000_0005,
            Purpose::Noise => 0x8000_0006,
            Purpose::Bootstrap => 0x8000_0007,
            Purpose::LabelNoise => 0x8000_0008,
            Purpose::Augmentation => 0x8000_0009,
        };
        Self { key: [seed, tag] }
    }

    /// Four consecutive words: those of the indices 4 · `quad` to 4 · `quad` + 3 under the address (a, b, c).
    pub fn quad(self, [a, b, c]: [u32; 3], quad: u32) -> [u32; 4] {
        philox([quad, a, b, c], self.key)
    }

    /// The word at `index` under the address (a, b, c).
    pub fn word(self, address: [u32; 3], index: u32) -> u32 {
        self.quad(address, index / 4)[index as usize % 4]
    }

    /// A number in [0, 1) of 53 random bits, from the words 2 · `index` and 2 · `index` + 1.
    pub fn uniform(self, address: [u32; 3], index: u32) -> f64 {
        let quad = self.quad(address, index / 2);
        let [high, low] = if index.is_multiple_of(2) { [quad[0], quad[1]] } else { [quad[2], quad[3]] };
        (f64::from(high >> 5) * 67_108_864.0 + f64::from(low >> 6)) / 9_007_199_254_740_992.0
    }

    /// A standard normal number (Box & Muller 1958).
    pub fn normal(self, address: [u32; 3], index: u32) -> f64 {
        let [u, v] = [self.uniform(address, 2 * index), self.uniform(address, 2 * index + 1)];
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// A permutation of 0..count (Fisher & Yates).
    pub fn permutation(self, address: [u32; 3], count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = (self.uniform(address, last as u32) * (last + 1) as f64) as usize;
            order.swap(last, other);
        }
        order
    }
}

/// A unit is kept where its random word is at least this: P(dropped) = `rate` to 2⁻³². The same comparison stands in WGSL.
pub fn drop_threshold(rate: f64) -> u32 {
    (rate * 4_294_967_296.0).round().min(4_294_967_295.0) as u32
}

/// One dropout mask: which of `units` units are kept, by the hash of (seed, member, draw, layer, point, unit). `layer` is
/// the stream of the dropout node; `point` is 0 for masks shared by the plane, else 1 + the point's number.
pub fn keep_mask(seed: u32, member: u32, draw: u32, layer: u32, point: u32, rate: f64, units: usize) -> Vec<bool> {
    let mut mask = Vec::with_capacity(units + 3);
    let (stream, threshold) = (Stream::new(seed, Purpose::Member(member)), drop_threshold(rate));
    for quad in 0..units.div_ceil(4) {
        mask.extend(stream.quad([draw, layer, point], quad as u32).map(|word| word >= threshold));
    }
    mask.truncate(units);
    mask
}

/// The standard normal numbers of one draw of a Gaussian layer, addressed as the units of [`keep_mask`] are.
pub fn normal_noise(seed: u32, member: u32, draw: u32, layer: u32, point: u32, count: usize) -> Vec<f64> {
    let stream = Stream::new(seed, Purpose::Member(member));
    (0..count as u32).map(|index| stream.normal([draw, layer, point], index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors publish with their Random123 library (`kat_vectors`).
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn masks_keep_the_share_that_the_rate_says() {
        for rate in [0.0, 0.25, 0.5, 0.9] {
            let kept = keep_mask(7, 3, 11, 5, 0, rate, 100_000).iter().filter(|&&keep| keep).count() as f64 / 1e5;
            // Four standard deviations of a binomial share.
            assert!((kept - (1.0 - rate)).abs() <= 4.0 * (rate * (1.0 - rate) / 1e5).sqrt(), "{kept} kept at rate {rate}");
        }
    }

    #[test]
    fn every_part_of_the_address_changes_the_mask() {
        let mask = keep_mask(1, 2, 3, 4, 5, 0.5, 257);
        let others = [
            keep_mask(9, 2, 3, 4, 5, 0.5, 257),
            keep_mask(1, 9, 3, 4, 5, 0.5, 257),
            keep_mask(1, 2, 9, 4, 5, 0.5, 257),
            keep_mask(1, 2, 3, 9, 5, 0.5, 257),
            keep_mask(1, 2, 3, 4, 9, 0.5, 257),
        ];
        assert_eq!(mask.len(), 257);
        assert!(others.iter().all(|other| *other != mask));
    }

    #[test]
    fn every_part_of_the_address_changes_the_noise() {
        let noise = normal_noise(1, 2, 3, 4, 5, 7);
        let stream = Stream::new(1, Purpose::Member(2));
        assert!(noise.len() == 7 && noise[6] == stream.normal([3, 4, 5], 6));
        let others = [
            normal_noise(9, 2, 3, 4, 5, 7),
            normal_noise(1, 9, 3, 4, 5, 7),
            normal_noise(1, 2, 9, 4, 5, 7),
            normal_noise(1, 2, 3, 9, 5, 7),
            normal_noise(1, 2, 3, 4, 9, 7),
        ];
        assert!(others.iter().all(|other| *other != noise));
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let stream = Stream::new(5, Purpose::LatentNoise);
        let numbers: Vec<f64> = (0..50_000).map(|i| stream.normal([0; 3], i)).collect();
        let mean = numbers.iter().sum::<f64>() / 5e4;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 5e4;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "mean {mean}, variance {variance}");
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Stream::new(1, Purpose::Shuffle).permutation([2, 0, 0], 1000);
        assert_ne!(order[..20], (0..20).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
