//! The tab alone, and in the window.

use super::*;
use crate::app::panels::attack::controls::Row;
use crate::app::shell::run::Program;
use crate::app::shell::window::Window;
use crate::app::state::choices::attack::AttackedImage;
use crate::app::state::session::{Pin, Session};
use crate::app::tests;
use crate::app::tests::{UnderTest as _, click, rest};
use crate::attack::{Norm, all};
use crate::data::Dataset;
use crate::jobs::{ModelSet, On, SharedEngine, attacked_answer};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;

type Alone = tests::Alone<AttackPanel>;

/// The tab alone over a session.
fn alone(change: impl FnOnce(&mut Session)) -> Alone {
    let set = Arc::new(ModelSet::shipped().unwrap());
    let engine = SharedEngine::open("cpu", &set).unwrap();
    let mut session = Session::new(&set);
    session.pins[0] = Some(Pin::Latent([1.0, -0.5]));
    (session.attack.samples, session.attack.iterations) = (5, Some(4));
    change(&mut session);
    let wake: Wake = Arc::new(|_| {});
    let scope = Scope { open_panels: ["Attack".to_owned()].into(), ..Scope::new(session, set, engine) };
    tests::alone(AttackPanel::new(&wake).unwrap(), scope, [1280.0, 240.0])
}

#[test]
fn a_click_on_attack_gives_an_image_of_larger_loss_within_the_budget() {
    for on in [On::Deterministic, On::Mc] {
        let mut harness = alone(|session| (session.attack.on, session.attack.epsilon) = (on, 0.2));
        harness.run_steps(2);
        assert!(harness.state().0.shown.is_none() && harness.state().1.results.attack_path.is_none(), "nobody has clicked");
        click(&mut harness, "Attack");
        rest(&mut harness);
        let (panel, scope) = harness.state();
        let attack = &panel.shown.as_ref().unwrap().attack;
        let end = attack.end.as_ref().unwrap();
        let loss = [&*attack.before, &end.after].map(|seen| -attacked_answer(seen, on)[attack.class].ln());
        assert!(loss[1] > loss[0] + 0.1, "{on:?}: {loss:?}");
        assert!(end.norms[0] > 0.05 && end.norms[0] <= 0.2 * (1.0 + 1e-6), "{:?}", end.norms);
        assert!(attack.image.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        assert!(scope.results.attack_path.as_ref().is_some_and(|path| path.len() >= 5 && path[0] != path[path.len() - 1]));
        let verdict = shown::verdict(attack, end, scope.classes());
        assert!(harness.query_by_label(&verdict).is_some(), "{verdict}");
        assert!(harness.query_by_label("Attack: difference").is_some());
        harness.state_mut().1.session.attack.path = false;
        harness.run_steps(2);
        assert!(harness.state().1.results.attack_path.is_none(), "the path can be hidden");
    }
}

#[test]
fn once_attacked_a_setting_attacks_anew_and_the_same_one_does_not() {
    let mut harness = alone(|_| {});
    click(&mut harness, "Attack");
    rest(&mut harness);
    let requests = |harness: &Alone| harness.state().0.workers.attack.requests();
    let image = |harness: &Alone| harness.state().0.shown.as_ref().unwrap().attack.image.clone();
    let (first, asked) = (image(&harness), requests(&harness));
    harness.run_steps(5);
    assert_eq!(requests(&harness), asked);
    harness.state_mut().1.session.attack.epsilon = 0.3;
    rest(&mut harness);
    assert!(requests(&harness) == asked + 1 && image(&harness) != first);
    harness.state_mut().1.session.attack.live = false;
    harness.state_mut().1.session.attack.epsilon = 0.05;
    rest(&mut harness);
    assert_eq!(requests(&harness), asked + 1, "not live, it waits for a click");
    harness.state_mut().1.session.attack.live = true;
    harness.state_mut().1.open_panels = ["Holes".to_owned()].into();
    rest(&mut harness);
    assert_eq!(requests(&harness), asked + 1, "a hidden tab asks for nothing");
}

#[test]
fn a_sweep_is_drawn_for_its_settings_and_stops_when_it_is_told() {
    let mut harness = alone(|_| {});
    click(&mut harness, "Sweep ε");
    rest(&mut harness);
    let points = harness.state().0.sweep.as_ref().unwrap().points.clone();
    assert!(points.len() == 13 && points[0].epsilon == 0.0 && (points[12].epsilon - 0.2).abs() <= 1e-12);
    assert!(points[12].class < points[0].class && points[12].entropy > 0.0, "{points:?}");
    let drawn = |harness: &Alone| harness.query_by_label("Curves over the budget of the attack").is_some();
    assert!(drawn(&harness));
    harness.state_mut().1.session.attack.epsilon = 0.15;
    harness.run_steps(2);
    assert!(drawn(&harness), "another budget is another place on the same curves");
    harness.state_mut().1.session.attack.method = "fgm".to_owned();
    harness.run_steps(2);
    assert!(!drawn(&harness), "another attack has other curves");
    (harness.state_mut().1.session.attack.on, harness.state_mut().1.session.attack.samples) = (On::Ensemble, 200);
    harness.state_mut().1.session.attack.choose("pgd", 784);
    harness.run_steps(2);
    click(&mut harness, "Sweep ε");
    click(&mut harness, "Stop sweep");
    assert!(!harness.state().0.is_busy() && harness.state().0.sweep.is_none());
}

#[test]
fn what_cannot_be_attacked_is_said_in_one_sentence() {
    let mut harness = alone(|session| session.pins = [None, None]);
    harness.run_steps(2);
    assert!(harness.query_by_label("There is no image to attack").is_some());
    harness.state_mut().1.session.pins[0] = Some(Pin::File("nowhere.png".into()));
    harness.run_steps(2);
    click(&mut harness, "Attack");
    rest(&mut harness);
    assert!(harness.query_all_by_label_contains("nowhere.png: ").count() == 1);
    let session = &mut harness.state_mut().1.session;
    session.pins[0] = Some(Pin::Latent([0.0, 0.0]));
    session.attack.choose("mi-evading", 784);
    rest(&mut harness);
    assert!(harness.query_all_by_label_contains("no mutual information to evade").count() == 1);
    assert!(harness.state().0.shown.is_none());
}

#[test]
fn a_failed_attack_leaves_no_old_numbers_and_is_said_at_its_control() {
    let mut harness = alone(|_| {});
    click(&mut harness, "Attack");
    rest(&mut harness);
    assert!(harness.state().0.shown.is_some());
    assert!(harness.query_all_by_label_contains("mean of 5 draws").next().is_some(), "the draws stand beside their numbers");
    // A live attack begins anew, and a deterministic network has no mutual information.
    harness.state_mut().1.session.attack.choose("mi-evading", 784);
    rest(&mut harness);
    assert!(harness.state().0.shown.is_none() && harness.state().1.results.attack_path.is_none());
    let error = harness.get_by_label_contains("no mutual information to evade").rect();
    let [above, below] = ["Attacked: ", "Aim: "].map(|name| harness.get_by_label_contains(name).rect());
    assert!(above.bottom() <= error.top() && error.bottom() <= below.top(), "{above:?} {error:?} {below:?}");
    assert!(harness.query_all_by_label_contains("--on").next().is_none(), "the window has no options");
}

#[test]
fn errors_are_said_at_the_row_of_their_setting() {
    let rows = ["--norm: n", "--eps: e", "--samples: s", "--on: o", "--targets: t", "--lambda: l", "a.png: p"].map(controls::row_of);
    assert_eq!(rows, [Row::Method, Row::Budget, Row::Numbers, Row::Victim, Row::Aim, Row::Fine, Row::Buttons]);
}

#[test]
fn an_image_of_the_data_is_attacked_by_its_label() {
    let mut harness = alone(|session| session.attack.image = AttackedImage::Data(1));
    harness.run_steps(2);
    let scope = &mut harness.state_mut().1;
    let images: Vec<f32> = (0..2 * 784).map(|pixel| (pixel % 7) as f32 / 7.0).collect();
    let data = Dataset::new("two", [1, 28, 28], images, vec![3, 4], scope.classes().to_vec()).unwrap();
    scope.data = Some(Arc::new(data));
    harness.run_steps(2);
    click(&mut harness, "Attack");
    rest(&mut harness);
    assert_eq!(harness.state().0.shown.as_ref().unwrap().attack.class, 4);
    harness.state_mut().1.session.attack.image = AttackedImage::Data(2);
    rest(&mut harness);
    assert!(harness.query_all_by_label_contains("no image of the number 2").count() == 1);
}

#[test]
fn every_method_and_norm_is_a_session_that_can_be_opened_and_others_are_not() {
    let set = ModelSet::shipped().unwrap();
    let values = set.ensemble().image_shape().iter().product();
    for attack in all() {
        let mut session = Session::new(&set);
        for norm in [Norm::L1, Norm::L2, Norm::Linf] {
            session.attack.measure_by(norm, values);
            session.attack.choose(attack.name(), values);
            session.check(&set).unwrap();
            assert!(session.attack.steps() > 0);
            let text = serde_json::to_string(&session).unwrap();
            assert_eq!(serde_json::from_str::<Session>(&text).unwrap(), session);
        }
    }
    let whole = Session::new(&set);
    let wrong: [fn(&mut AttackChoice); 7] = [
        |choice| choice.method = "socks".to_owned(),
        |choice| choice.epsilon = f64::NAN,
        |choice| choice.epsilon = 1.5,
        |choice| choice.samples = 0,
        |choice| choice.member = 99,
        |choice| choice.target = Some(10),
        |choice| choice.image = AttackedImage::Pin(2),
    ];
    for change in wrong {
        let mut session = whole.clone();
        change(&mut session.attack);
        let error = session.check(&set).unwrap_err().to_string();
        assert!(error.contains("'attack' of the session"), "{error}");
    }
    let mut older = serde_json::to_value(&whole).unwrap();
    older.as_object_mut().unwrap().remove("attack");
    assert_eq!(serde_json::from_value::<Session>(older).unwrap(), whole, "a session from before there were attacks");
}

#[test]
fn the_way_is_drawn_on_the_map_of_the_window_and_undo_brings_a_setting_back() {
    let mut harness = tests::harness([1280.0, 800.0]);
    let window: &mut Window = &mut harness.state_mut().0;
    window.open_panel("Attack");
    window.scope.session.pins[0] = Some(Pin::Latent([1.0, -0.5]));
    window.scope.session.attack.samples = 4;
    harness.run_steps(3);
    let map =
        |harness: &Harness<'static, Program>| harness.get_by(|node| node.label().is_some_and(|label| label.starts_with("Map 1:"))).rect();
    let before = map(&harness);
    let button = harness.get_all_by_label("Attack").last().unwrap();
    button.click();
    tests::wait(&mut harness, "the attack", |scope| scope.results.attack_path.as_ref().is_some_and(|path| path.len() > 10));
    let sweep = harness.get_by_label("Sweep ε");
    sweep.click();
    harness.run_steps(20);
    assert_eq!(map(&harness), before, "what the tab shows does not take the map's room");
    let before = tests::scope(&harness).session.clone();
    harness.state_mut().0.scope.session.attack.epsilon = 0.25;
    harness.run_steps(3);
    harness.key_press_modifiers(eframe::egui::Modifiers::COMMAND, eframe::egui::Key::Z);
    harness.run_steps(3);
    assert_eq!(tests::scope(&harness).session, before);
}

#[test]
fn a_method_has_its_own_settings_and_another_begins_with_the_usual_ones() {
    let mut harness = alone(|session| session.attack.choose("mim", 784));
    harness.run_steps(2);
    assert!(harness.query_by_label("decay").is_none(), "folded away");
    click(&mut harness, "more settings");
    harness.run_steps(10);
    assert!(harness.query_by_label("decay").is_some() && harness.query_by_label("λ").is_none());
    harness.state_mut().1.session.attack.fine.as_published = true;
    let settings = |harness: &Alone| Question::new(&harness.state().1).unwrap().settings.attack;
    assert!(settings(&harness).as_published);
    harness.state_mut().1.session.attack.choose("mi-evading", 784);
    harness.run_steps(2);
    assert!(!settings(&harness).as_published && harness.query_by_label("λ").is_some());
    harness.state_mut().1.session.attack.fine.decay = -1.0;
    let (_, scope) = harness.state();
    assert!(scope.session.check(&scope.set).unwrap_err().to_string().contains("--decay"));
}
