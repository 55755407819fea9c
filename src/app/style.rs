//! One visual language: colours, spacing and text of the window, light and dark.

use crate::figure::{Rgb, class_colour};
use crate::jobs::Status;
use crate::numbers::typeset;
use eframe::egui::{
    self, Color32, Context, CornerRadius, FontId, Response, RichText, Role, Stroke, TextStyle, Theme, Visuals, WidgetInfo, vec2,
};
use egui_plot::Plot;
use serde::{Deserialize, Serialize};

/// Light, dark, or as the system says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Appearance {
    /// As the system says.
    #[default]
    System,
    /// Dark.
    Dark,
    /// Light.
    Light,
}

impl Appearance {
    /// Every appearance with its name.
    pub const ALL: [(Self, &'static str); 3] = [(Self::System, "As the system"), (Self::Dark, "Dark"), (Self::Light, "Light")];

    /// Shows the window so.
    pub fn apply(self, ctx: &Context) {
        ctx.set_theme(match self {
            Self::System => egui::ThemePreference::System,
            Self::Dark => egui::ThemePreference::Dark,
            Self::Light => egui::ThemePreference::Light,
        });
    }
}

/// The colour of what is chosen, and of links.
pub const ACCENT: Color32 = Color32::from_rgb(0x2f, 0x9e, 0x8f);
/// What needs attention.
pub const WARNING: Color32 = Color32::from_rgb(0xe0, 0x7b, 0x39);
/// The way of an attack on the map.
pub const ATTACK: Color32 = Color32::from_rgb(0xff, 0x5c, 0x47);
/// The two pins, and the two ends of the line.
pub const PINS: [Color32; 2] = [Color32::from_rgb(0xff, 0xb0, 0x00), Color32::from_rgb(0x64, 0xb5, 0xff)];
/// The names of the two pins, and of the two ends of the line.
pub const PIN_NAMES: [&str; 2] = ["A", "B"];

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
        }
        Theme::Light => {
            visuals.panel_fill = Color32::from_gray(246);
            visuals.window_fill = Color32::from_gray(252);
            visuals.extreme_bg_color = Color32::WHITE;
            visuals.faint_bg_color = Color32::from_gray(238);
            visuals.override_text_color = Some(Color32::from_gray(30));
        }
    }
    visuals.selection.bg_fill = ACCENT.gamma_multiply(if theme == Theme::Dark { 0.55 } else { 0.35 });
    visuals.selection.stroke = Stroke::new(1.0, if theme == Theme::Dark { Color32::WHITE } else { Color32::BLACK });
    visuals.hyperlink_color = ACCENT;
    visuals.warn_fg_color = WARNING;
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
}

/// A number's text with a true minus.
pub fn signed(text: impl Into<String>) -> String {
    typeset(&text.into())
}

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

/// A worker's state as a line; nothing when it is idle or done. Answers whether the line was drawn.
pub fn status_line(ui: &mut egui::Ui, what: &str, status: &Status) -> bool {
    match status {
        Status::Idle | Status::Done => false,
        Status::Working(progress) => {
            ui.horizontal(|ui| {
                ui.add(egui::Spinner::new().size(12.0));
                let share = (100 * progress.done).checked_div(progress.total).map_or(String::new(), |share| format!(" {share} %"));
                // In a narrow column it must not push the panel wider.
                ui.add(egui::Label::new(note(format!("{what}{share}"))).truncate());
            });
            true
        }
        Status::Failed(sentence) => {
            ui.colored_label(ui.visuals().warn_fg_color, sentence);
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
