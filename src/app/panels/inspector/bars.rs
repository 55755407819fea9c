//! The class probabilities as bars: the mean, and every draw as a faint tick in its member's colour.

use crate::app::panels::inspector::probe::{Digest, Tick};
use crate::app::widgets::style;
use crate::jobs::Inspection;
use crate::numbers::counted;
use eframe::egui::text::{LayoutJob, TextWrapping};
use eframe::egui::{Align2, Color32, FontId, Mesh, Painter, Rect, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};

/// The height of a class.
const ROW: f32 = 15.0;
/// How opaque one draw is; several in one place add up.
const FAINT: f32 = 0.3;
/// The widest name of a class.
const NAME: f32 = 64.0;
/// The width of a number.
const NUMBER: f32 = 40.0;

/// The ticks of every draw of the members at some places for bars of some width. Draws within one point are one tick, so their number is bounded by the
/// screen rather than by the draws.
pub fn ticks(inspection: &Inspection, shown: &[usize], width: f32) -> Vec<Tick> {
    let (classes, places) = (inspection.classes(), width.max(1.0) as usize + 1);
    let mut counts = vec![0u32; classes * places];
    let mut ticks = Vec::new();
    for (lane, &place) in shown.iter().enumerate() {
        counts.fill(0);
        for draw in inspection.draws(place).chunks_exact(classes) {
            for (class, p) in draw.iter().enumerate() {
                counts[class * places + ((p * (places - 1) as f32).round() as usize).min(places - 1)] += 1;
            }
        }
        ticks.extend(counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(at, &count)| Tick {
            class: at / places,
            lane,
            x: (at % places) as f32,
            opacity: 1.0 - (1.0 - FAINT).powi(count.min(100) as i32),
        }));
    }
    ticks
}

/// Draws the bars over the whole width.
pub fn show(ui: &mut Ui, classes: &[String], inspection: &Inspection, digest: &mut Digest) {
    let font = FontId::proportional(11.5);
    let widest = |name: &String| ui.painter().layout_no_wrap(name.clone(), font.clone(), Color32::WHITE).size().x;
    let name_width = classes.iter().map(widest).fold(0.0, f32::max).ceil().min(NAME);
    let size = vec2(ui.available_width(), ROW * classes.len() as f32);
    let (area, _) = ui.allocate_exact_size(size, Sense::hover());
    let left = area.left() + name_width + 5.0;
    let width = (area.right() - NUMBER - left).max(1.0).floor();
    if digest.ticks.as_ref().is_none_or(|(of, _)| *of != width) {
        digest.ticks = Some((width, ticks(inspection, &digest.places, width)));
    }
    let (best, _) = digest.prediction();
    let painter = ui.painter().clone();
    for (class, name) in classes.iter().enumerate() {
        let row = Rect::from_min_size(pos2(area.left(), area.top() + ROW * class as f32), vec2(area.width(), ROW));
        let bar = Rect::from_min_size(pos2(left, row.top() + 1.0), vec2(width, ROW - 2.0));
        let mean = digest.mean[class];
        draw(ui, &painter, row, bar, name, mean, class == best, &font);
        let response = ui.interact(row, ui.scope_id().with(("class", class)), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Meter, true, format!("class {name}: {mean:.2}")));
        response.on_hover_ui(|ui| members(ui, digest, class, name, inspection.settings.samples));
    }
    if let Some((_, ticks)) = &digest.ticks {
        painter.add(mesh(ticks, &digest.members, pos2(left, area.top()), ui.visuals().dark_mode));
    }
    for (class, &mean) in digest.mean.iter().enumerate() {
        let x = left + width * mean as f32;
        if x < left + 1.5 {
            // A line at the end of every bar would say nothing.
            continue;
        }
        let top = area.top() + ROW * class as f32;
        painter.vline(x, top + 1.0..=top + ROW - 1.0, Stroke::new(1.5, ui.visuals().strong_text_color()));
    }
}

#[allow(clippy::too_many_arguments, reason = "the parts of one row")]
fn draw(ui: &Ui, painter: &Painter, row: Rect, bar: Rect, name: &str, mean: f64, is_best: bool, font: &FontId) {
    let visuals = ui.visuals();
    let ink = if is_best { visuals.strong_text_color() } else { visuals.weak_text_color() };
    let mut job = LayoutJob::simple_singleline(name.to_owned(), font.clone(), ink);
    job.wrap = TextWrapping::truncate_at_width(bar.left() - 5.0 - row.left());
    let galley = painter.layout_job(job);
    painter.galley(pos2(bar.left() - 5.0 - galley.size().x, row.center().y - galley.size().y / 2.0), galley, ink);
    painter.rect_filled(bar, 2.0, visuals.faint_bg_color);
    let fill = if is_best { style::ACCENT.gamma_multiply(0.55) } else { visuals.weak_text_color().gamma_multiply(0.3) };
    let filled = Rect::from_min_size(bar.min, vec2(bar.width() * mean.clamp(0.0, 1.0) as f32, bar.height()));
    painter.rect_filled(filled, 2.0, fill);
    painter.text(pos2(row.right(), row.center().y), Align2::RIGHT_CENTER, format!("{mean:.3}"), FontId::monospace(11.0), ink);
}

/// All ticks as one mesh: each member has a lane of its own within a row.
fn mesh(ticks: &[Tick], members: &[usize], corner: eframe::egui::Pos2, dark: bool) -> Mesh {
    let colours: Vec<Color32> = members.iter().map(|&member| style::of_member(member, dark)).collect();
    let lane = (ROW - 3.0) / members.len() as f32;
    let mut mesh = Mesh::default();
    for tick in ticks {
        let centre = pos2(corner.x + tick.x, corner.y + ROW * tick.class as f32 + 1.5 + lane * (tick.lane as f32 + 0.5));
        let rect = Rect::from_center_size(centre, vec2(1.5, lane.max(1.3)));
        mesh.add_colored_rect(rect, colours[tick.lane].gamma_multiply(tick.opacity));
    }
    mesh
}

/// What each member says of a class.
fn members(ui: &mut Ui, digest: &Digest, class: usize, name: &str, samples: u32) {
    ui.strong(format!("Class {name}: {:.4}", digest.mean[class]));
    ui.label(style::note(format!("{} of each member, as ticks in its colour", counted(samples, "draw"))));
    for (&member, mean) in digest.members.iter().zip(&digest.of_members) {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 5.0;
            let (swatch, _) = ui.allocate_exact_size(vec2(9.0, 9.0), Sense::hover());
            ui.painter().rect_filled(swatch, 2.0, style::of_member(member, ui.visuals().dark_mode));
            ui.label(format!("member {member}"));
            ui.monospace(format!("{:.4}", mean[class]));
        });
    }
}
