//! Differences of two maps: between which maps they are possible, and when they end.

use crate::app::state::session::Session;

impl Session {
    /// Why a map cannot show its difference from another; `None` if it can. Both are given by their places.
    pub fn difference_problem(&self, place: usize, other: usize) -> Option<String> {
        let [this, that] = [place, other].map(|place| self.panes[place].measure);
        let unit = |unit: &str| if unit.is_empty() { "has no unit".to_owned() } else { format!("is in {unit}") };
        (this.unit() != that.unit()).then(|| {
            let (these, those) = (unit(this.unit()), unit(that.unit()));
            format!("{} {these}, {} {those}: choose measures of one unit.", this.label(), that.label().to_lowercase())
        })
    }

    /// Both operands of a difference: "E H\[p\] − H\[E p\]"; for one measure with the numbers of the maps.
    pub fn difference_label(&self, place: usize, other: usize) -> String {
        let [this, that] = [place, other].map(|place| self.panes[place].measure);
        if this == that {
            format!("{}: map {} − map {}", this.symbol(), place + 1, other + 1)
        } else {
            format!("{} − {}", this.symbol(), that.symbol())
        }
    }

    /// Ends the differences from maps that are not shown or have another unit.
    pub fn end_differences(&mut self) {
        let shown = self.layout.count();
        for place in 0..self.panes.len() {
            let Some(other) = self.panes[place].minus else { continue };
            if other >= shown || self.difference_problem(place, other).is_some() {
                self.panes[place].minus = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::state::session::Layout;
    use crate::jobs::ModelSet;
    use crate::uncertainty::Measure;

    #[test]
    fn differences_end_with_their_partner_or_its_unit() {
        let mut session = Session::new(&ModelSet::shipped().unwrap());
        session.layout = Layout::Four;
        (session.panes[0].minus, session.panes[1].minus) = (Some(3), Some(0));
        session.end_differences();
        assert_eq!([session.panes[0].minus, session.panes[1].minus], [Some(3), Some(0)], "both partners are shown");
        session.layout = Layout::Two;
        session.end_differences();
        assert_eq!([session.panes[0].minus, session.panes[1].minus], [None, Some(0)], "map 4 is closed");
        session.panes[0].measure = Measure::SoftmaxVariance;
        session.end_differences();
        assert_eq!(session.panes[1].minus, None, "nats minus a number without unit");
        let problem = session.difference_problem(1, 0).unwrap();
        assert!(problem.contains("is in nats") && problem.contains("has no unit"), "{problem}");
    }

    #[test]
    fn labels_name_both_operands() {
        let mut session = Session::new(&ModelSet::shipped().unwrap());
        session.panes[0].measure = Measure::ExpectedEntropy;
        assert_eq!(session.difference_label(0, 1), "E H[p] − H[E p]");
        assert_eq!(session.difference_label(1, 3), "H[E p]: map 2 − map 4");
    }
}
