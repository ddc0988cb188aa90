//! Breadth-first search through all states of a space, so that what is found is found by a shortest
//! way.
//!
//! Only what has to be remembered is: of each state itself, in a set, exactly and not as a hash, and the move that
//! led to it. A way is followed from the start again when it is told.

use std::collections::HashSet;
use std::hash::Hash;

use crate::reconcile::tests::check::Violation;

/// What can be explored.
pub(super) trait Space {
    type State: Copy + Eq + Hash;
    type Move: Copy;

    fn start(&self) -> Self::State;

    /// Appends everything that may happen in `state`, and what comes of it. The same order for the
    /// same state.
    fn moves(&mut self, state: &Self::State, out: &mut Vec<Next<Self>>);
}

/// A move, and the state after it or what is broken by it.
pub(super) type Next<S> = (<S as Space>::Move, Result<<S as Space>::State, Violation>);

/// What a search has seen.
pub(super) struct Report<M> {
    pub(super) states: usize,
    pub(super) moves: u64,
    /// Moves to the state that is farthest from the start.
    pub(super) depth: usize,
    /// Everything that can be reached was.
    pub(super) complete: bool,
    pub(super) failure: Option<Failure<M>>,
}

/// The first violation, and the moves to it.
pub(super) struct Failure<M> {
    pub(super) way: Vec<M>,
    pub(super) violation: Violation,
}

/// Explores until nothing is left, something is broken, or there are more than `limit` states.
pub(super) fn search<S: Space>(space: &mut S, limit: usize) -> Report<S::Move> {
    let start = space.start();
    let mut seen = HashSet::from([start]);
    // For each state but the first, in the order in which they were found: whence, and by what.
    let mut origins: Vec<(usize, S::Move)> = Vec::new();
    let mut level = vec![(start, 0)];
    let mut report = Report { states: 1, moves: 0, depth: 0, complete: false, failure: None };
    let mut next = Vec::new();
    loop {
        let mut deeper = Vec::new();
        for (state, index) in &level {
            space.moves(state, &mut next);
            for (step, result) in next.drain(..) {
                report.moves += 1;
                match result {
                    Ok(state) if seen.insert(state) => {
                        origins.push((*index, step));
                        deeper.push((state, origins.len()));
                    }
                    Ok(_) => {}
                    Err(violation) => {
                        let mut way = way_to(&origins, *index);
                        way.push(step);
                        report.states = seen.len();
                        report.failure = Some(Failure { way, violation });
                        return report;
                    }
                }
            }
            if seen.len() > limit {
                report.states = seen.len();
                return report;
            }
        }
        if deeper.is_empty() {
            report.states = seen.len();
            report.complete = true;
            return report;
        }
        report.depth += 1;
        level = deeper;
    }
}

fn way_to<M: Copy>(origins: &[(usize, M)], mut index: usize) -> Vec<M> {
    let mut way = Vec::new();
    while index > 0 {
        let (before, step) = origins[index - 1];
        way.push(step);
        index = before;
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::tests::check::violation;

    /// Two jugs of three and five litres: four litres are to be measured, which takes six moves and
    /// not fewer, and 16 of the 24 fillings can be had.
    struct Jugs {
        wanted: Option<u8>,
    }

    impl Space for Jugs {
        type State = [u8; 2];
        type Move = &'static str;

        fn start(&self) -> [u8; 2] {
            [0, 0]
        }

        fn moves(&mut self, [small, large]: &[u8; 2], out: &mut Vec<Next<Jugs>>) {
            let (small, large) = (*small, *large);
            let to_large = small.min(5 - large);
            let to_small = large.min(3 - small);
            let next = [
                ("fill small", [3, large]),
                ("fill large", [small, 5]),
                ("empty small", [0, large]),
                ("empty large", [small, 0]),
                ("small to large", [small - to_large, large + to_large]),
                ("large to small", [small + to_small, large - to_small]),
            ];
            out.extend(next.map(|(step, state)| {
                if self.wanted == Some(state[1]) {
                    (step, violation("wanted", format!("{state:?}")))
                } else {
                    (step, Ok(state))
                }
            }));
        }
    }

    #[test]
    fn the_search_finds_a_shortest_way() {
        let report = search(&mut Jugs { wanted: Some(4) }, usize::MAX);
        let failure = report.failure.unwrap();
        let way = [
            "fill large",
            "large to small",
            "empty small",
            "large to small",
            "fill large",
            "large to small",
        ];
        assert_eq!((failure.way.as_slice(), report.complete), (&way[..], false));
        assert_eq!(failure.violation.detail, "[3, 4]");
    }

    #[test]
    fn the_search_visits_every_state_once_and_says_when_it_did_not() {
        let report = search(&mut Jugs { wanted: None }, usize::MAX);
        assert_eq!((report.states, report.moves, report.complete), (16, 16 * 6, true));
        assert!(report.failure.is_none());
        let report = search(&mut Jugs { wanted: None }, 9);
        assert!(!report.complete && report.states < 16);
    }
}
