//! Linear layers whose weights are drawn, on panels of points, where a draw is not a thinned network.

use super::kernel::{LANES, Packed, Row, add_products};
use super::masks::Address;
use crate::engine::Masks;
use crate::nets::Gaussian;
use crate::random::normal_noise;

/// What a draw adds to the product with the mean weights: `B_out` (S ∘ E) (`B_in`ᵀ x), with 1 behind x for the bias.
#[derive(Debug)]
pub struct Drawn {
    gaussian: Gaussian,
    /// `B_in`ᵀ.
    basis_in: Packed,
    rows: Vec<u32>,
}

impl Drawn {
    /// Packs the Gaussian of a layer.
    pub fn new(gaussian: Gaussian) -> Self {
        let width = gaussian.inputs + 1;
        let basis = &gaussian.basis_in;
        let basis_in = Packed::new(width, width, |input| move |output| basis[input * width + output] as f32);
        Self { basis_in, rows: (0..width as u32).collect(), gaussian }
    }

    /// Adds it to `sums`, the product of the mean weights with `x`.
    pub fn add(&self, address: &Address, x: &[Row], sums: &mut [Row]) {
        let Gaussian { layer, outputs, ref basis_out, ref deviation, .. } = self.gaussian;
        let width = self.rows.len();
        let input: Vec<Row> = x.iter().copied().chain([Row::splat(1.0)]).collect();
        let mut turned = vec![Row::splat(0.0); width];
        add_products(std::iter::once(&input[..]), &self.rows, &self.basis_in, &mut turned);
        let noise = |point: u32| normal_noise(address.seed, address.member, address.draw, layer as u32, point, self.gaussian.count());
        let noise: Vec<Vec<f64>> = match address.masks {
            Masks::Shared => vec![noise(0)],
            Masks::PerPoint => address.points.iter().map(|point| noise(point.wrapping_add(1))).collect(),
        };
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
}
