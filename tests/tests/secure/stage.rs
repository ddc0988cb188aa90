//! Two nodes that gossip, and what a stranger has to leave as it was.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chitchat::tls::{
    ClusterCa, IssueOptions, NodeCertificate, RevocationListOptions, TlsConfig, TlsMaterial,
};
use chitchat::transport::Report;
use chitchat::{ChitchatConfig, ChitchatHandle, NoticeStream, OperatorNotice};
use chitchat_protocol::{Config, LinkLimits, Node, Timestamp};
use chitchat_tests::net::{Papers, Session, Wire};
use rustls::pki_types::CertificateRevocationListDer;
use tokio::time::{sleep, timeout};

/// Ends what would hang; far more than anything here takes.
pub(crate) const GUARD: Duration = Duration::from_secs(60);
pub(crate) const CLUSTER: &str = "secure";
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

/// Two good nodes, "alice" and "bob", of one cluster.
pub(crate) struct Stage<W: Wire> {
    pub(crate) wire: W,
    pub(crate) ca: ClusterCa,
    pub(crate) alice: ChitchatHandle,
    pub(crate) bob: ChitchatHandle,
    pub(crate) notices: NoticeStream,
    rounds: u32,
}

/// Starts a node on a free port of 127.0.0.1.
pub(crate) async fn start<W: Wire>(
    wire: &W,
    node_id: &str,
    identity: TlsConfig,
    seeds: &[SocketAddr],
) -> ChitchatHandle {
    start_at(wire, node_id, identity, "127.0.0.1:0", seeds).await
}

pub(crate) async fn start_at<W: Wire>(
    wire: &W,
    node_id: &str,
    identity: TlsConfig,
    listen: &str,
    seeds: &[SocketAddr],
) -> ChitchatHandle {
    let config = ChitchatConfig::builder(CLUSTER, node_id)
        .listen([listen])
        .seeds(seeds)
        .gossip_interval(INTERVAL)
        .build()
        .unwrap();
    chitchat::spawn(config, wire.transport(identity)).await.unwrap()
}

/// A certificate of a CA for a node of its cluster, as a stranger would hold it.
pub(crate) fn papers(ca: &ClusterCa, node_id: &str) -> Papers {
    papers_of(node_id, &ca.issue(node_id).unwrap())
}

fn papers_of(name: &str, certificate: &NodeCertificate) -> Papers {
    let (chain, key) = (certificate.chain().to_vec(), certificate.private_key());
    Papers { name: name.to_owned(), chain, key }
}

/// A certificate for a node, with the CA that issued it and others as trust anchors.
pub(crate) fn material(ca: &ClusterCa, node_id: &str, others: &[&ClusterCa]) -> TlsMaterial {
    let certificate = ca.issue(node_id).unwrap();
    let anchors = [ca].into_iter().chain(others.iter().copied());
    let anchors = anchors.map(|ca| ca.trust_anchor().clone()).collect();
    TlsMaterial::new(anchors, certificate.chain().to_vec(), certificate.private_key())
}

/// A list with a number of its own.
pub(crate) fn revocation_list(
    ca: &ClusterCa,
    revoked: &[&NodeCertificate],
    number: u64,
) -> CertificateRevocationListDer<'static> {
    let options = RevocationListOptions::default().number(number);
    ca.revoke_with(revoked, options).unwrap().der().clone()
}

/// A certificate that expires soon.
pub(crate) fn brief_identity(ca: &ClusterCa, node_id: &str, validity: Duration) -> TlsConfig {
    let now = SystemTime::now();
    let options =
        IssueOptions::new(node_id).validity(now - Duration::from_secs(60), now + validity);
    ca.issue_with(options).unwrap().tls_config().unwrap()
}

pub(crate) fn identity(ca: &ClusterCa, node_id: &str) -> TlsConfig {
    ca.issue(node_id).unwrap().tls_config().unwrap()
}

/// Waits until the condition holds.
#[track_caller]
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let what = what.to_owned();
    let caller = std::panic::Location::caller();
    async move {
        let holds = async {
            while !condition() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(GUARD, holds).await.is_err() {
            panic!("{caller}: {what} has not come about");
        }
    }
}

impl<W: Wire> Stage<W> {
    pub(crate) async fn new(wire: W) -> Self {
        let ca = ClusterCa::generate(CLUSTER).unwrap();
        let alice = start(&wire, "alice", identity(&ca, "alice"), &[]).await;
        let notices = alice.notices();
        let seeds = alice.local_addrs().to_vec();
        let bob = start(&wire, "bob", identity(&ca, "bob"), &seeds).await;
        alice.set("secret", "of alice").unwrap();
        bob.set("secret", "of bob").unwrap();
        let mut stage = Self { wire, ca, alice, bob, notices, rounds: 0 };
        stage.gossips_on().await;
        stage
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.alice.local_addrs()[0]
    }

    /// The two exchange news, know nobody else, and have lost nobody.
    pub(crate) async fn gossips_on(&mut self) {
        self.rounds += 1;
        let news = self.rounds.to_string();
        for (from, to) in [(&self.alice, &self.bob), (&self.bob, &self.alice)] {
            from.set("news", &news).unwrap();
            let node_id = from.id().node_id;
            until("news", || {
                let state = to.snapshot();
                state.node(&node_id).is_some_and(|state| state.get("news") == Some(&news))
            })
            .await;
        }
        for node in [&self.alice, &self.bob] {
            let state = node.snapshot();
            let known: Vec<_> = state.nodes().map(|node| node.id().node_id.to_string()).collect();
            assert_eq!(known, ["alice", "bob"]);
            assert_eq!(state.live_nodes().count(), 2);
        }
    }

    /// A certificate of the stage's CA with another name in it.
    pub(crate) fn papers_for_san(&self, san: &str) -> Papers {
        papers_of("mallory", &self.ca.issue_with(IssueOptions::new("mallory").sans([san])).unwrap())
    }

    /// A certificate for mallory that is valid from and until so many seconds from now.
    pub(crate) fn papers_valid(&self, seconds: Range<i64>) -> Papers {
        let at = |seconds: i64| {
            let away = Duration::from_secs(seconds.unsigned_abs());
            let now = SystemTime::now();
            if seconds < 0 { now - away } else { now + away }
        };
        let options = IssueOptions::new("mallory").validity(at(seconds.start), at(seconds.end));
        papers_of("mallory", &self.ca.issue_with(options).unwrap())
    }

    /// Waits until alice has refused somebody for this reason.
    pub(crate) async fn refused(&self, kind: &'static str) {
        let alice = &self.alice;
        until(kind, || {
            alice.stats().transport.identities_refused.get(kind).is_some_and(|count| *count > 0)
        })
        .await;
    }

    /// The report of the refusal: the name that was presented, and the words.
    pub(crate) async fn refusal(&mut self) -> (Option<String>, String) {
        let report = async {
            loop {
                let notice = self.notices.next().await.unwrap();
                if let Ok(OperatorNotice::Transport(Report::IdentityRefused {
                    presented,
                    reason,
                    ..
                })) = notice
                {
                    return (presented.map(|name| name.to_string()), reason.to_string());
                }
            }
        };
        timeout(GUARD, report).await.expect("no report of a refusal")
    }

    /// Alice refuses whoever dials with these papers, tells the name and the reason, and nothing of
    /// what the stranger sends has an effect. Returns what the stranger heard in the end.
    pub(crate) async fn refuses(&mut self, papers: Option<Papers>, kind: &'static str) -> String {
        let words = match self.wire.dial(self.addr(), papers).await {
            Err(words) => words,
            Ok(session) => {
                // The handshake may look complete at this end before the other one has refused.
                let _ = session.send(syn("mallory", CLUSTER)).await;
                let heard = timeout(GUARD, session.recv()).await.expect("it is not closed");
                assert_eq!(heard, None, "a stranger got a message");
                session.closed().await
            }
        };
        self.refused(kind).await;
        self.gossips_on().await;
        words
    }
}

/// What a node of this name says first.
pub(crate) fn syn(node_id: &str, cluster_id: &str) -> Bytes {
    let mut config = Config::new(cluster_id, node_id);
    config.wall_clock_ms = 1_700_000_000_000;
    config.initial_key_values = vec![("from".to_owned(), "mallory".to_owned())];
    let link = LinkLimits::new(65_536, 1 << 20);
    let mut node = Node::new(config, link, 7, Timestamp::ZERO).unwrap();
    node.set_seed_addrs(vec!["192.0.2.1:7".parse().unwrap()]);
    node.handle_timeout(Timestamp::ZERO);
    Bytes::from(node.poll_transmit().expect("a Syn to the seed").bytes)
}
