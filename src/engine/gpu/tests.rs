//! Kernels against their twins.

use super::device::Device;
use super::function::{Code, NAMES};
use super::kernel::{
    Access, KeptParameters, Kernel, MaskParameters, PeakParameters, PoolParameters, Precision, ProductParameters, SoftmaxParameters,
    THREADS, TallyParameters, Tile,
};
use super::recorder::{ProductBuffers, Recorder, Slot, Slots, read};
use super::twins::{self, Quad};
use super::weights::Product;
use crate::nets::Function;
use crate::random::{Purpose, Stream, drop_threshold, keep_mask};
use std::sync::Arc;
use wgpu::{Buffer, BufferUsages, DeviceType};

/// What validation says of a WGSL text, and its bindings: number and access, uniform as `None`.
fn validate(source: &str) -> Result<Vec<(u32, Option<Access>)>, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let flags = naga::valid::ValidationFlags::all();
    let capabilities = naga::valid::Capabilities::SHADER_FLOAT16 | naga::valid::Capabilities::COOPERATIVE_MATRIX;
    naga::valid::Validator::new(flags, capabilities).validate(&module).map_err(|error| error.emit_to_string(source))?;
    let mut bindings: Vec<_> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| {
            let access = match variable.space {
                naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => Some(Access::Write),
                naga::AddressSpace::Storage { .. } => Some(Access::Read),
                _ => None,
            };
            variable.binding.map(|binding| (binding.binding, access))
        })
        .collect();
    bindings.sort_by_key(|(number, _)| *number);
    Ok(bindings)
}

#[test]
fn every_kernel_is_valid_for_every_kind_of_adapter() {
    for kernel in Kernel::ALL {
        let kinds = [DeviceType::Cpu, DeviceType::DiscreteGpu];
        for (kind, activation) in kinds.into_iter().flat_map(|kind| (0..=NAMES.len() as u32).map(move |activation| (kind, activation))) {
            let bindings = validate(&kernel.source(Tile::of(kind), activation)).unwrap_or_else(|text| panic!("{}: {text}", kernel.name()));
            let storage = kernel.bindings().iter().enumerate().map(|(number, access)| (1 + number as u32, Some(*access)));
            let declared: Vec<_> = std::iter::once((0, None)).chain(storage).collect();
            assert_eq!(bindings, declared, "{}: Rust binds something else than the shader declares", kernel.name());
        }
    }
    let broken = Kernel::Apply.source(Tile::of(DeviceType::Cpu), 0).replace("parameters.count", "parameters.other");
    assert!(validate(&broken).is_err(), "a broken shader is noticed");
}

/// Runs what `record` records, and reads the first values of `out`.
fn run<T: bytemuck::Pod>(device: &Device, out: &Buffer, values: usize, record: impl FnOnce(&mut Recorder<'_>)) -> Vec<T> {
    let mut recorder = Recorder::new(device, 1e6);
    record(&mut recorder);
    let mut slots = Slots::default();
    let bytes = (values * size_of::<T>()) as u64;
    let staging = slots.take(device, Slot::Staging(0), bytes).ok().unwrap();
    let submission = recorder.submit(&mut slots, &[(out.clone(), bytes)], &staging, None).ok().unwrap();
    read(device, &staging, bytes, submission).unwrap()
}

fn upload<T: bytemuck::NoUninit>(device: &Device, values: &[T]) -> Buffer {
    device.upload("test", values).unwrap()
}

fn out<T>(device: &Device, values: usize) -> Buffer {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    device.buffer("out", (values * size_of::<T>()) as u64, usage).ok().unwrap()
}

fn quads(seed: u32, count: usize) -> Vec<Quad> {
    let stream = Stream::new(seed, Purpose::Choice);
    (0..count).map(|at| std::array::from_fn(|lane| stream.normal([0; 3], (4 * at + lane) as u32) as f32)).collect()
}

/// Holds a kernel to its twin, and to failing another twin.
fn alike(what: &str, got: &[Quad], expected: &[Quad], other: &[Quad], tolerance: f32) {
    assert_eq!(got.len(), expected.len());
    let close = |expected: &[Quad]| {
        let mut pairs = got.as_flattened().iter().zip(expected.as_flattened());
        pairs.all(|(a, b)| (a - b).abs() <= tolerance * b.abs().max(1.0))
    };
    let worst = got.as_flattened().iter().zip(expected.as_flattened()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(close(expected), "{what}: differs by {worst}");
    assert!(!close(other), "{what}: another twin passes");
}

pub(super) fn device() -> Option<Arc<Device>> {
    let required = std::env::var_os("EPISTEMAP_REQUIRE_GPU").is_some_and(|value| value == "1");
    match Device::shared() {
        Ok(device) => Some(device),
        Err(error) if required => panic!("EPISTEMAP_REQUIRE_GPU is set: {error}"),
        Err(_) => None,
    }
}

#[test]
fn masks_are_their_twin() {
    let Some(device) = device() else { return };
    let numbers = [[5, 4, 70_000, 0], [1, 2, 3, 9]];
    for (units, size, own, per_point) in [(11, 1, 0, 1), (5, 6, 1, 0), (4, 3, 1, 1)] {
        let rows = units * size;
        let x = quads(3, (3 * rows * 2) as usize);
        let count = 3 * u32::div_ceil(units, 4) * 2;
        let parameters = MaskParameters {
            count,
            quads: 2,
            units,
            size,
            x_draw: own * rows * 2,
            first_draw: 7,
            stream: 3,
            seed: 11,
            member: 2,
            threshold: drop_threshold(0.4),
            scale: (1.0f32 / 0.6).to_bits(),
            per_point,
        };
        let mut expected = vec![[0.0; 4]; (3 * rows * 2) as usize];
        let mut other = expected.clone();
        twins::mask(&parameters, &numbers, &x, &mut expected);
        twins::mask(&MaskParameters { per_point: 1 - per_point, ..parameters }, &numbers, &x, &mut other);
        let (numbers, x) = (upload(&device, &numbers), upload(&device, &x));
        let result = out::<Quad>(&device, expected.len());
        let record = |recorder: &mut Recorder<'_>| recorder.each(Kernel::Mask, &parameters, &[&numbers, &x, &result], count, 0.0);
        alike("mask", &run(&device, &result, expected.len(), record), &expected, &other, 1e-6);
    }
}

#[test]
fn a_million_mask_bits_are_those_of_the_processor() {
    let Some(device) = device() else { return };
    let (units, draws) = (9216 + 5, 110);
    for (rate, dropped) in [(0.25, 1), (0.5, 0), (0.0, 0), (0.0, 1)] {
        let stride = units + 1;
        let draws = if rate == 0.25 { draws } else { 3 };
        let (first_draw, stream, seed, member) = (u32::MAX - 200, 6, 0xdead_beef, 0x7fff_ffff);
        let parameters = KeptParameters { units, stride, threshold: drop_threshold(rate), dropped, first_draw, stream, seed, member };
        let length = (draws * stride) as usize;
        let result = out::<u32>(&device, length);
        let got: Vec<u32> =
            run(&device, &result, length, |recorder| recorder.workgroups(Kernel::Kept, &parameters, &[&result], [draws, 1, 1]));
        let mut expected = vec![0; length];
        twins::kept(&parameters, draws, &mut expected);
        for draw in 0..draws {
            let list = |lists: &[u32]| {
                let list = &lists[(draw * stride) as usize..];
                list[..=list[0] as usize].to_vec()
            };
            assert_eq!(list(&got), list(&expected), "rate {rate}, draw {draw}");
            let mask = keep_mask(seed, member, first_draw + draw, stream, 0, rate, units as usize);
            let chosen: Vec<u32> = (0..units).filter(|&unit| mask[unit as usize] != (dropped != 0)).collect();
            assert_eq!(list(&got)[1..], chosen, "rate {rate}, draw {draw}");
        }
    }
}

/// A list of every `step`-th number, its length in front, with room for `most`.
fn sparse_list(start: u32, step: u32, most: u32) -> Vec<u32> {
    let list: Vec<u32> = (start..most).step_by(step as usize).collect();
    let mut padded = vec![list.len() as u32];
    padded.extend(list);
    padded.resize(most as usize + 1, 0);
    padded
}

/// Rows and columns that fill no tile, two positions, three draws, lists of other lengths.
#[test]
fn products_are_their_twin() {
    let Some(device) = device() else { return };
    let (inputs, outputs, quads_of_points, draws) = (37u32, 70u32, 9u32, 3u32);
    let weight_quads = outputs.div_ceil(4);
    let weights = quads(5, (inputs * weight_quads) as usize);
    let bias: Vec<f32> = quads(6, 20).as_flattened()[..outputs as usize].to_vec();
    let sparse = |start: u32, step: u32, most: u32| (0..draws).flat_map(|draw| sparse_list(start, step + draw, most)).collect::<Vec<u32>>();
    let dense: Vec<u32> = std::iter::once(inputs).chain((0..inputs).map(|input| 2 * input)).collect();
    let elu = Some(Function::Elu { alpha: 0.5 });
    let cases = [
        (0, 0, 0, 0, Some(Function::Relu {})),
        (1, 0, 0, 0, elu),
        (0, 1, 0, 0, None),
        (1, 1, 1, 0, Some(Function::Sigmoid {})),
        (0, 0, 0, 1, Some(Function::Clip { low: -0.5, high: 2.0 })),
    ];
    for (gather_inputs, gather_outputs, subtract, scatter, then) in cases {
        let (input_list, input_stride) = if gather_inputs == 1 { (sparse(1, 2, inputs), inputs + 1) } else { (dense.clone(), 0) };
        let (output_list, output_stride) =
            if gather_outputs == 1 { (sparse(0, 1, outputs), outputs + 1) } else { (vec![2, 0, 1, 4, 2], 0) };
        let positions = if gather_outputs == 1 { 1 } else { 2 };
        let rows = 2 * inputs + 1;
        let Code { activation, low, high } = Code::of(then);
        // A channel of the output has five places, of which the positions take two.
        let (places, out_start) = if scatter == 1 { (5, 3 * quads_of_points) } else { (positions, 0) };
        let out_rows = outputs * places + 3 * scatter;
        let parameters = ProductParameters {
            quads: quads_of_points,
            columns: positions * quads_of_points,
            outputs,
            weight_quads,
            x_draw: rows * quads_of_points,
            out_draw: out_rows * quads_of_points,
            out_start,
            out_plane: places * quads_of_points,
            scatter,
            input_stride,
            output_stride,
            gather_inputs,
            gather_outputs,
            subtract,
            scale: 1.25f32.to_bits(),
            activation,
            low,
            high,
            first_group: 0,
            first_draw: 0,
        };
        let x = quads(7, (draws * rows * quads_of_points) as usize);
        let base = quads(8, (outputs * positions * quads_of_points) as usize);
        let length = (draws * out_rows * quads_of_points) as usize;
        let twin = |then: Option<Function>| {
            let mut out = vec![[0.0; 4]; length];
            twins::product(&parameters, draws, &weights, &bias, &input_list, &output_list, &x, &base, then, &mut out);
            out
        };
        let (expected, other) = (twin(then), twin(Some(Function::Softplus {})));
        let product = Product {
            weights: upload(&device, &weights),
            bias: upload(&device, &bias),
            rows: upload(&device, &input_list),
            positions: upload(&device, &output_list),
            inputs: inputs as usize,
            outputs: outputs as usize,
            places: positions as usize,
            first: 0,
            scatter: None,
            then: None,
            exact: false,
            split: None,
        };
        let (x, base) = (upload(&device, &x), upload(&device, &base));
        for (precision, tolerance) in [(Precision::Single, 1e-5), (Precision::Half, 2e-2), (Precision::Matrix, 2e-2)] {
            if !device.has(precision) {
                continue;
            }
            let out = out::<Quad>(&device, length);
            device.queue.write_buffer(&out, 0, bytemuck::cast_slice(&vec![[0.0f32; 4]; length]));
            let buffers = ProductBuffers {
                product: &product,
                bias: &product.bias,
                inputs: &product.rows,
                outputs: &product.positions,
                x: &x,
                base: &base,
                out: &out,
            };
            // So many operations that columns and draws are split over several calls.
            let got = run(&device, &out, length, |recorder| recorder.product(Kernel::Product(precision), parameters, &buffers, draws, 4e6));
            alike(
                &format!("product {gather_inputs}{gather_outputs}{subtract}{scatter}, {precision:?}"),
                &got,
                &expected,
                &other,
                tolerance,
            );
        }
    }
}

#[test]
fn softmax_and_tally_are_their_twins() {
    let Some(device) = device() else { return };
    let (points, draws, classes) = (3u32, 7u32, 5u32);
    let mut logits = quads(9, (points * draws * classes) as usize);
    logits.iter_mut().take(40).flatten().for_each(|logit| *logit *= 30.0);
    let length = (4 * draws * points) as usize;
    let parameters = SoftmaxParameters { count: draws * points, quads: points, classes };
    let mut normal = vec![[0.0; 4]; length];
    twins::softmax(&parameters, &logits, &mut normal);
    let mut other = normal.clone();
    twins::softmax(&SoftmaxParameters { classes: classes - 1, ..parameters }, &logits, &mut other);
    let (x, result) = (upload(&device, &logits), out::<Quad>(&device, length));
    let record = |recorder: &mut Recorder<'_>| recorder.each(Kernel::Softmax, &parameters, &[&x, &result], parameters.count, 0.0);
    alike("softmax", &run(&device, &result, length, record), &normal, &other, 2e-6);

    // The second group is empty.
    let starts = [0, 3, 3, 7];
    let length = (3 * (3 * classes + 1) * points) as usize;
    let (mut sums, mut other) = (vec![[0.0; 4]; length], vec![[0.0; 4]; length]);
    let parameters = TallyParameters { count: 3 * classes * points, quads: points, classes };
    twins::tally(&parameters, &logits, &normal, &starts, &mut sums);
    twins::tally(&parameters, &logits, &normal, &[0, 3, 4, 7], &mut other);
    let (normal, starts, result) = (upload(&device, &normal), upload(&device, &starts), out::<Quad>(&device, length));
    let record =
        |recorder: &mut Recorder<'_>| recorder.each(Kernel::Tally, &parameters, &[&x, &normal, &starts, &result], parameters.count, 0.0);
    alike("tally", &run(&device, &result, length, record), &sums, &other, 2e-6);

    // The first member begins the sums over members, the second is added.
    let [rows, pooled_rows] = [3 * classes + 1, 3 * (classes + 1)].map(|rows| (rows * points) as usize);
    let (whole, pooled) = (out::<Quad>(&device, rows), out::<Quad>(&device, pooled_rows));
    let [mut of_whole, mut of_pooled, mut other] = [rows, pooled_rows, pooled_rows].map(|rows| vec![[9.0; 4]; rows]);
    let uploaded = upload(&device, &sums);
    for first in [1, 0] {
        let parameters = PoolParameters { count: rows as u32, quads: points, classes, groups: 3, first };
        twins::pool(&parameters, &sums, &mut of_whole, &mut of_pooled);
        twins::pool(&PoolParameters { first: 1 - first, ..parameters }, &sums, &mut vec![[0.0; 4]; rows], &mut other);
        let record = |recorder: &mut Recorder<'_>| {
            recorder.each(Kernel::Pool, &parameters, &[&uploaded, &whole, &pooled], parameters.count, 0.0);
        };
        alike("pool", &run(&device, &pooled, pooled_rows, record), &of_pooled, &other, 2e-6);
    }
    alike("whole", &run(&device, &whole, rows, |_| ()), &of_whole, &sums[..rows], 2e-6);
}

#[test]
fn the_yardstick_computes_what_it_says() {
    let Some(device) = device() else { return };
    let mut expected = vec![[0.0; 4]; THREADS as usize];
    let mut other = expected.clone();
    twins::peak(PeakParameters { rounds: 3 }, &mut expected);
    twins::peak(PeakParameters { rounds: 4 }, &mut other);
    let result = out::<Quad>(&device, expected.len());
    let got = run(&device, &result, expected.len(), |recorder| {
        recorder.workgroups(Kernel::Peak, &PeakParameters { rounds: 3 }, &[&result], [1; 3]);
    });
    alike("peak", &got, &expected, &other, 1e-5);
}
