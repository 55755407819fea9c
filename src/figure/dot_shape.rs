//! The shapes of class dots. Colour tells ten classes apart; the shape tells apart those that share a colour.

/// The shape of a dot. All have the area of a circle of the same radius.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DotShape {
    Circle,
    Square,
    Triangle,
    Diamond,
}

impl DotShape {
    /// Every shape.
    pub const ALL: [Self; 4] = [Self::Circle, Self::Square, Self::Triangle, Self::Diamond];
    /// The radius of the smallest disc that holds every shape of radius 1: that of the triangle.
    pub const REACH: f64 = 1.556;

    /// The shape of a class: the first ten classes have circles, the next ten squares, and so on; they repeat beyond forty.
    pub fn of_class(class: usize) -> Self {
        Self::ALL[class / 10 % 4]
    }

    /// The corners for radius 1 around the origin, clockwise with y downwards; a circle has none.
    pub fn corners(self) -> &'static [[f64; 2]] {
        match self {
            Self::Circle => &[],
            Self::Square => &[[-0.8862, -0.8862], [0.8862, -0.8862], [0.8862, 0.8862], [-0.8862, 0.8862]],
            Self::Triangle => &[[0.0, -1.5551], [1.3468, 0.7776], [-1.3468, 0.7776]],
            Self::Diamond => &[[0.0, -1.2533], [1.2533, 0.0], [0.0, 1.2533], [-1.2533, 0.0]],
        }
    }

    /// Whether a point lies in the shape of radius 1.
    pub fn contains(self, [x, y]: [f64; 2]) -> bool {
        let corners = self.corners();
        if corners.is_empty() {
            return x * x + y * y <= 1.0;
        }
        let mut edges = corners.iter().zip(corners.iter().cycle().skip(1));
        edges.all(|([x1, y1], [x2, y2])| (x2 - x1) * (y - y1) >= (y2 - y1) * (x - x1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_shapes_have_one_area_and_lie_within_their_reach() {
        for shape in DotShape::ALL {
            let steps: Vec<f64> = (-200..200).map(|step| (f64::from(step) + 0.5) / 100.0).collect();
            let inside = steps.iter().flat_map(|&x| steps.iter().map(move |&y| [x, y])).filter(|&point| shape.contains(point));
            let area = inside.count() as f64 / 1e4;
            assert!((area - std::f64::consts::PI).abs() < 0.05, "{shape:?}: {area}");
            assert!(shape.corners().iter().all(|[x, y]| x.hypot(*y) <= DotShape::REACH));
        }
    }

    #[test]
    fn forty_classes_have_a_colour_and_a_shape_of_their_own() {
        let looks = |class: usize| (crate::figure::class_colour(class), DotShape::of_class(class));
        assert!((0..40).all(|class| (0..class).all(|other| looks(class) != looks(other))));
    }
}
