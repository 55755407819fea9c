//! Captions: lines of text below a drawing.

use super::axes::{self, LEADING};
use super::canvas::{Anchor, Canvas};
use super::text::{CAPITAL, Face, Run, elide};
use super::venue::Style;

/// Writes a caption below a drawing, which becomes as much higher, in lines as wide as the drawing. Only a word that is wider is cut.
pub fn add_caption(canvas: &mut Canvas, caption: &str, style: &Style) {
    let (size, margin) = (style.tick_pt, 0.5 * style.tick_pt);
    let first = canvas.height + 0.5 * margin + CAPITAL * size;
    let lines = wrapped(caption, size, canvas.width - 2.0 * margin);
    canvas.height += lines.len() as f64 * LEADING * size + 1.5 * margin;
    for (number, line) in lines.into_iter().enumerate() {
        let y = first + number as f64 * LEADING * size;
        canvas.add(axes::text([margin, y], Anchor::Start, size, Run::regular(line)));
    }
}

/// The text in lines of at most so many points.
pub(super) fn wrapped(text: &str, size: f64, widest: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let longer = lines.last().map(|line| format!("{line} {word}"));
        match (lines.last_mut(), longer) {
            (Some(line), Some(longer)) if Run::regular(&longer).width(size) <= widest => *line = longer,
            _ => lines.push(elide(word, Face::Regular, size, widest)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::tests::text_boxes;
    use crate::figure::{VENUES, Width};

    #[test]
    fn captions_are_whole_and_inside_at_every_width() {
        let caption = "The holes of a single member (146.2 z²) are larger than those of all 10 (131.0 z²): difference 15.2 z². ".repeat(4);
        for (venue, width) in VENUES.iter().flat_map(|venue| Width::ALL.map(|width| (venue, width))) {
            let style = venue.style(width);
            let mut canvas = Canvas { width: 72.0 * style.width_in, height: 50.0, shapes: Vec::new() };
            add_caption(&mut canvas, &caption, &style);
            let boxes = text_boxes(&canvas);
            let lines: Vec<&str> = boxes.iter().map(|(_, line)| line.as_str()).collect();
            assert_eq!(lines.join(" "), caption.trim());
            let inside =
                |[left, right, top, bottom]: &[f64; 4]| *left >= 0.0 && *right <= canvas.width && *top >= 50.0 && *bottom <= canvas.height;
            assert!(boxes.iter().all(|(of, _)| inside(of)), "{}: {boxes:?}", venue.label);
            assert!(boxes.windows(2).all(|pair| pair[0].0[3] < pair[1].0[2]), "no line lies over another");
        }
        assert_eq!(wrapped("incomprehensibilities", 8.0, 30.0).len(), 1);
        assert!(wrapped("incomprehensibilities", 8.0, 30.0)[0].ends_with('…'));
    }
}
