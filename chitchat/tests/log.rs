//! What is written to the log.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chitchat::transport::memory::MemoryNetwork;
use chitchat::transport::{Destination, OpenOptions, Transport, TransportSender};
use common::{live, spawn_at, until, virtual_node};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Keeps the lines at `info` and above.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write as _;
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Lines {
    fn take(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_down_for_an_hour_is_one_warning_per_state_change() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let network = MemoryNetwork::new(1);
    let a = spawn_at(&network, "10.0.0.1", virtual_node("a")).await;
    let b = virtual_node("b").seeds(["10.0.0.1:7280"]);
    let b = spawn_at(&network, "10.0.0.2", b).await;
    let c = virtual_node("c").seeds(["10.0.0.1:7280", "10.0.0.2:7280"]);
    let c = spawn_at(&network, "10.0.0.3", c).await;
    for node in [&a, &b, &c] {
        until(node, "all live", |now| live(now) == 3).await;
    }
    let joined = lines.take();
    assert_eq!(joined.iter().filter(|(_, line)| line.contains("node joined")).count(), 6);
    assert!(joined.iter().all(|(level, _)| *level == Level::INFO), "{joined:#?}");

    c.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let down = lines.take();
    let warnings: Vec<_> = down.iter().filter(|(level, _)| *level == Level::WARN).collect();
    assert_eq!(warnings.len(), 2, "one by each of the others: {down:#?}");
    assert!(warnings.iter().all(|(_, line)| line.contains("node failed")), "{down:#?}");
    assert!(down.len() <= 4, "{down:#?}");

    let c = virtual_node("c").seeds(["10.0.0.1:7280"]);
    let _c = spawn_at(&network, "10.0.0.3", c).await;
    until(&a, "c is back", |now| live(now) == 3).await;
    until(&b, "c is back", |now| live(now) == 3).await;
    let back = lines.take();
    assert!(back.iter().all(|(level, _)| *level == Level::INFO), "{back:#?}");
}

#[tokio::test(start_paused = true)]
async fn garbage_is_counted_and_told_at_most_once_a_minute() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let network = MemoryNetwork::new(2);
    let a = spawn_at(&network, "10.0.0.1", virtual_node("a")).await;
    let b = spawn_at(&network, "10.0.0.2", virtual_node("b").seeds(["10.0.0.1:7280"])).await;
    until(&a, "all live", |now| live(now) == 2).await;
    lines.take();

    let addr = "10.0.0.9:7280".parse().unwrap();
    let options = OpenOptions::new("none", "stranger", vec![addr]);
    let (stranger, _receiver) = network.transport().open(options).await.unwrap();
    let target = Destination::addr("10.0.0.1:7280".parse().unwrap());
    for number in 0..1_200_u32 {
        let garbage = Bytes::from(number.to_le_bytes().repeat(30));
        stranger.send(&target, garbage).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let told = lines.take();
    let warnings: Vec<_> = told.iter().filter(|(_, line)| line.contains("malformed")).collect();
    assert!((1..=3).contains(&warnings.len()), "in two minutes: {told:#?}");
    assert_eq!(told.len(), warnings.len(), "nothing else is told: {told:#?}");
    assert_eq!(a.stats().protocol.refused_malformed, 1_200);
    assert_eq!(live(&a.snapshot()), 2);
    assert_eq!(live(&b.snapshot()), 2);
}
