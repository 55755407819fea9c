// Elementwise functions; the numbers are those of `function.rs`. Without branches that differ between lanes, and in forms that neither
// overflow nor cancel. NaN stays NaN: no max or clamp of x, which may hide it.

fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    let power = exp(-abs(x));
    return select(power, vec4<f32>(1.0), x >= vec4<f32>(0.0)) / (1.0 + power);
}

fn clip(x: vec4<f32>, low: f32, high: f32) -> vec4<f32> {
    return select(select(x, vec4<f32>(high), x > vec4<f32>(high)), vec4<f32>(low), x < vec4<f32>(low));
}

// Φ(x), by the erf of Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 7.1.26: wrong by 7.5e-8 at most.
fn normal_distribution(x: vec4<f32>) -> vec4<f32> {
    let z = abs(x) * 0.70710678;
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let beyond = 0.5 * polynomial * exp(-z * z);
    return select(1.0 - beyond, beyond, x < vec4<f32>(0.0));
}

fn activate(code: u32, low: f32, high: f32, x: vec4<f32>) -> vec4<f32> {
    switch code {
        case RELU: {
            return select(x, vec4<f32>(0.0), x < vec4<f32>(0.0));
        }
        case LEAKY_RELU: {
            return select(x, low * x, x < vec4<f32>(0.0));
        }
        case ELU: {
            return select(low * (exp(select(x, vec4<f32>(0.0), x > vec4<f32>(0.0))) - 1.0), x, x > vec4<f32>(0.0));
        }
        case GELU: {
            return x * normal_distribution(x);
        }
        case GELU_TANH: {
            // ½ (1 + tanh(u)) = sigmoid(2 u), with 2 √(2/π).
            return x * sigmoid(1.5957691 * (x + 0.044715 * x * x * x));
        }
        case SILU: {
            return x * sigmoid(x);
        }
        case CLIP: {
            return clip(x, low, high);
        }
        case HARD_SIGMOID: {
            return clip(x + 3.0, 0.0, 6.0) / 6.0;
        }
        case HARD_SWISH: {
            return x * clip(x + 3.0, 0.0, 6.0) / 6.0;
        }
        case TANH: {
            let power = exp(-2.0 * abs(x));
            return sign(x) * (1.0 - power) / (1.0 + power);
        }
        case SIGMOID: {
            return sigmoid(x);
        }
        case SOFTPLUS: {
            return max(x, vec4<f32>(0.0)) + log(1.0 + exp(-abs(x)));
        }
        case EXP: {
            return exp(x);
        }
        case LN: {
            return log(x);
        }
        default: {
            return x;
        }
    }
}

// The function that the kernel is compiled for, with the constants of its parameters.
fn activated(x: vec4<f32>) -> vec4<f32> {
    return activate(ACTIVATION, bitcast<f32>(parameters.low), bitcast<f32>(parameters.high), x);
}
