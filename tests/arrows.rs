//! The way the data goes: a room uses only rooms to its left, only `autodiff` knows candle, and only `engine::gpu` computes with wgpu. Within
//! the window, `shell` uses panels, panels use widgets, widgets use the state, and no file stands in a circle.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
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
/// The rooms of the window.
const WINDOW: [&str; 4] = ["state", "widgets", "panels", "shell"];

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

/// The module of a source file, for example `app::panels::map` of `app/panels/map/mod.rs`.
fn module(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// A text without its comments and its tests, which may look at everything.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    // Who may see an item is no use of that module.
    lines.collect::<Vec<_>>().join("\n").replace("pub(in crate::", "pub(")
}

/// The paths of a use tree such as `a::{b, c::{d, e}}`, each from its root.
fn branches(tree: &str) -> Vec<String> {
    let Some((root, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[from..]);
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(branches).map(|branch| format!("{}{branch}", root.trim())).collect()
}

/// The modules and items of this crate that a file names, each as a path from the crate's root.
fn named(module: &[String], text: &str) -> BTreeSet<Vec<String>> {
    let text = code(text);
    let mut paths = Vec::new();
    for statement in text.split(';') {
        if let Some((_, tree)) = statement.split_once("use ") {
            paths.extend(branches(tree));
        }
    }
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    paths.extend(text.split(|letter| !is_word(letter)).filter(|word| word.contains("::") && !word.ends_with("::")).map(str::to_owned));
    let absolute = |path: String| {
        let mut parts: Vec<&str> = path.split("::").map(|part| part.split(" as ").next().unwrap_or(part).trim()).collect();
        let mut root: Vec<&str> = Vec::new();
        match *parts.first()? {
            "crate" => drop(parts.remove(0)),
            "super" => {
                root = module.iter().map(String::as_str).collect();
                while parts.first() == Some(&"super") {
                    root.pop()?;
                    parts.remove(0);
                }
            }
            "self" => {
                root = module.iter().map(String::as_str).collect();
                parts.remove(0);
            }
            // A child of this module, or another crate: only the former is a file of ours.
            _ => root = module.iter().map(String::as_str).collect(),
        }
        Some(root.into_iter().chain(parts).map(str::to_owned).collect::<Vec<String>>())
    };
    paths.into_iter().filter_map(absolute).collect()
}

/// What a file of a room breaks.
fn breaches(module: &[String], text: &str) -> Vec<String> {
    let rank = |name: &str| ROOMS.iter().position(|room| *room == name);
    let room = &module[0];
    let used: BTreeSet<String> = named(module, text).into_iter().filter_map(|path| path.into_iter().next()).collect();
    let mut found: Vec<String> = used.iter().filter(|name| rank(name) > rank(room)).map(|name| format!("{room} uses {name}")).collect();
    if room != "autodiff" && text.contains("candle_core") {
        found.push(format!("{room} knows candle"));
    }
    found
}

/// Whether a text computes with wgpu itself, rather than through eframe.
fn knows_wgpu(text: &str) -> bool {
    text.contains("use wgpu") || text.contains(" wgpu::")
}

/// A circle among files, each with those that it uses, if there is one.
fn circle(uses: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> Option<Vec<String>> {
    let mut left: BTreeSet<&Vec<String>> = uses.keys().collect();
    loop {
        // A file that uses none of those left stands in no circle.
        let free: Vec<_> = left.iter().copied().filter(|file| !uses[*file].iter().any(|other| left.contains(other))).collect();
        if free.is_empty() {
            break;
        }
        left.retain(|file| !free.contains(file));
    }
    let mut walk = vec![*left.iter().next()?];
    loop {
        let next = left.iter().copied().find(|file| uses[walk[walk.len() - 1]].contains(*file))?;
        if let Some(at) = walk.iter().position(|file| *file == next) {
            return Some(walk[at..].iter().map(|file| file.join("::")).collect());
        }
        walk.push(next);
    }
}

#[test]
fn every_room_uses_only_rooms_to_its_left() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut rooms = BTreeSet::new();
    for path in sources(&source) {
        let module = module(path.strip_prefix(&source).unwrap());
        let Some(room) = module.first() else { continue };
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(path.starts_with(source.join("engine/gpu")) || !knows_wgpu(&text), "{} knows wgpu", path.display());
        assert!(ROOMS.contains(&room.as_str()), "the room '{room}' has no place in the order");
        assert_eq!(breaches(&module, &text), Vec::<String>::new(), "{}", path.display());
        rooms.insert(room.clone());
    }
    assert_eq!(rooms.len(), ROOMS.len(), "rooms without a file");
}

#[test]
fn the_window_has_its_arrows_too_and_no_circle() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let is_test = |path: &Path| path.ends_with("tests.rs") || path.starts_with(source.join("app/tests"));
    let files: Vec<PathBuf> = sources(&source.join("app")).into_iter().filter(|path| !is_test(path)).collect();
    let modules: BTreeSet<Vec<String>> = files.iter().map(|path| module(path.strip_prefix(&source).unwrap())).collect();
    let mut uses = BTreeMap::new();
    for path in &files {
        let own = module(path.strip_prefix(&source).unwrap());
        let text = std::fs::read_to_string(path).unwrap();
        let file_of = |named: Vec<String>| (1..=named.len()).rev().find_map(|parts| modules.get(&named[..parts]).cloned());
        let others: BTreeSet<Vec<String>> = named(&own, &text).into_iter().filter_map(file_of).filter(|other| *other != own).collect();
        let rank = |module: &[String]| module.get(1).and_then(|room| WINDOW.iter().position(|name| name == room));
        for other in others.iter().filter(|_| rank(&own).is_some()) {
            assert!(rank(other) <= rank(&own), "{} uses {}", own.join("::"), other.join("::"));
        }
        uses.insert(own, others);
    }
    assert!(uses.values().map(BTreeSet::len).sum::<usize>() > files.len(), "hardly any uses were found");
    assert_eq!(circle(&uses), None);
}

#[test]
fn a_breach_is_noticed() {
    let of = |room: &str, text: &str| breaches(&[room.to_owned(), "part".to_owned()], text);
    assert_eq!(of("nets", "use crate::engine::Engine;"), ["nets uses engine"]);
    assert_eq!(of("nets", "use crate::{error, engine::{a, b}};"), ["nets uses engine"]);
    assert_eq!(of("nets", "fn f() { super::super::engine::open() }"), ["nets uses engine"]);
    assert_eq!(of("cli", "candle_core::Tensor"), ["cli knows candle"]);
    assert_eq!(of("nets", "// crate::engine::Engine\nuse crate::error::Error;"), Vec::<String>::new());
    assert!(knows_wgpu("use wgpu::Device;") && knows_wgpu("fn f(d: wgpu::Device)") && !knows_wgpu("eframe::egui_wgpu::wgpu::Instance"));
    let name = |text: &str| vec![text.to_owned()];
    let round = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (name(a), BTreeSet::from([name(b)]))).collect::<BTreeMap<_, _>>();
    assert_eq!(circle(&round(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap(), ["b", "c"]);
    assert_eq!(circle(&round(&[("a", "b"), ("b", "c"), ("c", "d")])), None);
}
