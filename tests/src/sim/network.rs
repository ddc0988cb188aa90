//! What happens to messages between hosts.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use chitchat_protocol::Timestamp;
use chitchat_protocol::message::Message;
use chitchat_protocol::wire::{DecodeLimits, Envelope, Kind};
use rand::Rng;

use crate::sim::HostId;

/// How the links behave. All links are alike, but for those that are cut.
#[derive(Clone, Debug)]
pub struct Links {
    /// One-way delay, drawn for each message: a wide range reorders.
    pub delay: Range<Duration>,
    /// Probability that a message is lost.
    pub loss: f64,
    /// Probability that a message arrives twice.
    pub duplication: f64,
    /// Pairs (from, to) between which nothing passes.
    cut: BTreeSet<(HostId, HostId)>,
}

impl Default for Links {
    /// A calm local network.
    fn default() -> Self {
        Links {
            delay: Duration::from_micros(200)..Duration::from_micros(800),
            loss: 0.0,
            duplication: 0.0,
            cut: BTreeSet::new(),
        }
    }
}

/// What has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages handed over by nodes.
    pub messages: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// The longest of them.
    pub longest: usize,
}

/// A message that a node handed over.
#[derive(Clone, Debug)]
pub struct Captured {
    /// When.
    pub at: Timestamp,
    /// Address of the host that sent it.
    pub from: SocketAddr,
    /// Where it was sent to, whether or not there is anybody.
    pub to: SocketAddr,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Captured {
    /// Whether it opens an exchange. Looks at no more than its beginning.
    pub fn is_question(&self) -> bool {
        Envelope::parse(&self.bytes).is_ok_and(|envelope| envelope.kind == Kind::Syn as u8)
    }

    /// The message. Panics if it is none.
    pub fn message(&self) -> Message<'static> {
        Message::decode(&self.bytes, &DecodeLimits::default()).expect("nodes send valid messages")
    }
}

impl Links {
    /// Lets nothing pass from any of `a` to any of `b`, nor back.
    pub fn partition(&mut self, a: &[HostId], b: &[HostId]) {
        for &from in a {
            for &to in b {
                self.cut.insert((from, to));
                self.cut.insert((to, from));
            }
        }
    }

    /// Lets nothing pass from `from` to `to`; the way back stays open.
    pub fn cut(&mut self, from: HostId, to: HostId) {
        self.cut.insert((from, to));
    }

    /// Mends all cuts.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// The delays after which a message arrives: none if it is lost, two if it is duplicated.
    pub(crate) fn pass(&self, from: HostId, to: HostId, rng: &mut impl Rng) -> Vec<Duration> {
        if self.cut.contains(&(from, to)) || rng.random_bool(self.loss) {
            return Vec::new();
        }
        let copies = 1 + usize::from(rng.random_bool(self.duplication));
        (0..copies).map(|_| rng.random_range(self.delay.clone())).collect()
    }
}
