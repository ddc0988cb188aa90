//! Configurations that cannot work are refused, with an error that says what to do.

use std::time::Duration;

use chitchat_protocol::{Config, ConfigError, LinkLimits, Node, Timestamp};

fn refused(change: impl FnOnce(&mut Config)) -> ConfigError {
    refused_over(LinkLimits::default(), change)
}

fn refused_over(link: LinkLimits, change: impl FnOnce(&mut Config)) -> ConfigError {
    let mut config = Config::new("cluster", "node");
    change(&mut config);
    Node::new(config, link, 1, Timestamp::ZERO).expect_err("the configuration cannot work")
}

#[test]
fn ids_must_be_there_and_not_too_long() {
    assert_eq!(refused(|config| config.cluster_id = "".into()), ConfigError::EmptyClusterId);
    assert_eq!(refused(|config| config.node_id = "".into()), ConfigError::EmptyNodeId);
    let long = "x".repeat(256);
    let error = refused(|config| config.node_id = long.as_str().into());
    assert_eq!(error, ConfigError::NodeIdTooLong { len: 256, limit: 255 });
    let error = refused(|config| config.cluster_id = long.as_str().into());
    assert_eq!(error, ConfigError::ClusterIdTooLong { len: 256, limit: 255 });
}

#[test]
fn a_link_that_cannot_carry_the_protocol_is_refused() {
    for link in [LinkLimits::new(500, 65_507), LinkLimits::new(1_400, 1_200)] {
        let error = refused_over(link, |_| {});
        assert!(matches!(error, ConfigError::LinkTooSmall { .. }), "{error}");
        assert!(error.to_string().contains("needs at least 1024"), "{error}");
    }
}

#[test]
fn a_grace_period_shorter_than_eight_detection_times_is_refused_and_the_needed_one_told() {
    let error = refused(|config| config.dead_node_grace_period = Duration::from_secs(10));
    let ConfigError::GracePeriodTooShort { needed_ms, .. } = error else { panic!("{error}") };
    let needed = Duration::from_millis(u64::try_from(needed_ms).expect("a small number"));
    let mut config = Config::new("cluster", "node");
    config.dead_node_grace_period = needed;
    config.validate().expect("the needed period is accepted");
}

#[test]
fn addresses_that_name_no_host_are_not_advertised() {
    for addr in ["0.0.0.0:7280", "[::]:7280", "10.0.0.1:0", "224.0.0.1:7280"] {
        let addr = addr.parse().expect("an address");
        let error = refused(|config| config.advertise_addrs = vec![addr]);
        assert!(matches!(error, ConfigError::BadAdvertiseAddr { .. }), "{error}");
    }
    let nine = (1..=9).map(|host| ([10, 0, 0, host], 7280).into()).collect();
    let error = refused(|config| config.advertise_addrs = nine);
    assert_eq!(error, ConfigError::TooManyAdvertiseAddrs { count: 9 });
}

#[test]
fn numbers_out_of_their_range_are_named() {
    type Change = fn(&mut Config);
    let cases: [(&str, Change); 10] = [
        ("gossip_interval", |config| config.gossip_interval = Duration::from_millis(1)),
        ("fanout", |config| config.fanout = 0),
        ("push_fanout", |config| config.push_fanout = 17),
        ("push_delay", |config| config.push_delay = Duration::ZERO),
        ("push_delay", |config| config.push_delay = Duration::from_secs(2)),
        ("push_bytes_per_second", |config| config.push_bytes_per_second = 0),
        ("phi_threshold", |config| config.phi_threshold = f64::NAN),
        ("max_interval", |config| config.max_interval = Duration::from_millis(1)),
        ("limits.max_nodes", |config| config.limits.max_nodes = 1),
        ("generation_id", |config| config.generation_id = Some(u64::MAX)),
    ];
    for (name, change) in cases {
        let error = refused(change);
        assert!(
            matches!(&error, ConfigError::OutOfRange { field, .. } if *field == name),
            "{error}"
        );
    }
}

#[test]
fn initial_key_values_are_checked_like_writes() {
    let error = refused(|config| {
        config.initial_key_values = vec![("big".into(), "x".repeat(70_000))];
    });
    assert!(matches!(error, ConfigError::InitialKeyValue { .. }), "{error}");
    assert!(error.to_string().contains("limit"), "{error}");
}

#[test]
fn a_generation_from_the_future_is_refused_where_others_would_refuse_it() {
    let error = refused(|config| {
        config.wall_clock_ms = 1_800_000_000_000;
        config.generation_id = Some(1_900_000_000_000);
    });
    assert!(error.to_string().contains("a day ahead"), "{error}");
    let mut config = Config::new("cluster", "node");
    config.wall_clock_ms = 1_800_000_000_000;
    config.generation_id = Some(1_900_000_000_000);
    config.refuse_future_generations = false;
    config.validate().expect("a cluster with generations of its own");
}
