//! What lies over the maps, in windows of several sizes.

use crate::app::state::session::{Layout, MOST_IMAGES};
use crate::app::tests::{harness, map_rect, scope, settle};

#[test]
fn decoded_images_are_at_least_32_points_wide_at_every_zoom() {
    for size in [[1024.0, 700.0], [1920.0, 1400.0]] {
        let mut harness = harness(size);
        harness.state_mut().0.scope.session.overlays.digits = true;
        for layout in Layout::ALL {
            harness.state_mut().0.scope.session.layout = layout;
            settle(&mut harness);
            let (width, count) = (map_rect(&harness, 0).width(), scope(&harness).results.images_per_axis);
            assert!(width / count as f32 >= 32.0, "{count} images on a map {width} points wide");
            assert!(count == MOST_IMAGES || width / ((count + 1) as f32) < 32.0, "{count} images on a map {width} points wide");
            harness.state_mut().0.scope.session.zoom(1.5, [0.0, 0.0]);
            harness.run_steps(3);
            assert_eq!(scope(&harness).results.images_per_axis, count, "a zoom keeps the number");
        }
    }
}
