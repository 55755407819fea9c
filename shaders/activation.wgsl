// Elementwise functions; the numbers are those of `Activation::code`. Without branches that differ between lanes, and in forms that
// neither overflow nor cancel.

fn activate(code: u32, x: vec4<f32>) -> vec4<f32> {
    switch code {
        case RELU: {
            // Not max, which may hide NaN.
            return select(x, vec4<f32>(0.0), x < vec4<f32>(0.0));
        }
        case ELU: {
            return select(exp(select(x, vec4<f32>(0.0), x > vec4<f32>(0.0))) - 1.0, x, x > vec4<f32>(0.0));
        }
        case TANH: {
            let power = exp(-2.0 * abs(x));
            return sign(x) * (1.0 - power) / (1.0 + power);
        }
        case SIGMOID: {
            let power = exp(-abs(x));
            return select(power, vec4<f32>(1.0), x >= vec4<f32>(0.0)) / (1.0 + power);
        }
        case SOFTPLUS: {
            return max(x, vec4<f32>(0.0)) + log(1.0 + exp(-abs(x)));
        }
        default: {
            return x;
        }
    }
}
