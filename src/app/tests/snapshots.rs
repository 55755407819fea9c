//! Pictures of every tab in both themes against the stored ones.

use crate::app::panels::panel::Place;
use crate::app::shell::run::Program;
use crate::app::shell::window::Window;
use crate::app::state::session::{Layout, Pin};
use crate::app::state::storage::Appearance;
use crate::app::tests::{UnderTest as _, settle, start};
use crate::app::widgets::style;
use eframe::egui::vec2;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use std::time::{Duration, Instant};

/// Whether a test may skip what needs a graphics adapter: only where nobody has said that there is one.
fn has_no_adapter() -> bool {
    let instance =
        eframe::egui_wgpu::wgpu::Instance::new(eframe::egui_wgpu::wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(eframe::egui_wgpu::wgpu::Backends::PRIMARY));
    assert!(!adapters.is_empty() || std::env::var_os("EPISTEMAP_REQUIRE_GPU").is_none(), "there is no graphics adapter");
    adapters.is_empty()
}

#[test]
fn every_tab_looks_as_it_did() {
    if has_no_adapter() {
        return eprintln!("skipped: there is no graphics adapter, and no software Vulkan");
    }
    let mut results = egui_kittest::SnapshotResults::new();
    for theme in [eframe::egui::Theme::Dark, eframe::egui::Theme::Light] {
        let builder = Harness::builder().with_size(vec2(1280.0, 800.0)).with_step_dt(1.0 / 60.0).with_theme(theme);
        // Text and edges differ by a shade between versions of the software renderer; a moved or missing part differs by more.
        let options = egui_kittest::SnapshotOptions::new().threshold(1.0).max_failed_pixels(1500);
        let mut harness = builder.with_options(options).wgpu().build_eframe(|creation| {
            let mut window = Window::open(&creation.egui_ctx, start()).unwrap();
            window.scope.session.grid = 32;
            window.scope.session.samples = 5;
            window.scope.session.line.pairs = 100;
            let detection = &mut window.scope.session.detection;
            (detection.images, detection.attack.samples, detection.attack.epsilon) = (60, 5, 0.2);
            window.scope.session.pins = [Some(Pin::Latent([-3.0, 3.0])), None];
            window.preferences.hints_seen = true;
            window.preferences.appearance = if theme == eframe::egui::Theme::Dark { Appearance::Dark } else { Appearance::Light };
            style::apply(window.preferences.appearance, &creation.egui_ctx);
            Program(window)
        });
        settle(&mut harness);
        let names: Vec<&str> =
            harness.state().0.panels.iter().filter(|panel| panel.place() == Place::Tab).map(|panel| panel.name()).collect();
        for (number, name) in names.into_iter().enumerate() {
            let window = &mut harness.state_mut().0;
            window.open_panel(name);
            // Each tab with another look of the maps.
            window.scope.session.layout = Layout::ALL[number % 3];
            window.scope.session.overlays.encodings = number == 0;
            window.scope.session.overlays.density = number == 1;
            window.scope.session.overlays.holes = name == "Holes";
            settle(&mut harness);
            rest_of(&mut harness, name);
            let theme = if theme == eframe::egui::Theme::Dark { "dark" } else { "light" };
            results.add(harness.try_snapshot(format!("{}-{theme}", name.to_lowercase())));
            // These tabs show nothing before it is asked for.
            let computes = match name {
                "Population" => "Compute",
                "Detection" => "Detect",
                _ => continue,
            };
            harness.get_by_label(computes).click();
            harness.run_steps(2);
            rest_of(&mut harness, name);
            results.add(harness.try_snapshot(format!("{}-results-{theme}", name.to_lowercase())));
        }
    }
}

/// Frames until neither the maps nor an open tab computes anything, and the pointer is gone.
fn rest_of(harness: &mut Harness<'static, Program>, tab: &str) {
    let start = Instant::now();
    loop {
        harness.run_steps(2);
        // What is hidden asks for nothing.
        let mut seen = harness.state().0.panels.iter().filter(|panel| panel.place() != Place::Tab || panel.name() == tab);
        if !seen.any(|panel| panel.is_busy()) {
            break;
        }
        assert!(start.elapsed() < Duration::from_mins(3), "{tab} does not come to rest");
        std::thread::sleep(Duration::from_millis(20));
    }
    harness.run_steps(4);
    harness.remove_cursor();
    harness.run_steps(2);
}
