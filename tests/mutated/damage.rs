//! Damages files as disks, networks and editors do, and JSON as people do who mean no good.

use epistemap::random::{Purpose, Stream};
use serde_json::{Value, json};

/// A fixed-seed sequence of choices.
pub struct Choices {
    stream: Stream,
    round: u32,
    next: u32,
}

impl Choices {
    pub fn new(seed: u32, round: u32) -> Self {
        Self { stream: Stream::new(seed, Purpose::Choice), round, next: 0 }
    }

    pub fn below(&mut self, count: usize) -> usize {
        self.next += 1;
        self.stream.word([self.round, 0, 0], self.next) as usize % count
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}

/// Damages a file as disks, networks and editors do.
pub fn mutate(good: &[u8], choices: &mut Choices) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let at = choices.below(bytes.len());
    match choices.below(8) {
        0 => bytes.truncate(at),
        1 => {
            for _ in 0..=choices.below(4) {
                let at = choices.below(bytes.len());
                bytes[at] ^= 1 << choices.below(8);
            }
        }
        2 => {
            let count = 1 + choices.below(100);
            bytes.extend(choices.bytes(count));
        }
        3 => {
            let count = 1 + choices.below(20);
            let inserted = choices.bytes(count);
            bytes.splice(at..at, inserted);
        }
        4 => {
            let end = (at + 1 + choices.below(40)).min(bytes.len());
            bytes.drain(at..end);
        }
        5 => {
            // Lengths that lie stand near the start of binary files.
            let at = choices.below(24.min(bytes.len()));
            let end = (at + 1 + choices.below(8)).min(bytes.len());
            let value = [0x00, 0x7f, 0x80, 0xff][choices.below(4)];
            bytes[at..end].fill(value);
        }
        6 => {
            // Numbers that lie are digits in JSON, also in the header of safetensors.
            let digits: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at].is_ascii_digit()).collect();
            if !digits.is_empty() {
                let at = digits[choices.below(digits.len())];
                let count = 1 + choices.below(3) * 9;
                bytes.splice(at..=at, (0..count).map(|_| b'0' + choices.below(10) as u8).collect::<Vec<_>>());
            }
        }
        _ => {
            let (from, count) = (choices.below(bytes.len()), 1 + choices.below(64));
            let copied = bytes[from..(from + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, copied);
        }
    }
    bytes
}

/// A description that is still JSON, with one value replaced by a hostile one.
pub fn mutate_json(good: &Value, choices: &mut Choices) -> Value {
    let hostile = [
        json!(0),
        json!(1),
        json!(-1),
        json!(0.5),
        json!(1e308),
        json!(u64::MAX),
        json!(1u64 << 32),
        json!(1u64 << 63),
        json!([]),
        json!([0, 0]),
        json!([1u64 << 32, 1u64 << 32, 1u64 << 32]),
        json!({}),
        json!(null),
        json!(""),
        json!("conv2d"),
        json!({"kind": "flatten"}),
    ];
    let mut mutated = good.clone();
    let mut node = &mut mutated;
    loop {
        let children = match node {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        };
        if children == 0 || choices.below(20) == 0 {
            *node = hostile[choices.below(hostile.len())].clone();
            return mutated;
        }
        let (at, change) = (choices.below(children), choices.below(20));
        node = match node {
            Value::Array(items) if change == 0 => {
                items.remove(at);
                return mutated;
            }
            Value::Array(items) if change == 1 => {
                items.insert(at, items[at].clone());
                return mutated;
            }
            Value::Array(items) => &mut items[at],
            Value::Object(fields) => {
                let key = fields.keys().nth(at).unwrap().clone();
                if change == 0 {
                    fields.remove(&key);
                    return mutated;
                }
                &mut fields[&key]
            }
            _ => unreachable!("only arrays and objects have children"),
        };
    }
}
