//! A training at rest: one safetensors file with the weights, the optimiser's memory and the settings, so that it is
//! whole or not there.

use super::goal::modernised;
use super::objective::Networks;
use super::optimiser::StatefulOptimiser;
use super::{DataHashes, Settings, Trainer};
use crate::autodiff::device::device;
use crate::error::{Error, Result};
use crate::files;
use candle_core::{Tensor, Var};
use candle_nn::Optimizer as _;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The only key of the metadata, whose order is otherwise another in each run.
const FACTS: &str = "training";
/// The keys of earlier versions.
const FORMER_KEYS: [&str; 3] = ["settings", "epochs_done", "steps"];
/// Before a weight's name: the weight itself and the optimiser's two numbers for it.
const PARTS: [&str; 3] = ["weight", "first", "second"];

/// What a checkpoint says beside its tensors.
#[derive(Serialize, Deserialize)]
struct Facts {
    settings: Value,
    epochs_done: usize,
    steps: u64,
    data: Option<DataHashes>,
}

impl Facts {
    /// Reads what stands in the metadata, today's or that of earlier versions, which knew no hashes of data.
    fn read(metadata: &HashMap<String, String>) -> std::result::Result<Self, String> {
        let parsed = |key: &str| {
            let text = metadata.get(key).ok_or_else(|| format!("it holds no '{key}'"))?;
            serde_json::from_str::<Value>(text).map_err(|error| format!("'{key}': {error}"))
        };
        let facts = if metadata.contains_key(FORMER_KEYS[0]) {
            let [settings, epochs_done, steps] = FORMER_KEYS.map(parsed);
            json!({ "settings": settings?, "epochs_done": epochs_done?, "steps": steps? })
        } else {
            parsed(FACTS)?
        };
        serde_json::from_value(facts).map_err(|error| error.to_string())
    }
}

impl Trainer {
    /// Writes everything that the next step depends on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let refused = |problem: String| Error::file(path, problem, "report this defect");
        let mut entries: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for ((name, variable), [first, second]) in self.variables.iter().zip(self.optimiser.memory()?) {
            let weight = variable.flatten_all()?.to_vec1::<f32>()?;
            for (part, values) in PARTS.iter().zip([weight, first, second]) {
                entries.push((
                    format!("{part}/{name}"),
                    variable.dims().to_vec(),
                    values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                ));
            }
        }
        for (name, tensor) in &self.statistics {
            let values = tensor.to_vec1::<f32>()?;
            entries.push((format!("weight/{name}"), tensor.dims().to_vec(), values.iter().flat_map(|value| value.to_le_bytes()).collect()));
        }
        let mut views = Vec::new();
        for (name, shape, bytes) in &entries {
            views.push((name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|error| refused(error.to_string()))?));
        }
        let facts =
            Facts { settings: json!(self.settings), epochs_done: self.epochs_done, steps: self.optimiser.steps, data: self.data.clone() };
        let facts = serde_json::to_string(&facts).map_err(|error| refused(error.to_string()))?;
        let metadata = HashMap::from([(FACTS.to_owned(), facts)]);
        files::write_atomically(path, &safetensors::serialize(views, Some(metadata)).map_err(|error| refused(error.to_string()))?)
    }

    /// Reads what [`save`](Self::save) wrote; the training goes on as if it had never stopped.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn load(path: &Path) -> Result<Self> {
        let damaged =
            |problem: String| Error::file(path, format!("not a checkpoint: {problem}"), "start the training anew, without --resume");
        let bytes = files::read(path)?;
        files::check_header(path, &bytes)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
        let Facts { settings, epochs_done, steps, data } =
            Facts::read(header.metadata().as_ref().unwrap_or(&HashMap::new())).map_err(damaged)?;
        let settings: Settings = serde_json::from_value(modernised(settings)).map_err(|error| damaged(error.to_string()))?;
        settings.check()?;
        let read = |part: &str, name: &str, shape: &[usize]| {
            let view = tensors.tensor(&format!("{part}/{name}")).map_err(|error| damaged(error.to_string()))?;
            if view.shape() != shape || view.dtype() != Dtype::F32 {
                return Err(damaged(format!("'{part}/{name}' should be f32 {shape:?} but is {:?} {:?}", view.dtype(), view.shape())));
            }
            Ok(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<_>>())
        };
        let (mut variables, mut memory, mut statistics) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (name, shape) in settings.trained() {
            let [weight, first, second] = PARTS.map(|part| read(part, &name, &shape));
            variables.insert(name.clone(), Var::from_vec(weight?, shape, device())?);
            memory.insert(name, [first?, second?]);
        }
        for (name, shape) in settings.statistics() {
            statistics.insert(name.clone(), Tensor::from_vec(read(PARTS[0], &name, &shape)?, shape, device())?);
        }
        let networks = Networks::of(&settings.goal)?;
        // Both maps have the same names, and so the same order.
        let mut optimiser = StatefulOptimiser::new(variables.values().cloned().collect(), settings.optimiser_config())?;
        optimiser.restore(steps, memory.into_values().collect())?;
        Ok(Self { settings, networks, variables, statistics, optimiser, epochs_done, data })
    }
}
