//! Data as other tools write them: arrays, archives and image folders are read, or refused with the conversion, and nothing is left out
//! without a word.

use super::{CLASSES, IMAGE_SHAPE};
use crate::program::{Desk, write_vae};
use epistemap::data::npy;
use std::io::Write as _;
use std::path::Path;

const MEDMNIST: &[u8] = include_bytes!("../cases/medmnist-like.npz");
const ATTACK: &str = "attack --model models/classifier-0 --method fgm --eps 0.1 --samples 1 --no-checks --engine cpu";
const TRAIN: &str = "train classifier --architecture mlp --widths 4 --epochs 1 --batch 8";

/// An npy file.
fn array(kind: &str, fortran: bool, shape: &str, values: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{:<117}\n", format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"));
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Runs what must fail after it has said what it read; returns the sentence.
fn fails(desk: &Desk, line: &str) -> String {
    let output = desk.run(line);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}: {said}");
    said.lines().last().unwrap().to_owned()
}

#[test]
fn arrays_in_other_orders_types_and_files_are_attacked_alike() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let [c, h, w] = IMAGE_SHAPE;
    let (size, count) = (c * h * w, 2);
    // Sixteenths are whole in half precision.
    let pixels: Vec<f32> = (0..count * size).map(|at| (at * 7 % 17) as f32 / 16.0).collect();
    let write = |name: &str, bytes: &[u8]| std::fs::write(desk.path(name), bytes).unwrap();
    npy::write_images(&desk.path("x.npy"), IMAGE_SHAPE, &pixels).unwrap();
    write("y.npy", &array("<i8", false, "(2,)", &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]));
    write("yn1.npy", &array("|u1", false, "(2, 1)", &[1, 2]));
    let fortran = (0..size).flat_map(|at| {
        // [2, 1, H, W]: the images run fastest, then the rows.
        let (row, column) = (at % h, at / h);
        [0, 1].map(|image| pixels[image * size + row * w + column])
    });
    write("f.npy", &array("<f4", true, &format!("(2, {c}, {h}, {w})"), &floats(fortran)));
    let halves: Vec<u8> = pixels.iter().flat_map(|&pixel| half::f16::from_f32(pixel).to_le_bytes()).collect();
    write("f16.npy", &array("<f2", false, &format!("(2, {c}, {h}, {w})"), &halves));
    write("flat.npy", &array("<f4", false, &format!("(2, {size})"), &floats(pixels.clone())));
    let rounded = pixels.iter().map(|&pixel| if pixel == 1.0 { 1.0 + 1e-6 } else { pixel });
    write("tiny.npy", &array("<f4", false, &format!("(2, {h}, {w})"), &floats(rounded)));
    let mut zip = zip::ZipWriter::new(std::fs::File::create(desk.path("both.npz")).unwrap());
    for (name, file) in [("a", "x.npy"), ("b", "tiny.npy"), ("y", "yn1.npy")] {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&desk.read(file)).unwrap();
    }
    zip.finish().unwrap();

    let [expected, _] = desk.succeeds(&format!("{ATTACK} --images x.npy --labels y.npy --json --out good.npy"));
    for line in [
        "--images f.npy --labels yn1.npy",
        "--images f16.npy --labels y.npy",
        "--images flat.npy --labels y.npy",
        "--images tiny.npy --labels y.npy",
        "--images both.npz --key a --labels both.npz",
        "--images both.npz --key b,y --labels both.npz",
    ] {
        let [found, err] = desk.succeeds(&format!("{ATTACK} {line} --json --out out.npy"));
        assert!(found == expected && desk.read("out.npy") == desk.read("good.npy"), "{line}: {err}");
    }
    write("bits.npy", &array("|u1", false, &format!("(1, {h}, {w})"), &(0..size).map(|at| u8::from(at % 3 == 0)).collect::<Vec<_>>()));
    let [_, err] = desk.succeeds(&format!("{ATTACK} --images bits.npy --out out.npy"));
    assert!(err.contains("its bytes are only 0 and 1"), "{err}");
    // Booleans need no conversion: true is white.
    let bits: Vec<u8> = (0..size).map(|at| u8::from(at % 3 == 0)).collect();
    let axes = format!("(1, {c}, {h}, {w})");
    write("bool.npy", &array("|b1", false, &axes, &bits));
    write("black-and-white.npy", &array("<f4", false, &axes, &floats(bits.iter().map(|&bit| f32::from(bit)))));
    let [of_floats, _] = desk.succeeds(&format!("{ATTACK} --images black-and-white.npy --json --out good.npy"));
    let [of_bools, err] = desk.succeeds(&format!("{ATTACK} --images bool.npy --json --out out.npy"));
    assert!(of_bools == of_floats && desk.read("out.npy") == desk.read("good.npy") && !err.contains("only 0 and 1"), "{err}");

    std::fs::remove_file(desk.path("out.npy")).unwrap();
    write("nhwc.npy", &array("<f4", false, &format!("(2, {h}, {w}, {c})"), &floats(pixels.clone())));
    write("u16.npy", &array("<u2", false, &format!("(1, {h}, {w})"), &[200, 0].repeat(size)));
    write("levels.npy", &array("<f4", false, &format!("(2, {c}, {h}, {w})"), &floats(pixels.iter().map(|pixel| 255.0 * pixel))));
    write("short.npy", &array("<f4", false, "(2, 71)", &floats([0.5; 142])));
    for (line, words) in [
        ("--images nhwc.npy", "save x.transpose(0, 3, 1, 2)"),
        ("--images u16.npy", "x.astype('uint8')"),
        ("--images levels.npy", "bring the range 0..255 to 0..1 with (x / 255).astype('float32'), or save x.astype('uint8')"),
        ("--images short.npy", "has the axes [2, 71]"),
        ("--images both.npz", "several arrays that may be images"),
        ("--images both.npz --key c", "holds no array 'c', but a, b, y"),
        ("--images x.npy --labels flat.npy", "x.argmax(axis=1)"),
    ] {
        let sentence = desk.refuses(&format!("{ATTACK} {line} --out out.npy"));
        assert!(sentence.contains(words), "{line}: {sentence}");
    }
}

#[test]
fn an_npz_file_is_a_data_set_and_a_path_that_is_nowhere_is_said() {
    let desk = Desk::new();
    std::fs::write(desk.path("med.npz"), MEDMNIST).unwrap();
    // All of one class.
    let [_, err] = desk.succeeds("train vae --dataset med.npz --hidden 4 --latent 2 --epochs 1 --batch 8 --out v");
    assert!(err.contains("every fifth of its images is kept for testing"), "{err}");
    assert!(desk.refuses(&format!("{TRAIN} --dataset med.npz --out m")).contains("two classes at least"));
    // In colour, [N, H, W, 3], with test and validation images.
    let mut zip = zip::ZipWriter::new(std::fs::File::create(desk.path("colour.npz")).unwrap());
    for part in ["train", "test", "val"] {
        let pixels: Vec<u8> = (0..16 * 8 * 9 * 3).map(|at| (at % 251) as u8).collect();
        let labels: Vec<u8> = (0..16).map(|image| image % 2).collect();
        for (kind, bytes) in
            [("images", array("|u1", false, "(16, 8, 9, 3)", &pixels)), ("labels", array("|u1", false, "(16, 1)", &labels))]
        {
            zip.start_file(format!("{part}_{kind}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&bytes).unwrap();
        }
    }
    zip.finish().unwrap();
    let [_, err] = desk.succeeds(&format!("{TRAIN} --dataset colour.npz --out m"));
    assert!(err.contains("'val_images' of colour.npz are left out"), "{err}");
    desk.succeeds("evaluate --models m --dataset colour.npz --samples 1");
    std::fs::write(desk.path("notes.txt"), "text").unwrap();
    assert!(desk.refuses(&format!("{TRAIN} --dataset notes.txt --out n")).contains("notes.txt: is no npz archive"));
    let sentence = desk.refuses(&format!("{TRAIN} --dataset some/path --out n"));
    assert!(sentence.contains("'some/path' is neither a known data set nor a file or folder that exists"), "{sentence}");
}

/// A grey image in the format of its extension.
fn image(path: &Path, value: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_fn(9, 8, |x, y| image::Rgb([value + (x + y) as u8; 3])).save(path).unwrap();
}

#[test]
fn image_folders_tell_what_they_leave_out_and_which_class_is_which() {
    let desk = Desk::new();
    let at = |name: &str| desk.path("images").join(name);
    for class in ["10", "2", "9"] {
        for (number, format) in ["png", "bmp", "gif", "webp", "tif", "jpg"].iter().cycle().take(12).enumerate() {
            image(&at(&format!("{class}/{number}.{format}")), 10 * number as u8);
        }
    }
    let train = |out: &str| desk.succeeds(&format!("{TRAIN} --dataset images --out {out}"))[1].clone();
    let err = train("plain");
    let table_of = |err: &str| err.lines().find(|line| line.starts_with("Classes ")).map(str::to_owned);
    let table = table_of(&err).unwrap();
    assert!(table.contains("0 '2' (") && table.contains("1 '9' (") && table.contains("2 '10' ("), "{err}");
    assert!(!err.contains("left out"), "{err}");

    image(&at(".ipynb_checkpoints/0.png"), 1);
    image(&at("__MACOSX/2/0.png"), 1);
    std::fs::write(at("2/Thumbs.db"), "x").unwrap();
    std::fs::write(at("2/._0.png"), "x").unwrap();
    assert_eq!(table_of(&train("hidden")), Some(table), "what programs leave behind is neither class nor damage");

    image(&at("2/deeper/0.png"), 1);
    image(&at("loose.png"), 1);
    std::fs::write(at("9/photo.HEIC"), "x").unwrap();
    image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([(37 * x + 91 * y) as u8, (x * y) as u8, 9])).save(at("2/half.jpg")).unwrap();
    let whole = std::fs::read(at("2/half.jpg")).unwrap();
    std::fs::write(at("2/half.jpg"), &whole[..whole.len() / 2]).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        std::os::unix::fs::symlink(at("2"), at("two")).unwrap();
        std::os::unix::fs::symlink(at("9/0.png"), at("2/link.png")).unwrap();
        image(&desk.path("images").join(std::ffi::OsStr::from_bytes(b"\xff")).join("0.png"), 3);
    }
    let err = train("odd");
    for words in [
        "left out are 1 image in formats that are not read (.heic)",
        "1 image in folders below a class",
        "1 image beside the folders of the classes",
        #[cfg(unix)]
        "2 links to other classes",
        #[cfg(unix)]
        "1 class name not in UTF-8",
        "images cannot be read and are left out",
        "half.jpg: is a JPEG that is cut short or damaged",
    ] {
        assert!(err.contains(words), "{words}: {err}");
    }
    #[cfg(unix)]
    assert!(err.contains("3 '\u{fffd}' ("), "{err}");
}

#[test]
fn parts_of_image_folders_are_found_under_their_names() {
    let desk = Desk::new();
    let fill = |part: &str, classes: &[&str]| {
        for class in classes {
            for number in 0..6 {
                image(&desk.path(&format!("{part}/{class}/{number}.png")), 20 * number);
            }
        }
    };
    let table = |folder: &str| {
        let [_, err] = desk.succeeds(&format!("{TRAIN} --dataset {folder} --out {folder}-model"));
        err
    };
    fill("val/train", &["a", "b"]);
    fill("val/val", &["a", "b"]);
    let err = table("val");
    assert!(err.contains("the folder 'val' is for testing") && err.contains("0 'a' (6 + 6), 1 'b' (6 + 6)"), "{err}");
    fill("all/train", &["a", "b"]);
    fill("all/test", &["a", "b", "c"]);
    fill("all/val", &["a", "b"]);
    let err = table("all");
    assert!(err.contains("the folder 'val' is left out") && err.contains("6 images of classes without training images ('c')"), "{err}");
    fill("alone/train", &["a", "b"]);
    assert!(table("alone").contains("a fifth of its images is kept for testing"));
    // A class that is called so.
    fill("vehicles", &["train", "car"]);
    assert!(table("vehicles").contains("0 'car' (") && desk.path("vehicles-model").exists());
    fill("deep/x", &["a", "b"]);
    assert!(desk.refuses(&format!("{TRAIN} --dataset deep/none --out m")).contains("neither a known data set"));
    fill("deeper/x/y", &["a", "b"]);
    assert!(desk.refuses(&format!("{TRAIN} --dataset deeper --out m")).contains("but below these"));
    // As torchvision and Kaggle lay IDX files out.
    for (folder, name) in [("torch/MNIST/raw", "train-%-idx!-ubyte"), ("kaggle", "train-%.idx!-ubyte")] {
        std::fs::create_dir_all(desk.path(folder)).unwrap();
        let path = |kind: &str, axes: &str| desk.path(folder).join(name.replace('%', kind).replace('!', axes));
        std::fs::write(path("images", "3"), epistemap::data::idx::encode(&[10, 8, 9], &[40; 720])).unwrap();
        std::fs::write(path("labels", "1"), epistemap::data::idx::encode(&[10], &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1])).unwrap();
        desk.succeeds(&format!("{TRAIN} --dataset {} --out {folder}-model", folder.split('/').next().unwrap()));
    }
}

#[test]
fn class_names_of_data_and_models_agree_but_for_case() {
    let desk = Desk::new();
    let fill = |folder: &str, classes: &[&str]| {
        for class in classes {
            (0..10).for_each(|number| image(&desk.path(&format!("{folder}/{class}/{number}.png")), 20 * number));
        }
    };
    fill("pets", &["cat", "dog"]);
    fill("same", &["Cat", "DOG"]);
    fill("plants", &["fern", "moss"]);
    desk.succeeds(&format!("{TRAIN} --dataset pets --out m"));
    desk.succeeds("evaluate --models m --dataset same --samples 1");
    for line in [
        "evaluate --models m --dataset plants --samples 1",
        "laplace --model m --dataset plants --out l",
        "detect --models m --dataset plants --images 4 --on deterministic --method fgm --eps 0.1",
    ] {
        let sentence = fails(&desk, line);
        assert!(sentence.contains("is 'fern', but that of the models is 'cat'"), "{line}: {sentence}");
    }
    // Data without names of their own take those of the models; out-of-distribution data may have any.
    std::fs::create_dir(desk.path("idx")).unwrap();
    for (name, axes, values) in [("t10k-images-idx3", &[4, 8, 9][..], vec![40; 288]), ("t10k-labels-idx1", &[4], vec![0, 1, 0, 1])] {
        for name in [name.to_owned(), name.replace("t10k", "train")] {
            std::fs::write(desk.path(&format!("idx/{name}-ubyte")), epistemap::data::idx::encode(axes, &values)).unwrap();
        }
    }
    let [channels, height, width] = [1, 8, 9];
    assert_eq!(IMAGE_SHAPE, [channels, height, width]);
    desk.succeeds(&format!("{TRAIN} --dataset pets --shape 1,8,9 --out grey"));
    desk.succeeds("evaluate --models grey --dataset idx --samples 1");
    desk.succeeds("detect --models m --dataset pets --images 4 --on deterministic --method fgm --eps 0.1 --unfamiliar plants");
}

#[test]
fn encodings_are_found_where_encode_writes_them_and_belong_to_their_vae() {
    let desk = Desk::with_models([1, 28, 28], 10);
    std::fs::remove_file(desk.path("models/encodings.safetensors")).unwrap();
    let holes = "holes --models models --grid 6 --samples 2 --reference decoded --engine cpu";
    assert!(desk.refuses(holes).contains("epistemap encode"));
    desk.succeeds("encode --vae models/vae --dataset decoded-digits");
    desk.succeeds(holes);
    std::fs::rename(desk.path("models/vae/encodings.safetensors"), desk.path("models/encodings.safetensors")).unwrap();
    desk.succeeds(holes);
    // Trained on other data, or for longer, since.
    std::fs::rename(desk.path("models/vae"), desk.path("models/renamed")).unwrap();
    desk.succeeds(holes);
    let path = desk.path("models/renamed/weights.safetensors");
    let mut weights = epistemap::nets::folder::decode_weights(&path, &std::fs::read(&path).unwrap()).unwrap();
    weights.get_mut("mean.bias").unwrap().values[0] += 0.5;
    std::fs::write(&path, epistemap::nets::folder::encode_weights(&path, &weights, epistemap::nets::folder::Precision::F32).unwrap())
        .unwrap();
    assert!(desk.refuses(holes).contains("models/encodings.safetensors: are the encodings of another VAE"));
    write_vae(&desk.path("other"), [1, 28, 28], 2);
    desk.succeeds("map --models models --vae other --grid 3 --samples 1 --out map.npz");
}

#[test]
fn what_was_done_to_an_image_is_told() {
    let desk = Desk::new();
    let picture = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([3 * x as u8, 2 * y as u8, 9]));
    picture.save(desk.path("col.png")).unwrap();
    let line = "garbage --members 1 --samples 2 --starts 2 --steps 2 --confidence 0.2";
    let [_, err] = desk.succeeds(&format!("{line} --image col.png"));
    assert!(err.contains("col.png: resized from 64 × 64 to 28 × 28, turned grey"), "{err}");
    image::GrayImage::from_fn(28, 28, |x, _| image::Luma([if (9..19).contains(&x) { 200 } else { 0 }]))
        .save(desk.path("fits.png"))
        .unwrap();
    let [_, err] = desk.succeeds(&format!("{line} --image fits.png"));
    assert_eq!(err, "");
}

#[test]
fn more_classes_than_a_byte_counts_go_the_whole_way() {
    let desk = Desk::new();
    for class in 0..300u32 {
        for number in 0..4u8 {
            image(&desk.path(&format!("many/{class}/{number}.png")), (class % 200) as u8 + number);
        }
    }
    let [_, err] = desk.succeeds(
        "train set --dataset many --shape 1,8,8 --members 1 --architecture mlp --widths 4 --vae-hidden 6 --batch 64 --epochs 1 --out set",
    );
    assert!(err.contains("19 '19' (") && err.contains(" and 280 more"), "{err}");
    desk.succeeds("evaluate --models set --dataset many --samples 1");
    let [end, _] = desk.succeeds("interpolate --models set --dataset many --from-class 299 --to-class 298 --steps 3 --samples 2");
    // ln 300: an epoch has taught nothing.
    assert!(end.contains("5.70"), "{end}");
    desk.succeeds("map --models set --grid 4 --samples 2 --out map.npz");
    // The same images under other labels: the encodings are foreign to them.
    for (from, to) in [("298", "x"), ("299", "298"), ("x", "299")] {
        std::fs::rename(desk.path("many").join(from), desk.path("many").join(to)).unwrap();
    }
    let output = desk.run("interpolate --models set --dataset many --from-class 299 --to-class 298 --steps 3 --samples 2");
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(sentence.contains("are encodings of other images or labels than those that 'many test' has now"), "{sentence}");
}
