//! The way the data goes: a room uses only rooms to its left, only `autodiff` knows candle, and only `engine::gpu` computes with wgpu.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::path::{Path, PathBuf};

/// The rooms of the crate in the order of the data.
const ROOMS: [&str; 18] = [
    "error",
    "budget",
    "files",
    "numbers",
    "random",
    "uncertainty",
    "nets",
    "data",
    "latent",
    "kernels",
    "engine",
    "analysis",
    "autodiff",
    "attack",
    "figure",
    "jobs",
    "app",
    "cli",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The rooms that a text names after `crate::`.
fn used(text: &str) -> Vec<&str> {
    let names =
        text.match_indices("crate::").map(|(at, word)| text[at + word.len()..].split(|c: char| !c.is_alphanumeric() && c != '_').next());
    names.flatten().filter(|name| ROOMS.contains(name)).collect()
}

/// What a file of a room breaks.
fn breaches(room: &str, text: &str) -> Vec<String> {
    let rank = |name: &str| ROOMS.iter().position(|room| *room == name);
    let mut found: Vec<String> =
        used(text).into_iter().filter(|name| rank(name) > rank(room)).map(|name| format!("{room} uses {name}")).collect();
    if room != "autodiff" && text.contains("candle_core") {
        found.push(format!("{room} knows candle"));
    }
    found
}

/// Whether a text computes with wgpu itself, rather than through eframe.
fn knows_wgpu(text: &str) -> bool {
    text.contains("use wgpu") || text.contains(" wgpu::")
}

#[test]
fn every_room_uses_only_rooms_to_its_left() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut rooms = std::collections::BTreeSet::new();
    for path in sources(&source) {
        let first = path.strip_prefix(&source).unwrap().components().next().unwrap();
        let room = first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        if ["lib", "main"].contains(&room.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(path.starts_with(source.join("engine/gpu")) || !knows_wgpu(&text), "{} knows wgpu", path.display());
        assert!(ROOMS.contains(&room.as_str()), "the room '{room}' has no place in the order");
        assert_eq!(breaches(&room, &text), Vec::<String>::new(), "{}", path.display());
        rooms.insert(room);
    }
    assert_eq!(rooms.len(), ROOMS.len(), "rooms without a file");
}

#[test]
fn a_breach_is_noticed() {
    assert_eq!(breaches("nets", "use crate::engine::Engine;"), ["nets uses engine"]);
    assert_eq!(breaches("cli", "candle_core::Tensor"), ["cli knows candle"]);
    assert!(knows_wgpu("use wgpu::Device;") && knows_wgpu("fn f(d: wgpu::Device)") && !knows_wgpu("eframe::egui_wgpu::wgpu::Instance"));
}
