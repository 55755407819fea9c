//! `model.json`: what a model is, without its weights. `docs/model-format.md` describes it.

use super::description_faults::{check_keys, fault};
use super::{Ending, Graph, Layer, Likelihood, Node, Op, VaeGraphs, VaeLayers, VaePart};
use crate::error::{Error, Result, escaped};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeSet;

/// What `model.json` holds.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are only a few of them at a time")]
pub enum Description {
    /// A variational autoencoder.
    Vae { name: String, input_shape: [usize; 3], graphs: VaeGraphs, training: serde_json::Value },
    /// A classifier.
    Classifier { name: String, input_shape: [usize; 3], classes: Vec<String>, ending: Ending, graph: Graph, training: serde_json::Value },
}

/// The most classes of a classifier. Labels have 16 bits: no label means a later class, however much memory there is. What fewer classes take
/// is estimated and compared with the memory budget where models are read and requests made.
pub const MOST_CLASSES: usize = 1 << 16;

/// The version that is written.
const VERSION: u64 = 2;

#[derive(Deserialize)]
struct Version {
    #[serde(default = "first")]
    version: u64,
}

/// What the output of a classifier's graph is, as `model.json` says it.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Output {
    #[default]
    Logits,
    LogProbabilities,
    Probabilities,
    /// One logit, whose sigmoid is the probability of the second of two classes.
    BinaryLogit,
}

impl From<Ending> for Output {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Logits => Self::Logits,
            Ending::LogProbabilities => Self::LogProbabilities,
            Ending::Probabilities => Self::Probabilities,
        }
    }
}

impl Output {
    /// The ending of the graph of these nodes, and the graph. One logit x becomes the two logits 0 and x, whose softmax is its sigmoid.
    fn graph(self, input_shape: &[usize], nodes: Vec<Node>) -> Result<(Ending, Graph)> {
        let graph = Graph::new(input_shape, nodes)?;
        let ending = match self {
            Self::Logits => Ending::Logits,
            Self::LogProbabilities => Ending::LogProbabilities,
            Self::Probabilities => Ending::Probabilities,
            Self::BinaryLogit => {
                let Some(last) = graph.last().filter(|_| graph.output_shape() == [1]) else {
                    let shape = graph.output_shape();
                    return Err(Error::Network(format!(
                        "its output is binary_logit, one number, but the last node makes the shape {shape:?}"
                    )));
                };
                let [logit, zero] = [last.name.clone(), format!("{}.zero", last.name)];
                let both = Node { name: format!("{logit}.both"), inputs: vec![zero.clone(), logit.clone()], op: Op::Concatenate {} };
                let zero = Node { name: zero, inputs: vec![logit], op: Op::Scale { factor: 0.0, offset: 0.0 } };
                return Ok((Ending::Logits, Graph::new(input_shape, [graph.nodes(), &[zero, both]].concat())?));
            }
        };
        Ok((ending, graph))
    }
}

fn first() -> u64 {
    1
}

/// Version 1: chains of layers.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Version1 {
    Vae {
        #[serde(default, rename = "version")]
        _version: u64,
        name: String,
        input_shape: [usize; 3],
        layers: VaeLayers,
        #[serde(default)]
        training: serde_json::Value,
    },
    Classifier {
        #[serde(default, rename = "version")]
        _version: u64,
        name: String,
        input_shape: [usize; 3],
        classes: Vec<String>,
        layers: Vec<Layer>,
        #[serde(default)]
        training: serde_json::Value,
    },
}

/// Version 2: graphs.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Version2<N> {
    Vae {
        version: u64,
        name: String,
        input_shape: [usize; 3],
        encoder: N,
        mean: N,
        log_variance: N,
        decoder: N,
        #[serde(default, skip_serializing_if = "Likelihood::is_bernoulli")]
        likelihood: Likelihood,
        #[serde(default)]
        training: serde_json::Value,
    },
    Classifier {
        version: u64,
        name: String,
        input_shape: [usize; 3],
        classes: Vec<String>,
        #[serde(default)]
        output: Output,
        nodes: N,
        #[serde(default)]
        training: serde_json::Value,
    },
}

impl Serialize for Description {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let (version, description) = (VERSION, self.clone());
        match description {
            Self::Vae { name, input_shape, graphs: VaeGraphs { encoder, mean, log_variance, decoder, likelihood }, training } => {
                Version2::Vae { version, name, input_shape, encoder, mean, log_variance, decoder, likelihood, training }
            }
            Self::Classifier { name, input_shape, classes, ending, graph: nodes, training } => {
                let output = ending.into();
                Version2::Classifier { version, name, input_shape, classes, output, nodes, training }
            }
        }
        .serialize(serializer)
    }
}

impl Description {
    /// Reads the text of `model.json`, of any version. Control characters in names become escapes.
    ///
    /// # Errors
    /// When it is no such text, of a newer version, its graph makes no sense, or does not make one number for each class. Names the node
    /// and its line.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut description = Self::parse_parts(text)?;
        // Names are shown in many places.
        description.rename(escaped(description.name()).into_owned());
        if let Self::Classifier { classes, graph, .. } = &mut description {
            for class in classes.iter_mut() {
                *class = escaped(class).into_owned();
            }
            check_classes(classes, graph)?;
        }
        Ok(description)
    }

    fn parse_parts(text: &[u8]) -> Result<Self> {
        let of_layers = |error| Error::Network(fault::<Layer>(text, &["layers"], &error));
        let of_nodes = |error| Error::Network(fault::<Node>(text, &["nodes", "encoder", "mean", "log_variance", "decoder"], &error));
        let version = serde_json::from_slice::<Version>(text).map_err(of_nodes)?.version;
        if (1..=VERSION).contains(&version) {
            check_keys(text, version)?;
        }
        match version {
            1 => match serde_json::from_slice(text).map_err(of_layers)? {
                Version1::Vae { name, input_shape, layers, training, .. } => {
                    Ok(Self::Vae { name, input_shape, graphs: VaeGraphs::of_layers(input_shape, &layers)?, training })
                }
                Version1::Classifier { name, input_shape, classes, layers, training, .. } => {
                    let graph = Graph::chain(&input_shape, &layers)?;
                    Ok(Self::Classifier { name, input_shape, classes, ending: Ending::Logits, graph, training })
                }
            },
            VERSION => match serde_json::from_slice::<Version2<Vec<Node>>>(text).map_err(of_nodes)? {
                Version2::Vae { name, input_shape, encoder, mean, log_variance, decoder, likelihood, training, .. } => {
                    let nodes = |part: VaePart| match part {
                        VaePart::Encoder => &encoder,
                        VaePart::Mean => &mean,
                        VaePart::LogVariance => &log_variance,
                        VaePart::Decoder => &decoder,
                    };
                    let graphs = VaeGraphs::new(input_shape, |part, shape| Graph::new(shape, nodes(part).clone()))?;
                    let graphs = graphs.with_likelihood(likelihood)?;
                    Ok(Self::Vae { name, input_shape, graphs, training })
                }
                Version2::Classifier { name, input_shape, classes, output, nodes, training, .. } => {
                    let (ending, graph) = output.graph(&input_shape, nodes)?;
                    Ok(Self::Classifier { name, input_shape, classes, ending, graph, training })
                }
            },
            newer => Err(Error::Network(format!("its version is {newer}, and this program reads up to {VERSION}: get a newer Epistemap"))),
        }
    }

    /// What the folder's model is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Vae { name, .. } | Self::Classifier { name, .. } => name,
        }
    }

    /// Calls the model by another name.
    pub fn rename(&mut self, new: String) {
        match self {
            Self::Vae { name, .. } | Self::Classifier { name, .. } => *name = new,
        }
    }

    /// [channels, height, width] of the images.
    pub fn input_shape(&self) -> [usize; 3] {
        match self {
            Self::Vae { input_shape, .. } | Self::Classifier { input_shape, .. } => *input_shape,
        }
    }

    /// The graphs, those of all parts of a VAE.
    pub fn graphs(&self) -> Vec<&Graph> {
        match self {
            Self::Vae { graphs, .. } => graphs.all().to_vec(),
            Self::Classifier { graph, .. } => vec![graph],
        }
    }

    /// The nodes of all graphs.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.graphs().into_iter().flat_map(Graph::nodes)
    }

    /// The names and shapes of all weights.
    pub fn weights(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        self.graphs().into_iter().flat_map(Graph::weights)
    }

    /// How it was trained; `null` where nobody said.
    pub fn training(&self) -> &serde_json::Value {
        match self {
            Self::Vae { training, .. } | Self::Classifier { training, .. } => training,
        }
    }
}

/// The mend where a network makes one number.
const ONE_LOGIT: &str = "for one logit (BCEWithLogitsLoss) name two classes, and set `version` to 2 and `output` to `binary_logit`";

/// Refuses class names that cannot be told apart, and a graph that does not make one number for each.
fn check_classes(classes: &[String], graph: &Graph) -> Result<()> {
    if classes.len() > MOST_CLASSES {
        return Err(Error::Network(format!("there are {} class names, more than {MOST_CLASSES}", classes.len())));
    }
    // Of one class, or of one logit, every softmax is 1.
    if classes.len() == 1 {
        return Err(Error::Network(format!("it has the one class '{}', which is always certain: {ONE_LOGIT}", classes[0])));
    }
    let mut names = BTreeSet::new();
    if let Some(number) = classes.iter().position(|class| class.trim().is_empty()) {
        return Err(Error::Network(format!("class {number} has an empty name")));
    }
    if let Some(twice) = classes.iter().find(|class| !names.insert(class.as_str())) {
        return Err(Error::Network(format!("two classes are called '{twice}'")));
    }
    let Some(last) = graph.last() else { return Err(Error::Network("it has no nodes".to_owned())) };
    if graph.output_shape() != [classes.len()] {
        let advice = if graph.output_shape() == [1] { ONE_LOGIT } else { "it should make one number for each class" };
        return Err(Error::Network(format!(
            "the last node '{}' ({}) makes the shape {:?}, but there are {} class names: {advice}",
            last.name,
            last.op.label(),
            graph.output_shape(),
            classes.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{
  "kind": "classifier", "version": 2, "name": "m", "input_shape": [1, 2, 2], "classes": ["a", "b"], "output": "logits",
  "nodes": [
    {"name": "flat", "op": "flatten"},
    {"name": "fc", "op": "linear", "in_features": 4, "out_features": 2}
  ]
}"#;

    fn refused(from: &str, to: &str) -> String {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD);
        Description::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn faults_name_the_node_and_its_line_or_the_key() {
        Description::parse(GOOD.as_bytes()).unwrap();
        let fc = "node 'fc' (number 2 of 'nodes', line 5): ";
        for (from, to, told) in [
            (r#""linear""#, r#""attention""#, format!("{fc}unknown variant `attention`")),
            (r#", "out_features": 2"#, "", format!("{fc}missing field `out_features`")),
            (r#""in_features": 4"#, r#""in_features": -4"#, format!("{fc}invalid value: integer `-4`")),
            (r#""out_features": 2"#, r#""out_features": 2, "p": 1"#, format!("{fc}unknown field `p`")),
            (r#""name": "fc", "#, "", "node (number 2 of 'nodes', line 5): missing field `name`".to_owned()),
            (
                r#""op": "flatten""#,
                r#""op": "flatten", "inputs": "x""#,
                "node 'flat' (number 1 of 'nodes', line 4): invalid type".to_owned(),
            ),
            (r#""output""#, r#""ouput""#, "unknown field `ouput`: is 'output' meant?".to_owned()),
            (r#""output": "logits""#, r#""layers": []"#, "the field `layers` means nothing in a classifier of version 2".to_owned()),
            (r#""a", "b""#, r#""a""#, "it has the one class 'a'".to_owned()),
            (r#""out_features": 2"#, r#""out_features": 1"#, "the last node 'fc' (linear) makes the shape [1]".to_owned()),
            (
                r#""logits""#,
                r#""binary_logit""#,
                "its output is binary_logit, one number, but the last node makes the shape [2]".to_owned(),
            ),
            (r#""logits""#, r#""logit""#, "'output': unknown variant `logit`".to_owned()),
            (r#""version": 2"#, r#""version": "2""#, "'version': invalid type".to_owned()),
            ("[1, 2, 2]", "[1, 2]", "'input_shape': invalid length 2".to_owned()),
            (r#""out_features": 2"#, r#""out_features": 3"#, "the last node 'fc' (linear) makes the shape [3]".to_owned()),
            (r#""b""#, r#""a""#, "two classes are called 'a'".to_owned()),
            (r#""b""#, r#""""#, "class 1 has an empty name".to_owned()),
            (r#"{"name": "flat", "op": "flatten"}"#, "7", "node (number 1 of 'nodes', line 4): invalid type".to_owned()),
        ] {
            let error = refused(from, to);
            assert!(error.starts_with(&told) && !error.contains(" column "), "{error}");
        }
        let nothing = Description::parse(format!("{}[]}}", &GOOD[..GOOD.find("[\n").unwrap()]).as_bytes()).unwrap_err().to_string();
        assert!(nothing.contains("no nodes"), "{nothing}");
        assert!(refused("\n}", "").contains("line 6"), "what is no JSON keeps its place");
    }

    #[test]
    fn control_characters_in_names_become_escapes() {
        let text = GOOD.replace(r#""m""#, r#""m\u001b[2J""#).replace(r#""b""#, r#""b\nc""#);
        let description = Description::parse(text.as_bytes()).unwrap();
        let Description::Classifier { name, classes, .. } = &description else { panic!("a VAE") };
        assert_eq!((name.as_str(), classes.as_slice()), ("m\\u{1b}[2J", &["a".to_owned(), "b\\nc".to_owned()][..]));
    }

    #[test]
    fn other_facts_are_ignored_and_misspelled_or_misplaced_keys_of_version_1_refused() {
        let text = r#"{"kind": "classifier", "version": 1, "name": "m", "input_shape": [1, 2, 2], "classes": ["a", "b"], "training": null,
            "layers": [{"kind": "flatten"}, {"kind": "linear", "name": "fc", "inputs": 4, "outputs": 2}]}"#;
        let description = Description::parse(text.as_bytes()).unwrap();
        for (from, to) in [("\"training\": null,", ""), ("\"training\": null", "\"license\": {\"a\": [1]}, \"notes\": 3")] {
            assert_eq!(Description::parse(text.replace(from, to).as_bytes()).unwrap(), description);
        }
        for (to, told) in [
            ("\"trainig\": null", "unknown field `trainig`: is 'training' meant?"),
            ("\"output\": \"probabilities\"", "the field `output` means nothing in a classifier of version 1"),
        ] {
            let error = Description::parse(text.replace("\"training\": null", to).as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
        let error = Description::parse(text.replace("\"outputs\": 2", "\"outputs\": true").as_bytes()).unwrap_err().to_string();
        assert!(error.contains("node 'fc' (number 2 of 'layers', line 2)"), "{error}");
    }

    #[test]
    fn one_logit_is_the_second_of_two_classes() {
        let text = GOOD.replace(r#""logits""#, r#""binary_logit""#).replace(r#""out_features": 2"#, r#""out_features": 1"#);
        let description = Description::parse(text.as_bytes()).unwrap();
        let Description::Classifier { graph, ending, .. } = &description else { panic!("a VAE") };
        assert_eq!(*ending, Ending::Logits);
        assert_eq!(graph.output_shape(), [2]);
        // As it is written again.
        let written = serde_json::to_vec(&description).unwrap();
        assert_eq!(Description::parse(&written).unwrap(), description);
    }
}
