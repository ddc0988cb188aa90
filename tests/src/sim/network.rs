//! What happens to messages between hosts.

use std::collections::BTreeSet;
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use chitchat_protocol::Timestamp;
use chitchat_protocol::message::Message;
use chitchat_protocol::wire::{DecodeLimits, Envelope, Kind};
use rand::Rng;

use crate::sim::HostId;

/// No message is under way for longer, however heavy the tail.
pub const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// What the delays of a real network have beyond their usual range: each is multiplied by a factor
/// that is mostly about 1 and sometimes much more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tail {
    /// The factor's logarithm is normal with this deviation: queues on a busy path.
    LogNormal(f64),
    /// The factor exceeds `x` with probability `x^-alpha`: the lower `alpha`, the heavier the tail.
    Pareto(f64),
}

impl Tail {
    fn factor(self, rng: &mut impl Rng) -> f64 {
        // In (0, 1], so that its logarithm and its inverse exist.
        let uniform = 1.0 - rng.random::<f64>();
        match self {
            // Box and Muller's way to a normal deviate.
            Tail::LogNormal(sigma) => {
                let angle = TAU * rng.random::<f64>();
                (sigma * (-2.0 * uniform.ln()).sqrt() * angle.cos()).exp()
            }
            Tail::Pareto(alpha) => uniform.powf(-1.0 / alpha),
        }
    }
}

/// A group of hosts whose links to all others open and close again and again.
#[derive(Clone, Debug)]
struct Flap {
    group: BTreeSet<HostId>,
    /// Whether what comes from the others passes at all times.
    one_way: bool,
    period: Duration,
    closed: Duration,
}

impl Flap {
    fn stops(&self, from: HostId, to: HostId, at: Timestamp) -> bool {
        let (ours, theirs) = (self.group.contains(&from), self.group.contains(&to));
        let crosses = if self.one_way { ours && !theirs } else { ours != theirs };
        let age = at.since(Timestamp::from_millis(0));
        crosses && age.as_micros() % self.period.as_micros() < self.closed.as_micros()
    }
}

/// How the links behave. All links are alike, but for those that are cut.
#[derive(Clone, Debug)]
pub struct Links {
    /// One-way delay, drawn for each message: a wide range reorders.
    pub delay: Range<Duration>,
    /// What some messages take longer.
    pub tail: Option<Tail>,
    /// Probability that a message is lost.
    pub loss: f64,
    /// Probability that a message arrives twice.
    pub duplication: f64,
    /// Pairs (from, to) between which nothing passes.
    cut: BTreeSet<(HostId, HostId)>,
    flaps: Vec<Flap>,
}

impl Default for Links {
    /// A calm local network.
    fn default() -> Self {
        Links {
            delay: Duration::from_micros(200)..Duration::from_micros(800),
            tail: None,
            loss: 0.0,
            duplication: 0.0,
            cut: BTreeSet::new(),
            flaps: Vec::new(),
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
        let asks = [Kind::Syn, Kind::ColumnSyn, Kind::Inquiry].map(|kind| kind as u8);
        Envelope::parse(&self.bytes).is_ok_and(|envelope| asks.contains(&envelope.kind))
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

    /// Lets nothing pass from any of `a` to any of `b`; the way back stays open.
    pub fn partition_one_way(&mut self, a: &[HostId], b: &[HostId]) {
        self.cut.extend(a.iter().flat_map(|from| b.iter().map(|to| (*from, *to))));
    }

    /// Closes the links between the group and all others, for the first part (`closed`) of each
    /// period; with `one_way` only those that lead out of the group.
    pub fn flap(&mut self, group: &[HostId], period: Duration, closed: Duration, one_way: bool) {
        assert!(!period.is_zero(), "a period has a length");
        let group = group.iter().copied().collect();
        self.flaps.push(Flap { group, one_way, period, closed });
    }

    /// Mends all cuts, those that come and go too.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.flaps.clear();
    }

    /// Whether anything passes at this time, but for loss.
    pub(crate) fn is_open(&self, from: HostId, to: HostId, at: Timestamp) -> bool {
        let closed = self.cut.contains(&(from, to));
        !closed && !self.flaps.iter().any(|flap| flap.stops(from, to, at))
    }

    /// The delays after which a message arrives: none if it is lost, two if it is duplicated.
    pub(crate) fn pass(
        &self,
        from: HostId,
        to: HostId,
        at: Timestamp,
        rng: &mut impl Rng,
    ) -> Vec<Duration> {
        if !self.is_open(from, to, at) || rng.random_bool(self.loss) {
            return Vec::new();
        }
        let copies = 1 + usize::from(rng.random_bool(self.duplication));
        (0..copies).map(|_| self.draw_delay(rng)).collect()
    }

    pub(crate) fn draw_delay(&self, rng: &mut impl Rng) -> Duration {
        let delay = rng.random_range(self.delay.clone());
        let Some(tail) = self.tail else { return delay };
        let seconds = delay.as_secs_f64() * tail.factor(rng);
        Duration::from_secs_f64(seconds.min(LONGEST_DELAY.as_secs_f64()))
    }
}
