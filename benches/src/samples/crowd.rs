//! A node that knows many members, without as many nodes: one puppet tells it of all of them, and
//! answers in their names.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use chitchat_protocol::columns::{ColumnAnswer, Standing};
use chitchat_protocol::message::{Body, Header, Message, SenderEntry, TrainPart};
use chitchat_protocol::wire::{
    DecodeLimits, EncodeOptions, Frame, Kind, VersionRange, cluster_id_hash,
};
use chitchat_protocol::{
    Config, DeltaEntry, DeltaOp, Digest, DigestEntry, Incarnation, LinkLimits, Node, NodeDelta,
    NodeId, Origin, Path, Timestamp, Transmit,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const CLUSTER: &str = "bench";
const INTERVAL: Duration = Duration::from_millis(500);

/// How often a node is woken in an interval.
const TICKS: u32 = 10;

/// So long that all members go into one message.
const LINK: LinkLimits = LinkLimits::new(65_507, 65_507);

/// Member 0 tells of the others.
const TELLER: usize = 0;

/// Versions of each log: the protocol's own keys, and no others.
const LOG: u64 = 3;

/// A member that is made up.
#[derive(Clone, Debug)]
struct Member {
    node_id: String,
    incarnation: Incarnation,
    addr: SocketAddr,
    /// How many intervals before the others it started.
    older: u64,
}

/// Nodes that know so many members, themselves among them: the first node is member 1.
pub(crate) struct Crowd {
    /// In the order of node ids.
    members: Vec<Member>,
    nodes: Vec<Node>,
    /// What members say of the set that they are asked about: with another one than
    /// [`Standing::Same`] they are named by hashes.
    pub(crate) standing: Standing,
    heartbeat: u64,
    now: Timestamp,
}

impl Crowd {
    /// `real` nodes among `count` members. They all know each other, and agree that they do.
    pub(crate) fn new(count: usize, real: usize, seed: u64) -> anyhow::Result<Crowd> {
        anyhow::ensure!(real < count, "somebody has to tell the nodes");
        let mut rng = StdRng::seed_from_u64(seed);
        let member = |index: usize| Member {
            node_id: format!("indexer-{index:05}-{:08x}", rng.random::<u32>()),
            incarnation: Incarnation {
                generation_id: 1_760_000_000_000 + rng.random_range(0..86_400_000),
                boot: rng.random(),
            },
            addr: SocketAddr::from((
                Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + index as u32),
                7_280,
            )),
            older: rng.random_range(0..100_000),
        };
        let mut members: Vec<Member> = (0..count).map(member).collect();
        let now = Timestamp::from_millis(1_000);
        let mut nodes = Vec::new();
        // Next to the teller, in the order of the names.
        for member in members.iter_mut().skip(1).take(real) {
            let mut config = Config::new(CLUSTER, &*member.node_id);
            config.generation_id = Some(member.incarnation.generation_id);
            config.refuse_future_generations = false;
            config.gossip_interval = INTERVAL;
            config.advertise_addrs = vec![member.addr];
            let node = Node::new(config, LINK, rng.random(), now)?;
            member.incarnation = node.incarnation();
            nodes.push(node);
        }
        let mut crowd = Crowd { members, nodes, standing: Standing::Same, heartbeat: 0, now };
        // What is new is listed for some intervals: that is over then.
        for _ in 0..8 {
            crowd.pass()?;
            for index in 0..crowd.nodes.len() {
                let sent = crowd.open(index);
                crowd.settle(index, sent)?;
            }
        }
        for node in &mut crowd.nodes {
            node.publish();
            let live = node.snapshot().live_nodes().count();
            anyhow::ensure!(live == count, "{live} of {count} members are live");
        }
        Ok(crowd)
    }

    /// An interval passes, in which all members have beaten, and the nodes have heard of it. Their
    /// next round is due at the end of it.
    pub(crate) fn pass(&mut self) -> anyhow::Result<()> {
        self.heartbeat += 1;
        // Whoever is not woken for longer takes itself for stopped.
        for _ in 0..TICKS {
            for index in 0..self.nodes.len() {
                self.nodes[index].handle_timeout(self.now);
                let sent = self.drain(index);
                self.settle(index, sent)?;
            }
            self.now = self.now + INTERVAL / TICKS;
        }
        let bytes = self.message(TELLER, 1, self.tell()).encode();
        for index in 0..self.nodes.len() {
            self.deliver(index, TELLER, &bytes);
            let sent = self.drain(index);
            self.settle(index, sent)?;
        }
        Ok(())
    }

    /// A node begins its round. Returns what it sends.
    pub(crate) fn open(&mut self, index: usize) -> Vec<Transmit> {
        self.nodes[index].handle_timeout(self.now);
        self.drain(index)
    }

    /// Whatever a node asks is answered by whom it asks, with nothing new, until it has nothing to
    /// say.
    pub(crate) fn settle(&mut self, index: usize, sent: Vec<Transmit>) -> anyhow::Result<()> {
        let mut waiting = VecDeque::from(sent);
        while let Some(transmit) = waiting.pop_front() {
            let to = transmit.target.reply.map(|path| path.remote);
            let to = to.or(transmit.target.addrs.first().copied());
            let Some(peer) = self.members.iter().position(|it| Some(it.addr) == to) else {
                continue;
            };
            let heard = Message::decode(&transmit.bytes, &DecodeLimits::default())?;
            if let Some(body) = self.answer(&heard.body) {
                let answer = self.message(peer, heard.header.nonce, body);
                let options = EncodeOptions::default().with_version(2).context("no version 2")?;
                let bytes = answer.encode_with(&options);
                self.deliver(index, peer, &bytes);
                waiting.extend(self.drain(index));
            }
        }
        Ok(())
    }

    /// The question in columns with which a node begins a round.
    pub(crate) fn question(&mut self, index: usize) -> anyhow::Result<Vec<u8>> {
        self.pass()?;
        let sent = self.open(index);
        let question = sent.iter().find(|it| is_in_columns(&it.bytes));
        let bytes = question.context("no question in columns")?.bytes.clone();
        self.settle(index, sent)?;
        Ok(bytes)
    }

    /// What a node has to send.
    pub(crate) fn drain(&mut self, index: usize) -> Vec<Transmit> {
        std::iter::from_fn(|| self.nodes[index].poll_transmit()).collect()
    }

    /// All members by their names, as those say who know nobody in common.
    pub(crate) fn names(&self) -> Message<'_> {
        self.message(TELLER, 0, self.tell())
    }

    /// A node takes in a message of a member.
    pub(crate) fn deliver(&mut self, index: usize, from: usize, bytes: &[u8]) {
        let from = &self.members[from];
        let path = Path { remote: from.addr, token: 0 };
        let origin = Origin { path, peer: Some(NodeId::from(&*from.node_id)) };
        self.nodes[index].handle_message(&origin, bytes, self.now);
    }

    fn tell(&self) -> Body<'_> {
        let entries = self.members.iter().map(|member| DigestEntry {
            node_id: Cow::Borrowed(&member.node_id),
            incarnation: member.incarnation,
            heartbeat: self.heartbeat + member.older,
            // As in a cluster: some intervals, and not the same for all.
            age: Some(
                INTERVAL / 10 * (member.incarnation.boot.wrapping_add(self.heartbeat) % 20) as u32,
            ),
            max_version: LOG,
            last_gc_version: 0,
            cursor: None,
            parked: None,
            frozen: false,
        });
        let digest = Digest { entries: entries.skip(1).collect(), ..Digest::default() };
        Body::Syn { budget: 1 << 20, digest }
    }

    fn message<'a>(&'a self, from: usize, echo: u64, body: Body<'a>) -> Message<'a> {
        let from = &self.members[from];
        let sender = SenderEntry {
            node_id: Cow::Borrowed(&from.node_id),
            incarnation: from.incarnation,
            position: None,
            heartbeat: self.heartbeat + from.older,
            age: Duration::ZERO,
            max_version: LOG,
            last_gc_version: 0,
        };
        let header = Header {
            cluster_id_hash: cluster_id_hash(CLUSTER),
            nonce: self.heartbeat,
            echo,
            versions: VersionRange::BUILD,
            gossip_interval: INTERVAL,
            sender,
            observer: false,
            observed: None,
            about_you: None,
        };
        Message { header, body }
    }

    /// `None`: there is nothing to answer.
    fn answer<'a>(&'a self, body: &Body<'_>) -> Option<Body<'a>> {
        let part = TrainPart { index: 0, last: true, more: false };
        match body {
            Body::SynAck { entries, .. } | Body::Inquiry { entries, .. } => {
                let logs = entries.iter().filter(|entry| entry.max_version < LOG);
                let deltas: Vec<NodeDelta<'a>> =
                    logs.filter_map(|entry| self.log_of(&entry.node_id)).collect();
                (!deltas.is_empty()).then_some(Body::Ack { part, deltas })
            }
            Body::ColumnSyn { columns, .. } => {
                let count = columns.cells.len() as u32;
                let standing = self.standing;
                let answer = ColumnAnswer { standing, count, ..ColumnAnswer::default() };
                let (entries, deltas) = (Vec::new(), Vec::new());
                Some(Body::ColumnSynAck { part, budget: 0, answer, entries, deltas })
            }
            Body::Syn { .. } => {
                Some(Body::SynAck { part, budget: 0, entries: Vec::new(), deltas: Vec::new() })
            }
            _ => None,
        }
    }

    fn log_of(&self, node_id: &str) -> Option<NodeDelta<'_>> {
        let found = self.members.binary_search_by(|it| it.node_id.as_str().cmp(node_id)).ok()?;
        let member = &self.members[found];
        let range = VersionRange::BUILD;
        let values = [
            ("\0initial", LOG.to_string()),
            ("\0wire", format!("{}-{}", range.oldest(), range.newest())),
            ("\0addrs", member.addr.to_string()),
        ];
        let entries = (1..).zip(values).map(|(version, (key, value))| DeltaEntry {
            key: Cow::Borrowed(key),
            version,
            op: DeltaOp::Set { value: Cow::Owned(value), ttl: None },
        });
        Some(NodeDelta {
            node_id: Cow::Borrowed(&member.node_id),
            incarnation: member.incarnation,
            heartbeat: self.heartbeat + member.older,
            age: Some(Duration::ZERO),
            entries: entries.collect(),
            ..super::log::delta(LOG)
        })
    }
}

fn is_in_columns(bytes: &[u8]) -> bool {
    let frame = Frame::parse(bytes, &DecodeLimits::default());
    frame.is_ok_and(|frame| frame.kind() == Kind::ColumnSyn)
}
