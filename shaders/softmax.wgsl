// What the tally needs of each draw: its largest logit m, 1 / Σ exp(l − m), its entropy, and the class of the largest logit. The entropy
// is not finite where a logit is not: found by the bits, because comparisons with NaN may be optimised away.

@group(0) @binding(0) var<uniform> parameters: Parameters;
// [draw][class][point]
@group(0) @binding(1) var<storage, read> logits: array<vec4<f32>>;
// [draw][4][point]
@group(0) @binding(2) var<storage, read_write> normal: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let quads = parameters.quads;
    let quad = place % quads;
    let draw = place / quads;
    let start = draw * parameters.classes * quads + quad;
    var largest = logits[start];
    var vote = vec4<f32>(0.0);
    // All ones where one of the logits is infinite or NaN.
    var exponent = bitcast<vec4<u32>>(largest) & vec4<u32>(0x7f800000u);
    for (var number = 1u; number < parameters.classes; number++) {
        let logit = logits[start + number * quads];
        vote = select(vote, vec4<f32>(f32(number)), logit > largest);
        largest = max(largest, logit);
        exponent = max(exponent, bitcast<vec4<u32>>(logit) & vec4<u32>(0x7f800000u));
    }
    // The sum without the 1 of the largest: where the others are small, ln(1 + s) ≈ s keeps the digits of a small entropy.
    var others = vec4<f32>(0.0);
    var moment = vec4<f32>(0.0);
    for (var number = 0u; number < parameters.classes; number++) {
        // A difference that overflows has no power either, and infinity times 0 is no number.
        let below = min(largest - logits[start + number * quads], vec4<f32>(1e4));
        let power = select(exp(-below), vec4<f32>(0.0), vote == vec4<f32>(f32(number)));
        others += power;
        moment += power * below;
    }
    let total = 1.0 + others;
    let logarithm = select(log(total), others * (1.0 - others * (0.5 - others / 3.0)), others < vec4<f32>(0.01));
    let to = draw * 4u * quads + quad;
    normal[to] = largest;
    normal[to + quads] = 1.0 / total;
    let entropy = logarithm + moment / total;
    normal[to + 2u * quads] = select(entropy, bitcast<vec4<f32>>(exponent), exponent == vec4<u32>(0x7f800000u));
    normal[to + 3u * quads] = vote;
}
