//! Runs every target on every input that is kept, and sees that faults would show.

use std::path::PathBuf;

use chitchat_fuzz::replay::{Failure, alone, failures, inputs};
use chitchat_fuzz::sim::{Puppet, Sim};
use chitchat_protocol::fuzzing::LeftOut;
use chitchat_protocol::message::{Body, Message};
use chitchat_protocol::wire::DecodeLimits;

fn kept(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut kept = inputs(&format!("corpus/{target}"));
    assert!(kept.len() >= 10, "only {} inputs are kept for {target}", kept.len());
    kept.extend(inputs(&format!("regressions/{target}")));
    kept
}

#[track_caller]
fn replay(target: &str, body: fn(&[u8])) {
    let _alone = alone();
    let failures = failures(kept(target), body);
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn kept_inputs_of_wire_decode_do_no_harm() {
    replay("wire_decode", chitchat_fuzz::wire_decode);
}

#[test]
fn kept_inputs_of_deltas_break_no_invariant() {
    replay("deltas", chitchat_fuzz::deltas);
}

#[test]
fn kept_inputs_of_node_sequence_end_in_agreement() {
    replay("node_sequence", chitchat_fuzz::node_sequence);
}

#[test]
fn kept_inputs_of_node_hostile_do_no_harm() {
    replay("node_hostile", chitchat_fuzz::node_hostile);
}

#[test]
fn kept_inputs_of_tcp_framing_are_read_alike_in_any_pieces() {
    replay("tcp_framing", chitchat_fuzz::tcp_framing);
}

#[test]
fn kept_inputs_of_san_have_one_reading() {
    replay("san", chitchat_fuzz::san);
}

/// What a target with something broken says to the inputs that are kept.
fn found(target: &str, broken: impl Fn(&[u8])) -> Vec<Failure> {
    let _alone = alone();
    let found = failures(kept(target), broken);
    assert!(!found.is_empty(), "no input of {target} shows what is broken");
    found
}

#[test]
fn a_panic_is_reported_with_the_file_that_it_came_from() {
    let _alone = alone();
    let planted = [("sound", b"sound".to_vec()), ("planted", b"planted".to_vec())];
    let planted = planted.map(|(name, data)| (PathBuf::from(name), data));
    let found = failures(planted, |data| assert_ne!(data, b"planted", "as it should be"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].file, PathBuf::from("planted"));
    assert!(found[0].complaint.contains("as it should be"), "{}", found[0].complaint);
}

#[test]
fn kept_inputs_find_a_decoder_that_loses_the_last_delta() {
    found("wire_decode", |data| {
        chitchat_fuzz::wire_decode_with(data, |bytes| {
            let mut message = Message::decode(bytes, &DecodeLimits::default())?;
            if let Body::Push { deltas } = &mut message.body {
                deltas.pop();
            }
            Ok(message)
        });
    });
}

#[test]
fn kept_inputs_find_each_rule_that_is_left_out() {
    for left_out in LeftOut::ALL {
        let found = found("deltas", |data| chitchat_fuzz::deltas_without(data, Some(left_out)));
        let invariant = |failure: &Failure| failure.complaint.starts_with('I');
        assert!(found.iter().any(invariant), "{left_out:?}: {}", found[0].complaint);
    }
}

#[test]
fn kept_inputs_find_a_key_that_its_owner_never_wrote() {
    let sabotage = |sim: &mut Sim| {
        let Some(id) = sim.running().map(|(id, _)| id).find(|id| *id != 0) else { return };
        let Some(state) = sim.host(id).state_of("node-0").cloned() else { return };
        let (incarnation, version) = (state.incarnation(), state.max_version());
        let forged = Puppet::delta("node-0", incarnation, 1 << 20, version, &[("a", "forged")]);
        let mut forger = Puppet::new("node-0", 9);
        forger.incarnation = incarnation;
        let push = forger.push(vec![forged]);
        sim.inject(id, forger.addr, &push);
    };
    let found = found("node_sequence", |data| chitchat_fuzz::node_sequence_with(data, sabotage));
    let forged = |failure: &Failure| failure.complaint.contains("not written yet");
    assert!(found.iter().any(forged), "{}", found[0].complaint);
}

#[test]
fn kept_inputs_find_an_own_key_that_the_node_did_not_write() {
    let sabotage = |sim: &mut Sim| drop(sim.with(0, |node, now| node.set("forged", "1", now)));
    let found = found("node_hostile", |data| chitchat_fuzz::node_hostile_with(data, sabotage));
    assert!(found[0].complaint.contains("others wrote"), "{}", found[0].complaint);
}

#[test]
fn kept_inputs_find_framing_that_forgets_half_a_header() {
    found("tcp_framing", |data| {
        chitchat_fuzz::tcp_framing_with(data, |frames, came| {
            if (1..3).contains(&came.len()) {
                came.clear();
            }
            frames.next(came)
        });
    });
}

#[test]
fn kept_inputs_find_names_that_are_decoded_twice() {
    found("san", |data| {
        chitchat_fuzz::san_with(data, |template, uri| template.parse_san(&uri.replace("%25", "%")));
    });
}
