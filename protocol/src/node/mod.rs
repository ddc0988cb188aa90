//! The state machine: inputs in, messages and notices out.
//!
//! This file dispatches; what is done stands in the files beside it.

mod addresses;
mod answer;
mod apply;
mod columns;
mod conclude;
mod conflict;
mod counters;
mod exchange;
mod footprint;
mod hear;
mod identity;
mod leave;
mod lifecycle;
mod news;
mod outputs;
mod partners;
mod publish;
mod reach;
mod round;
mod serve;
mod timers;
mod tokens;
mod versions;
mod writes;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::active_set::ActiveSet;
use crate::compact::MemberHash;
use crate::config::{Config, max_entry_len};
use crate::error::ConfigError;
use crate::error::DecodeError;
use crate::event::Notice;
use crate::failure::{Detector, SelfHealth};
use crate::id::{ChitchatId, Incarnation, NodeId};
use crate::limits::LinkLimits;
use crate::membership::Members;
use crate::message::{Body, Message};
use crate::state::{ClusterStateSnapshot, OwnState};
use crate::time::Timestamp;
use crate::wire::{self, Frame, Kind};

use addresses::OwnAddresses;
use answer::Question;
use conclude::Told;
use exchange::Exchanges;
use identity::Identity;
use leave::Leaving;
use news::News;
use round::Row;
use serve::Service;
use timers::{Timer, Timers};
use versions::Incompatible;

pub(crate) use identity::is_from_the_future;

pub use counters::Counters;
pub use footprint::Footprint;
pub use leave::LeaveOutcome;
pub use outputs::{NodeHealth, Origin, Path, Target, Transmit};

/// Notices that wait to be fetched.
const MAX_NOTICES: usize = 1_024;

/// A node of a cluster, without I/O: it is told the time and what arrived, and says what to send and
/// when to wake it. See the [crate documentation](crate) for the loop that drives it.
///
/// Deterministic: the same seed and inputs give the same outputs.
pub struct Node {
    config: Config,
    link: LinkLimits,
    cluster_id_hash: u64,
    rng: StdRng,
    /// Keys of the tokens that prove an address.
    secret: (u64, u64),
    now: Timestamp,
    started: Timestamp,
    identity: Identity,
    own: OwnState,
    addresses: OwnAddresses,
    members: Members,
    /// A peer had the same set of members when it was last asked (rule P10).
    sets_agree: bool,
    detector: Detector,
    health: SelfHealth,
    /// After an own pause, until an answer to a question asked since: what was queued meanwhile looks
    /// younger than it is (rule D6).
    backlog: Option<Backlog>,
    exchanges: Exchanges,
    seeds: Vec<SocketAddr>,
    answered_seeds: BTreeSet<SocketAddr>,
    active: ActiveSet,
    incompatible: Incompatible,
    leaving: Option<Leaving>,
    news: News,
    timers: Timers,
    /// When the next round is due.
    round_due: Timestamp,
    row: Row,
    rotation: usize,
    outbox: VecDeque<Transmit>,
    /// Answers that are not all in the outbox yet, and whom they go to.
    services: VecDeque<(Target, Service)>,
    notices: VecDeque<Notice>,
    counters: Counters,
    published: ClusterStateSnapshot,
    dirty: BTreeSet<NodeId>,
}

/// See [`Node::backlog`].
#[derive(Clone, Copy, Debug)]
struct Backlog {
    since: Timestamp,
    until: Timestamp,
    /// What was queued has waited for no longer than this.
    pause: Duration,
}

impl Node {
    /// A node that is about to join.
    ///
    /// `link` is what the transport carries, `seed` the source of all randomness (pass something
    /// unpredictable in production), `now` the driver's clock.
    pub fn new(
        config: Config,
        link: LinkLimits,
        seed: u64,
        now: Timestamp,
    ) -> Result<Node, ConfigError> {
        config.validate_with(link)?;
        let mut rng = StdRng::seed_from_u64(seed);
        let generation_id = config.generation_id.unwrap_or(config.wall_clock_ms);
        let incarnation = Incarnation { generation_id, boot: rng.random() };
        let addresses = OwnAddresses::new(&config);
        let own = OwnState::new(
            config.limits,
            max_entry_len(link, &config.node_id),
            publish::reserved_entries(&addresses, config.wire_versions),
            publish::initial_entries(&config),
            now,
        );
        let detector =
            Detector::new(config.gossip_interval, config.phi_threshold, config.max_interval);
        let self_id = ChitchatId::new(config.node_id.clone(), generation_id);
        let cluster_id_hash = wire::cluster_id_hash(&config.cluster_id);
        let member_hash = MemberHash::new(cluster_id_hash, config.digest_hash_mask);
        let mut node = Node {
            cluster_id_hash,
            secret: (rng.random(), rng.random()),
            identity: Identity::new(incarnation, config.gossip_interval, now),
            own,
            addresses,
            members: Members::new(member_hash),
            sets_agree: false,
            detector,
            health: SelfHealth::new(config.gossip_interval, now),
            backlog: None,
            exchanges: Exchanges::new(config.limits.max_train_bytes),
            seeds: Vec::new(),
            answered_seeds: BTreeSet::new(),
            active: ActiveSet::default(),
            incompatible: Incompatible::default(),
            leaving: None,
            news: News::new(&config, now),
            timers: Timers::new(),
            round_due: now,
            row: Row::default(),
            rotation: rng.random_range(0..1024),
            outbox: VecDeque::new(),
            services: VecDeque::new(),
            notices: VecDeque::new(),
            counters: Counters::default(),
            published: ClusterStateSnapshot {
                cluster_id: config.cluster_id.clone(),
                self_id,
                seeds: config.seeds.clone().into(),
                nodes: imbl::OrdMap::new(),
            },
            dirty: BTreeSet::from([config.node_id.clone()]),
            rng,
            now,
            started: now,
            link,
            config,
        };
        node.timers.set(Timer::Round, now);
        node.timers.set(Timer::Watchdog, node.health.next_tick());
        node.update_own_timer();
        node.publish();
        Ok(node)
    }

    /// The node's id and present generation.
    pub fn id(&self) -> ChitchatId {
        ChitchatId::new(self.config.node_id.clone(), self.identity.incarnation.generation_id)
    }

    /// The node's present incarnation.
    pub fn incarnation(&self) -> Incarnation {
        self.identity.incarnation
    }

    /// What the node was configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Counts of what the node did and refused.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Addresses at which a node of the cluster may be found. Replaces the former ones; the own
    /// address among them does no harm.
    pub fn set_seed_addrs(&mut self, addrs: Vec<SocketAddr>) {
        self.seeds = addrs;
        self.seeds.sort_unstable();
        self.seeds.dedup();
        self.answered_seeds.retain(|addr| self.seeds.binary_search(addr).is_ok());
        if self.members.live() == 0 {
            self.timers.lower(Timer::Join, self.now);
        }
    }

    /// The seed addresses that have answered since the start.
    pub fn answered_seeds(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.answered_seeds.iter().copied()
    }

    /// Takes in a message from a peer. Total: no bytes whatever make it panic or allocate without
    /// bound; what is refused is counted.
    pub fn handle_message(&mut self, origin: &Origin, bytes: &[u8], now: Timestamp) {
        self.advance(now);
        self.counters.messages_received += 1;
        self.counters.bytes_received += bytes.len() as u64;
        let limits = wire::DecodeLimits {
            versions: self.config.wire_versions,
            ..wire::DecodeLimits::from(&self.config.limits)
        };
        let frame = match Frame::parse(bytes, &limits) {
            Ok(frame) => frame,
            Err(DecodeError::UnsupportedVersion { .. }) => {
                self.refuse_version(origin, bytes);
                return;
            }
            Err(_) => {
                self.counters.refused_malformed += 1;
                return;
            }
        };
        if frame.cluster_id_hash() != self.cluster_id_hash {
            self.counters.refused_cluster += 1;
            return;
        }
        if frame.kind() == Kind::Unsupported {
            self.handle_unsupported(origin, &frame);
            return;
        }
        match frame.message() {
            Ok(mut message) => {
                if self.name_sender(&mut message.header) {
                    self.handle(origin, &message, bytes.len());
                }
            }
            Err(_) => self.counters.refused_malformed += 1,
        }
    }

    fn handle(&mut self, origin: &Origin, message: &Message<'_>, len: usize) {
        let header = &message.header;
        let sender = &header.sender;
        if let Some(verified) = origin.peer.as_ref().filter(|peer| ***peer != *sender.node_id) {
            self.counters.refused_identity += 1;
            let claimed = NodeId::from(&*sender.node_id);
            let verified = verified.clone();
            self.notify(Notice::IdentityMismatch { claimed, verified });
            return;
        }
        let own_name = *sender.node_id == *self.config.node_id;
        if own_name && sender.incarnation == self.identity.incarnation {
            // Our own message, come back: somebody's seed list has our address.
            self.counters.refused_own += 1;
            if message.body.is_question() {
                self.learn_loop(header.nonce);
            }
            return;
        }
        match &message.body {
            Body::Syn { budget, digest } => {
                self.handle_question(origin, header, *budget, &Question::Range(digest), len);
            }
            Body::ColumnSyn { budget, columns } => {
                self.handle_question(origin, header, *budget, &Question::Columns(columns), len);
            }
            Body::Inquiry { budget, entries, unnamed } => {
                let question = Question::Some(entries, unnamed);
                self.handle_question(origin, header, *budget, &question, len);
            }
            Body::SynAck { part, budget, entries, deltas } => {
                let told = Told { part: *part, budget: *budget, answer: None, entries, deltas };
                self.handle_syn_ack(origin, header, &told);
            }
            Body::ColumnSynAck { part, budget, answer, entries, deltas } => {
                let answer = Some(answer);
                let told = Told { part: *part, budget: *budget, answer, entries, deltas };
                self.handle_syn_ack(origin, header, &told);
            }
            Body::Ack { part, deltas } => self.handle_ack(origin, header, *part, deltas),
            Body::News { changed, deltas } => {
                self.handle_news(origin, header, (changed, deltas), len);
            }
            Body::Push { deltas } => self.handle_push(origin, header, deltas),
            Body::PushAck { max_version } => self.handle_push_ack(header, *max_version),
            Body::Refused { reason } => self.handle_refused(header, *reason),
        }
    }

    /// Does what is due. Call it when [`Node::poll_timeout`] has come; earlier or later is safe.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        for timer in self.timers.take_due(self.now) {
            match timer {
                Timer::Round => self.round(),
                Timer::Row => self.open_next(),
                Timer::Join => self.join(),
                Timer::Watchdog => self.timers.set(Timer::Watchdog, self.health.next_tick()),
                Timer::Liveness => self.judge_lives(),
                Timer::Own => self.tend_own_state(),
                Timer::Expiry => self.expire_entries(),
                Timer::Exchange => self.tend_exchanges(),
                Timer::Leave => self.tend_leave(),
                Timer::Yield => self.tend_yield(),
                Timer::Push => self.push(),
                Timer::List => self.tell_list(),
            }
        }
    }

    /// When [`Node::handle_timeout`] wants to be called, at the latest. Changes with every call.
    pub fn poll_timeout(&self) -> Timestamp {
        self.timers.next()
    }

    /// The next message to send. Call until `None` after every other call.
    ///
    /// A long answer is made piece by piece, each when the one before has been taken: between two
    /// calls, others may have their turn.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.outbox.is_empty() {
            self.serve();
        }
        self.outbox.pop_front()
    }

    /// The next notice. At most 1,024 wait; later ones are counted and dropped.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Moves the clock, and notices when this process was not running.
    fn advance(&mut self, now: Timestamp) {
        // A clock that goes backwards is a fault of the driver; standing still is harmless.
        self.now = self.now.max(now);
        let Some(pause) = self.health.tick(self.now) else {
            return;
        };
        let interval = self.config.gossip_interval;
        // The round that was missed is due now; it is one, however many were missed.
        let longest = self.backlog.filter(|it| self.now < it.until + pause).map(|it| it.pause);
        self.backlog = Some(Backlog {
            since: self.now,
            until: self.now + interval * 3,
            pause: longest.unwrap_or_default().max(pause),
        });
        if pause > interval {
            self.notify(Notice::Paused { pause });
        }
    }

    /// An age that a message tells, with the time for which the message may have been queued because this
    /// process was not running.
    fn aged(&self, age: Duration) -> Duration {
        let backlog = self.backlog.filter(|it| self.now < it.until);
        age.saturating_add(backlog.map_or(Duration::ZERO, |it| it.pause))
    }

    fn notify(&mut self, notice: Notice) {
        // Half of the room is kept for what peers cannot cause at will.
        let limit = if notice.is_caused_by_peer() { MAX_NOTICES / 2 } else { MAX_NOTICES };
        if self.notices.len() >= limit {
            self.counters.notices_dropped += 1;
            return;
        }
        self.notices.push_back(notice);
    }

    fn transmit(&mut self, target: Target, bytes: Vec<u8>) {
        self.counters.messages_sent += 1;
        self.counters.bytes_sent += bytes.len() as u64;
        self.outbox.push_back(Transmit { target, bytes });
    }

    /// Half the grace period: a node that is silent for longer is neither served nor accepted.
    fn acceptance(&self) -> Duration {
        self.config.dead_node_grace_period / 2
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("cluster_id", &self.config.cluster_id)
            .field("node_id", &self.config.node_id)
            .field("incarnation", &self.identity.incarnation)
            .field("live_peers", &self.members.live())
            .finish_non_exhaustive()
    }
}
