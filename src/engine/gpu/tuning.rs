//! Sizes of the engine that depend on the adapter, and the environment variables that override them for measurements on a card.

use super::kernel::Tile;
use crate::error::{Error, Result};
use wgpu::DeviceType;

/// The variables with what they take; `benches/README.md` describes them.
const BYTES: [&str; 2] = ["EPISTEMAP_GPU_BYTES", "give the bytes of a buffer, from 4096 on"];
const TURN: [&str; 2] = ["EPISTEMAP_GPU_TURN", "give milliseconds from 0.1 to 1000"];
const RATE: [&str; 2] = ["EPISTEMAP_GPU_RATE", "give GFLOP/s from 0.1 to 1000000"];
const TILE: [&str; 2] =
    ["EPISTEMAP_GPU_TILE", "give even numbers of rows and columns of threads, such as 8x16, each a divisor of twice the depth"];
const DEPTH: [&str; 2] = ["EPISTEMAP_GPU_DEPTH", "give inputs from 1 to 256"];
const SPLIT_K: [&str; 2] = ["EPISTEMAP_GPU_SPLITK", "give parts from 1 to 64"];
const AHEAD: [&str; 2] = ["EPISTEMAP_GPU_AHEAD", "give submissions from 0 to 8"];

/// The sizes for an adapter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// The most bytes of a buffer of activations, however much the adapter would give.
    pub most_bytes: u64,
    /// One kernel should not hold the device longer than this, in seconds: it also paints the window.
    pub turn_seconds: f64,
    /// The first guess of the floating-point operations per second, low enough that no kernel is much too long; measured from then on.
    pub rate: f64,
    /// The tile of the product.
    pub tile: Tile,
    /// Into how many parts the inputs of a product are split where it does not fill the adapter; 1: never.
    pub split_k: usize,
    /// How many submissions may be on their way while the next one is recorded.
    pub ahead: usize,
}

impl Tuning {
    /// Those for a kind of adapter, with the overrides of the environment.
    ///
    /// # Errors
    /// Names a variable whose value makes no sense.
    pub fn of_environment(kind: DeviceType) -> Result<Self> {
        Self::new(kind, |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// As [`of_environment`](Self::of_environment), with the values of variables by `value`.
    fn new(kind: DeviceType, value: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let (rate, most_bytes) = match kind {
            DeviceType::DiscreteGpu => (2e12, 1 << 30),
            DeviceType::IntegratedGpu | DeviceType::VirtualGpu | DeviceType::Other => (2e11, 256 << 20),
            DeviceType::Cpu => (2e9, 256 << 20),
        };
        let tile = Tile::of(kind);
        let number = |text: &str, least: f64, most: f64| text.parse().ok().filter(|number| (least..=most).contains(number));
        let whole = |text: &str, least: u32, most: u32| text.parse().ok().filter(|number| (least..=most).contains(number));
        let read = Reader(value);
        let depth = read.or(DEPTH, tile.depth, |text| whole(text, 1, 256))?;
        let [rows, columns] = read.or(TILE, [tile.rows, tile.columns], |text| {
            let (rows, columns) = text.split_once('x')?;
            let [rows, columns] = [whole(rows, 2, 512)?, whole(columns, 2, 512)?];
            Tile { rows, columns, depth }.is_possible().then_some([rows, columns])
        })?;
        let tile = Tile { rows, columns, depth };
        if !tile.is_possible() {
            let mend = format!("give a multiple of half of both numbers, or another {}", TILE[0]);
            return Err(Error::setting(
                DEPTH[0],
                format!("a tile of {rows}x{columns} threads cannot load {depth} inputs in equal shares"),
                mend,
            ));
        }
        Ok(Self {
            most_bytes: read.or(BYTES, most_bytes, |text| text.parse().ok().filter(|&bytes| bytes >= 4096))?,
            turn_seconds: read.or(TURN, 0.008, |text| number(text, 0.1, 1000.0).map(|milliseconds| 1e-3 * milliseconds))?,
            rate: read.or(RATE, rate, |text| number(text, 0.1, 1e6).map(|gflops| 1e9 * gflops))?,
            tile,
            split_k: read.or(SPLIT_K, 16, |text| whole(text, 1, 64).map(|parts| parts as usize))?,
            ahead: read.or(AHEAD, 2, |text| whole(text, 0, 8).map(|submissions| submissions as usize))?,
        })
    }
}

/// Reads variables by a function from their names to their values.
struct Reader<F>(F);

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    /// What `parse` makes of a variable, or the usual where it is not set.
    fn or<T>(&self, [name, mend]: [&str; 2], usual: T, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let Some(text) = (self.0)(name) else { return Ok(usual) };
        parse(text.trim()).ok_or_else(|| Error::setting(name, format!("'{text}' is not a valid value"), mend))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Tuning> {
        let value = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        Tuning::new(DeviceType::DiscreteGpu, value)
    }

    #[test]
    fn every_variable_overrides_its_size() {
        let usual = with(&[]).unwrap();
        assert_eq!(usual, Tuning::new(DeviceType::DiscreteGpu, |_| None).unwrap());
        let tile = Tile { rows: 4, columns: 32, depth: 32 };
        for (variables, expected) in [
            (&[(BYTES[0], "65536")][..], Tuning { most_bytes: 65536, ..usual }),
            (&[(TURN[0], " 2.5 ")], Tuning { turn_seconds: 0.0025, ..usual }),
            (&[(RATE[0], "3e4")], Tuning { rate: 3e13, ..usual }),
            (&[(TILE[0], "4x32"), (DEPTH[0], "32")], Tuning { tile, ..usual }),
            (&[(SPLIT_K[0], "1")], Tuning { split_k: 1, ..usual }),
            (&[(AHEAD[0], "0")], Tuning { ahead: 0, ..usual }),
        ] {
            assert_eq!(with(variables).unwrap(), expected, "{variables:?}");
            assert_ne!(usual, expected, "{variables:?}");
        }
    }

    #[test]
    fn a_value_that_makes_no_sense_is_named_in_one_sentence() {
        for (name, values) in [
            (BYTES[0], &["", "1e9", "4095", "-1", "256M"][..]),
            (TURN[0], &["0", "NaN", "inf", "8 ms"]),
            (RATE[0], &["fast", "0", "1e300"]),
            (TILE[0], &["8", "8x", "x16", "8x16x2", "7x16", "8x15", "8x64", "0x16", "1024x16"]),
            (DEPTH[0], &["0", "7", "257", "4"]),
            (SPLIT_K[0], &["0", "65", "two"]),
            (AHEAD[0], &["9", "-1"]),
        ] {
            for value in values {
                let text = with(&[(name, value)]).unwrap_err().to_string();
                assert!(text.contains(name) && !text.contains('\n'), "{name}={value}: {text}");
                assert!(text.contains(value) && text.contains("give "), "{name}={value}: {text}");
            }
        }
    }
}
