//! Downloads against small HTTP servers on this machine, which fail in the ways that mirrors do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use epistemap::data::Source;
use epistemap::data::fetch::{Progress, fetch};
use epistemap::data::sources::{Checksum, Layout, Published};
use md5::{Digest as _, Md5};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

const IMAGES: &str = "images.gz";
const LABELS: &str = "labels.gz";

/// 300,001 bytes that differ from offset to offset, so that bytes in the wrong place change the checksum.
fn images() -> Vec<u8> {
    (0..300_001u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn content(file: &str) -> Vec<u8> {
    if file == IMAGES { images() } else { b"labels".to_vec() }
}

/// A data set of two files. Its checksums live as long as the program, as those of the real sets do.
fn set() -> Source {
    let published = [IMAGES, LABELS].map(|file| Published {
        file,
        checksum: Checksum::Md5(format!("{:032x}", u128::from_be_bytes(Md5::digest(content(file)).into())).leak()),
    });
    Source { folder: "set", name: "Set", classes: &["a"], layout: Layout::Idx, published: Box::leak(Box::new(published)), mirrors: &[] }
}

/// What a mirror does with a request.
#[derive(Clone, Copy)]
enum Answer {
    /// Sends what was asked for.
    Good,
    /// Promises the same, but hangs up after so many bytes.
    Cut(usize),
    /// Sends the whole file though a part was asked for.
    Whole,
    /// Sends as many other bytes.
    Wrong,
    /// Sends the bytes from another place than was asked for.
    Elsewhere,
    NotFound,
}

/// A request: the file and the first byte asked for, 0 for the whole.
type Requests = Arc<Mutex<Vec<(String, usize)>>>;

/// A mirror that answers request number n, from 0, with `answer(n, file)`.
fn mirror(answer: impl Fn(usize, &str) -> Answer + Send + 'static) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let requests = Requests::default();
    let log = Arc::clone(&requests);
    std::thread::spawn(move || {
        for (number, connection) in listener.incoming().enumerate() {
            let mut connection = connection.unwrap();
            let mut lines = BufReader::new(&connection).lines().map(Result::unwrap);
            let file = lines.next().unwrap().split([' ', '/']).nth(2).unwrap().to_owned();
            let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let range = headers.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok());
            let start: usize = range.unwrap_or(0);
            log.lock().unwrap().push((file.clone(), start));
            let response = respond(answer(number, &file), &content(&file), start);
            // The other side may hang up first.
            connection.write_all(&response).ok();
        }
    });
    (address, requests)
}

fn respond(answer: Answer, content: &[u8], start: usize) -> Vec<u8> {
    let start = if matches!(answer, Answer::Whole) { 0 } else { start };
    let (status, sent) = match (answer, start) {
        (Answer::NotFound, _) => ("404 Not Found", &b"no"[..]),
        (_, 0) => ("200 OK", content),
        (_, start) if start >= content.len() => ("416 Range Not Satisfiable", &b""[..]),
        (_, start) => ("206 Partial Content", &content[start..]),
    };
    let (first, end) = (if matches!(answer, Answer::Elsewhere) { start + 1 } else { start }, content.len());
    let range = if start > 0 { format!("Content-Range: bytes {first}-{}/{end}\r\n", end - 1) } else { String::new() };
    // Some servers call a .gz file an encoding of something else; it must arrive as it is all the same.
    let headers = format!("Content-Length: {}\r\nContent-Encoding: gzip\r\n{range}Connection: close", sent.len());
    let mut response = format!("HTTP/1.1 {status}\r\n{headers}\r\n\r\n").into_bytes();
    match answer {
        Answer::Cut(after) => response.extend(&sent[..after.min(sent.len())]),
        Answer::Wrong => response.extend(sent.iter().map(|byte| !byte)),
        _ => response.extend(sent),
    }
    response
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Fetches into a folder and gives the text of the error.
fn run(into: &Path, mirrors: &[&str]) -> Result<(), String> {
    fetch(&set(), into, mirrors, &mut |_| {}).map_err(|error| error.to_string())
}

fn assert_whole(into: &Path) {
    assert_eq!(names(&into.join("set")), [IMAGES, LABELS]);
    assert!(std::fs::read(into.join("set").join(IMAGES)).unwrap() == images());
}

#[test]
fn a_whole_download_reports_its_progress_and_is_not_repeated() {
    let into = tempfile::tempdir().unwrap();
    let (good, requests) = mirror(|_, _| Answer::Good);
    let mut seen = Vec::new();
    fetch(&set(), into.path(), &[&good], &mut |progress: Progress<'_>| {
        seen.push((progress.file.to_owned(), progress.bytes, progress.total));
    })
    .unwrap();
    assert_whole(into.path());
    let of_images: Vec<_> = seen.iter().filter(|(file, ..)| file == IMAGES).collect();
    assert!(of_images.windows(2).all(|pair| pair[0].1 < pair[1].1));
    assert_eq!((of_images[0].1, of_images.last().unwrap().1), (0, 300_001));
    assert!(of_images.iter().all(|(.., total)| *total == Some(300_001)));
    run(into.path(), &[&good]).unwrap();
    assert_eq!(requests.lock().unwrap().len(), 2);
}

#[test]
fn a_cut_connection_is_resumed_where_it_stopped() {
    let into = tempfile::tempdir().unwrap();
    let (cut, requests) = mirror(|number, _| if number < 2 { Answer::Cut(100_000) } else { Answer::Good });
    run(into.path(), &[&cut]).unwrap();
    assert_whole(into.path());
    let starts: Vec<_> = requests.lock().unwrap().iter().map(|(_, start)| *start).collect();
    assert_eq!(starts, [0, 100_000, 200_000, 0]);
}

#[test]
fn a_later_run_goes_on_with_what_an_earlier_one_left() {
    let into = tempfile::tempdir().unwrap();
    let (cut, _) = mirror(|number, _| if number == 0 { Answer::Cut(1234) } else { Answer::NotFound });
    run(into.path(), &[&cut]).unwrap_err();
    assert_eq!(names(&into.path().join("set")), ["images.gz.part"]);
    let (good, requests) = mirror(|_, _| Answer::Good);
    run(into.path(), &[&good]).unwrap();
    assert_whole(into.path());
    assert_eq!(requests.lock().unwrap()[0], (IMAGES.to_owned(), 1234));
}

#[test]
fn a_mirror_that_ignores_ranges_sends_everything_anew() {
    let into = tempfile::tempdir().unwrap();
    let (whole, requests) = mirror(|number, _| if number == 0 { Answer::Cut(5000) } else { Answer::Whole });
    run(into.path(), &[&whole]).unwrap();
    assert_whole(into.path());
    assert_eq!(requests.lock().unwrap()[1], (IMAGES.to_owned(), 5000));
}

#[test]
fn the_remains_of_another_file_do_not_stop_a_download() {
    for remains in [vec![0; 777], vec![0; 300_001], vec![0; 400_000], images()] {
        let into = tempfile::tempdir().unwrap();
        std::fs::create_dir(into.path().join("set")).unwrap();
        std::fs::write(into.path().join("set/images.gz.part"), &remains).unwrap();
        let (good, _) = mirror(|_, _| Answer::Good);
        run(into.path(), &[&good]).unwrap();
        assert_whole(into.path());
    }
}

#[test]
fn a_damaged_file_under_the_final_name_is_replaced() {
    let into = tempfile::tempdir().unwrap();
    std::fs::create_dir(into.path().join("set")).unwrap();
    std::fs::write(into.path().join("set").join(IMAGES), &images()[1..]).unwrap();
    let (good, _) = mirror(|_, _| Answer::Good);
    run(into.path(), &[&good]).unwrap();
    assert_whole(into.path());
}

#[test]
fn the_second_mirror_helps_when_the_first_fails() {
    for answer in [Answer::Wrong, Answer::NotFound, Answer::Cut(0), Answer::Cut(99)] {
        let into = tempfile::tempdir().unwrap();
        // Cut once, then gone: the second mirror takes over in the middle of the file.
        let (bad, asked) = mirror(move |number, _| if number == 0 { answer } else { Answer::NotFound });
        let (good, helped) = mirror(|_, _| Answer::Good);
        run(into.path(), &[&bad, &good]).unwrap();
        assert_whole(into.path());
        assert!(!asked.lock().unwrap().is_empty() && !helped.lock().unwrap().is_empty());
    }
}

#[test]
fn when_all_fail_each_fault_is_named_and_nothing_stands_under_the_final_name() {
    let into = tempfile::tempdir().unwrap();
    let (wrong, _) = mirror(|_, _| Answer::Wrong);
    let (missing, _) = mirror(|_, _| Answer::NotFound);
    let (cut, _) = mirror(|_, _| Answer::Cut(0));
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let error = run(into.path(), &[&wrong, &missing, &cut, &closed]).unwrap_err();
    for text in [
        format!("{IMAGES}: no mirror gave the whole file"),
        format!("{wrong} gave a file with a wrong checksum"),
        format!("{missing} answered 404"),
        format!("{cut} broke off"),
        format!("{closed} failed with"),
    ] {
        assert!(error.contains(&text), "'{error}' should say '{text}'");
    }
    assert!(!into.path().join("set").join(IMAGES).exists());
}

#[test]
fn a_file_with_a_wrong_checksum_is_deleted() {
    let into = tempfile::tempdir().unwrap();
    let (wrong, requests) = mirror(|_, _| Answer::Wrong);
    run(into.path(), &[&wrong]).unwrap_err();
    assert_eq!((names(&into.path().join("set")).len(), requests.lock().unwrap().len()), (0, 1));
}

#[test]
fn a_mirror_that_is_wrong_or_cut_for_ever_is_given_up() {
    let (elsewhere, _) = mirror(|number, _| if number == 0 { Answer::Cut(10) } else { Answer::Elsewhere });
    let (cut, requests) = mirror(|_, _| Answer::Cut(7));
    for mirror in [&elsewhere, &cut] {
        let into = tempfile::tempdir().unwrap();
        let error = run(into.path(), &[mirror]).unwrap_err();
        assert!(error.contains(mirror.as_str()) && names(&into.path().join("set")) == ["images.gz.part"], "{error}");
    }
    assert_eq!(requests.lock().unwrap().len(), 10);
}

#[test]
fn a_place_that_cannot_be_written_is_named_without_asking_further_mirrors() {
    let into = tempfile::tempdir().unwrap();
    let (good, requests) = mirror(|_, _| Answer::Good);
    let file = into.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let error = run(&file, &[&good]).unwrap_err();
    assert!(error.contains("a-file"), "{error}");
    assert!(requests.lock().unwrap().is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_leaves_nothing_under_the_final_name() {
    let into = tempfile::tempdir().unwrap();
    std::fs::create_dir(into.path().join("set")).unwrap();
    std::os::unix::fs::symlink("/dev/full", into.path().join("set/images.gz.part")).unwrap();
    let (good, requests) = mirror(|_, _| Answer::Good);
    let error = run(into.path(), &[&good, &good]).unwrap_err();
    assert!(error.contains("images.gz.part: No space left") && error.contains("free some space"), "{error}");
    assert_eq!(requests.lock().unwrap().len(), 1);
    assert!(!into.path().join("set").join(IMAGES).exists());
}

#[test]
fn a_set_that_nobody_publishes_says_where_to_put_it() {
    let notmnist = epistemap::data::sources::named("notmnist").unwrap();
    let error = fetch(notmnist, Path::new("d"), &[], &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("notMNIST: cannot be downloaded; put its IDX files into d"), "{error}");
}
