//! Lines of equal value.

use super::View;

/// No edge.
const NONE: u32 = u32::MAX;

/// The lines along which values over a view (row by row from the lowest z₂) pass a level, by marching squares (Lorensen & Cline
/// 1987, in two dimensions) with linear interpolation: polylines in z, joined from cell to cell, with what reaches the
/// level on their left. A line that closes ends with its first point; one that meets the border of the view or a NaN is open. Where
/// opposite corners of a cell agree, the mean of the four says whether what reaches the level is connected.
///
/// # Panics
/// When there is not one value for each point of the view.
pub fn contours<T: Copy + Into<f64>>(view: &View, values: &[T], level: f64) -> Vec<Vec<[f64; 2]>> {
    assert_eq!(values.len(), view.len(), "a value for each point of the view");
    let lattice = Lattice { view, values, level };
    let next = lattice.segments();
    let mut entered = vec![false; next.len()];
    next.iter().filter(|&&to| to != NONE).for_each(|&to| entered[to as usize] = true);
    let mut left = next.clone();
    let mut lines = Vec::new();
    // Open lines begin where no segment ends; what is then left are closed ones.
    let begins = (0..next.len()).filter(|&edge| next[edge] != NONE && !entered[edge]);
    for start in begins.chain(0..next.len()) {
        let mut edge = start;
        let mut line = Vec::new();
        while left[edge] != NONE {
            line.push(lattice.crossing(edge));
            edge = std::mem::replace(&mut left[edge], NONE) as usize;
        }
        if !line.is_empty() {
            line.push(lattice.crossing(edge));
            line.dedup();
            lines.push(line);
        }
    }
    lines
}

/// Values at the nodes of a lattice. The edge to the right of node n has the number 2n, the edge upwards 2n + 1.
struct Lattice<'a, T> {
    view: &'a View,
    values: &'a [T],
    level: f64,
}

impl<T: Copy + Into<f64>> Lattice<'_, T> {
    /// For each edge the one that a segment leads to from it, or none.
    fn segments(&self) -> Vec<u32> {
        let columns = self.view.columns;
        let mut next = vec![NONE; 2 * self.values.len()];
        for row in 1..self.view.rows {
            for column in 1..columns {
                let node = (row - 1) * columns + column - 1;
                // Anticlockwise: the corners, and the edge from each to the following one.
                let corners = [node, node + 1, node + columns + 1, node + columns].map(|node| self.values[node].into());
                let edges = [2 * node, 2 * (node + 1) + 1, 2 * (node + columns), 2 * node + 1];
                if corners.iter().all(|value: &f64| !value.is_nan()) {
                    self.cross(corners, edges, &mut next);
                }
            }
        }
        next
    }

    /// The segments of a cell: each leaves where the way round the cell leaves what reaches the level, and ends where the way comes back.
    fn cross(&self, corners: [f64; 4], edges: [usize; 4], next: &mut [u32]) {
        let inside = corners.map(|value| value >= self.level);
        let connected = corners.iter().sum::<f64>() / 4.0 >= self.level;
        for exit in (0..4).filter(|&side| inside[side] && !inside[(side + 1) % 4]) {
            let comes_back = |side: &usize| !inside[*side] && inside[(*side + 1) % 4];
            // The next entry cuts off the corner outside, the one before the exit the corner inside.
            let ahead = (1..4).map(|steps| (exit + steps) % 4).find(comes_back);
            let behind = (1..4).map(|steps| (exit + 4 - steps) % 4).find(comes_back);
            if let Some(entry) = if connected { ahead } else { behind } {
                next[edges[exit]] = edges[entry] as u32;
            }
        }
    }

    /// Where the level lies on an edge. Beside an infinite value that is at the other end.
    fn crossing(&self, edge: usize) -> [f64; 2] {
        let View { columns, rows, z1, z2 } = *self.view;
        let node = edge / 2;
        let along = edge % 2;
        let (a, b): (f64, f64) = (self.values[node].into(), self.values[node + if along == 0 { 1 } else { columns }].into());
        let part = match (a.is_finite(), b.is_finite()) {
            (true, true) => (self.level - a) / (b - a),
            (true, false) => 0.0,
            (false, true) => 1.0,
            (false, false) => 0.5,
        };
        let mut place = [(node % columns) as f64, (node / columns) as f64];
        place[along] += part;
        let at = |[first, last]: [f64; 2], place: f64, count: usize| first + (last - first) * place / (count - 1) as f64;
        [at(z1, place[0], columns), at(z2, place[1], rows)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    fn length(line: &[[f64; 2]]) -> f64 {
        line.windows(2).map(|pair| (pair[1][0] - pair[0][0]).hypot(pair[1][1] - pair[0][1])).sum()
    }

    /// Positive where the line runs anticlockwise (the shoelace formula).
    fn area(line: &[[f64; 2]]) -> f64 {
        line.windows(2).map(|pair| pair[0][0] * pair[1][1] - pair[1][0] * pair[0][1]).sum::<f64>() / 2.0
    }

    fn closed(line: &[[f64; 2]]) -> bool {
        line.len() > 3 && line[0] == line[line.len() - 1]
    }

    /// A hill around (0.5, −0.3), unequal along both axes so that swapped ones show.
    fn hill() -> (View, Vec<f64>) {
        let view = View::new([-3.0, 4.0], [-4.0, 3.0], 141, 103).unwrap();
        let values = view.points().into_iter().map(|[z1, z2]| -(z1 - 0.5).powi(2) - (z2 + 0.3).powi(2)).collect();
        (view, values)
    }

    #[test]
    fn the_contour_of_a_round_hill_is_its_circle() {
        let (view, values) = hill();
        let lines = contours(&view, &values, -4.0);
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert!(closed(line));
        assert!((length(line) - 4.0 * PI).abs() < 1e-2 && (area(line) - 4.0 * PI).abs() < 1e-2, "{} {}", length(line), area(line));
        assert!(line.iter().all(|[z1, z2]| ((z1 - 0.5).hypot(z2 + 0.3) - 2.0).abs() < 1e-3));
        assert!((area(&contours(&view, &values, -4.5)[0]) - 4.0 * PI).abs() > 1.0);

        let pit: Vec<f32> = values.iter().map(|&value| -value as f32).collect();
        assert!((area(&contours(&view, &pit, 4.0)[0]) + 4.0 * PI).abs() < 1e-2, "what reaches the level lies on the left");
        assert!(contours(&view, &values, 1.0).is_empty() && contours(&view, &values, -1e3).is_empty());
    }

    #[test]
    fn lines_end_at_the_border_and_at_a_nan() {
        let (view, mut values) = hill();
        // The circle of radius 3.4 leaves the view on the left side (3.5 away) not, but above (3.3 away).
        let lines = contours(&view, &values, -3.4 * 3.4);
        assert_eq!(lines.len(), 1);
        assert!(!closed(&lines[0]));
        let ends = [lines[0][0], lines[0][lines[0].len() - 1]];
        assert!(ends.iter().all(|end| (end[1] - 3.0).abs() < 1e-9), "{ends:?}");

        let whole = contours(&view, &values, -4.0);
        let blind = |[z1, z2]: [f64; 2]| z1 > 2.0 && z2.abs() < 0.5;
        for (value, z) in values.iter_mut().zip(view.points()) {
            if blind(z) {
                *value = f64::NAN;
            }
        }
        let lines = contours(&view, &values, -4.0);
        assert_eq!((lines.len(), closed(&lines[0])), (1, false));
        assert!(whole[0].iter().any(|&z| blind(z)) && !lines[0].iter().any(|&z| blind(z)));
    }

    #[test]
    fn a_saddle_is_connected_where_its_middle_reaches_the_level() {
        let view = View::new([0.0, 1.0], [0.0, 1.0], 2, 2).unwrap();
        let values = [1.0, 0.0, 0.0, 1.0];
        let cut_off = |level: f64| {
            let lines = contours(&view, &values, level);
            assert!(lines.len() == 2 && lines.iter().all(|line| line.len() == 2));
            // The corner that the first line goes round: the nearest to its middle.
            let middle = [0, 1].map(|axis| f64::midpoint(lines[0][0][axis], lines[0][1][axis]));
            middle.map(|z: f64| z.round() as usize)
        };
        let corner = cut_off(0.4);
        assert_ne!(corner[0], corner[1], "a low corner, (1, 0) or (0, 1), is cut off");
        let corner = cut_off(0.6);
        assert_eq!(corner[0], corner[1], "a high corner is cut off");
    }

    #[test]
    fn every_line_is_found_and_infinite_values_are_levels_too() {
        let view = View::new([0.0, 6.0], [0.0, 2.0], 7, 3).unwrap();
        let mut values = vec![f64::NEG_INFINITY; 21];
        (values[8], values[12]) = (1.0, 1.0);
        let lines = contours(&view, &values, 0.0);
        // Beside −∞ the line runs through the finite node itself.
        assert_eq!(lines, [vec![[1.0, 1.0]], vec![[5.0, 1.0]]]);
        let values: Vec<f64> = values.into_iter().map(|value| value.max(-1.0)).collect();
        let lines = contours(&view, &values, 0.0);
        assert!(lines.len() == 2 && lines.iter().all(|line| closed(line) && (area(line) - 0.5).abs() < 1e-12));
        assert!(contours(&View::new([0.0, 1.0], [0.0, 1.0], 1, 5).unwrap(), &[0.0, 1.0, 0.0, 1.0, 0.0], 0.5).is_empty());
    }
}
