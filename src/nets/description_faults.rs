//! Error messages for a `model.json` that does not match its schema: the node or key, and the line. serde's error has neither, because it
//! buffers a tagged object before it knows its variant.

use super::Likelihood;
use super::description::Output;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Deserializer, Value};
use std::collections::BTreeMap;
use std::ops::Range;
use strsim::osa_distance;

/// The message for a text whose lists of nodes, under these keys, hold `N`; `error` is that of the whole text.
pub(super) fn fault<N: DeserializeOwned>(text: &[u8], lists: &[&str], error: &serde_json::Error) -> String {
    if !error.is_data() {
        return error.to_string();
    }
    let of_lists = lists.iter().find_map(|list| of_list::<N>(text, list));
    let of_keys = || serde_json::from_slice(text).ok().and_then(|whole| of_keys(&whole, lists));
    of_lists.or_else(of_keys).unwrap_or_else(|| without_place(error))
}

/// The message for the first invalid node of a list.
fn of_list<N: DeserializeOwned>(text: &[u8], list: &str) -> Option<String> {
    elements(text, list).into_iter().enumerate().find_map(|(number, place)| {
        let node = &text[place.clone()];
        let error = serde_json::from_slice::<N>(node).err()?;
        let name = serde_json::from_slice::<Value>(node).ok().and_then(|node| Some(format!(" '{}'", node.get("name")?.as_str()?)));
        let line = text[..place.start].split(|&byte| byte == b'\n').count();
        Some(format!("node{} (number {} of '{list}', line {line}): {}", name.unwrap_or_default(), number + 1, without_place(&error)))
    })
}

/// The message for the first invalid value outside the lists.
fn of_keys(whole: &Value, lists: &[&str]) -> Option<String> {
    fn of<T: DeserializeOwned>(whole: &Value, key: &str) -> Option<String> {
        let error = T::deserialize(whole.get(key)?).err()?;
        Some(format!("'{key}': {}", without_place(&error)))
    }
    of::<String>(whole, "name")
        .or_else(|| of::<u64>(whole, "version"))
        .or_else(|| of::<[usize; 3]>(whole, "input_shape"))
        .or_else(|| of::<Vec<String>>(whole, "classes"))
        .or_else(|| of::<Output>(whole, "output"))
        .or_else(|| of::<Likelihood>(whole, "likelihood"))
        .or_else(|| lists.iter().find_map(|list| of::<Vec<Value>>(whole, list)))
}

/// The text of an error without the line and column at its end, which are those where the object ends.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or_else(|| text.clone(), str::to_owned)
}

/// The keys of a description that have a meaning, of each kind and version.
const KEYS: [(&str, u64, &[&str]); 4] = [
    ("vae", 1, &["kind", "name", "input_shape", "layers", "version", "training"]),
    ("classifier", 1, &["kind", "name", "input_shape", "classes", "layers", "version", "training"]),
    ("vae", 2, &["kind", "name", "input_shape", "encoder", "mean", "log_variance", "decoder", "version", "likelihood", "training"]),
    ("classifier", 2, &["kind", "name", "input_shape", "classes", "nodes", "version", "output", "training"]),
];
/// A key that differs from one that is missing by so many letters is that one misspelled.
const MOST_TYPOS: usize = 2;

/// Refuses keys that mean something elsewhere only, or are near one that is missing. Other facts are ignored.
pub(super) fn check_keys(text: &[u8], version: u64) -> Result<()> {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    let Ok(facts) = serde_json::from_slice::<BTreeMap<String, Value>>(text) else { return Ok(()) };
    // What has no kind is refused with its text.
    let Ok(Kind { kind }) = serde_json::from_slice(text) else { return Ok(()) };
    let Some((.., known)) = KEYS.iter().find(|(of, since, _)| *of == kind && *since == version) else { return Ok(()) };
    for key in facts.keys().map(String::as_str).filter(|key| !known.contains(key)) {
        if let Some(meant) = known.iter().find(|known| !facts.contains_key(**known) && osa_distance(known, key) <= MOST_TYPOS) {
            return Err(Error::Network(format!("unknown field `{key}`: is '{meant}' meant?")));
        }
        if KEYS.iter().any(|(.., keys)| keys.contains(&key)) {
            return Err(Error::Network(format!("the field `{key}` means nothing in a {kind} of version {version}")));
        }
    }
    Ok(())
}

/// Where the elements of the list under a key of the outermost object stand; the text is JSON.
fn elements(text: &[u8], key: &str) -> Vec<Range<usize>> {
    let mut scanner = Scanner { text, at: 0 };
    let mut found = Vec::new();
    scanner.skip(b"{");
    while let Some(Value::String(name)) = scanner.value() {
        scanner.skip(b":");
        if name == key && text.get(scanner.at) == Some(&b'[') {
            scanner.at += 1;
            scanner.skip(b"");
            while text.get(scanner.at) != Some(&b']') {
                let start = scanner.at;
                if scanner.value().is_none() {
                    break;
                }
                found.push(start..scanner.at);
                scanner.skip(b",");
            }
            return found;
        }
        if scanner.value().is_none() {
            break;
        }
        scanner.skip(b",");
    }
    found
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Goes past white space and these bytes.
    fn skip(&mut self, bytes: &[u8]) {
        while self.text.get(self.at).is_some_and(|byte| byte.is_ascii_whitespace() || bytes.contains(byte)) {
            self.at += 1;
        }
    }

    /// Goes past the value that begins here.
    fn value(&mut self) -> Option<Value> {
        let mut values = Deserializer::from_slice(self.text.get(self.at..)?).into_iter();
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_those_of_the_outermost_key() {
        let text = br#"{ "training": {"nodes": [7]}, "n": 1,"name":"nodes" , "nodes" : [ {"a": [1]},
            2 ,"]" ] }"#;
        let found: Vec<&[u8]> = elements(text, "nodes").into_iter().map(|place| &text[place]).collect();
        assert_eq!(found, [&br#"{"a": [1]}"#[..], b"2", br#""]""#]);
        assert!(elements(text, "name").is_empty() && elements(text, "other").is_empty() && elements(b"[]", "nodes").is_empty());
        assert!(elements(br#"{"nodes": []}"#, "nodes").is_empty());
    }
}
