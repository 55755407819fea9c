//! The program as a person runs it, in an empty folder of a machine without data sets; and small models for it.

use crate::networks::random_weights;
use epistemap::latent::{Encodings, ShippedEncodings};
use epistemap::nets::folder::{Model, Precision, load, save};
use epistemap::nets::{Description, Ending, Graph, VaeGraphs, VaeLayers, cnn};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_epistemap");

/// A folder to work in.
pub struct Desk {
    home: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("desk")).unwrap();
        Self { home }
    }

    /// A desk with small models in `models`.
    pub fn with_models(image_shape: [usize; 3], classes: usize) -> Self {
        let desk = Self::new();
        write_models(&desk.path("models"), image_shape, classes);
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("desk").join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Another program with this one's surroundings. A panic would show its backtrace.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path("")).env("HOME", self.home.path()).env("XDG_DATA_HOME", self.home.path());
        command.env("XDG_CACHE_HOME", self.home.path().join("cache"));
        // Without it Mesa's choice of Vulkan devices complains on standard error that it finds no desktop.
        command.env("XDG_RUNTIME_DIR", self.home.path());
        command.env_remove("EPISTEMAP_DATA").env("RUST_BACKTRACE", "1").stdin(Stdio::null());
        command
    }

    /// The program with these arguments, which have no spaces in them.
    pub fn program(&self, arguments: &str) -> Command {
        let mut command = self.command(PROGRAM);
        command.args(arguments.split_whitespace());
        command
    }

    pub fn run(&self, arguments: &str) -> Output {
        self.program(arguments).output().unwrap()
    }

    /// Runs what must succeed; returns standard output and standard error.
    pub fn succeeds(&self, arguments: &str) -> [String; 2] {
        let output = self.run(arguments);
        let [out, err] = texts(&output);
        assert!(output.status.success(), "{arguments}: {:?}\n{err}", output.status);
        [out, err]
    }

    /// Runs what must fail with one sentence and leave every file as it was; returns the sentence.
    pub fn refuses(&self, arguments: &str) -> String {
        self.refuses_command(&mut self.program(arguments), arguments)
    }

    pub fn refuses_command(&self, command: &mut Command, what: &str) -> String {
        let before = self.files();
        let output = command.output().unwrap();
        let [out, err] = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{what}: {err}");
        assert_eq!(out, "", "{what}");
        assert!(err.starts_with("epistemap: ") && err.ends_with(".\n") && err.lines().count() == 1, "{what}: no sentence: {err}");
        assert!(self.files() == before, "{what}: changed a file");
        err
    }

    /// Runs what is no command line; leaves every file as it was.
    pub fn misunderstands(&self, arguments: &str) {
        let before = self.files();
        let output = self.run(arguments);
        let [out, err] = texts(&output);
        assert_eq!((output.status.code(), out.as_str()), (Some(2), ""), "{arguments}: {err}");
        assert!(err.starts_with("error: ") && !err.contains("panicked"), "{arguments}: {err}");
        assert!(self.files() == before, "{arguments}: changed a file");
    }

    /// Every file on the desk and its content.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path("")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.clone(), std::fs::read(path).unwrap());
                }
            }
        }
        found
    }
}

fn texts(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap())
}

/// A VAE, two classifiers and encodings, with random weights.
pub fn write_models(folder: &Path, image_shape: [usize; 3], classes: usize) {
    write_vae(&folder.join("vae"), image_shape, 2);
    for number in 0..2 {
        write_classifier(&folder.join(format!("classifier-{number}")), image_shape, classes, number);
    }
    let points = (0..30u8).map(|i| [f32::from(i) / 4.0 - 3.0, f32::from(i % 7) - 3.0]).collect();
    let labels = (0..30).map(|i| i % classes as u16).collect();
    let train = Encodings::new(points, labels, names(classes)).unwrap();
    let Model::Vae(vae) = load(&folder.join("vae")).unwrap().1 else { panic!("no VAE") };
    let vae = Some(vae.encoder_sha256());
    ShippedEncodings { test: train.clone(), train, vae, data: None }.write(&folder.join("encodings.safetensors")).unwrap();
}

pub fn write_vae(folder: &Path, image_shape: [usize; 3], latent: usize) {
    let layers = VaeLayers::dense(image_shape, &[6], latent);
    let weights = random_weights(&layers.all().cloned().collect::<Vec<_>>(), 20);
    let description = Description::Vae {
        name: name(folder),
        input_shape: image_shape,
        graphs: VaeGraphs::of_layers(image_shape, &layers).unwrap(),
        training: serde_json::Value::Null,
    };
    save(folder, &description, &weights, Precision::F32).unwrap();
}

pub fn write_classifier(folder: &Path, image_shape: [usize; 3], classes: usize, seed: u32) {
    let layers = cnn(image_shape, classes, [2, 3], 5, [0.25, 0.5]);
    let weights = random_weights(&layers, seed);
    let (name, classes, training) = (name(folder), names(classes), serde_json::Value::Null);
    let (graph, ending) = (Graph::chain(&image_shape, &layers).unwrap(), Ending::Logits);
    let description = Description::Classifier { name, input_shape: image_shape, classes, ending, graph, training };
    save(folder, &description, &weights, Precision::F32).unwrap();
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap().to_str().unwrap().to_owned()
}

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}
