//! One visual language: colours, spacing and text of the window, light and dark.

use crate::app::state::storage::Appearance;
use crate::app::state::wording::in_window;
use crate::figure::{ATTACK_COLOUR, Rgb, class_colour};
use crate::jobs::Status;
use crate::numbers::{fixed, typeset};
use eframe::egui::{
    self, Color32, Context, CornerRadius, FontId, Response, RichText, Role, Stroke, TextStyle, Theme, Visuals, WidgetInfo, vec2,
};
use egui_plot::{AxisHints, Corner, GridInput, GridMark, Legend, Line, Plot, PlotPoints};
use std::time::Duration;

/// Shows the window in an appearance.
pub fn apply(appearance: Appearance, ctx: &Context) {
    ctx.set_theme(match appearance {
        Appearance::System => egui::ThemePreference::System,
        Appearance::Dark => egui::ThemePreference::Dark,
        Appearance::Light => egui::ThemePreference::Light,
    });
}

/// The colour of what is chosen.
pub const ACCENT: Color32 = Color32::from_rgb(0x2f, 0x9e, 0x8f);
/// The way of an attack on the map.
pub const ATTACK: Color32 = Color32::from_rgb(ATTACK_COLOUR[0], ATTACK_COLOUR[1], ATTACK_COLOUR[2]);
/// The two pins.
pub const PINS: [Color32; 2] = [Color32::from_rgb(0xff, 0xb0, 0x00), Color32::from_rgb(0x64, 0xb5, 0xff)];

/// Sets sizes and colours for the whole window.
pub fn install(ctx: &Context) {
    for theme in [Theme::Dark, Theme::Light] {
        ctx.set_visuals_of(theme, visuals(theme));
    }
    ctx.all_styles_mut(|style| {
        style.spacing.item_spacing = vec2(8.0, 5.0);
        style.spacing.button_padding = vec2(7.0, 3.0);
        style.spacing.slider_width = 96.0;
        style.spacing.combo_width = 80.0;
        style.spacing.tooltip_width = 360.0;
        style.spacing.scroll = egui::style::ScrollStyle::thin();
        for (text, size) in [(TextStyle::Body, 13.0), (TextStyle::Button, 13.0), (TextStyle::Small, 11.0), (TextStyle::Heading, 15.0)] {
            style.text_styles.insert(text, FontId::proportional(size));
        }
        style.text_styles.insert(TextStyle::Monospace, FontId::monospace(12.0));
    });
}

fn visuals(theme: Theme) -> Visuals {
    let mut visuals = theme.default_visuals();
    let radius = CornerRadius::same(4);
    match theme {
        Theme::Dark => {
            visuals.panel_fill = Color32::from_gray(24);
            visuals.window_fill = Color32::from_gray(30);
            visuals.extreme_bg_color = Color32::from_gray(14);
            visuals.faint_bg_color = Color32::from_gray(32);
            visuals.override_text_color = Some(Color32::from_gray(218));
            visuals.hyperlink_color = ACCENT;
            visuals.warn_fg_color = Color32::from_rgb(0xe0, 0x7b, 0x39);
            visuals.error_fg_color = ATTACK;
        }
        Theme::Light => {
            visuals.panel_fill = Color32::from_gray(246);
            visuals.window_fill = Color32::from_gray(252);
            visuals.extreme_bg_color = Color32::WHITE;
            visuals.faint_bg_color = Color32::from_gray(238);
            visuals.override_text_color = Some(Color32::from_gray(30));
            visuals.weak_text_alpha = 0.7;
            visuals.hyperlink_color = Color32::from_rgb(0x0f, 0x76, 0x6a);
            visuals.warn_fg_color = Color32::from_rgb(0xa8, 0x4b, 0x00);
            visuals.error_fg_color = Color32::from_rgb(0xc6, 0x28, 0x20);
        }
    }
    visuals.selection.bg_fill = ACCENT.gamma_multiply(if theme == Theme::Dark { 0.55 } else { 0.35 });
    visuals.selection.stroke = Stroke::new(1.0, if theme == Theme::Dark { Color32::WHITE } else { Color32::BLACK });
    for widget in [
        &mut visuals.widgets.noninteractive,
        &mut visuals.widgets.inactive,
        &mut visuals.widgets.hovered,
        &mut visuals.widgets.active,
        &mut visuals.widgets.open,
    ] {
        widget.corner_radius = radius;
    }
    visuals
}

/// A colour of figures as the window's.
pub fn colour([red, green, blue]: Rgb) -> Color32 {
    Color32::from_rgb(red, green, blue)
}

/// The colour of a class.
pub fn of_class(class: usize) -> Color32 {
    colour(class_colour(class))
}

/// The colour of a curve: Okabe & Ito (2008), lighter ones on a dark ground.
pub fn of_curve(number: usize, dark: bool) -> Color32 {
    const DARK: [u32; 5] = [0x56_b4e9, 0xe6_9f00, 0x2b_c59a, 0xf0_e442, 0xcc_79a7];
    const LIGHT: [u32; 5] = [0x00_72b2, 0xd5_5e00, 0x00_9e73, 0x8a_7a00, 0xaa_4f86];
    let code = (if dark { DARK } else { LIGHT })[number % DARK.len()];
    Color32::from_rgb((code >> 16) as u8, (code >> 8) as u8, code as u8)
}

/// The colour of an ensemble member: evenly spaced hues of one lightness, so that ten can be told apart.
pub fn of_member(member: usize, dark: bool) -> Color32 {
    let hue = (member as f32 * 0.618_034 + 0.45).fract();
    egui::ecolor::Hsva::new(hue, 0.55, if dark { 0.9 } else { 0.65 }, 1.0).into()
}

/// Gives a control the name that screen readers say, where nothing on the screen names it.
pub fn named(response: Response, role: Role, name: &str) -> Response {
    response.widget_info(|| WidgetInfo::labeled(role, true, name));
    response
}

/// A plot over the height that is left, which neither pans nor zooms: its axes are those of all that it shows.
pub fn still_plot<'a>(ui: &egui::Ui, name: &'static str) -> Plot<'a> {
    Plot::new(name)
        .height(ui.available_height().max(30.0))
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .allow_axis_zoom_drag(false)
        // Lines of the grid gain strength with their distance: these stay behind the curves.
        .grid_spacing(egui::Rangef::new(BASE_STEP as f32, 700.0))
        .custom_x_axes(vec![ticks(AxisHints::new_x(), X_SPACING)])
        .custom_y_axes(vec![ticks(AxisHints::new_y(), Y_SPACING)])
        .x_grid_spacer(|input| marks(&input, X_SPACING))
        .y_grid_spacer(|input| marks(&input, Y_SPACING))
}

/// Ticks of plots are at least so many points apart: their labels stand side by side, and one below the other.
const X_SPACING: f32 = 44.0;
const Y_SPACING: f32 = 24.0;
/// `egui_plot` gives its spacers the step that is so many points long.
const BASE_STEP: f64 = 8.0;

/// An axis with small labels at every tick.
fn ticks(axis: AxisHints<'_>, spacing: f32) -> AxisHints<'_> {
    axis.label_spacing(egui::Rangef::new(0.6 * spacing, 0.95 * spacing))
        .tick_label_font(FontId::proportional(10.5))
        .formatter(|mark, _| typeset(&fixed(mark.value, decimals(mark.step_size))))
}

/// The decimals that multiples of a step need.
fn decimals(step: f64) -> usize {
    (-step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize
}

/// Ticks at multiples of 1, 2 or 5 times a power of ten, as many as fit: powers of ten alone leave a small plot with one or two.
fn marks(input: &GridInput, spacing: f32) -> Vec<GridMark> {
    let least = input.base_step_size * f64::from(spacing) / BASE_STEP;
    let power = 10_f64.powf(least.log10().floor());
    let step_size = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least * (1.0 - 1e-9));
    let (low, high) = input.bounds;
    let Some(step_size) = step_size.filter(|_| low.is_finite() && high.is_finite()) else { return Vec::new() };
    let [first, last] = [(low / step_size).ceil() as i64, (high / step_size).floor() as i64];
    (first..=last).map(|number| GridMark { value: number as f64 * step_size, step_size }).collect()
}

/// A small legend, through which curves can be seen.
pub fn legend() -> Legend {
    Legend::default().position(Corner::RightTop).background_alpha(0.6).text_style(TextStyle::Small)
}

/// A line of a plot through every one of its points. `egui_plot` draws points that share an x as a band from the lowest to the highest, which
/// makes wedges of the steps of a histogram or of an ROC curve.
pub fn line<'a>(name: impl Into<String>, points: impl Into<PlotPoints<'a>>) -> Line<'a> {
    Line::new(name, points).allow_band(false)
}

/// The label of a tick as the screen's font can write it: it has no raised minus, so 2×10⁻⁵ is 2e−5.
pub fn tick(label: &str) -> String {
    let Some((factor, power)) = label.split_once("×10") else { return label.to_owned() };
    let lowered = |raised: char| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|digit| digit == raised).map_or('−', |digit| (b'0' + digit as u8) as char);
    format!("{factor}e{}", power.chars().map(lowered).collect::<String>())
}

/// A number's text with a true minus.
pub fn signed(text: impl Into<String>) -> String {
    typeset(&text.into())
}

/// The time between two frames while only progress changes.
pub const PROGRESS: Duration = Duration::from_millis(220);

/// A small grey note.
pub fn note(text: impl Into<String>) -> RichText {
    RichText::new(text).small().weak()
}

/// What stands in the middle of a panel that has nothing to show: a headline and what to do.
pub fn empty(ui: &mut egui::Ui, headline: &str, what_to_do: &str) {
    ui.vertical_centered(|ui| {
        ui.add_space((ui.available_height() * 0.3).min(60.0));
        ui.label(RichText::new(headline).heading());
        ui.label(RichText::new(what_to_do).weak());
    });
}

/// A progress bar without animation, which would be repainted all the time.
pub fn bar(ui: &mut egui::Ui, share: f32, width: f32) {
    ui.add(egui::ProgressBar::new(share).desired_width(width).desired_height(5.0));
}

/// A worker's state as a line; nothing when it is idle or done. Answers whether the line was drawn.
pub fn status_line(ui: &mut egui::Ui, what: &str, status: &Status) -> bool {
    match status {
        Status::Idle | Status::Done => false,
        Status::Working(progress) => {
            ui.horizontal(|ui| {
                if progress.total > 0 {
                    bar(ui, progress.done as f32 / progress.total as f32, 48.0);
                }
                let share = (100 * progress.done).checked_div(progress.total).map_or(" …".to_owned(), |share| format!(" {share} %"));
                // In a narrow column it must not push the panel wider.
                ui.add(egui::Label::new(note(format!("{what}{share}"))).truncate());
            });
            true
        }
        Status::Failed(sentence) => {
            ui.colored_label(ui.visuals().warn_fg_color, in_window(sentence));
            true
        }
    }
}

/// A column of a width, which scrolls where it is too high.
pub fn column<T>(ui: &mut egui::Ui, name: &str, width: f32, height: f32, add: impl FnOnce(&mut egui::Ui) -> T) -> T {
    ui.allocate_ui_with_layout(egui::vec2(width, height), egui::Layout::top_down(egui::Align::Min), |ui| {
        ui.set_width(width);
        ui.set_max_height(height);
        egui::ScrollArea::vertical().id_salt(name).auto_shrink([false, false]).min_scrolled_height(0.0).show(ui, add).inner
    })
    .inner
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::colour_difference::{linear, smallest_differences};

    #[test]
    fn ticks_are_round_numbers_that_fit_and_say_their_decimals() {
        // 200 points for 0 to 1: 8 points are 0.04.
        let input = GridInput { bounds: (0.0, 1.0), base_step_size: 0.04 };
        let values = |marks: Vec<GridMark>| marks.iter().map(|mark| fixed(mark.value, decimals(mark.step_size))).collect::<Vec<_>>();
        assert_eq!(values(marks(&input, Y_SPACING)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(values(marks(&input, X_SPACING)), ["0.0", "0.5", "1.0"]);
        let narrow = GridInput { bounds: (-0.06, 0.06), base_step_size: 0.012 };
        assert_eq!(values(marks(&narrow, Y_SPACING)), ["-0.05", "0.00", "0.05"]);
        let wide = GridInput { bounds: (0.0, 2000.0), base_step_size: 80.0 };
        assert_eq!(values(marks(&wide, Y_SPACING)), ["0", "500", "1000", "1500", "2000"]);
        assert!(marks(&GridInput { bounds: (f64::NAN, 1.0), base_step_size: 0.1 }, X_SPACING).is_empty());
    }

    #[test]
    fn ticks_of_small_numbers_are_written_without_a_raised_minus() {
        assert_eq!(["−0.5", "2×10⁻⁵", "−1.5×10¹²"].map(tick), ["−0.5", "2e−5", "−1.5e12"]);
    }

    #[test]
    fn lines_draw_points_of_one_x_apart() {
        // A step of a histogram: as a band it would be a wedge.
        let context = Context::default();
        let mut shapes = 0;
        let output = context.run_ui(egui::RawInput::default(), |ui| {
            let plot = Plot::new("steps").show_axes(false).show_grid(false);
            let response = plot.show(ui, |plot| plot.line(line("steps", vec![[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])));
            shapes = response.response.rect.width() as usize;
        });
        let is_band = |shape: &egui::Shape| matches!(shape, egui::Shape::Mesh(_));
        assert!(shapes > 0 && !output.shapes.iter().any(|clipped| is_band(&clipped.shape)));
        output.drop_without_applying_deltas();
    }

    /// The relative luminance of WCAG 2.1, from 0 to 1.
    fn luminance(colour: Color32) -> f64 {
        let [red, green, blue] = linear([colour.r(), colour.g(), colour.b()]);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    #[test]
    fn text_has_the_contrast_of_wcag_aa() {
        for theme in [Theme::Dark, Theme::Light] {
            let visuals = visuals(theme);
            let widgets = &visuals.widgets;
            // A translucent colour as it is painted over an opaque one.
            let over = |ground: Color32, colour: Color32| ground.blend(colour);
            let chosen = over(visuals.panel_fill, visuals.selection.bg_fill);
            let mut pairs = vec![
                ("text selection", visuals.selection.stroke.color, over(visuals.extreme_bg_color, visuals.selection.bg_fill)),
                ("main button", visuals.strong_text_color(), over(visuals.window_fill, ACCENT.gamma_multiply(0.55))),
                ("chosen", visuals.text_color(), chosen),
                ("strong text", visuals.strong_text_color(), visuals.panel_fill),
            ];
            for ground in [visuals.panel_fill, visuals.window_fill, visuals.faint_bg_color, visuals.extreme_bg_color] {
                pairs.push(("text", visuals.text_color(), ground));
                pairs.push(("note", over(ground, visuals.weak_text_color()), ground));
                pairs.push(("warning", visuals.warn_fg_color, ground));
                pairs.push(("error", visuals.error_fg_color, ground));
                pairs.push(("link", visuals.hyperlink_color, ground));
            }
            for button in [&widgets.inactive, &widgets.hovered, &widgets.active, &widgets.open] {
                pairs.push(("button", visuals.text_color(), button.weak_bg_fill));
            }
            for (what, text, ground) in pairs {
                let [text_luminance, ground_luminance] = [text, ground].map(|colour| luminance(colour) + 0.05);
                let ratio = (text_luminance / ground_luminance).max(ground_luminance / text_luminance);
                assert!(ratio >= 4.5, "{theme:?}: {what} {text:?} on {ground:?} has a contrast of {ratio:.2}");
            }
        }
    }

    #[test]
    fn members_and_curves_have_colours_of_their_own() {
        for dark in [false, true] {
            let rgb = |colour: Color32| [colour.r(), colour.g(), colour.b()];
            let members: Vec<Rgb> = (0..10).map(|member| rgb(of_member(member, dark))).collect();
            let curves: Vec<Rgb> = (0..5).map(|number| rgb(of_curve(number, dark))).collect();
            for palette in [members, curves] {
                let [normal, ..] = smallest_differences(&palette);
                assert!(normal >= 5.0, "{palette:02x?} differ by {normal}");
            }
        }
    }
}
