//! Files of other programs that are given where a model is expected: what they are, and how a model folder is made of them.

use super::folder::{DESCRIPTION, WEIGHTS};
use crate::error::{Error, Result};
use crate::files;
use std::io::Read as _;
use std::path::Path;
use zip::ZipArchive;

/// The first bytes of a file that say what it is.
const HEAD: u64 = 64;
const FORMAT: &str = "docs/model-format.md describes both";

/// A file where a model folder is expected, as an error that says what the file is and what to do.
pub fn file_as_model(path: &Path) -> Error {
    let read = || -> Result<Vec<u8>> {
        let mut head = Vec::new();
        files::open(path)?.take(HEAD).read_to_end(&mut head).map_err(|error| Error::io(path, &error))?;
        Ok(head)
    };
    let head = match read() {
        Ok(head) => head,
        Err(error) => return error,
    };
    let (what, mend) = of_weights(path, &head).unwrap_or_else(|| {
        let is_safetensors = head.get(8) == Some(&b'{') && !head.starts_with(b"{");
        match path.file_name().and_then(|name| name.to_str()) {
            Some(DESCRIPTION) => ("is the description of a model, not its folder", "name the folder that it stands in".to_owned()),
            _ if is_safetensors => (
                "holds weights (safetensors) without the description of a model",
                format!("put it into a folder as {WEIGHTS}, with a {DESCRIPTION} beside it ({FORMAT}), and name the folder"),
            ),
            _ => ("is a file where a model folder is expected", format!("name a folder with a {DESCRIPTION}, or one of such folders")),
        }
    });
    Error::file(path, what, mend)
}

/// What a file of another program is by its first bytes, and how its weights are used here; `None` for one that is not known.
pub(super) fn of_weights(path: &Path, head: &[u8]) -> Option<(&'static str, String)> {
    let save = format!(
        "save its state_dict with safetensors.torch.save_file as {WEIGHTS} in a folder, and describe the network in {DESCRIPTION} there ({FORMAT})"
    );
    if head.starts_with(b"version https://git-lfs") {
        return Some((
            "is a pointer of Git LFS, not the file itself",
            "run `git lfs pull` where it was cloned, or download the file".to_owned(),
        ));
    }
    if head.starts_with(b"PK\x03\x04") {
        let names = files::guarded(path, || Ok(names_in(path))).unwrap_or_default();
        let holds = |ending: &str| names.iter().any(|name| name.ends_with(ending));
        return Some(match (holds("/constants.pkl"), holds("/data.pkl")) {
            (true, _) => ("is a TorchScript program, which only PyTorch can run", format!("load it with torch.jit.load; {save}")),
            (_, true) => ("is a file of PyTorch (torch.save), which is not read: loading one can run any program", save),
            _ => ("is an archive where a model is expected", "unpack it, and name the model folder".to_owned()),
        });
    }
    let is_named = |extension: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
    if matches!(head, [0x80, 2..=5, ..]) {
        return Some(("is a pickle of Python or PyTorch, which is not read: loading one can run any program", save));
    }
    if head.starts_with(b"\x89HDF") {
        return Some(("is an HDF5 file, as Keras writes one", save.replace("its state_dict", "its weights, in PyTorch's layout,")));
    }
    // Protocol buffers have no mark; those of ONNX begin with a small version number, then the producer, the graph or the operator sets.
    if is_named("onnx") || matches!(head, [8, 1..=32, 0x12 | 0x3a | 0x42, ..]) {
        return Some(("is an ONNX model, which is not read", format!("load the network in PyTorch; {save}")));
    }
    None
}

/// The names of the files in an archive; none where it is damaged.
fn names_in(path: &Path) -> Vec<String> {
    let archive = files::open(path).ok().and_then(|file| ZipArchive::new(file).ok());
    archive.iter().flat_map(ZipArchive::file_names).filter_map(|name| Some(name.ok()?.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn files_of_other_programs_say_what_they_are_and_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let archive = |inside: &[&str]| {
            let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            for name in inside {
                zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
                zip.write_all(b"x").unwrap();
            }
            zip.finish().unwrap().into_inner()
        };
        let safetensors = [&16_u64.to_le_bytes()[..], b"{\"a\": {}}       "].concat();
        for (name, bytes, words) in [
            ("a.pt", archive(&["a/data.pkl", "a/version"]), ["torch.save", "save_file as weights.safetensors"]),
            ("a.pth", b"\x80\x02\x8a\x0a".to_vec(), ["pickle", "save_file as weights.safetensors"]),
            ("s.pt", archive(&["s/data.pkl", "s/code/x.py", "s/constants.pkl"]), ["TorchScript", "torch.jit.load"]),
            ("m.onnx", b"\x08\x0e:G".to_vec(), ["ONNX", "load the network in PyTorch"]),
            ("model", b"\x08\x07\x12\x07pytorch".to_vec(), ["ONNX", "load the network in PyTorch"]),
            ("m.h5", b"\x89HDF\r\n\x1a\n".to_vec(), ["HDF5", "save its weights"]),
            ("w.safetensors", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), ["Git LFS", "git lfs pull"]),
            ("w2.safetensors", safetensors, ["holds weights (safetensors)", "put it into a folder"]),
            ("model.json", b"{}".to_vec(), ["is the description of a model", "name the folder"]),
            ("a.zip", archive(&["readme"]), ["is an archive", "unpack it"]),
            ("notes.txt", b"text".to_vec(), ["is a file where a model folder is expected", "name a folder"]),
            ("empty", Vec::new(), ["is a file where a model folder is expected", "name a folder"]),
        ] {
            let path = place.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let text = file_as_model(&path).to_string();
            assert!(text.contains(name) && words.iter().all(|word| text.contains(word)) && text.ends_with('.'), "{text}");
        }
        assert!(file_as_model(&place.path().join("nowhere")).to_string().contains("check the path"));
        assert!(of_weights(Path::new("w.safetensors"), &[16, 0, 0, 0, 0, 0, 0, 0, b'{']).is_none());
    }
}
