//! Kernels once more, as plain loops: same names, same parameters, same buffers. What the shaders of products, masks and statistics are
//! held against; the others are held against the reference engine.

use super::kernel::{
    KeptParameters, MaskParameters, PeakParameters, PoolParameters, ProductParameters, SoftmaxParameters, TallyParameters,
};
use crate::nets::Function;
use crate::random::philox;

pub type Quad = [f32; 4];

/// Those outputs that the kernel writes; the others stay as they are in `out`.
#[allow(clippy::too_many_arguments, reason = "one argument a binding")]
pub fn product(
    parameters: &ProductParameters,
    draws: u32,
    weights: &[Quad],
    bias: &[f32],
    input_list: &[u32],
    output_list: &[u32],
    x: &[Quad],
    base: &[Quad],
    then: Option<Function>,
    out: &mut [Quad],
) {
    let p = parameters;
    for draw in 0..draws {
        let inputs = &input_list[(draw * p.input_stride) as usize..];
        let inputs = &inputs[1..=inputs[0] as usize];
        let outputs: Vec<u32> = if p.gather_outputs == 0 {
            (0..p.outputs).collect()
        } else {
            let outputs = &output_list[(draw * p.output_stride) as usize..];
            outputs[1..=outputs[0] as usize].to_vec()
        };
        for output in outputs {
            for column in 0..p.columns {
                let position = if p.gather_outputs == 0 { output_list[1 + (column / p.quads) as usize] } else { 0 };
                let at = output * p.columns + column;
                let to = if p.scatter == 0 {
                    at
                } else {
                    let place = output_list[(1 + output_list[0] + column / p.quads) as usize];
                    output * p.out_plane + place * p.quads + column % p.quads
                };
                out[(draw * p.out_draw + p.out_start + to) as usize] = std::array::from_fn(|lane| {
                    let mut sum = 0.0;
                    for (k, &input) in inputs.iter().enumerate() {
                        let row = if p.gather_inputs == 0 { k as u32 } else { input };
                        let weight = weights[(row * p.weight_quads + output / 4) as usize][output as usize % 4];
                        let place = p.x_draw * draw + (input + position) * p.quads + column % p.quads;
                        sum += f64::from(weight) * f64::from(x[place as usize][lane]);
                    }
                    let sum = f64::from(f32::from_bits(p.scale)) * sum;
                    let value = if p.subtract == 0 { sum } else { f64::from(base[at as usize][lane]) - sum };
                    let value = value + f64::from(bias[output as usize]);
                    then.map_or(value, |function| function.value(value)) as f32
                });
            }
        }
    }
}

pub fn mask(parameters: &MaskParameters, numbers: &[[u32; 4]], x: &[Quad], out: &mut [Quad]) {
    let p = parameters;
    let quads_of_draw = p.units * p.size * p.quads;
    for place in 0..out.len() as u32 {
        let (draw, in_draw) = (place / quads_of_draw, place % quads_of_draw);
        let (unit, quad) = (in_draw / p.quads / p.size, in_draw % p.quads);
        out[place as usize] = std::array::from_fn(|lane| {
            let point = if p.per_point == 0 { 0 } else { 1 + numbers[quad as usize][lane] };
            let words = philox([unit / 4, p.first_draw + draw, p.stream, point], [p.seed, p.member]);
            let value = x[(draw * p.x_draw + in_draw) as usize][lane];
            if words[unit as usize % 4] >= p.threshold { value * f32::from_bits(p.scale) } else { 0.0 }
        });
    }
}

pub fn kept(parameters: &KeptParameters, draws: u32, lists: &mut [u32]) {
    let p = parameters;
    for draw in 0..draws {
        let list = &mut lists[(draw * p.stride) as usize..];
        let mut length = 0;
        for unit in 0..p.units {
            let words = philox([unit / 4, p.first_draw + draw, p.stream, 0], [p.seed, p.member]);
            if (words[unit as usize % 4] >= p.threshold) != (p.dropped != 0) {
                length += 1;
                list[length] = unit;
            }
        }
        list[0] = length as u32;
    }
}

pub fn softmax(parameters: &SoftmaxParameters, logits: &[Quad], normal: &mut [Quad]) {
    let (quads, classes) = (parameters.quads as usize, parameters.classes as usize);
    for place in 0..parameters.count as usize {
        let (draw, quad) = (place / quads, place % quads);
        for lane in 0..4 {
            let logits: Vec<f64> = (0..classes).map(|class| f64::from(logits[(draw * classes + class) * quads + quad][lane])).collect();
            let vote = (0..classes).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            let total: f64 = logits.iter().map(|logit| (logit - logits[vote]).exp()).sum();
            let entropy: f64 = logits.iter().map(|logit| (logit - logits[vote]).exp() / total * (logits[vote] - logit)).sum();
            for (row, value) in [logits[vote], 1.0 / total, total.ln() + entropy, vote as f64].into_iter().enumerate() {
                normal[(draw * 4 + row) * quads + quad][lane] = value as f32;
            }
        }
    }
}

pub fn tally(parameters: &TallyParameters, logits: &[Quad], normal: &[Quad], starts: &[u32], sums: &mut [Quad]) {
    let (quads, classes) = (parameters.quads as usize, parameters.classes as usize);
    sums.fill([0.0; 4]);
    for (group, draws) in starts.windows(2).enumerate() {
        for draw in draws[0] as usize..draws[1] as usize {
            for (quad, lane) in (0..quads).flat_map(|quad| (0..4).map(move |lane| (quad, lane))) {
                let of_draw = |row: usize| normal[(draw * 4 + row) * quads + quad][lane];
                let mut add = |row: usize, value: f32| sums[(group * (3 * classes + 1) + row) * quads + quad][lane] += value;
                for class in 0..classes {
                    let p = (logits[(draw * classes + class) * quads + quad][lane] - of_draw(0)).exp() * of_draw(1);
                    add(class, p);
                    add(classes + class, p * p);
                    add(2 * classes + class, f32::from(u8::from(of_draw(3) == class as f32)));
                }
                add(3 * classes, of_draw(2));
            }
        }
    }
}

pub fn pool(parameters: &PoolParameters, sums: &[Quad], whole: &mut [Quad], pooled: &mut [Quad]) {
    let (quads, classes) = (parameters.quads as usize, parameters.classes as usize);
    let rows = 3 * classes + 1;
    whole.fill([0.0; 4]);
    if parameters.first == 1 {
        pooled.fill([0.0; 4]);
    }
    for (at, value) in sums.iter().enumerate() {
        let (group, row, quad) = (at / quads / rows, at / quads % rows, at % quads);
        let add = |to: &mut Quad| (0..4).for_each(|lane| to[lane] += value[lane]);
        add(&mut whole[row * quads + quad]);
        match row {
            row if row < classes => add(&mut pooled[(group * (classes + 1) + row) * quads + quad]),
            row if row == 3 * classes => add(&mut pooled[(group * (classes + 1) + classes) * quads + quad]),
            _ => {}
        }
    }
}

pub fn peak(parameters: PeakParameters, out: &mut [Quad]) {
    for (thread, out) in out.iter_mut().enumerate() {
        let factor = 1.0 - (thread % 7) as f32 * 1e-7;
        let mut c: [f32; 8] = std::array::from_fn(|chain| thread as f32 + chain as f32);
        for _ in 0..parameters.rounds {
            for chain in 0..8 {
                c[chain] = c[chain].mul_add(factor, c[(chain + 1) % 8]);
            }
        }
        *out = [c.iter().sum(); 4];
    }
}
