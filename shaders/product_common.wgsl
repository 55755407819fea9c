// What both ways to multiply share: what they bind, what a thread brings in, and how a result is stored.
//
// Activations lie as [draw][row][point], the points in vec4s. A row of the output is a column of the product for every position and
// every vec4 of points: out[o, (position, q)] = Σ_k w[k, o] · x[rows[k] + position, q]. A linear layer has one position, a convolution one
// for every place of its output, without an image in memory; of a thinned draw only the listed inputs are multiplied, and only the listed
// outputs made. Lists begin with their length. A phase of a transposed convolution writes some places of a channel only (`scatter`).

@group(0) @binding(0) var<uniform> parameters: Parameters;
// [inputs, outputs], the outputs padded to vec4s; twice, as vec4s and as numbers.
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> single_weights: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
// The rows of the input that are multiplied, or, with `gather_inputs`, the inputs themselves.
@group(0) @binding(4) var<storage, read> input_list: array<u32>;
// The rows at which the positions begin, or, with `gather_outputs`, the outputs that are made.
@group(0) @binding(5) var<storage, read> output_list: array<u32>;
@group(0) @binding(6) var<storage, read> x: array<vec4<f32>>;
// With `subtract`: what the product is taken away from, the same for all draws.
@group(0) @binding(7) var<storage, read> base: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> out: array<vec4<f32>>;

const THREADS: u32 = THREAD_ROWS * THREAD_COLUMNS;
const TILE_OUTPUTS: u32 = 8u * THREAD_ROWS;
const TILE_QUADS: u32 = 2u * THREAD_COLUMNS;
const WEIGHT_QUADS: u32 = TILE_OUTPUTS / 4u;
const WEIGHT_LOADS: u32 = DEPTH * WEIGHT_QUADS / THREADS;
const X_LOADS: u32 = DEPTH * TILE_QUADS / THREADS;

// Halves end at LARGEST; what is larger would be infinite. NaN, found by its bits, stays NaN.
fn element(value: vec4<f32>) -> vec4<Element> {
    if HALF {
        let is_nan = (bitcast<vec4<u32>>(value) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
        return vec4<Element>(select(clamp(value, vec4<f32>(-LARGEST), vec4<f32>(LARGEST)), value, is_nan));
    }
    return vec4<Element>(value);
}

// What of the draw's lists a thread needs, and what it brings in: the same four outputs and the same column in every round, for THREADS is
// a multiple of both widths of the tiles.
struct Share {
    draw: u32,
    inputs: u32,
    input_start: u32,
    outputs: u32,
    output_start: u32,
    first_output: u32,
    first_column: u32,
    // The four outputs from `first` on; with `gather_outputs` these.
    first: u32,
    gathered: vec4<u32>,
    has_column: bool,
    x_start: u32,
}

fn share(group: vec3<u32>, thread: u32) -> Share {
    var own: Share;
    own.draw = parameters.first_draw + group.z;
    let input_at = own.draw * parameters.input_stride;
    own.inputs = input_list[input_at];
    own.input_start = input_at + 1u;
    own.outputs = parameters.outputs;
    own.output_start = 1u;
    if parameters.gather_outputs != 0u {
        own.outputs = output_list[own.draw * parameters.output_stride];
        own.output_start = own.draw * parameters.output_stride + 1u;
    }
    own.first_output = group.y * TILE_OUTPUTS;
    own.first_column = (parameters.first_group + group.x) * TILE_QUADS;
    own.first = own.first_output + thread % WEIGHT_QUADS * 4u;
    own.gathered = vec4<u32>(0u);
    if parameters.gather_outputs != 0u && own.first < own.outputs {
        // Beyond the end of the list the last output is made once more, and not stored.
        let last = own.output_start + own.outputs - 1u;
        let at = own.output_start + own.first;
        own.gathered =
            vec4<u32>(output_list[at], output_list[min(at + 1u, last)], output_list[min(at + 2u, last)], output_list[min(at + 3u, last)]);
    }
    let column = own.first_column + thread % TILE_QUADS;
    own.has_column = column < parameters.columns;
    own.x_start = own.draw * parameters.x_draw + column % parameters.quads;
    if parameters.gather_outputs == 0u && own.has_column {
        own.x_start += output_list[1u + column / parameters.quads] * parameters.quads;
    }
    return own;
}

// Four weights of the k-th listed input.
fn weights_of(own: Share, k: u32) -> vec4<f32> {
    if k >= own.inputs || own.first >= own.outputs {
        return vec4<f32>(0.0);
    }
    var row = k;
    if parameters.gather_inputs != 0u {
        row = input_list[own.input_start + k];
    }
    let line = row * parameters.weight_quads;
    if parameters.gather_outputs == 0u {
        return weights[line + own.first / 4u];
    }
    let at = line * 4u + own.gathered;
    return vec4<f32>(single_weights[at.x], single_weights[at.y], single_weights[at.z], single_weights[at.w]);
}

// The k-th listed input at four points.
fn x_of(own: Share, k: u32) -> vec4<f32> {
    if k >= own.inputs || !own.has_column {
        return vec4<f32>(0.0);
    }
    return x[own.x_start + input_list[own.input_start + k] * parameters.quads];
}

// Stores the sum of an output, by its number in the list, at a column.
fn store(own: Share, number: u32, column: u32, sum: vec4<f32>) {
    if number >= own.outputs || column >= parameters.columns {
        return;
    }
    var output = number;
    if parameters.gather_outputs != 0u {
        output = output_list[own.output_start + number];
    }
    let at = output * parameters.columns + column;
    var value = bitcast<f32>(parameters.scale) * sum;
    if parameters.subtract != 0u {
        value = base[at] - value;
    }
    var to = at;
    if parameters.scatter != 0u {
        // The places of the positions follow these in their list.
        let place = output_list[1u + output_list[0] + column / parameters.quads];
        to = output * parameters.out_plane + place * parameters.quads + column % parameters.quads;
    }
    out[own.draw * parameters.out_draw + parameters.out_start + to] = activated(value + bias[output]);
}
