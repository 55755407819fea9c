//! Every operation against PyTorch's numbers (`tests/reference/torch_ops.py`): outputs, gradients of the input and of the weights, by the
//! kernels of the CPU in both precisions and by candle's own operations. Every comparison has a twin with one number changed that must fail.

use super::{Forward, Parameters, Pass};
use crate::nets::{Graph, Node, Op};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::ops::log_softmax;
use serde_json::Value;
use std::collections::BTreeMap;

fn load() -> Vec<Value> {
    let path = format!("{}/tests/reference/ops.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The numbers of a nested list, in order.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// The largest difference, relative to the largest number; infinite for NaN and other lengths.
fn apart(got: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(1e-3, |most: f64, value| most.max(value.abs()));
    let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest).fold(0.0, |worst, d| if d <= worst { worst } else { d });
    if got.len() == expected.len() && worst.is_finite() { worst } else { f64::INFINITY }
}

/// How a pass is computed.
#[derive(Clone, Copy, Debug)]
struct Way {
    dtype: DType,
    composed: bool,
}

/// The output, the gradient of the input, and those of the weights by name, of one row whose inputs are moved by `moved`.
fn run(row: &Value, way: Way, moved: impl Fn(usize) -> f64) -> BTreeMap<String, Vec<f64>> {
    let nodes: Vec<Node> = serde_json::from_value(row["nodes"].clone()).unwrap();
    let shape: Vec<usize> = numbers(&row["shape"]).into_iter().map(|axis| axis as usize).collect();
    let forward = Forward::new(Graph::new(&shape, nodes).unwrap());
    let var = |values: Vec<f64>, shape: &[usize]| {
        Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(way.dtype).unwrap()).unwrap()
    };
    let weights = forward.graph().weights();
    let variables: BTreeMap<String, Var> =
        weights.map(|(name, shape)| (name.clone(), var(numbers(&row["weights"][&name]), &shape))).collect();
    let mut input = numbers(&row["input"]);
    input.iter_mut().enumerate().for_each(|(at, x)| *x += moved(at));
    let input = var(input, &[&[1], &shape[..]].concat());
    let mut masks = |stream: u32, rate: f64, shape: &[usize]| {
        let kept = numbers(&row["keep"][stream.to_string()]).into_iter().map(|keep| keep / (1.0 - rate)).collect();
        Tensor::from_vec::<_, f64>(kept, shape, &Device::Cpu)?.to_dtype(way.dtype)
    };
    let parameters = Parameters::trained(&variables);
    let parameters = if way.composed { parameters.composed() } else { parameters };
    let output = forward.run(&parameters, &input, Pass { masks: Some(&mut masks), moments: None }).unwrap();
    let label = row["label"].as_u64().unwrap() as usize;
    let loss = log_softmax(&output, 1).unwrap().narrow(1, label, 1).unwrap().sum_all().unwrap().neg().unwrap();
    let gradients = loss.backward().unwrap();
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
    let mut all = BTreeMap::from([("output".to_owned(), values(&output)), ("input".to_owned(), values(gradients.get(&input).unwrap()))]);
    for (name, variable) in variables.iter().filter(|(name, _)| !Op::is_statistic(name)) {
        if let Some(gradient) = gradients.get(variable) {
            all.insert(name.clone(), values(gradient));
        }
    }
    all
}

#[test]
fn outputs_and_gradients_of_every_operation_are_pytorchs() {
    let ways = [(DType::F64, false, 1e-9), (DType::F64, true, 1e-9), (DType::F32, false, 1e-5)];
    for row in load().iter().filter(|row| row.get("noise").is_none()) {
        let mut expected =
            BTreeMap::from([("output".to_owned(), numbers(&row["output"])), ("input".to_owned(), numbers(&row["gradient"]))]);
        let of_weights = row["weight_gradients"].as_object().into_iter().flatten();
        expected.extend(of_weights.map(|(name, gradient)| (name.clone(), numbers(gradient))));
        for (dtype, composed, tolerance) in ways {
            let way = Way { dtype, composed };
            let got = run(row, way, |_| 0.0);
            let about = format!("{} in {way:?}", row["about"]);
            assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{about}");
            for (name, gradient) in &expected {
                let apart = apart(&got[name], gradient);
                assert!(apart <= tolerance, "{about}, {name}: {apart}");
            }
            // A softmax does not see that all of its inputs move, and an element that moves alone may be dropped.
            let twins = [run(row, way, |_| 0.37), run(row, way, |at| 0.1 * at as f64)];
            let told = expected.iter().any(|(name, gradient)| twins.iter().any(|twin| apart(&twin[name], gradient) > tolerance));
            assert!(told, "the negative control of {about}");
        }
    }
}
