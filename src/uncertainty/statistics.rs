//! Statistics of draws: a commutative monoid under [`CellStatistics::merge`], so blocks of draws may come in any order.

/// Sums over draws at one latent point, in f64 so that mutual information, a small difference of two large numbers, stays
/// exact. Laid out as Σp \[classes\], Σp² \[classes\], votes \[classes\], ΣH, n.
#[derive(Clone, Debug, PartialEq)]
pub struct CellStatistics {
    sums: Vec<f64>,
    /// Once members are pooled: the variance of Σp per class, the sum of the members'. Empty before, when it follows from the sums.
    pooled_variance: Vec<f64>,
}

/// The number of sums for so many classes: 32 for the ten digits.
pub const fn sums_len(classes: usize) -> usize {
    3 * classes + 2
}

impl CellStatistics {
    /// The statistics of no draws: the neutral element of `merge`.
    pub fn new(classes: usize) -> Self {
        Self { sums: vec![0.0; sums_len(classes)], pooled_variance: Vec::new() }
    }

    /// The statistics of the given probability vectors, each of the same number of classes.
    ///
    /// # Panics
    /// When there is no draw.
    pub fn of_draws<P: AsRef<[f64]>>(draws: &[P]) -> Self {
        let mut statistics = Self::new(draws[0].as_ref().len());
        for draw in draws {
            statistics.add_draw(draw.as_ref());
        }
        statistics
    }

    /// Adds one draw: its class probabilities, which sum to 1. The vote goes to the first of the largest.
    pub fn add_draw(&mut self, probabilities: &[f64]) {
        add_draw(&mut self.sums, probabilities);
    }

    /// Adds more draws of the same member, or of the same members: associative and commutative.
    pub fn merge(&mut self, other: &Self) {
        if !(self.pooled_variance.is_empty() && other.pooled_variance.is_empty()) {
            self.pooled_variance = added(self.variance_of_sum(), &other.variance_of_sum());
        }
        self.add_sums(&other.sums);
    }

    /// Adds the draws of another member, by its row of sums. All sums add up as those of one mixture;
    /// [`variance_of_mean`](Self::variance_of_mean) keeps the members apart. Associative and commutative.
    pub fn pool(&mut self, member: &[f64]) {
        // A first member's variance follows from the sums.
        if self.draws() > 0.0 {
            if self.pooled_variance.is_empty() {
                self.pooled_variance = vec![0.0; self.classes()];
                add_variance_of_sum(&self.sums, &mut self.pooled_variance);
            }
            add_variance_of_sum(member, &mut self.pooled_variance);
        }
        self.add_sums(member);
    }

    /// Adds a raw row of sums, as it stands in a [`StatisticsGrid`].
    pub fn add_sums(&mut self, sums: &[f64]) {
        assert_eq!(self.sums.len(), sums.len(), "statistics of the same classes");
        self.sums.iter_mut().zip(sums).for_each(|(own, other)| *own += other);
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        (self.sums.len() - 2) / 3
    }

    /// The number of draws n.
    pub fn draws(&self) -> f64 {
        self.sums[self.sums.len() - 1]
    }

    /// Σp per class.
    pub fn sum_p(&self) -> &[f64] {
        &self.sums[..self.classes()]
    }

    /// Σp² per class.
    pub fn sum_p2(&self) -> &[f64] {
        &self.sums[self.classes()..][..self.classes()]
    }

    /// How many draws had their largest probability at each class.
    pub fn votes(&self) -> &[f64] {
        &self.sums[2 * self.classes()..][..self.classes()]
    }

    /// ΣH\[p\] in nats.
    pub fn sum_entropy(&self) -> f64 {
        self.sums[self.sums.len() - 2]
    }

    /// Whether all draws are the same, up to the rounding of their sums; so is a single one.
    pub fn has_equal_draws(&self) -> bool {
        has_equal_draws(&self.sums)
    }

    /// Per class the variance of p̄ over repetitions with other draws, estimated without bias: s² / n, where s² is the sample variance of
    /// the draws. Several members count as fixed: the variance is that of the mean of their means. 0 with one draw per member.
    pub fn variance_of_mean(&self) -> Vec<f64> {
        let n = self.draws();
        self.variance_of_sum().into_iter().map(|variance| variance / (n * n)).collect()
    }

    /// Per class the variance of Σp, n s².
    fn variance_of_sum(&self) -> Vec<f64> {
        if !self.pooled_variance.is_empty() {
            return self.pooled_variance.clone();
        }
        let mut variance = vec![0.0; self.classes()];
        add_variance_of_sum(&self.sums, &mut variance);
        variance
    }

    /// The mean prediction p̄ = Σp / n.
    pub fn mean(&self) -> Vec<f64> {
        self.sum_p().iter().map(|sum| sum / self.draws()).collect()
    }
}

fn added(mut values: Vec<f64>, others: &[f64]) -> Vec<f64> {
    values.iter_mut().zip(others).for_each(|(value, other)| *value += other);
    values
}

/// Whether all draws of a row of sums are the same, up to rounding.
fn has_equal_draws(sums: &[f64]) -> bool {
    let (classes, n) = ((sums.len() - 2) / 3, sums[sums.len() - 1]);
    let [sum_p, sum_p2] = [&sums[..classes], &sums[classes..2 * classes]];
    let equal = |(sum, square): (&f64, &f64)| square - sum * sum / n <= n * f64::EPSILON * square;
    if n == 1.0 { !sum_p.iter().any(|sum| sum.is_nan()) } else { sum_p.iter().zip(sum_p2).all(equal) }
}

/// Adds to each class the variance of Σp of a row of sums: n s², 0 where all draws are the same.
fn add_variance_of_sum(sums: &[f64], variance: &mut [f64]) {
    let (classes, n) = (variance.len(), sums[sums.len() - 1]);
    if n <= 1.0 || has_equal_draws(sums) {
        return;
    }
    for ((variance, sum), square) in variance.iter_mut().zip(&sums[..classes]).zip(&sums[classes..]) {
        *variance += n / (n - 1.0) * (square - sum * sum / n).max(0.0);
    }
}

/// Adds one draw to a row of sums (see [`CellStatistics`] for the layout).
pub fn add_draw(sums: &mut [f64], probabilities: &[f64]) {
    let classes = probabilities.len();
    assert_eq!(sums.len(), sums_len(classes), "a row of sums for {classes} classes");
    let mut largest = 0;
    let mut entropy = 0.0;
    for (class, &p) in probabilities.iter().enumerate() {
        sums[class] += p;
        sums[classes + class] += p * p;
        // 0 ln 0 = 0, the limit.
        if p > 0.0 {
            entropy -= p * p.ln();
        }
        if p > probabilities[largest] {
            largest = class;
        }
    }
    sums[2 * classes + largest] += 1.0;
    sums[3 * classes] += entropy;
    sums[3 * classes + 1] += 1.0;
}

/// Replaces a row of sums by that of as many draws which all are their mean, as the draws of a network without random layers are: sums in single precision
/// tell them apart. The votes stay.
pub fn equalize_draws(sums: &mut [f64]) {
    let classes = (sums.len() - 2) / 3;
    let n = sums[3 * classes + 1];
    let mut entropy = 0.0;
    for class in 0..classes {
        let p = sums[class] / n;
        sums[classes + class] = n * p * p;
        if p > 0.0 {
            entropy -= p * p.ln();
        }
    }
    if n > 0.0 {
        sums[3 * classes] = n * entropy;
    }
}

/// The statistics of many points and several ensemble members, the members kept apart: another subset of members is a
/// sum over this, not another run. Rows of sums, point by point, within a point member by member.
#[derive(Clone, Debug, PartialEq)]
pub struct StatisticsGrid {
    classes: usize,
    points: usize,
    members: usize,
    sums: Vec<f64>,
}

impl StatisticsGrid {
    /// The statistics of no draws.
    pub fn new(points: usize, members: usize, classes: usize) -> Self {
        Self { classes, points, members, sums: vec![0.0; points * members * sums_len(classes)] }
    }

    /// The number of points.
    pub fn points(&self) -> usize {
        self.points
    }

    /// The number of members that are kept apart.
    pub fn members(&self) -> usize {
        self.members
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The row of sums of one point and member (by place in the grid, not by the ensemble's numbering).
    pub fn sums(&self, point: usize, member: usize) -> &[f64] {
        let length = sums_len(self.classes);
        &self.sums[(point * self.members + member) * length..][..length]
    }

    /// As [`sums`](Self::sums), to add draws to.
    pub fn sums_mut(&mut self, point: usize, member: usize) -> &mut [f64] {
        let length = sums_len(self.classes);
        &mut self.sums[(point * self.members + member) * length..][..length]
    }

    /// All rows of sums, `members` rows to a point: for engines that fill points in parallel.
    pub fn rows_mut(&mut self) -> &mut [f64] {
        &mut self.sums
    }

    /// The statistics of a point over the given members, pooled.
    pub fn cell(&self, point: usize, members: impl IntoIterator<Item = usize>) -> CellStatistics {
        let mut cell = CellStatistics::new(self.classes);
        for member in members {
            cell.pool(self.sums(point, member));
        }
        cell
    }

    /// The statistics of a point over all members.
    pub fn whole_cell(&self, point: usize) -> CellStatistics {
        self.cell(point, 0..self.members)
    }

    /// The same without groups, where each member has `groups` rows.
    #[must_use]
    pub fn without_groups(&self, groups: usize) -> Self {
        let mut whole = Self::new(self.points, self.members / groups, self.classes);
        for (point, row) in (0..self.points).flat_map(|point| (0..self.members).map(move |row| (point, row))) {
            let to = whole.sums_mut(point, row / groups).iter_mut();
            to.zip(self.sums(point, row)).for_each(|(sum, other)| *sum += other);
        }
        whole
    }

    /// Adds a block of statistics whose first point is `first_point` here, with the same members and classes.
    pub fn merge_at(&mut self, first_point: usize, block: &Self) {
        assert_eq!((self.members, self.classes), (block.members, block.classes), "blocks of the same members and classes");
        let start = first_point * self.members * sums_len(self.classes);
        self.sums[start..][..block.sums.len()].iter_mut().zip(&block.sums).for_each(|(own, other)| *own += other);
    }
}
