//! A process that is no node: it says whatever a test makes it say.

use std::net::SocketAddr;
use std::time::Duration;

use chitchat_protocol::message::{Body, Header, Message, SelfReport, SenderEntry, TrainPart};
use chitchat_protocol::wire::{VersionRange, cluster_id_hash};
use chitchat_protocol::{DeltaEntry, DeltaOp, Digest, DigestEntry, Incarnation, NodeDelta, NodeId};

use crate::sim::{Captured, HostId, Sim};

/// Who the puppet claims to be. All fields go into the messages as they are.
#[derive(Clone, Debug)]
pub struct Puppet {
    /// Where it sends from, and hears answers.
    pub addr: SocketAddr,
    /// Hash of the cluster id.
    pub cluster: u64,
    /// Claimed node id.
    pub node_id: String,
    /// Who it is by its certificate, where it has one.
    pub verified: Option<NodeId>,
    /// Claimed incarnation.
    pub incarnation: Incarnation,
    /// Claimed heartbeat.
    pub heartbeat: u64,
    /// Claimed age of the heartbeat.
    pub age: Duration,
    /// Claimed length of the log.
    pub max_version: u64,
    /// The last token that it was given, as a proof of its address.
    pub token: u64,
    /// What it says that it knows of the receiver.
    pub about_you: Option<SelfReport>,
    /// Nonce of its next question.
    pub nonce: u64,
}

impl Puppet {
    /// A puppet with this name, at an address of its own.
    pub fn new(node_id: &str, number: u16) -> Puppet {
        let [high, low] = number.to_be_bytes();
        Puppet {
            addr: SocketAddr::from(([172, 16, high, low], 7280)),
            cluster: cluster_id_hash("sim"),
            node_id: node_id.to_owned(),
            verified: None,
            incarnation: Incarnation { generation_id: 1_800_000_000_000, boot: 77 },
            heartbeat: 1,
            age: Duration::ZERO,
            max_version: 3,
            token: 0,
            about_you: None,
            nonce: 1_000,
        }
    }

    /// A message from it.
    pub fn message(&self, nonce: u64, echo: u64, body: Body<'static>) -> Message<'static> {
        Message {
            header: Header {
                cluster_id_hash: self.cluster,
                nonce,
                echo,
                versions: VersionRange::BUILD,
                gossip_interval: Duration::from_millis(500),
                sender: SenderEntry {
                    node_id: self.node_id.clone().into(),
                    incarnation: self.incarnation,
                    position: None,
                    heartbeat: self.heartbeat,
                    age: self.age,
                    max_version: self.max_version,
                    last_gc_version: 0,
                },
                observer: false,
                observed: None,
                about_you: self.about_you,
            },
            body,
        }
    }

    /// A Syn that lists these nodes, and no others, as known.
    pub fn syn(&mut self, mut entries: Vec<DigestEntry<'static>>) -> Vec<u8> {
        self.nonce += 1;
        entries.sort_by(|a, b| a.node_id.cmp(&b.node_id));
        let digest = Digest { entries, ..Digest::default() };
        self.message(self.nonce, self.token, Body::Syn { budget: 60_000, digest }).encode()
    }

    /// An answer to a question that nobody asked, or with `echo` to one that was.
    pub fn syn_ack(&self, echo: u64, deltas: Vec<NodeDelta<'static>>) -> Vec<u8> {
        let part = TrainPart { index: 0, last: true, more: false };
        let body = Body::SynAck { part, budget: 60_000, entries: Vec::new(), deltas };
        self.message(1, echo, body).encode()
    }

    /// News.
    pub fn push(&self, deltas: Vec<NodeDelta<'static>>) -> Vec<u8> {
        self.message(2, 0, Body::Push { deltas }).encode()
    }

    /// The end of an exchange, with the last token.
    pub fn ack(&self, deltas: Vec<NodeDelta<'static>>) -> Vec<u8> {
        let part = TrainPart { index: 0, last: true, more: false };
        self.message(3, self.token, Body::Ack { part, deltas }).encode()
    }

    /// A digest entry about any node.
    pub fn entry(
        node_id: &str,
        incarnation: Incarnation,
        heartbeat: u64,
        max_version: u64,
    ) -> DigestEntry<'static> {
        DigestEntry {
            node_id: node_id.to_owned().into(),
            incarnation,
            heartbeat,
            age: Some(Duration::ZERO),
            max_version,
            last_gc_version: 0,
            cursor: None,
            parked: None,
            frozen: false,
        }
    }

    /// A delta that sets keys at consecutive versions above `from`.
    pub fn delta(
        node_id: &str,
        incarnation: Incarnation,
        heartbeat: u64,
        from: u64,
        keys: &[(&str, &str)],
    ) -> NodeDelta<'static> {
        let to = from + keys.len() as u64;
        let entry = |(version, (key, value)): (u64, &(&str, &str))| DeltaEntry {
            key: (*key).to_owned().into(),
            version,
            op: DeltaOp::Set { value: (*value).to_owned().into(), ttl: None },
        };
        NodeDelta {
            node_id: node_id.to_owned().into(),
            incarnation,
            heartbeat,
            age: Some(Duration::ZERO),
            from,
            to,
            source: to,
            horizon: to,
            last_gc_version: 0,
            prune: None,
            entries: (from + 1..).zip(keys).map(entry).collect(),
        }
    }

    /// Sends bytes to a host, and returns what comes back to the puppet's address at once. The
    /// last token among it is kept.
    pub fn say(&mut self, sim: &mut Sim, to: HostId, bytes: &[u8]) -> Vec<Captured> {
        let before = sim.tap.take();
        sim.tap = Some(Vec::new());
        match &self.verified {
            Some(peer) => sim.inject_from(to, self.addr, peer.clone(), bytes),
            None => sim.inject(to, self.addr, bytes),
        }
        let heard = sim.tap.take().unwrap_or_default();
        sim.tap = before;
        let answers: Vec<Captured> =
            heard.into_iter().filter(|message| message.to == self.addr).collect();
        for answer in &answers {
            if let Ok(envelope) = chitchat_protocol::wire::Envelope::parse(&answer.bytes)
                && envelope.nonce != 0
            {
                self.token = envelope.nonce;
            }
        }
        answers
    }

    /// Makes the host take the puppet for a live node with these keys: it answers the host's
    /// questions as a node would, once.
    pub fn join(&mut self, sim: &mut Sim, host: HostId, keys: &[(&str, &str)]) {
        // The first version says how many versions a node starts with.
        let mut log = vec![("\0initial", "1")];
        log.extend_from_slice(keys);
        self.max_version = log.len() as u64;
        let delta = |puppet: &Puppet| {
            Puppet::delta(&puppet.node_id, puppet.incarnation, puppet.heartbeat, 0, &log)
        };
        // The first answer carries the token that proves the address in the second question.
        for _ in 0..2 {
            self.heartbeat += 1;
            let syn = self.syn(Vec::new());
            self.say(sim, host, &syn);
            let ack = self.ack(vec![delta(self)]);
            self.say(sim, host, &ack);
        }
    }
}
