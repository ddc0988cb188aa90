//! What the nodes of a storm write.

use std::time::Duration;

use chitchat_protocol::{Node, Timestamp, WriteError};
use chitchat_tests::sim::text_of;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::Storm;

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Written again and again, by everybody.
const HOT: &str = "hot";

/// A key may have expired since it was last looked at, and where the bounds are tight a write may
/// exceed them: then it is refused at the call.
fn assert_in_order<T: std::fmt::Debug>(done: Result<T, WriteError>, tight: bool) {
    let bound = matches!(
        done,
        Err(WriteError::TooManyKeys { .. }
            | WriteError::StateTooLarge { .. }
            | WriteError::ValueTooLong { .. })
    );
    let in_order = matches!(done, Ok(_) | Err(WriteError::NoSuchKey));
    assert!(in_order || bound && tight, "{done:?}");
}

impl Storm {
    fn value(&mut self, padding: usize) -> String {
        self.writes += 1;
        format!("{}-{}", self.writes, text_of(padding, self.writes))
    }

    fn act(&mut self, act: impl FnOnce(&mut Node, Timestamp)) {
        let awake = self.awake();
        if let Some(host) = awake.choose(&mut self.rng) {
            self.sim.with(*host, act);
        }
    }

    pub(crate) fn write(&mut self) {
        let tight = self.character.tight;
        match self.rng.random_range(0..60) {
            0 => self.burst(),
            1 => self.delete_storm(),
            2 => self.write_too_much(),
            3..=8 => {
                // A hot key: many versions, of which only the last ones are ever seen.
                let values: Vec<String> = (0..6).map(|_| self.value(0)).collect();
                self.act(|node, now| {
                    values.iter().for_each(|it| assert_in_order(node.set(HOT, it, now), tight));
                });
            }
            _ => self.write_one(),
        }
    }

    fn write_one(&mut self) {
        let tight = self.character.tight;
        let key = *KEYS.choose(&mut self.rng).expect("some keys");
        let padding = if self.rng.random_bool(0.15) { 400 } else { 0 };
        let value = self.value(padding);
        let action = self.rng.random_range(0..10);
        let ttl = Duration::from_millis(self.rng.random_range(1..8_000));
        self.act(|node, now| {
            let done = match action {
                0..=4 => node.set(key, &value, now),
                5..=7 => node.delete(key, now),
                8 => node.set_with_ttl(key, &value, ttl, now),
                _ if node.get(key).is_some() => node.delete_after_ttl(key, ttl, now),
                _ => node.set(key, &value, now),
            };
            assert_in_order(done, tight);
        });
    }

    /// Many keys at once; some of them leases that are renewed by the next burst or end.
    fn burst(&mut self) {
        let (tight, count) = (self.character.tight, self.rng.random_range(10..60));
        let leases = self.rng.random_bool(0.4);
        let pairs: Vec<(String, String)> =
            (0..count).map(|index| (format!("burst-{index}"), self.value(40))).collect();
        let ttl = Duration::from_millis(self.rng.random_range(500..10_000));
        self.act(|node, now| {
            for (key, value) in &pairs {
                let done = if leases {
                    node.set_with_ttl(key, value, ttl, now)
                } else {
                    node.set(key, value, now)
                };
                assert_in_order(done, tight);
            }
        });
        self.happens("burst", (count, leases));
    }

    /// Everything that bursts have left of one node goes at once, or makes place for a few others.
    fn delete_storm(&mut self) {
        let tight = self.character.tight;
        let rest: Vec<(String, String)> =
            (0..3).map(|index| (format!("burst-{index}"), self.value(0))).collect();
        self.act(|node, now| {
            assert_in_order(node.replace_prefix("burst-", &rest, now), tight);
        });
        self.happens("delete storm", ());
    }

    /// A value that is long for the link, and one that is too long for any.
    fn write_too_much(&mut self) {
        let most = if self.character.tight { 2_000 } else { self.character.link.max_message_len };
        let (fits, too_long) = (self.value(most.min(6_000) / 3), self.value((1 << 20) + 1));
        let tight = self.character.tight;
        self.act(|node, now| {
            let done = node.set("large", &too_long, now);
            assert!(matches!(done, Err(WriteError::ValueTooLong { .. })), "{done:?}");
            assert_in_order(node.set("large", &fits, now), tight);
        });
    }
}
