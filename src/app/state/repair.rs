//! What becomes of a session when models, classes or files that it names are gone.

use crate::app::state::choices::attack::AttackChoice;
use crate::app::state::choices::detection::DetectionChoice;
use crate::app::state::session::PIN_NAMES;
use crate::app::state::session::{Pin, Session};
use crate::jobs::ModelSet;
use crate::jobs::training::DataChoice;

impl Session {
    /// Gives the members that maps and attacks name their new numbers; those that have none are left out.
    pub fn renumber_members(&mut self, number_of: impl Fn(usize) -> Option<usize>) {
        for pane in &mut self.panes {
            pane.members = pane.members.iter().filter_map(|&member| number_of(member)).collect();
            pane.members.sort_unstable();
            pane.members.dedup();
            if pane.members.is_empty() {
                pane.members.push(0);
            }
        }
        for attack in [&mut self.attack, &mut self.detection.attack] {
            attack.member = number_of(attack.member).unwrap_or(0);
        }
    }

    /// Keeps what still makes sense with entirely other models: not the numbers of images where these are about other data. Maps of all
    /// members show all of the new ones. Returns what was reset, a sentence each.
    pub fn move_to(&mut self, before: &ModelSet, after: &ModelSet) -> Vec<String> {
        if has_other_data(before, after) {
            self.pins.iter_mut().for_each(|pin| *pin = pin.take().filter(|pin| !matches!(pin, Pin::Data(_))));
            self.line.images = [None, None];
        }
        let [count, now] = [before, after].map(|set| set.ensemble().members().len());
        self.renumber_members(|member| Some(member).filter(|&member| member < now));
        for pane in self.panes.iter_mut().filter(|pane| count > 1 && pane.members.len() == count.min(now)) {
            pane.members = (0..now).collect();
        }
        self.fit_to(after)
    }

    /// Leaves out the classes that other models do not have, and the settings that do not fit them; says which settings these are.
    pub fn fit_to(&mut self, set: &ModelSet) -> Vec<String> {
        let classes = set.ensemble().classes().len();
        self.overlays.hidden.retain(|&class| class < classes);
        for attack in [&mut self.attack, &mut self.detection.attack] {
            attack.target = attack.target.filter(|&class| class < classes);
        }
        let mut lost = Vec::new();
        if let Some(problem) = self.attack.problem(set) {
            self.attack = AttackChoice::default();
            lost.push(format!("The settings of the attack do not fit these models ({problem}) and are the usual ones."));
        }
        if let Some(problem) = self.detection.problem(set) {
            self.detection = DetectionChoice::default();
            lost.push(format!("The settings of the detection do not fit these models ({problem}) and are the usual ones."));
        }
        lost
    }

    /// Says which images and data the session names that are not there.
    pub fn missing_files(&self) -> Vec<String> {
        let pins = self.pins.iter().zip(PIN_NAMES).filter_map(|(pin, name)| match pin {
            Some(Pin::File(path)) if !path.is_file() => Some(format!("The image of pin {name}, {}, is not there.", path.display())),
            _ => None,
        });
        let data = match &self.training.plan.data.source {
            DataChoice::Folder(path) if !path.exists() => Some(format!("The training data in {} are not there.", path.display())),
            _ => None,
        };
        pins.chain(data).collect()
    }
}

/// Whether two model sets are about other data: images of another shape, or other classes.
pub fn has_other_data(one: &ModelSet, other: &ModelSet) -> bool {
    let [one, other] = [one, other].map(ModelSet::ensemble);
    one.image_shape() != other.image_shape() || one.classes() != other.classes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::shell::run::Program;
    use crate::app::shell::start::Start;
    use crate::app::shell::window::Window;
    use crate::app::state::event::{Event, Opening};
    use crate::app::state::storage::Storage;
    use crate::app::tests::{start, until, wait};
    use crate::jobs::{Additions, ModelSet};
    use eframe::egui::Context;
    use egui_kittest::Harness;
    use std::path::Path;

    /// A folder with copies of shipped classifiers, `one`, `two` and `three`.
    fn library() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for (name, number) in [("one", 1), ("two", 2), ("three", 3)] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("models/classifier-{number}"));
            std::fs::create_dir(home.path().join(name)).unwrap();
            for file in ["model.json", "weights.safetensors"] {
                std::fs::copy(from.join(file), home.path().join(name).join(file)).unwrap();
            }
        }
        home
    }

    fn additions(library: &Path) -> Additions {
        Additions { vae: None, members: ["one", "two", "three"].map(|name| library.join(name)).to_vec() }
    }

    /// A session of the shipped models and the library's, with a member of each.
    fn session(library: &Path) -> Session {
        let additions = additions(library);
        let mut session = Session { additions: additions.clone(), ..Session::new(&ModelSet::open_with(None, &additions).unwrap()) };
        session.centre = [1.5, -0.5];
        session.pins = [Some(Pin::Data(3)), Some(Pin::Latent([0.5, 0.25]))];
        session.panes[0].members = vec![0, 10, 11, 12];
        session.panes[1].members = vec![11];
        session.panes[2].members = vec![12];
        session.attack.member = 12;
        session
    }

    #[test]
    fn a_session_whose_models_and_images_are_gone_opens_with_the_rest() {
        let home = library();
        let (file, mut window) = (home.path().join("a.json"), Window::open(&Context::default(), start()).unwrap());
        let whole = session(home.path());
        Storage::save(&file, &whole, None).unwrap();
        window.open_now(Opening::Session(file.clone())).unwrap();
        assert!(window.scope.session == whole && window.complaints().is_empty(), "the negative control: {:?}", window.complaints());

        std::fs::remove_dir_all(home.path().join("two")).unwrap();
        let vae = home.path().join("no-vae");
        let mut lost = Session { additions: Additions { vae: Some(vae.clone()), ..whole.additions.clone() }, ..whole.clone() };
        lost.pins[1] = Some(Pin::File(home.path().join("gone.png")));
        lost.training.plan.data.source = DataChoice::Folder(home.path().join("no-data"));
        Storage::save(&file, &lost, None).unwrap();
        window.open_now(Opening::Session(file.clone())).unwrap();
        let said = window.complaints().join("\n");
        for word in ["no-vae", "two", "gone.png", "no-data"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        let opened = &window.scope.session;
        let members: Vec<&[usize]> = opened.panes.iter().map(|pane| pane.members.as_slice()).collect();
        assert_eq!(members[..3], [&[0, 10, 11][..], &[0], &[11]], "the third is the second now");
        assert_eq!((opened.attack.member, &opened.pins, opened.centre), (11, &lost.pins, whole.centre));
        assert_eq!(opened.additions, Additions { vae: None, members: [0, 2].map(|at| whole.additions.members[at].clone()).to_vec() });

        Storage::save(&file, &Session { models: Some(home.path().join("no-models")), ..whole }, None).unwrap();
        window.open_now(Opening::Session(file.clone())).unwrap();
        assert!(window.scope.session.models.is_none() && window.complaints().join("\n").contains("no-models"));
    }

    #[test]
    fn numbers_of_images_do_not_move_to_models_of_other_data() {
        let digits = ModelSet::shipped().unwrap();
        let photographs = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cats-dogs");
        let photographs = ModelSet::open_with(Some(&photographs), &Additions::default()).unwrap();
        let mut session = Session::new(&digits);
        session.pins = [Some(Pin::Latent([1.0, 2.0])), Some(Pin::Data(3))];
        session.line.images = [Some(1), None];
        session.overlays.hidden = vec![1, 7];
        session.move_to(&digits, &digits);
        assert_eq!((&session.pins[1], session.line.images[0]), (&Some(Pin::Data(3)), Some(1)), "the same data");
        session.move_to(&digits, &photographs);
        assert_eq!((&session.pins, session.line.images), (&[Some(Pin::Latent([1.0, 2.0])), None], [None, None]));
        assert_eq!(session.overlays.hidden, [1], "there are two classes");
        assert_eq!(session.panes[2].members.len(), photographs.ensemble().members().len());
        session.check(&photographs).unwrap();
    }

    #[test]
    fn the_next_start_goes_on_without_what_is_gone_and_keeps_the_session_as_it_was() {
        let (home, config) = (library(), tempfile::tempdir().unwrap());
        let at = |name: &str| config.path().join(name);
        Storage::save(&at("session.json"), &session(home.path()), None).unwrap();
        std::fs::remove_dir_all(home.path().join("one")).unwrap();
        let open =
            || Window::open(&Context::default(), Start { storage: Storage::in_folder(Some(config.path().into())), ..start() }).unwrap();
        let mut window = open();
        assert!(window.complaints().len() == 1 && window.complaints()[0].contains("session.damaged.json"), "{:?}", window.complaints());
        assert_eq!(window.scope.session.pins, session_pins());
        assert!(at("session.damaged.json").exists());
        window.finish();
        drop(window);
        let window = open();
        assert!(window.complaints().is_empty() && !at("session.damaged-2.json").exists(), "{:?}", window.complaints());
    }

    fn session_pins() -> [Option<Pin>; 2] {
        [Some(Pin::Data(3)), Some(Pin::Latent([0.5, 0.25]))]
    }

    #[test]
    fn a_model_that_the_session_uses_leaves_it_before_it_is_deleted() {
        let home = library();
        let (two, folder) = (home.path().join("two"), home.path().to_owned());
        let mut harness = Harness::builder().build_eframe(|creation| {
            let start = Start { additions: additions(&folder), library: Some(folder.clone()), ..start() };
            let set = ModelSet::open_with(None, &start.additions).unwrap();
            let mut window = Window::open(&creation.egui_ctx, Start { set, ..start }).unwrap();
            window.scope.session = Session { grid: 16, samples: 2, ..session(&folder) };
            Program(window)
        });
        harness.state_mut().0.scope.ask(Event::Open(Opening::Without(two.clone())));
        wait(&mut harness, "the deletion", |_| !two.exists());
        let window = &harness.state().0;
        let session = &window.scope.session;
        assert_eq!(
            (&session.panes[0].members[..], &session.panes[2].members[..], session.attack.member),
            (&[0, 10, 11][..], &[11][..], 11)
        );
        assert_eq!((session.additions.members.len(), &session.pins), (2, &session_pins()));
        assert!(window.complaints().is_empty() && home.path().join("one").exists(), "{:?}", window.complaints());
        // One that is not in use goes by itself.
        assert!(ModelSet::open_with(None, &session.additions).is_ok_and(|set| set.hashes == session.hashes));
    }

    #[test]
    fn what_is_wanted_together_is_opened_one_after_another_and_what_fails_changes_nothing() {
        let home = library();
        let mut harness = Harness::builder().build_eframe(|creation| Program(Window::open(&creation.egui_ctx, start()).unwrap()));
        harness.state_mut().0.scope.session.grid = 16;
        harness.state_mut().0.scope.session.samples = 2;
        for name in ["one", "none", "two"] {
            harness.state_mut().0.scope.ask(Event::Open(Opening::Members(home.path().join(name))));
        }
        wait(&mut harness, "both members", |scope| scope.set.ensemble().members().len() == 12);
        let window = &harness.state().0;
        assert_eq!(window.scope.session.additions.members, ["one", "two"].map(|name| home.path().join(name)));
        assert!(matches!(window.complaints(), [one] if one.contains("none")), "{:?}", window.complaints());

        let engine = window.scope.engine.asked().to_owned();
        harness.state_mut().0.scope.session.engine = "steam".to_owned();
        until(&mut harness, "the complaint", |harness| harness.state().0.complaints().len() == 2);
        assert!(harness.state().0.complaints()[1].contains("steam"));
        assert_eq!(harness.state().0.scope.session.engine, engine);
    }
}
