//! Models of two classes on colour photographs of 64 × 64: every verb, every figure, every format.

use crate::program::{Desk, write_models};
use epistemap::data::npy;
use epistemap::figure;

const SHAPE: [usize; 3] = [3, 64, 64];

/// A desk with small models, and photographs in folders of training and test.
fn desk() -> Desk {
    let desk = Desk::new();
    write_models(&desk.path("models"), SHAPE, 2);
    for image in 0..36u8 {
        let part = if image < 12 { "test" } else { "train" };
        let folder = desk.path(&format!("photos/{part}/{}", image % 2));
        std::fs::create_dir_all(&folder).unwrap();
        let pixel = |x: u32, y: u32| image::Rgb([(3 * x + u32::from(image)) as u8, (4 * y) as u8, image * 7]);
        image::RgbImage::from_fn(64, 64, pixel).save(folder.join(format!("{image}.png"))).unwrap();
    }
    let pixels: Vec<f32> = (0..4 * 3 * 64 * 64).map(|at| (at % 256) as f32 / 255.0).collect();
    npy::write_images(&desk.path("x.npy"), SHAPE, &pixels).unwrap();
    desk
}

/// What each verb does with them, in an order in which one finds what another wrote.
const LINES: &[&str] = &[
    "map --models models --grid 6 --samples 2 --out map.npz",
    "map --models models --grid 6 --samples 2 --out map.csv",
    "map --models models --grid 6 --samples 2 --out map.png --measure predictive_entropy",
    "map --models models --grid 6 --samples 2 --out map.svg",
    "map --models models --grid 6 --samples 2 --out map.pdf",
    "interpolate --models models --dataset photos --samples 2 --steps 7 --out line.pdf",
    "interpolate --models models --dataset photos --samples 2 --population 9 --out pairs.csv",
    "holes --models models --dataset photos --grid 12 --samples 2 --garbage 2 --out holes.png",
    "holes --models models --dataset photos --grid 12 --samples 2 --curve --seeds 2 --json",
    "attack --models models --images x.npy --method bim --eps 5/255 --samples 2 --on mc --out adversarial.npy",
    "detect --models models --dataset photos --attacks fgm --eps 5/255 --samples 2 --scores scores.csv",
    "detect --models models --dataset photos --preset table1 --samples 2 --images 3 --latex",
    "garbage --models models --starts 3 --steps 2 --samples 2 --out garbage.npy",
    "garbage --models models --image photos/test/0/0.png --starts 3 --steps 2 --samples 2",
    "decode --models models --z 0,0 --z 1,1 --out decoded.png",
    "evaluate --models models --dataset photos --samples 2 --json",
    "train vae --dataset photos --architecture conv-vae --latent 2 --epochs 1 --batch 8 --film vae.gif --out trained/vae",
    "train classifier --dataset photos --channels 2,3 --hidden 4 --epochs 1 --batch 8 --film net.gif --out trained/net",
    "train head --backbone trained/net --dataset photos --epochs 1 --out trained/head",
    "laplace --model trained/net --dataset photos --out laplace",
    "film trained/vae --out film.gif",
    "film trained/net --out net-again.gif",
    "pack --from trained --dataset photos --out packed",
    "encode --vae trained/vae --dataset photos",
    "map --models models --grid 6 --samples 2 --engine cpu --shard 1/2 --out 1.part",
    "map --models models --grid 6 --samples 2 --engine cpu --shard 2/2 --out 2.part",
    "merge 1.part 2.part --out merged.npz",
    "compare --models models --engines cpu,reference --grid 3 --samples 2",
    "bench map --models models --grid 4 --samples 2 --members 1 --engine cpu --json",
    "data list",
    "devices",
    "provenance map.png",
    "completions bash",
];

#[test]
fn every_verb_works_on_colour_photographs_of_two_classes() {
    let desk = desk();
    for line in LINES {
        let [out, _] = desk.succeeds(line);
        // The provenance in a comment of LaTeX may leave settings open.
        let said = || out.lines().filter(|line| !line.starts_with('%'));
        assert!(!said().any(|line| line.contains("NaN") || line.contains("null")), "{line}: {out}");
    }
    // Every verb that the program lists has its line; figures have a test of their own, and the window has its own.
    let [help, _] = desk.succeeds("help");
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = verbs.filter(|line| line.starts_with("  ") && !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let missing: Vec<&str> = names.filter(|name| LINES.iter().all(|line| !line.starts_with(&format!("{name} ")) && line != name)).collect();
    assert_eq!(missing, ["window", "figures", "help"]);
}

#[test]
fn every_figure_is_drawn_of_colour_photographs_of_two_classes() {
    let desk = desk();
    desk.succeeds(
        "figures --models models --dataset photos --grid 8 --samples 2 --steps 15 --pairs 6 --seeds 2 --attacked 6 --eps 5/255 \
        --format png,svg,pdf --dpi 60 --out figures",
    );
    for figure in figure::all() {
        for format in figure::Format::ALL {
            assert!(desk.path(&format!("figures/{}.{}", figure.name, format.extension())).is_file(), "{}", figure.name);
        }
    }
}
