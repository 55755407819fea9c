//! How much arithmetic a map needs, counted from the lowered networks, whatever engine does it and however.

use super::thinning::{ThinShape, subtracts, thinnable};
use super::{Masks, Models};
use crate::nets::Ending;
use crate::nets::lowering::lower;

/// Floating-point operations per latent point, the decoder's and those of all members and draws. Products and convolutions are counted,
/// a multiplication and an addition as two, the zeros of a padding included; functions, pools, masks, the drawing of weights and statistics
/// are not. An engine may need fewer (Winograd's convolution) or more (zeros that fill its tiles).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// What is needed: decoder and trunk (what does not depend on a draw) once, and of each draw of [`Masks::Shared`] only the
    /// units that it keeps, on average; of the first layer after the trunk the full product once and of each draw the dropped units,
    /// where these are fewer. Other draws run the head as a whole.
    pub arithmetic: f64,
    /// The decoder once and every draw as a whole pass through its network: what is done where nothing is shared, as in the paper's code.
    pub effective: f64,
}

/// Counts the work of so many draws of the members of these numbers.
pub fn work(models: &Models, members: &[usize], draws: u32, masks: Masks) -> Work {
    let draws = f64::from(draws);
    let decoder = models.decoder.as_ref().map_or(0.0, |network| {
        let program = lower(network, Ending::Logits);
        program.flops(0..program.instructions.len())
    });
    let mut work = Work { arithmetic: decoder, effective: decoder };
    for &member in members {
        let program = models.ensemble.members()[member].program();
        let (trunk, head) = (program.flops(0..program.head), program.flops(program.head..program.instructions.len()));
        let thinned = if masks == Masks::Shared { thinnable(&program) } else { None };
        // Without a head all draws are equal, and one pass is enough.
        let of_draws = if program.head().is_empty() { 0.0 } else { draws * head };
        work.arithmetic += trunk + thinned.map_or(of_draws, |layers| of_thinned(&layers, draws));
        work.effective += draws * (trunk + head);
    }
    work
}

/// Of all draws of a head as thinned networks.
fn of_thinned(layers: &[ThinShape], draws: f64) -> f64 {
    let kept = |layer: &ThinShape| layer.dropout.map_or(1.0, |(_, rate)| 1.0 - rate);
    let full = |layer: &ThinShape| 2.0 * layer.inputs as f64 * layer.outputs as f64;
    let mut flops = 0.0;
    for (index, layer) in layers.iter().enumerate() {
        let outputs = layers.get(index + 1).map_or(1.0, kept);
        if index == 0 && subtracts(layers) {
            flops += full(layer) + draws * full(layer) * (1.0 - kept(layer)) * outputs;
        } else {
            flops += draws * full(layer) * kept(layer) * outputs;
        }
    }
    flops
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{Classifier, Ensemble, Layer, Network, VaeLayers, cnn, paper_cnn, random_weights};

    fn models(input_shape: [usize; 3], decoder: Option<Vec<Layer>>, layers: &[Layer]) -> Models {
        let decoder = decoder.map(|layers| Network::new(&[2], layers.clone(), &random_weights(&layers, 0)).unwrap());
        let network = Network::new(&input_shape, layers, &random_weights(layers, 1)).unwrap();
        let classes: Vec<String> = (0..network.output_shape()[0]).map(|class| class.to_string()).collect();
        let member = |name: &str| Classifier::new(name, classes.clone(), network.clone()).unwrap();
        Models::new(decoder, Ensemble::new(vec![member("a"), member("b")]).unwrap()).unwrap()
    }

    #[test]
    fn the_papers_networks_need_39_million_operations_where_its_code_made_1200() {
        let models = models([1, 28, 28], Some(VaeLayers::paper().decoder), &paper_cnn());
        let decoder = 2.0 * (2.0 * 256.0 + 256.0 * 400.0 + 400.0 * 784.0);
        let trunk = 2.0 * (9.0 * 32.0 * 26.0 * 26.0 + 9.0 * 32.0 * 64.0 * 24.0 * 24.0);
        let [first, last] = [2.0 * 9216.0 * 128.0, 2.0 * 128.0 * 10.0];
        let once = work(&models, &[1], 50, Masks::Shared);
        assert_eq!(once.arithmetic, decoder + trunk + first + 50.0 * (first * 0.25 * 0.5 + last * 0.5));
        assert_eq!(once.effective, decoder + 50.0 * (trunk + first + last));
        assert!((once.arithmetic / 1e6 - 39.6).abs() < 0.1 && (once.effective / 1e6 - 1200.0).abs() < 5.0, "{once:?}");

        let twice = work(&models, &[0, 1], 50, Masks::Shared);
        assert_eq!(twice.arithmetic - decoder, 2.0 * (once.arithmetic - decoder));
        let apart = work(&models, &[1], 50, Masks::PerPoint);
        assert_eq!((apart.arithmetic, apart.effective), (decoder + trunk + 50.0 * (first + last), once.effective));
    }

    #[test]
    fn what_is_kept_is_counted_where_it_is_less_and_what_cannot_be_thinned_as_a_whole() {
        // 5 images of [2, 1] are left after convolutions and pool: 10 inputs, 4 hidden units, 3 classes.
        let layers = |rate| cnn([1, 8, 6], 3, [1, 5], 4, [rate, 0.25]);
        let trunk = 2.0 * (9.0 * 6.0 * 4.0 + 9.0 * 5.0 * 4.0 * 2.0);
        let of = |layers: &[Layer]| work(&models([1, 8, 6], None, layers), &[0], 8, Masks::Shared).arithmetic - trunk;
        assert_eq!(of(&layers(0.75)), 8.0 * 2.0 * (10.0 * 0.25 * 4.0 * 0.75 + 4.0 * 0.75 * 3.0));
        assert_eq!(of(&layers(0.25)), 2.0 * 40.0 + 8.0 * 2.0 * (10.0 * 0.25 * 4.0 * 0.75 + 4.0 * 0.75 * 3.0));

        let mut of_channels = layers(0.25);
        let at = of_channels.iter().position(Layer::is_dropout).unwrap();
        of_channels[at] = Layer::Dropout2d { rate: 0.25 };
        assert_eq!(of(&of_channels), 8.0 * 2.0 * (40.0 + 12.0));
        let sure: Vec<Layer> = layers(0.5).into_iter().filter(|layer| !layer.is_dropout()).collect();
        assert_eq!(of(&sure), 2.0 * (40.0 + 12.0), "without dropout there is but one pass");
    }
}
