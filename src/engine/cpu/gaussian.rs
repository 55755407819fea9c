//! Linear layers whose weights are drawn, on panels of points, where a draw is not a thinned network.

use super::kernel::{LANES, Packed, Row, add_products};
use super::masks::Address;
use crate::engine::Masks;
use crate::nets::{Gaussian, Spread};
use crate::random::normal_noise;

/// What a draw adds to the product with the mean weights, with 1 behind x for the bias: `B_out` (S ∘ E) (`B_in`ᵀ x) where the covariance has
/// Kronecker factors, else (F E) x.
#[derive(Debug)]
pub struct Drawn {
    gaussian: Gaussian,
    /// `B_in`ᵀ, where there are Kronecker factors.
    basis_in: Option<Packed>,
    rows: Vec<u32>,
}

impl Drawn {
    /// Packs the Gaussian of a layer.
    pub fn new(gaussian: Gaussian) -> Self {
        let width = gaussian.inputs + 1;
        let basis_in = match &gaussian.spread {
            Spread::Kronecker { basis_in, .. } => {
                Some(Packed::new(width, width, |input| move |output| basis_in[input * width + output] as f32))
            }
            Spread::Full { .. } => None,
        };
        Self { basis_in, rows: (0..width as u32).collect(), gaussian }
    }

    /// Adds it to `sums`, the product of the mean weights with `x`.
    pub fn add(&self, address: &Address, x: &[Row], sums: &mut [Row]) {
        let layer = self.gaussian.stream;
        let noise = |point: u32| normal_noise(address.seed, address.member, address.draw, layer, point, self.gaussian.count());
        let noise: Vec<Vec<f64>> = match address.masks {
            Masks::Shared => vec![noise(0)],
            Masks::PerPoint => address.points.iter().map(|point| noise(point.wrapping_add(1))).collect(),
        };
        let input: Vec<Row> = x.iter().copied().chain([Row::splat(1.0)]).collect();
        match (&self.gaussian.spread, &self.basis_in) {
            (Spread::Kronecker { basis_out, deviation, .. }, Some(basis_in)) => {
                self.add_kronecker(&noise, &input, basis_in, [basis_out, deviation], sums);
            }
            _ => self.add_full(&noise, &input, sums),
        }
    }

    fn add_kronecker(&self, noise: &[Vec<f64>], input: &[Row], basis_in: &Packed, [basis_out, deviation]: [&[f64]; 2], sums: &mut [Row]) {
        let (width, outputs) = (self.rows.len(), self.gaussian.outputs);
        let mut turned = vec![Row::splat(0.0); width];
        add_products(std::iter::once(input), &self.rows, basis_in, &mut turned);
        let mut along_outputs = vec![Row::splat(0.0); outputs];
        for (output, along) in along_outputs.iter_mut().enumerate() {
            for (input, turned) in turned.iter().enumerate() {
                let at = output * width + input;
                for lane in 0..LANES {
                    along.0[lane] += (deviation[at] * noise[lane % noise.len()][at]) as f32 * turned.0[lane];
                }
            }
        }
        for (sum, basis) in sums.iter_mut().zip(basis_out.chunks_exact(outputs)) {
            for (&factor, along) in basis.iter().zip(&along_outputs) {
                sum.0.iter_mut().zip(&along.0).for_each(|(sum, along)| *sum += factor as f32 * along);
            }
        }
    }

    fn add_full(&self, noise: &[Vec<f64>], input: &[Row], sums: &mut [Row]) {
        let width = self.rows.len();
        let changes: Vec<Vec<f64>> = noise
            .iter()
            .map(|noise| self.gaussian.draw(noise).iter().zip(&self.gaussian.mean).map(|(drawn, mean)| drawn - mean).collect())
            .collect();
        for (output, sum) in sums.iter_mut().enumerate() {
            for (at, input) in input.iter().enumerate() {
                for lane in 0..LANES {
                    sum.0[lane] += changes[lane % changes.len()][output * width + at] as f32 * input.0[lane];
                }
            }
        }
    }
}
