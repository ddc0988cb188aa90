//! What a member that behaves badly can make a node hold: the heap of this whole process is counted,
//! the stranger's own included.

#![allow(clippy::print_stdout, reason = "the figure is of interest")]

mod secure;

use std::time::Duration;

use bytes::Bytes;
use chitchat_tests::net::{Quic, Session, TlsTcp, Wire};
use peak_alloc::PeakAlloc;
use secure::stage::{Stage, papers};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// 16 MiB for the node to read, 8 MiB of QUIC's window, 4 MiB of messages being put together, the
/// buffers for datagrams, and as much again on the stranger's side.
const BOUND: usize = 64 << 20;

/// One after the other: there is one heap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_and_endless_messages_take_bounded_memory() {
    take_bounded_memory(Quic).await;
    take_bounded_memory(TlsTcp).await;
}

async fn take_bounded_memory<W: Wire>(wire: W) {
    let mut stage = Stage::new(wire).await;
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    for round in 0..3 {
        let name = format!("mallory-{round}");
        let session = stage.wire.dial(stage.addr(), Some(papers(&stage.ca, &name))).await.unwrap();
        session.flood(Duration::from_secs(1)).await;
        session.endless(Duration::from_secs(1)).await;
        let session = stage.wire.dial(stage.addr(), Some(papers(&stage.ca, &name))).await.unwrap();
        // Whole messages of nonsense, as fast as they go.
        for _ in 0..200 {
            let _ = session.send(Bytes::from(vec![0xff; 1 << 20])).await;
        }
        stage.gossips_on().await;
    }
    let growth = HEAP.peak_usage().saturating_sub(before);
    println!("{}: the heap grew by at most {growth} bytes (bound {BOUND})", W::NAME);
    assert!(growth < BOUND, "the heap grew by {growth} bytes");
}
