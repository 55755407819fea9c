//! How long a map takes, judged by those before, and whether the user is asked before it is computed.

use crate::jobs::MapSettings;
use std::time::Duration;

/// Maps that take longer than this are asked about.
const LONG: Duration = Duration::from_mins(1);

/// What is known about the time that maps take.
#[derive(Default)]
pub struct MapCosts {
    /// The engine of the last finished map, and the most points × draws × members per second that it has reached: a map that waited for other
    /// work says too little.
    rate: Option<(&'static str, f64)>,
    /// The points × draws × members of the largest map that was requested.
    largest: u64,
}

impl MapCosts {
    /// Notes that an engine has computed so many points × draws × members.
    pub fn finished(&mut self, engine: &'static str, work: u64, took: Duration) {
        let seconds = took.as_secs_f64();
        if work > 0 && seconds > 0.0 {
            let rate = work as f64 / seconds;
            let best = self.rate.filter(|(of, _)| *of == engine).map_or(rate, |(_, best)| best.max(rate));
            self.rate = Some((engine, best));
        }
    }

    /// Notes that a map is computed: the user is not asked about others that take as long.
    pub fn requested(&mut self, settings: &MapSettings) {
        self.largest = self.largest.max(settings.work());
    }

    /// The estimated time of a map that the user is asked about first: it takes more than a minute, and longer than all before. `None` also
    /// before the engine has finished a map.
    pub fn to_confirm(&self, engine: &str, settings: &MapSettings) -> Option<Duration> {
        let (_, per_second) = self.rate.filter(|(measured, _)| *measured == engine)?;
        let time = estimate(settings.work(), per_second);
        (settings.work() > self.largest && time > LONG).then_some(time)
    }
}

/// The time that so many points × draws × members take, with a day as the longest.
fn estimate(work: u64, per_second: f64) -> Duration {
    Duration::from_secs_f64((work as f64 / per_second).min(86_400.0))
}

/// A time in whole minutes, at least one.
pub fn minutes(time: Duration) -> String {
    format!("{:.0} min", (time.as_secs_f64() / 60.0).round().max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Masks;
    use crate::latent::View;

    #[test]
    fn only_a_long_map_that_is_larger_than_all_before_is_asked_about() {
        let settings = |samples| {
            let view = View::new([0.0, 1.0], [0.0, 1.0], 10, 10).unwrap();
            MapSettings { view, samples, members: vec![0, 1], seed: 0, masks: Masks::Shared, deterministic: true }
        };
        let mut costs = MapCosts::default();
        costs.requested(&settings(9));
        assert_eq!(costs.to_confirm("cpu", &settings(999)), None, "no map has been timed");
        // 100 points, two members, nine draws and the pass without dropout, in ten seconds.
        costs.finished("cpu", settings(9).work(), Duration::from_secs(10));
        assert_eq!(costs.to_confirm("cpu", &settings(59)), None, "a minute is not long");
        assert_eq!(costs.to_confirm("cpu", &settings(179)), Some(Duration::from_mins(3)));
        assert_eq!(costs.to_confirm("gpu", &settings(179)), None, "another engine has another rate");
        costs.requested(&settings(179));
        assert_eq!(costs.to_confirm("cpu", &settings(179)), None, "the user has agreed");
        costs.finished("cpu", 0, Duration::from_secs(1));
        assert_eq!(costs.to_confirm("cpu", &settings(239)), Some(Duration::from_mins(4)), "a kept map says nothing about the rate");
    }

    #[test]
    fn times_are_told_in_minutes() {
        assert_eq!([61, 100, 185].map(|seconds| minutes(Duration::from_secs(seconds))), ["1 min", "2 min", "3 min"]);
    }
}
