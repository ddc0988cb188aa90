//! Addresses: learnt from peers, never useless ones, and no part of the identity.

use std::net::SocketAddr;

use chitchat_protocol::{Config, ConfigError, Event, LinkLimits, NodeStatus};
use chitchat_tests::sim::Sim;

fn any(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port))
}

fn unadvertised(node_id: &str) -> Config {
    let mut config = Sim::config(node_id);
    config.bound_addrs = vec![any(7280)];
    config
}

fn advertised(sim: &Sim, by: usize, node_id: &str) -> Vec<SocketAddr> {
    sim.host(by).state_of(node_id).map(|it| it.advertise_addrs().to_vec()).unwrap_or_default()
}

fn nobody_saw_a_useless_address(sim: &Sim) {
    let useless = |addr: &SocketAddr| {
        addr.ip().is_unspecified() || addr.ip().is_loopback() || addr.port() == 0
    };
    for (_, host) in sim.running() {
        for (at, event) in &host.events {
            let addrs = match event {
                Event::Joined { state } => state.advertise_addrs().clone(),
                Event::AddressesChanged { addrs, .. } => addrs.clone(),
                _ => continue,
            };
            assert!(!addrs.iter().any(useless), "at {at}: {event:?}");
        }
    }
}

#[test]
fn a_node_without_an_advertised_address_learns_it_from_its_peers() {
    // Row S12: bound to the unspecified address, nothing advertised; the identity stays.
    let mut sim = Sim::cluster(1, 4);
    sim.run_rounds(4);
    let host = sim.add_host_as_is(unadvertised("roamer"), LinkLimits::default(), &[0]);
    sim.start(host);
    let before = sim.host(host).running().incarnation();
    sim.set(host, "key", "value");
    sim.expect_within(6, "everybody knows its address", |sim| {
        (0..5).all(|by| advertised(sim, by, "roamer") == [Sim::addr_of(host)]) && sim.all_see_all()
    });
    assert_eq!(sim.host(host).running().incarnation(), before, "the identity is unchanged");
    sim.expect_within(4, "the state is everywhere", Sim::all_equal);
    nobody_saw_a_useless_address(&sim);
    sim.run_rounds(60);
    assert!(sim.all_see_all() && sim.false_deaths() == 0);
}

#[test]
fn a_cluster_in_which_nobody_advertises_anything_finds_itself() {
    // Row S12: only the seed's address is known, to the others.
    let mut sim = Sim::new(2);
    for index in 0..6 {
        let config = unadvertised(&format!("node-{index}"));
        let host = sim.add_host_as_is(config, LinkLimits::default(), &[0]);
        sim.start(host);
    }
    sim.expect_within(10, "all see all, at the right addresses", |sim| {
        sim.all_see_all()
            && (0..6).all(|by| {
                (0..6).all(|of| advertised(sim, by, &format!("node-{of}")) == [Sim::addr_of(of)])
            })
    });
    nobody_saw_a_useless_address(&sim);
    sim.run_rounds(40);
    assert!(sim.all_see_all() && sim.all_equal());
}

#[test]
fn an_unspecified_address_cannot_be_advertised() {
    let mut config = Sim::config("node");
    for addr in ["0.0.0.0:7280", "[::]:7280", "10.0.0.1:0", "224.0.0.1:7280"] {
        config.advertise_addrs = vec![addr.parse().expect("an address")];
        let refused = config.validate();
        assert!(
            matches!(refused, Err(ConfigError::BadAdvertiseAddr { .. })),
            "{addr}: {refused:?}"
        );
    }
}

#[test]
fn a_loopback_address_is_not_advertised_beside_one_that_others_can_reach() {
    let mut sim = Sim::cluster(3, 3);
    let mut config = Sim::config("both");
    let host = sim.hosts().count();
    config.bound_addrs = vec!["127.0.0.1:7280".parse().expect("loopback"), Sim::addr_of(host)];
    let host = sim.add_host_as_is(config, LinkLimits::default(), &[0]);
    sim.start(host);
    sim.expect_within(6, "all see all", Sim::all_see_all);
    nobody_saw_a_useless_address(&sim);
    assert_eq!(advertised(&sim, 1, "both"), [Sim::addr_of(host)]);
}

#[test]
fn peers_that_disagree_on_an_address_do_not_make_it_flap() {
    // One liar among five peers does not win.
    let mut sim = Sim::cluster(4, 6);
    sim.checker = None;
    let host = sim.add_host_as_is(unadvertised("roamer"), LinkLimits::default(), &[0]);
    sim.start(host);
    sim.run_rounds(12);
    assert_eq!(advertised(&sim, 0, "roamer"), [Sim::addr_of(host)]);
    let mut liar = chitchat_tests::sim::Puppet::new("liar", 9);
    for _ in 0..20 {
        let mut message = liar.message(
            liar.nonce,
            liar.token,
            chitchat_protocol::message::Body::Syn { budget: 2_000, digest: Default::default() },
        );
        message.header.observed = Some("192.0.2.66:1".parse().expect("an address"));
        liar.nonce += 1;
        liar.heartbeat += 1;
        liar.say(&mut sim, host, &message.encode());
        sim.run_rounds(1);
    }
    assert_eq!(advertised(&sim, 0, "roamer"), [Sim::addr_of(host)]);
    assert_eq!(sim.host(0).status_of("roamer"), Some(NodeStatus::Alive));
}

#[test]
fn a_node_that_finds_its_own_address_among_its_seeds_stops_talking_to_itself() {
    // Row X20: it cannot know the address as its own before it has heard itself.
    let mut sim = Sim::cluster(5, 3);
    let host = sim.hosts().count();
    let host = sim.add_host_as_is(unadvertised("roamer"), LinkLimits::default(), &[0, host]);
    sim.start(host);
    sim.run_rounds(4);
    sim.tap = Some(Vec::new());
    sim.run_rounds(200);
    let to_itself = sim.tap.take().expect("a tap").iter().filter(|it| it.from == it.to).count();
    assert_eq!(to_itself, 0);
    assert!(sim.host(host).running().counters().refused_own <= 8);
}
