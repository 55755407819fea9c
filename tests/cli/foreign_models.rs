//! Models as PyTorch's users save them: what is read, and what is refused with the way to a model folder.

use super::{CLASSES, IMAGE_SHAPE};
use crate::program::Desk;
use epistemap::data::npy;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;

const ONNX: &[u8] = include_bytes!("../cases/model.onnx");
const MAP: &str = "map --models models --grid 2 --samples 1 --members all --engine cpu";

/// A batch norm and a linear layer in version 1.
fn description() -> Value {
    let pixels: usize = IMAGE_SHAPE.iter().product();
    json!({"kind": "classifier", "name": "m", "input_shape": IMAGE_SHAPE, "classes": ["0", "1", "2"], "training": null,
        "layers": [{"kind": "batch_norm", "name": "bn", "channels": 1, "epsilon": 1e-5}, {"kind": "flatten"},
            {"kind": "linear", "name": "fc", "inputs": pixels, "outputs": CLASSES}]})
}

/// Writes a model folder with a state dict whose names have a prefix; the counts of PyTorch's batch norm are in it.
fn write(folder: &Path, description: &Value, outputs: usize, prefix: &str, name: &str) {
    let pixels: usize = IMAGE_SHAPE.iter().product();
    let single = |values: usize| 0.5_f32.to_le_bytes().repeat(values);
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = ["weight", "bias", "running_mean", "running_var"]
        .map(|part| (format!("{prefix}bn.{part}"), Dtype::F32, vec![1], single(1)))
        .to_vec();
    tensors.push((format!("{prefix}bn.num_batches_tracked"), Dtype::I64, Vec::new(), 7_i64.to_le_bytes().to_vec()));
    tensors.push((format!("{prefix}fc.weight"), Dtype::F32, vec![outputs, pixels], single(outputs * pixels)));
    tensors.push((format!("{prefix}fc.bias"), Dtype::F32, vec![outputs], single(outputs)));
    let views = tensors.iter().map(|(name, kind, shape, bytes)| (name, TensorView::new(*kind, shape.clone(), bytes).unwrap()));
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(name), safetensors::serialize(views, None).unwrap()).unwrap();
    std::fs::write(folder.join("model.json"), description.to_string()).unwrap();
}

#[test]
fn state_dicts_are_read_as_pytorch_and_its_wrappers_save_them() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let mut without_training = description();
    without_training.as_object_mut().unwrap().remove("training");
    without_training["license"] = "MIT".into();
    for (description, prefix, name) in [
        (description(), "", "weights.safetensors"),
        (without_training, "", "weights.safetensors"),
        (description(), "", "model.safetensors"),
        (description(), "module.", "weights.safetensors"),
        (description(), "_orig_mod.", "model.safetensors"),
        (description(), "_orig_mod.module.", "weights.safetensors"),
    ] {
        let _ = std::fs::remove_dir_all(desk.path("own"));
        write(&desk.path("own"), &description, CLASSES, prefix, name);
        let [_, err] = desk.succeeds(&format!("{MAP} --add-member own --out map.npz"));
        let told = format!("own/{name}: every name begins with '{prefix}', which is left out.");
        assert_eq!(err.contains(&told), !prefix.is_empty(), "{err}");
    }
    // Names that a description has stay, and part of a name is no prefix.
    write(&desk.path("own"), &description(), CLASSES, "model.", "weights.safetensors");
    assert!(desk.refuses(&format!("{MAP} --add-member own --out no.npz")).contains("is missing"));
    let mut misspelled = description();
    misspelled["trainig"] = Value::Null;
    misspelled.as_object_mut().unwrap().remove("training");
    write(&desk.path("own"), &misspelled, CLASSES, "", "weights.safetensors");
    assert!(desk.refuses(&format!("{MAP} --add-member own --out no.npz")).contains("is 'training' meant?"));
}

#[test]
fn one_logit_is_a_classifier_where_it_is_declared_one() {
    let desk = Desk::new();
    npy::write_images(&desk.path("x.npy"), IMAGE_SHAPE, &[0.25; 72]).unwrap();
    let attack = "attack --model own --images x.npy --method fgm --eps 0.1 --samples 1 --no-checks --engine cpu --out out.npy";
    let mut one = description();
    one["classes"] = json!(["0"]);
    one["layers"][2]["outputs"] = 1.into();
    write(&desk.path("own"), &one, 1, "", "weights.safetensors");
    assert!(desk.refuses(attack).contains("`output` to `binary_logit`"));
    one["classes"] = json!(["no", "yes"]);
    write(&desk.path("own"), &one, 1, "", "weights.safetensors");
    assert!(desk.refuses(attack).contains("`output` to `binary_logit`"));
    let nodes = json!([{"name": "bn", "op": "batch_norm", "channels": 1, "epsilon": 1e-5}, {"name": "flat", "op": "flatten"},
        {"name": "fc", "op": "linear", "in_features": 72, "out_features": 1}]);
    let binary = json!({"kind": "classifier", "version": 2, "name": "m", "input_shape": IMAGE_SHAPE, "classes": ["no", "yes"],
        "output": "binary_logit", "nodes": nodes});
    write(&desk.path("own"), &binary, 1, "", "weights.safetensors");
    let [out, _] = desk.succeeds(&format!("{attack} --json --each"));
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert!(summary["measures"]["predictive_entropy"]["before"].is_number(), "{out}");
    let mut twice = binary.clone();
    twice["classes"] = json!(["no", "no"]);
    write(&desk.path("own"), &twice, 1, "", "weights.safetensors");
    assert!(desk.refuses(attack).contains("two classes are called 'no'"));
}

#[test]
fn files_of_other_programs_as_models_say_what_they_are() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let mut torch = zip::ZipWriter::new(std::fs::File::create(desk.path("net.pth")).unwrap());
    torch.start_file("net/data.pkl", zip::write::SimpleFileOptions::default()).unwrap();
    torch.write_all(b"\x80\x02}q\x00.").unwrap();
    torch.finish().unwrap();
    std::fs::write(desk.path("net.onnx"), ONNX).unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1000\n";
    std::fs::write(desk.path("net.bin"), pointer).unwrap();
    for (line, words) in [
        ("map --models net.onnx --out no.npz", "net.onnx: is an ONNX model"),
        ("map --models models --add-member net.pth --out no.npz", "net.pth: is a file of PyTorch (torch.save)"),
        ("map --models models --vae net.bin --out no.npz", "git lfs pull"),
        ("evaluate --model models/vae/weights.safetensors", "holds weights (safetensors) without the description"),
        ("evaluate --model models/vae/model.json", "name the folder that it stands in"),
    ] {
        let sentence = desk.refuses(line);
        assert!(sentence.contains(words), "{line}: {sentence}");
    }
    std::fs::write(desk.path("models/vae/weights.safetensors"), pointer).unwrap();
    assert!(desk.refuses("map --models models --out no.npz").contains("models/vae/weights.safetensors: is a pointer of Git LFS"));
}
