//! Sessions to files and back; what cannot be read is said, and nothing is lost.

use super::*;
use crate::app::shell::start::Start;
use crate::app::shell::tiles::open_panels;
use crate::app::shell::window::Window;
use crate::app::state::event::Opening;
use crate::app::state::session::Layout;
use crate::app::tests::start;
use crate::data::{DataIdentity, Dataset};
use crate::jobs::ModelSet;
use eframe::egui::Context;

fn session() -> Session {
    let mut session = Session::new(&ModelSet::shipped().unwrap());
    session.layout = Layout::Four;
    session.centre = [0.1 + 0.2, -1.0 / 3.0];
    session.pins = [Some(Pin::Data(3)), Some(Pin::Latent([0.1, -1.0 / 3.0]))];
    session.overlays.hidden = vec![2, 5];
    session.panes[1].minus = Some(0);
    session.holes.min_confidence = None;
    session
}

fn of_pixels(pixels: Vec<f32>) -> Dataset {
    Dataset::new("two", [1, 1, 2], pixels, vec![0, 1], vec!["a".into(), "b".into()]).unwrap()
}

fn data() -> Dataset {
    of_pixels(vec![0.0, 0.5, 0.25, 1.0])
}

#[test]
fn a_session_file_gives_back_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let identity = DataIdentity::of(&data());
    let session = Session { pins: [Some(Pin::Data(3)), Some(Pin::File("ö <&> \"x\".png".into()))], ..session() };
    for data in [None, Some(&identity)] {
        Storage::save(&path, &session, data).unwrap();
        assert_eq!(Storage::open(&path).unwrap(), Opened { session: session.clone(), data: data.cloned() });
    }
}

#[test]
fn other_images_are_noticed_where_the_session_names_images_by_number() {
    let identity = DataIdentity::of(&data());
    let other = DataIdentity::of(&of_pixels(vec![0.0, 0.5, 0.25, 0.75]));
    let relabelled = DataIdentity::of(&Dataset { labels: vec![1, 0], ..data() });
    assert_eq!(identity, DataIdentity::of(&data()));
    assert!(other != identity && relabelled != identity);
    let opened = Opened { session: session(), data: Some(identity.clone()) };
    assert_eq!(opened.strange_data(&identity), None);
    assert!(opened.strange_data(&other).unwrap().contains("another edition of two"));
    let without = Opened { session: Session { pins: [None, None], ..session() }, ..opened };
    assert_eq!(without.strange_data(&other), None);
}

/// Files that are no session of this program, and a word of the sentence about each.
fn damaged_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = serde_json::to_value(packed(&session(), None)).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = whole.clone();
        change(&mut value);
        value.to_string().into_bytes()
    };
    let text = whole.to_string();
    vec![
        ("an empty file", Vec::new(), "no PNG"),
        ("no JSON", b"{hello".to_vec(), "cannot read"),
        ("a cut file", text.as_bytes()[..text.len() / 2].to_vec(), "cannot read"),
        ("other JSON", b"{\"a\": 1}".to_vec(), "no session"),
        ("a list", b"[1, 2]".to_vec(), "no PNG"),
        ("an unknown key", changed(&|value| value["session"]["colour_of_socks"] = "red".into()), "colour_of_socks"),
        ("an unknown measure", changed(&|value| value["session"]["panes"][0]["measure"] = "socks".into()), "socks"),
        ("a wrong type", changed(&|value| value["session"]["seed"] = "many".into()), "many"),
        ("a missing key", changed(&|value| drop(value["session"].as_object_mut().unwrap().remove("line"))), "line"),
        ("a newer format", changed(&|value| value[VERSION_KEY] = 2.into()), "newer"),
        ("damaged data", changed(&|value| value[DATA_KEY] = 7.into()), "cannot read"),
        ("no member", changed(&|value| value["session"]["panes"][0]["members"] = json!([99])), "members"),
        ("no part of the plane", changed(&|value| value["session"]["width"] = json!(-1.0)), "width"),
        ("too many classifiers", changed(&|value| value["session"]["training"]["plan"]["members"] = u32::MAX.into()), "--members"),
        (
            "a huge image",
            changed(&|value| value["session"]["training"]["plan"]["data"]["shape"] = json!([(1_u64 << 33) + 1, 1_u64 << 31, 1])),
            "--shape",
        ),
        ("no engine", changed(&|value| value["session"]["engine"] = "steam".into()), "steam"),
        ("pixels", b"\x89PNG\r\n\x1a\nnothing".to_vec(), "damaged"),
    ]
}

#[test]
fn a_damaged_session_is_said_by_name_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(&Context::default(), start()).unwrap();
    let before = window.scope.session.clone();
    for (what, bytes, word) in damaged_files() {
        let path = folder.path().join("broken.json");
        std::fs::write(&path, bytes).unwrap();
        let error = window.open_now(Opening::Session(path.clone())).expect_err(what).to_string();
        assert!(error.contains("broken.json") && error.contains(word), "{what}: {error}");
        assert_eq!(window.scope.session, before, "{what}");
    }
    let error = window.open_now(Opening::Session(folder.path().join("none.json"))).unwrap_err().to_string();
    assert!(error.contains("none.json"), "{error}");
    assert!(window.complaints().is_empty());
}

fn start_in(folder: &Path) -> Start {
    Start { storage: Storage::in_folder(Some(folder.to_owned())), ..start() }
}

#[test]
fn the_last_session_comes_back_and_a_damaged_one_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let last = folder.path().join(LAST_SESSION);
    let mut window = Window::open(&Context::default(), start_in(folder.path())).unwrap();
    window.scope.session = session();
    window.preferences.hints_seen = true;
    window.open_panel("Holes");
    window.finish();
    drop(window);
    let mut window = Window::open(&Context::default(), start_in(folder.path())).unwrap();
    assert_eq!((&window.scope.session, window.preferences.hints_seen), (&session(), true));
    assert!(window.complaints().is_empty());
    assert!(open_panels(&window.preferences.tiles).contains("Holes"), "the tiles come back");

    for (number, bytes) in [b"{\"one\"".as_slice(), b"{\"two\""].into_iter().enumerate() {
        std::fs::write(&last, bytes).unwrap();
        drop(window);
        window = Window::open(&Context::default(), start_in(folder.path())).unwrap();
        let aside = folder.path().join(["session.damaged.json", "session.damaged-2.json"][number]);
        let said = window.complaints();
        assert!(said.len() == 1 && said[0].contains(&aside.display().to_string()), "{said:?}");
        assert_eq!(std::fs::read(&aside).unwrap(), bytes);
        window.finish();
        assert!(Storage::open(&last).is_ok());
    }
    drop(window);
    std::fs::write(folder.path().join(PREFERENCES), "no").unwrap();
    let window = Window::open(&Context::default(), start_in(folder.path())).unwrap();
    assert!(window.complaints()[0].contains("preferences.damaged.json"), "{:?}", window.complaints());
}

#[test]
fn a_named_session_keeps_the_preferences() {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("named.json");
    Storage::save(&named, &session(), None).unwrap();
    let liked = Preferences { appearance: Appearance::Light, hints_seen: true, ..Preferences::default() };
    std::fs::write(folder.path().join(PREFERENCES), serde_json::to_vec(&liked).unwrap()).unwrap();
    let start = Start { session: Some(named), ..start_in(folder.path()) };
    let mut window = Window::open(&Context::default(), start).unwrap();
    assert_eq!((&window.scope.session, window.preferences.appearance), (&session(), liked.appearance));
    window.finish();
    assert_eq!(Storage::in_folder(Some(folder.path().to_owned())).preferences().unwrap(), window.preferences);
}

#[test]
fn a_second_window_leaves_the_session_of_the_first_alone_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Window::open(&Context::default(), start_in(folder.path())).unwrap();
    let last = || std::fs::read(folder.path().join(LAST_SESSION)).unwrap();
    let mut first = open();
    first.finish();
    let (written, mut second) = (last(), open());
    let said = second.complaints();
    assert!(said.len() == 1 && said[0].contains("Another window") && said[0].contains("is not kept"), "{said:?}");
    second.scope.session = session();
    second.finish();
    assert_eq!(last(), written);
    first.scope.session = session();
    first.finish();
    assert_ne!(last(), written, "the negative control");
    drop((first, second));
    assert!(open().complaints().is_empty());
}

#[test]
fn a_session_of_other_models_opens_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let mut window = Window::open(&Context::default(), start()).unwrap();
    let mut other = session();
    Storage::save(&path, &other, None).unwrap();
    window.open_now(Opening::Session(path.clone())).unwrap();
    assert!(window.complaints().is_empty(), "the same models: {:?}", window.complaints());
    other.hashes.insert("vae".to_owned(), "0".repeat(64));
    Storage::save(&path, &other, None).unwrap();
    window.open_now(Opening::Session(path.clone())).unwrap();
    assert!(window.complaints()[0].contains("models are not those"), "{:?}", window.complaints());
    assert_eq!(window.scope.session, session(), "with the hashes of the models at hand");
}
