//! A result together with the request that it answers.

/// A worker's result as a panel shows it.
#[derive(Clone, Debug)]
pub struct Answer<Q, R> {
    /// What was asked for.
    pub request: Q,
    /// What came of it.
    pub result: R,
    /// Whether all of it is there.
    pub complete: bool,
}

/// How a result relates to the present settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It answers the present settings and is complete.
    Current,
    /// It answers the present settings, but a part is still to come.
    Provisional,
    /// It answers other settings.
    Former,
}

impl<Q: PartialEq, R> Answer<Q, R> {
    /// How it relates to what is wanted now; `None` where nothing can be asked for now.
    pub fn standing(&self, wanted: Option<&Q>) -> Standing {
        match (wanted == Some(&self.request), self.complete) {
            (true, true) => Standing::Current,
            (true, false) => Standing::Provisional,
            (false, _) => Standing::Former,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_stands_for_its_own_request_alone() {
        let of = |complete, wanted| Answer { request: 1, result: (), complete }.standing(wanted);
        assert_eq!([of(true, Some(&1)), of(false, Some(&1))], [Standing::Current, Standing::Provisional]);
        assert_eq!([of(true, Some(&2)), of(false, Some(&2)), of(true, None)], [Standing::Former; 3]);
    }
}
