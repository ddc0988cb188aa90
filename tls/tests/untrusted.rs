//! Whatever a peer sends, it is judged, and nothing panics.

#![cfg(feature = "dev-ca")]

mod common;

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chitchat_tls::{
    CaOptions, ClusterCa, NodeCertificate, NodeTls, PeerRole, RevocationListOptions, TlsConfig,
    TlsMaterial,
};
use common::{ca, now};
use proptest::collection::vec;
use proptest::prelude::*;
use rustls::pki_types::CertificateDer;

struct World {
    us: NodeTls,
    ca: ClusterCa,
    peer: NodeCertificate,
    list: Vec<u8>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let ca = ca();
    let peer = ca.intermediate(CaOptions::default()).unwrap().issue("peer").unwrap();
    let list = ca.revoke_with(&[&peer], RevocationListOptions::default()).unwrap().der().to_vec();
    let config =
        ca.issue("us").unwrap().tls_config_builder().crls([list.clone().into()]).build().unwrap();
    World { us: config.bind("c", "us").unwrap(), ca, peer, list }
});

fn roles() -> impl Strategy<Value = PeerRole> {
    prop_oneof![Just(PeerRole::Dialler), Just(PeerRole::Listener)]
}

/// Changes some bytes, and cuts or adds some.
fn spoil(
    der: &[u8],
    edits: &[(prop::sample::Index, u8)],
    len: Option<prop::sample::Index>,
) -> Vec<u8> {
    let mut der = der.to_vec();
    for (index, byte) in edits {
        let index = index.index(der.len());
        der[index] ^= byte;
    }
    if let Some(len) = len {
        der.truncate(len.index(der.len()));
    }
    der
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4)
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused(
        chain in vec(vec(any::<u8>(), 0..600), 0..4),
        role in roles(),
        secs in any::<u32>(),
        expected in proptest::option::of(".*"),
    ) {
        let chain: Vec<CertificateDer<'_>> = chain.into_iter().map(Into::into).collect();
        let at = UNIX_EPOCH + Duration::from_secs(secs.into());
        let judged = WORLD.us.current().authorize(&chain, role, at, expected.as_deref());
        let error = judged.unwrap_err();
        prop_assert!(!error.kind().is_empty());
        prop_assert!(error.to_string().is_ascii());
    }

    #[test]
    fn spoilt_certificates_are_refused(
        which in any::<bool>(),
        edits in edits(),
        cut in proptest::option::weighted(0.3, any::<prop::sample::Index>()),
        role in roles(),
    ) {
        let mut chain = WORLD.peer.chain().to_vec();
        let spoilt = spoil(&chain[usize::from(which)], &edits, cut);
        // Two edits can undo each other.
        prop_assume!(spoilt != chain[usize::from(which)][..]);
        chain[usize::from(which)] = spoilt.into();
        let error = WORLD.us.current().authorize(&chain, role, now(), None).unwrap_err();
        prop_assert!(error.presented().is_none_or(|san| san.is_ascii() && san.len() < 400));
        prop_assert!(error.to_string().is_ascii());
    }

    #[test]
    fn any_time_will_do(secs in any::<u64>(), role in roles()) {
        for time in [
            UNIX_EPOCH.checked_add(Duration::from_secs(secs)),
            UNIX_EPOCH.checked_sub(Duration::from_secs(secs)),
        ] {
            let time: Option<SystemTime> = time;
            if let Some(time) = time {
                let _ = WORLD.us.current().authorize(WORLD.peer.chain(), role, time, None);
            }
        }
    }

    #[test]
    fn spoilt_material_does_not_panic(
        edits in edits(),
        cut in proptest::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let World { ca, peer, list, .. } = &*WORLD;
        let load = |anchor: Vec<u8>, leaf: Vec<u8>, list: Vec<u8>| {
            let material = TlsMaterial::new(vec![anchor.into()], vec![leaf.into()], peer.private_key())
                .with_crls(vec![list.into()]);
            TlsConfig::builder().der(material).build().and_then(|config| config.bind("c", "peer"))
        };
        let (anchor, leaf) = (ca.certificate().to_vec(), peer.chain()[0].to_vec());
        // What of it is found out depends on what was hit; nothing panics, and a leaf whose
        // issuer is missing is never accepted.
        prop_assert!(load(spoil(&anchor, &edits, cut), leaf.clone(), list.clone()).is_err());
        prop_assert!(load(anchor.clone(), spoil(&leaf, &edits, cut), list.clone()).is_err());
        prop_assert!(load(anchor, leaf, spoil(list, &edits, cut)).is_err());
    }
}
