//! The window without a screen: frames are made and tessellated, and painted only where that is measured. For benchmarks and soak tests.

use crate::app::shell::software_painter::SoftwarePainter;
use crate::app::shell::start::Start;
use crate::app::shell::window::Window;
use crate::app::state::event::{Event as Wanted, Opening};
use crate::app::state::storage::Storage;
use crate::error::{Error, Result};
use crate::jobs::{MapSettings, ModelSet, Status};
use crate::random::{Purpose, Stream};
use eframe::egui::{
    Context, Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, RawInput, Rect, TouchPhase, Vec2, ViewportId,
    pos2, vec2,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// No map of a benchmark takes longer.
const LONGEST: Duration = Duration::from_mins(10);
/// A frame of a 60 Hz screen.
const FRAME: Duration = Duration::from_micros(16_667);

/// A window that nobody sees.
pub struct Headless {
    ctx: Context,
    window: Window,
    size: Vec2,
    since: Instant,
    painter: Option<SoftwarePainter>,
    /// When the window wants its next frame, after the last one.
    repaint_delay: Duration,
}

/// What the frames of a while took: our own time, update and tessellation, without painting.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct FrameTimes {
    /// How many there were.
    pub frames: usize,
    /// The median, in milliseconds.
    pub median_ms: f64,
    /// The 99th percentile, in milliseconds.
    pub p99_ms: f64,
    /// The longest, in milliseconds.
    pub longest_ms: f64,
}

impl Headless {
    /// Opens a window of that size in points.
    ///
    /// # Errors
    /// As [`Window::open`].
    pub fn open(start: Start, size: [f32; 2]) -> Result<Self> {
        let ctx = Context::default();
        let window = Window::open(&ctx, start)?;
        let (painter, repaint_delay) = (None, Duration::ZERO);
        Ok(Self { ctx, window, size: size.into(), since: Instant::now(), painter, repaint_delay })
    }

    /// Paints all frames from now on with the software renderer of this machine. Answers whether there is one. Before the first frame only:
    /// the painter needs every texture.
    ///
    /// # Errors
    /// When the renderer gives no device.
    pub fn paint(&mut self) -> Result<bool> {
        self.painter = SoftwarePainter::open([self.size.x as u32, self.size.y as u32])?;
        Ok(self.painter.is_some())
    }

    /// One frame with some events; answers how long it took.
    pub fn step(&mut self, events: Vec<Event>) -> Duration {
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, self.size)),
            time: Some(self.since.elapsed().as_secs_f64()),
            focused: true,
            events,
            ..RawInput::default()
        };
        let start = Instant::now();
        let mut output = self.ctx.run_ui(input, |ui| self.window.frame(ui));
        let meshes = self.ctx.tessellate(std::mem::take(&mut output.shapes), output.pixels_per_point);
        let took = start.elapsed();
        self.repaint_delay = output.viewport_output.get(&ViewportId::ROOT).map_or(Duration::MAX, |viewport| viewport.repaint_delay);
        if let Some(painter) = &mut self.painter {
            painter.paint(&meshes, &output.textures_delta);
        }
        output.drop_without_applying_deltas();
        took
    }

    /// Computes another map with so many points along each axis and draws, and frames whenever the window asks for one, as a screen would
    /// show them. Answers the map's settings, its models and the time until all members are complete.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn time_map(&mut self, grid: usize, samples: u32) -> Result<(MapSettings, Arc<ModelSet>, Duration)> {
        let (wakes, woken) = channel();
        self.ctx.set_request_repaint_callback(move |info| {
            // Nobody waits for frames after the map.
            wakes.send(info.delay).ok();
        });
        let session = &mut self.window.scope.session;
        (session.grid, session.samples) = (grid, samples);
        self.reseed();
        let settings = self.window.scope.session.map_settings(&self.window.scope.set)?;
        let start = Instant::now();
        let is_there = |headless: &Self| {
            let results = &headless.window.scope.results;
            results.map_status == Status::Done && results.live.as_ref().is_some_and(|live| live.read().settings == settings)
        };
        while !is_there(self) {
            if start.elapsed() > LONGEST {
                return Err(Error::setting("--members", "the map takes longer than ten minutes", "name fewer models"));
            }
            self.step(Vec::new());
            let mut due = Instant::now() + self.repaint_delay.clamp(FRAME, Duration::from_secs(1));
            while let Ok(delay) = woken.recv_timeout(due.saturating_duration_since(Instant::now())) {
                due = due.min(Instant::now() + delay.clamp(FRAME, Duration::from_secs(1)));
            }
        }
        Ok((settings, Arc::clone(&self.window.scope.set), start.elapsed()))
    }

    /// Whether the map is complete, or will not become so.
    pub fn is_done(&self) -> bool {
        !matches!(self.window.scope.results.map_status, Status::Working(_) | Status::Idle)
    }

    /// Whether a first picture of the map can be seen.
    pub fn has_picture(&self) -> bool {
        self.window.scope.results.values.first().is_some_and(|values| values.known > 0.0)
    }

    /// Opens the tab of training, and trains the session's choice into a folder.
    pub fn train(&mut self, library: &Path) {
        let window = &mut self.window;
        window.open_panel("Training");
        window.scope.sources.library = Some(library.to_owned());
        window.scope.ask(Wanted::StartTraining);
    }

    /// Frames until the map is complete.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn finish_map(&mut self) -> Result<()> {
        let start = Instant::now();
        self.step(Vec::new());
        while !self.is_done() {
            if start.elapsed() > LONGEST {
                return Err(Error::setting("--grid", "the map takes longer than ten minutes", "give a smaller one"));
            }
            std::thread::sleep(FRAME);
            self.step(Vec::new());
        }
        Ok(())
    }

    /// Frames at 60 Hz for a while, each with the events that `events` gives for its number.
    pub fn watch(&mut self, how_long: Duration, mut events: impl FnMut(u32, Vec2) -> Vec<Event>) -> FrameTimes {
        let start = Instant::now();
        let mut times = Vec::new();
        while start.elapsed() < how_long {
            let before = Instant::now();
            let took = self.step(events(times.len() as u32, self.size));
            times.push(took.as_secs_f64() * 1e3);
            std::thread::sleep(FRAME.saturating_sub(before.elapsed()));
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get(((times.len() - 1) as f64 * share).round() as usize).copied().unwrap_or(f64::NAN);
        FrameTimes { frames: times.len(), median_ms: at(0.5), p99_ms: at(0.99), longest_ms: at(1.0) }
    }

    /// Saves the session in that file, opens the shipped models, then the saved session.
    ///
    /// # Errors
    /// When the session cannot be written.
    pub fn open_everything(&mut self, session: &Path) -> Result<()> {
        let scope = &mut self.window.scope;
        Storage::save(session, &scope.session, None)?;
        scope.ask(Wanted::Open(Opening::Models(None)));
        scope.ask(Wanted::Open(Opening::Session(session.to_owned())));
        Ok(())
    }

    /// Chooses another engine.
    pub fn change_engine(&mut self) {
        let session = &mut self.window.scope.session;
        if session.engine == "cpu" { "auto" } else { "cpu" }.clone_into(&mut session.engine);
    }

    /// Begins the map anew with another seed.
    pub fn reseed(&mut self) {
        self.window.scope.session.seed = self.window.scope.session.seed.wrapping_add(1);
    }
}

/// Moves the pointer in circles over the map.
pub fn hovering(frame: u32, size: Vec2) -> Vec<Event> {
    let angle = frame as f32 * 0.07;
    let middle = pos2(size.x * 0.37, size.y * 0.4);
    vec![Event::PointerMoved(middle + vec2(angle.cos(), (angle * 1.3).sin()) * size.y * 0.2)]
}

/// What somebody does who understands nothing: moves, clicks, drags, wheels, keys, at random but by its seed.
pub fn random_events(seed: u32, frame: u32, size: Vec2) -> Vec<Event> {
    const KEYS: [Key; 22] = [
        Key::Num1,
        Key::Num2,
        Key::Num3,
        Key::Num4,
        Key::Num5,
        Key::Num6,
        Key::Num7,
        Key::OpenBracket,
        Key::CloseBracket,
        Key::M,
        Key::N,
        Key::C,
        Key::R,
        Key::E,
        Key::D,
        Key::H,
        Key::G,
        Key::L,
        Key::Num0,
        Key::Escape,
        Key::Z,
        Key::Y,
    ];
    let stream = Stream::new(seed, Purpose::Choice);
    let uniform = |index: u32| stream.uniform([frame, 0, 0], index);
    let at = pos2(uniform(0) as f32 * size.x, uniform(1) as f32 * size.y);
    let press = |pressed| Event::PointerButton { pos: at, button: PointerButton::Primary, pressed, modifiers: Modifiers::NONE };
    let key = |modifiers| {
        let key = KEYS[(uniform(3) * KEYS.len() as f64) as usize];
        [true, false].map(|pressed| Event::Key { key, physical_key: None, pressed, repeat: false, modifiers }).to_vec()
    };
    let mut events = vec![Event::PointerMoved(at)];
    match (uniform(2) * 20.0) as u32 {
        0..=3 => events.push(press(true)),
        4..=7 => events.push(press(false)),
        8..=10 => events.push(Event::MouseWheel {
            unit: MouseWheelUnit::Point,
            delta: vec2(0.0, (uniform(4) as f32 - 0.5) * 200.0),
            phase: TouchPhase::Move,
            source: MouseWheelSource::Wheel,
            modifiers: Modifiers::NONE,
        }),
        11..=13 => events.extend(key(Modifiers::NONE)),
        14 => events.extend(key(Modifiers::COMMAND)),
        _ => {}
    }
    events
}
