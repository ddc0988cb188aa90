//! What `build` refuses, and how it says so.

use std::time::Duration;

use chitchat::{ChitchatConfig, ChitchatConfigBuilder, ConfigError, protocol};

fn valid() -> ChitchatConfigBuilder {
    ChitchatConfig::builder("cluster", "node").listen(["127.0.0.1:0"])
}

fn refusal(builder: ChitchatConfigBuilder) -> (ConfigError, String) {
    let error = builder.build().expect_err("it has to be refused");
    let text = error.to_string();
    (error, text)
}

#[test]
fn a_valid_configuration_keeps_what_it_was_given() {
    let config = valid()
        .listen(["0.0.0.0:7280", "[::]:7280"])
        .advertise(["203.0.113.7:7280".parse::<std::net::SocketAddr>().unwrap()])
        .seeds(["seed.example.org:7280", "[::1]:7281", "192.0.2.1:7280"])
        .generation_id(7)
        .wan()
        .build()
        .unwrap();
    assert_eq!((config.cluster_id(), config.node_id()), ("cluster", "node"));
    assert_eq!(config.listen_addrs().len(), 2);
    assert_eq!(config.seeds().len(), 3);
    assert_eq!(config.protocol().advertise_addrs, ["203.0.113.7:7280".parse().unwrap()]);
    assert_eq!(config.protocol().generation_id, Some(7));
    assert_eq!(config.protocol().gossip_interval, Duration::from_secs(1));
}

#[test]
fn presets_differ_in_their_interval() {
    let interval = |builder: ChitchatConfigBuilder| {
        builder.build().unwrap().protocol().gossip_interval.as_millis()
    };
    assert_eq!(interval(valid()), 500);
    assert_eq!(interval(valid().lan()), 500);
    assert_eq!(interval(valid().wan()), 1_000);
    assert_eq!(interval(valid().local()), 100);
}

#[test]
fn without_a_listen_address_it_says_how_to_give_one() {
    let (error, text) = refusal(ChitchatConfig::builder("cluster", "node"));
    assert_eq!(error, ConfigError::NoListenAddress);
    assert!(text.contains("0.0.0.0:7280"), "{text}");
}

#[test]
fn empty_ids_are_refused() {
    let (error, _) = refusal(ChitchatConfig::builder("", "node").listen(["127.0.0.1:0"]));
    assert_eq!(error, protocol::ConfigError::EmptyClusterId.into());
    let (error, _) = refusal(ChitchatConfig::builder("cluster", "").listen(["127.0.0.1:0"]));
    assert_eq!(error, protocol::ConfigError::EmptyNodeId.into());
}

#[test]
fn a_text_that_is_no_address_is_named_with_its_option() {
    for text in ["localhost:7280", "127.0.0.1", ":7280", "::1:7280x", ""] {
        let (error, message) = refusal(valid().listen([text]));
        assert!(matches!(error, ConfigError::BadAddress { option: "listen", .. }), "{error:?}");
        assert!(message.contains(&format!("{text:?}")), "{message}");
    }
    let (error, _) = refusal(valid().advertise(["nowhere"]));
    assert!(matches!(error, ConfigError::BadAddress { option: "advertise", .. }), "{error:?}");
}

#[test]
fn addresses_that_nobody_could_dial_are_not_advertised() {
    for addr in ["0.0.0.0:7280", "[::]:7280", "203.0.113.7:0", "224.0.0.1:7280"] {
        let (error, text) = refusal(valid().advertise([addr]));
        assert!(
            matches!(error, ConfigError::Protocol(protocol::ConfigError::BadAdvertiseAddr { .. })),
            "{error:?}"
        );
        assert!(text.contains(addr), "{text}");
    }
}

#[test]
fn a_seed_is_a_host_and_a_port() {
    for seed in ["seed.example.org", "192.0.2.1", "[::1]"] {
        let (error, text) = refusal(valid().seeds([seed]));
        assert_eq!(error, ConfigError::SeedWithoutPort { seed: seed.into() });
        assert!(text.contains(seed) && text.contains("host:port"), "{text}");
    }
    for seed in ["seed:0", "seed:port", "seed:65536", ":7280", "2001:db8::7:7280", "0.0.0.0:1"] {
        let (error, text) = refusal(valid().seeds([seed]));
        assert!(matches!(error, ConfigError::BadSeed { .. }), "{error:?}");
        assert!(text.contains(seed), "{text}");
    }
}

#[test]
fn settings_out_of_their_limits_are_named() {
    let wrong: [(ChitchatConfigBuilder, &str); 11] = [
        (valid().gossip_interval(Duration::from_millis(9)), "gossip_interval"),
        (valid().fanout(0), "fanout"),
        (valid().push_fanout(17), "push_fanout"),
        (valid().push_delay(Duration::ZERO), "push_delay"),
        (valid().push_bytes_per_second(0), "push_bytes_per_second"),
        (valid().phi_threshold(f64::NAN), "phi_threshold"),
        (valid().max_interval(Duration::from_millis(1)), "max_interval"),
        (valid().marked_for_deletion_grace_period(Duration::ZERO), "marked_for_deletion"),
        (valid().dead_node_grace_period(Duration::from_secs(1)), "dead_node_grace_period"),
        (valid().seeds_interval(Duration::ZERO), "seeds_interval"),
        (valid().event_capacity(0), "event_capacity"),
    ];
    for (builder, option) in wrong {
        let (_, text) = refusal(builder);
        assert!(text.contains(option), "{text}");
    }
}
