//! Every test of the library and the program from outside, in one target: each target is another program of 80 MB to link. A file of tests
//! is named here; one that measures the whole process, as `mutated_files.rs` its memory, is a target of its own in Cargo.toml.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "common/conformance.rs"]
mod conformance;
#[path = "common/controls.rs"]
mod controls;
#[path = "common/fixtures.rs"]
mod fixtures;
#[path = "common/networks.rs"]
mod networks;
#[path = "common/program.rs"]
mod program;

mod arrows;
mod attacks;
mod cli;
mod engines;
mod extremes;
mod fetch;
mod graphs;
mod holes;
mod operations;
mod properties;
mod real_data;
mod reference;
mod shipped;
mod stop;
mod transfer;

/// Cargo finds no file of tests by itself: one that is named nowhere would be no test.
#[test]
fn every_file_of_tests_belongs_to_a_target() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let [suite, manifest] = ["tests/suite.rs", "Cargo.toml"].map(|file| std::fs::read_to_string(root.join(file)).unwrap());
    for entry in std::fs::read_dir(root.join("tests")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = file.strip_suffix(".rs") else { continue };
        let is_target = manifest.contains(&format!("path = \"tests/{file}\""));
        assert!(is_target || suite.contains(&format!("\nmod {name};\n")), "tests/{file} is no test of any target");
    }
}
