//! The views of the latent plane that were shown before: back, forward, and back from a flight to a point.

use crate::app::state::session::Session;

/// The most views that are kept.
const MOST: usize = 200;

/// A square part of the plane.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Square {
    centre: [f64; 2],
    width: f64,
}

impl Square {
    fn of(session: &Session) -> Self {
        Self { centre: session.centre, width: session.width }
    }

    fn show(self, session: &mut Session) {
        (session.centre, session.width) = (self.centre, self.width);
    }
}

/// The views before and after the present one. They are apart from undo: going back changes nothing but the view.
#[derive(Default)]
pub struct ViewHistory {
    past: Vec<Square>,
    future: Vec<Square>,
    /// The view at the last moment of rest.
    rested: Option<Square>,
    /// The view in the last frame: one that still moves is no view to come back to.
    latest: Option<Square>,
    /// The view before a flight to a point, and the one that the flight led to.
    flight: Option<[Square; 2]>,
}

impl ViewHistory {
    /// Looks at the view at the end of a frame. `busy` says that a gesture is still going on.
    pub fn observe(&mut self, session: &Session, busy: bool) {
        let now = Square::of(session);
        let is_moving = self.latest.replace(now).is_some_and(|latest| latest != now);
        if !busy && !is_moving {
            self.rest(now);
        }
    }

    fn rest(&mut self, now: Square) {
        if let Some(before) = self.rested.replace(now)
            && before != now
        {
            self.past.push(before);
            if self.past.len() > MOST {
                self.past.remove(0);
            }
            self.future.clear();
        }
    }

    /// Whether there is a view before this one.
    pub fn can_go_back(&self) -> bool {
        !self.past.is_empty()
    }

    /// Whether there is a view after this one.
    pub fn can_go_forward(&self) -> bool {
        !self.future.is_empty()
    }

    /// Shows the view before this one.
    pub fn back(&mut self, session: &mut Session) {
        self.rest(Square::of(session));
        if let Some(before) = self.past.pop() {
            self.future.extend(self.rested.replace(before));
            before.show(session);
        }
    }

    /// Shows the view that this one was left for.
    pub fn forward(&mut self, session: &mut Session) {
        self.rest(Square::of(session));
        if let Some(after) = self.future.pop() {
            self.past.extend(self.rested.replace(after));
            after.show(session);
        }
    }

    /// Brings a point into the middle, and remembers the view from which the flight began: that before the first of several flights
    /// in a row.
    pub fn fly_to(&mut self, session: &mut Session, point: [f64; 2]) {
        let from = Square::of(session);
        let origin = self.flight.filter(|flight| flight[1] == from).map_or(from, |[origin, _]| origin);
        session.fly_to(point);
        self.flight = Some([origin, Square::of(session)]);
    }

    /// Whether there is a flight to return from.
    pub fn can_return(&self, session: &Session) -> bool {
        self.flight.is_some_and(|[origin, _]| origin != Square::of(session))
    }

    /// Shows the view from which the last flight began.
    pub fn return_from_flight(&mut self, session: &mut Session) {
        if let Some([origin, _]) = self.flight.take() {
            origin.show(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::ModelSet;

    fn session() -> Session {
        Session::new(&ModelSet::shipped().unwrap())
    }

    #[test]
    fn a_movement_is_one_view_and_back_and_forward_are_exact() {
        let (mut session, mut views) = (session(), ViewHistory::default());
        views.observe(&session, false);
        let first = Square::of(&session);
        for _ in 0..5 {
            session.zoom(1.1, [1.0, 1.0]);
            views.observe(&session, false);
        }
        views.observe(&session, false);
        let second = Square::of(&session);
        session.pan([1.0, 0.0]);
        let third = Square::of(&session);
        // The last movement has not come to rest yet, and counts all the same.
        views.back(&mut session);
        assert_eq!(Square::of(&session), second);
        views.observe(&session, false);
        views.observe(&session, false);
        views.back(&mut session);
        assert!(Square::of(&session) == first && !views.can_go_back());
        views.forward(&mut session);
        views.forward(&mut session);
        assert!(Square::of(&session) == third && !views.can_go_forward());
        views.back(&mut session);
        session.pan([0.0, 2.0]);
        views.observe(&session, false);
        views.observe(&session, false);
        assert!(!views.can_go_forward(), "a new view forgets those that were gone back from");
    }

    #[test]
    fn several_flights_in_a_row_return_to_where_the_first_began() {
        let (mut session, mut views) = (session(), ViewHistory::default());
        session.pan([3.0, 0.0]);
        let origin = Square::of(&session);
        assert!(!views.can_return(&session));
        views.fly_to(&mut session, [5.0, 5.0]);
        views.fly_to(&mut session, [-5.0, 5.0]);
        views.return_from_flight(&mut session);
        assert!(Square::of(&session) == origin && !views.can_return(&session));
        views.fly_to(&mut session, [5.0, 5.0]);
        session.pan([1.0, 0.0]);
        let moved = Square::of(&session);
        views.fly_to(&mut session, [-5.0, 5.0]);
        views.return_from_flight(&mut session);
        assert_eq!(Square::of(&session), moved, "who looks around after a flight begins the next one there");
    }
}
