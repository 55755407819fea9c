//! Damaged archives of photographs, and images whose decoders take more memory than the image.

use crate::damage::Choices;
use crate::{MOST_MEMORY, load_one, metered, refusals, rewrite, rounds};
use epistemap::data::{locate, read_image, sources};
use flate2::{Compression, write::GzEncoder};
use std::io::{Cursor, Write as _};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Small JPEGs under the names that the archives of cats and dogs have.
fn photographs() -> Vec<(String, Vec<u8>)> {
    let mut choices = Choices::new(5, 0);
    let photograph = |number: usize| {
        let mut file = Cursor::new(Vec::new());
        let picture = image::RgbImage::from_raw(5, 4, choices.bytes(60)).unwrap();
        picture.write_to(&mut file, image::ImageFormat::Jpeg).unwrap();
        (format!("PetImages/{}/{number}.jpg", ["Cat", "Dog"][number % 2]), file.into_inner())
    };
    (0..6).map(photograph).collect()
}

fn zipped() -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in photographs() {
        archive.start_file(&name, SimpleFileOptions::default()).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn packed() -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in photographs() {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, &name, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn archives_of_photographs() {
    // What the estimates are held to.
    epistemap::budget::set_limit(MOST_MEMORY as u64);
    let place = tempfile::tempdir().unwrap();
    let set = sources::named("cats-dogs").unwrap();
    for (seed, name, good) in [(110, "kagglecatsanddogs_5340.zip", zipped()), (111, "PetImages-64.tar.gz", packed())] {
        let data = place.path().join(name);
        let (archive, named) = (data.join(set.folder).join(name), data.to_string_lossy());
        std::fs::create_dir_all(data.join(set.folder)).unwrap();
        rewrite(&archive, &good);
        let load = || locate::find_both(set, Some(data.as_path()), Some([3, 4, 5]));
        let whole = load().unwrap();
        assert!(
            whole.train.len() + whole.test.len() >= 6 && whole.notes.iter().all(|note| !note.contains("left out")),
            "{:?}",
            whole.notes
        );
        let refused = refusals(seed, &named, &good, |bytes| {
            rewrite(&archive, bytes);
            load()
        });
        // A damaged photograph is left out, and the archive is read.
        assert!(refused > rounds() as usize / 10, "only {refused} damaged versions of {name} were refused");
    }
}

/// A grey progressive JPEG with sides that are multiples of 8. It holds the first coefficient of each block alone, which is 0, in one bit each.
fn progressive_jpeg([width, height]: [u16; 2]) -> Vec<u8> {
    let blocks = 3 * usize::from(width / 8) * usize::from(height / 8);
    let ([h1, h2], [w1, w2]) = (height.to_be_bytes(), width.to_be_bytes());
    // The beginning, and a table of quantisation.
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    bytes.extend([1; 64]);
    // A progressive frame of three components of full size.
    bytes.extend([0xff, 0xc2, 0, 17, 8, h1, h2, w1, w2, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]);
    // A Huffman table of one code, which is one bit long.
    bytes.extend([0xff, 0xc4, 0, 20, 0, 1]);
    bytes.extend([0; 16]);
    // A scan of all components, and the end.
    bytes.extend([0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 0, 0]);
    bytes.extend(vec![0; blocks.div_ceil(8)]);
    bytes.extend([0xff, 0xd9]);
    bytes
}

/// A GIF of one colour whose first frame begins so far from the left border.
fn gif_with_frame([width, height]: [u16; 2], left: u16, frame: [u16; 2]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &[200, 0, 0, 0, 0, 0]).unwrap();
    let buffer = vec![0; usize::from(frame[0]) * usize::from(frame[1])].into();
    encoder.write_frame(&gif::Frame { left, width: frame[0], height: frame[1], buffer, ..gif::Frame::default() }).unwrap();
    drop(encoder);
    bytes
}

/// The decoder of JPEG holds all coefficients of a progressive image, that of GIF a frame that does not fill the image. Were both not in the
/// estimate, the images that do not fit would be read.
#[test]
fn what_decoders_take_beside_the_image_is_in_the_estimate() {
    epistemap::budget::set_limit(MOST_MEMORY as u64);
    // What is made here is not to count as what another test takes.
    let meter = metered();
    // 11 bytes of a pixel of a JPEG, and 9 of a GIF, below 16 MiB with room for other tests, and just above.
    let images = [
        (progressive_jpeg([1304, 1000]), progressive_jpeg([1536, 1000])),
        (gif_with_frame([1400, 1000], 1, [1399, 1000]), gif_with_frame([1872, 1000], 1, [1871, 1000])),
    ];
    let outside = gif_with_frame([8, 8], 0, [1000, 1000]);
    drop(meter);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    let read = || read_image(&path, [3, 8, 8]);
    for (fitting, too_large) in images {
        rewrite(&path, &fitting);
        assert!(load_one("image", || "an image that fits".to_owned(), read), "{:?}", read());
        rewrite(&path, &too_large);
        assert!(!load_one("image", || "an image that does not fit".to_owned(), read));
        let sentence = read().unwrap_err().to_string();
        assert!(sentence.contains("would take 17 MB of memory where 17 MB are allowed"), "{sentence}");
    }
    // A frame that is larger than its image is in no estimate.
    rewrite(&path, &outside);
    assert!(!load_one("image", || "a frame outside of its image".to_owned(), read));
    let sentence = read().unwrap_err().to_string();
    assert!(sentence.contains("has a frame or a strip that is larger than the image"), "{sentence}");
}
