//! Error messages for a `model.json` that does not match its schema: the node or key, and the line. serde's error has neither, because it
//! buffers a tagged object before it knows its variant.

use super::{Ending, Likelihood};
use serde::de::DeserializeOwned;
use serde_json::{Deserializer, Value};
use std::ops::Range;

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
        .or_else(|| of::<Ending>(whole, "output"))
        .or_else(|| of::<Likelihood>(whole, "likelihood"))
        .or_else(|| lists.iter().find_map(|list| of::<Vec<Value>>(whole, list)))
}

/// The text of an error without the line and column at its end, which are those where the object ends.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or_else(|| text.clone(), str::to_owned)
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
