use super::*;

#[derive(Debug)]
struct Fake {
    token: u64,
    node_id: Arc<str>,
    dialled: Option<SocketAddr>,
}

impl Linked for Fake {
    fn token(&self) -> u64 {
        self.token
    }

    fn node_id(&self) -> &Arc<str> {
        &self.node_id
    }

    fn dialled(&self) -> Option<SocketAddr> {
        self.dialled
    }
}

fn addr() -> SocketAddr {
    "192.0.2.1:7".parse().unwrap()
}

fn link(token: u64, node_id: &str, by_us: bool) -> Arc<Fake> {
    Arc::new(Fake { token, node_id: node_id.into(), dialled: by_us.then(addr) })
}

fn serves(registry: &Registry<Fake>, node_id: &str) -> Option<u64> {
    registry.of_node(node_id).map(|link| link.token)
}

#[test]
fn of_the_same_direction_the_newest_serves() {
    for by_us in [true, false] {
        let mut registry = Registry::new("m".into());
        assert_eq!(registry.admit(link(1, "a", by_us)), []);
        assert_eq!(registry.admit(link(2, "a", by_us)), [Fate::Drains(1)]);
        assert_eq!(serves(&registry, "a"), Some(2));
        assert_eq!(registry.admit(link(3, "a", by_us)), [Fate::Drains(2), Fate::Closes(1)]);
    }
}

#[test]
fn of_opposite_directions_the_one_dialled_by_the_smaller_id_serves_at_both_ends_in_any_order() {
    // Connection 1 was dialled by "a", connection 2 by "b".
    for order in [[1, 2], [2, 1]] {
        for (own, peer) in [("a", "b"), ("b", "a")] {
            let mut registry = Registry::new(own.into());
            let mut fates = Vec::new();
            for token in order {
                let by_us = (token == 1) == (own == "a");
                fates.extend(registry.admit(link(token, peer, by_us)));
            }
            assert_eq!(fates, [Fate::Drains(2)], "{own} {order:?}");
            assert_eq!(serves(&registry, peer), Some(1));
            assert_eq!(registry.of_token(2).map(|link| link.token), Some(1));
        }
    }
}

#[test]
fn one_that_was_superseded_serves_again_if_it_outlives_the_other() {
    let mut registry = Registry::new("m".into());
    registry.admit(link(1, "a", false));
    assert_eq!(registry.admit(link(2, "a", false)), [Fate::Drains(1)]);
    assert_eq!(registry.remove(2).map(|link| link.token), Some(1));
    assert_eq!(serves(&registry, "a"), Some(1));
    assert_eq!(registry.admit(link(3, "a", false)), [Fate::Drains(1)]);
    assert!(registry.remove(1).is_none(), "the other one serves");
    assert_eq!(registry.admit(link(4, "a", false)), [Fate::Drains(3)]);
    registry.drain(3);
    assert!(registry.remove(4).is_none(), "it is to end");
    assert_eq!(serves(&registry, "a"), None);
}

#[test]
fn a_seed_is_reached_by_the_connection_that_serves_for_whoever_is_there() {
    let mut registry = Registry::new("b".into());
    registry.admit(link(1, "a", true));
    assert_eq!(registry.of_addr(addr()).map(|link| link.token), Some(1));
    registry.admit(link(2, "a", false));
    assert_eq!(registry.of_addr(addr()).map(|link| link.token), Some(2));
    registry.remove(1);
    assert!(registry.of_addr(addr()).is_none(), "the address may be another's by now");
    registry.remove(2);
    assert_eq!((registry.len(), registry.by_node.len(), registry.by_addr.len()), (0, 0, 0));
}

#[test]
fn a_connection_that_drains_without_another_serves_nobody() {
    let mut registry = Registry::new("a".into());
    registry.admit(link(1, "b", true));
    registry.drain(1);
    assert_eq!(serves(&registry, "b"), None, "so that a new one is dialled");
    assert!(registry.of_token(1).is_none());
    assert_eq!(registry.admit(link(2, "b", true)), []);
    assert_eq!(serves(&registry, "b"), Some(2));
}

#[test]
fn the_two_ends_of_a_connection_to_oneself_do_not_compete() {
    let mut registry = Registry::new("a".into());
    assert_eq!(registry.admit(link(1, "a", true)), []);
    assert_eq!(registry.admit(link(2, "a", false)), []);
    assert_eq!(registry.of_token(1).map(|link| link.token), Some(1));
    assert_eq!(registry.of_token(2).map(|link| link.token), Some(2));
}
