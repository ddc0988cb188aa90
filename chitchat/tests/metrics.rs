//! The numbers that a recorder gets.
#![cfg(feature = "metrics")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chitchat::metrics as names;
use chitchat::transport::memory::MemoryNetwork;
use common::{live, spawn_at, until, virtual_node};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Keeps the last value of everything, under its name with its labels.
#[derive(Default)]
struct Values(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Values {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    fn get(&self, name: &str) -> u64 {
        let values = self.0.lock().unwrap();
        let value = values.get(name).unwrap_or_else(|| panic!("{name} among {values:#?}"));
        value.load(Ordering::Relaxed)
    }
}

impl Recorder for Values {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_node_reports_its_numbers_once_per_interval() {
    let values = Values::default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    metrics::with_local_recorder(&values, || {
        runtime.unwrap().block_on(async {
            let network = MemoryNetwork::new(1);
            let a = spawn_at(&network, "10.0.0.1", virtual_node("a")).await;
            let b = virtual_node("b").seeds(["10.0.0.1:7280"]);
            let _b = spawn_at(&network, "10.0.0.2", b).await;
            until(&a, "b lives", |now| live(now) == 2).await;
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            let labels = "cluster_id=test node_id=a";
            let stats = a.stats();
            let nodes = values.get(&format!("{} {labels} status=alive", names::NODES));
            assert_eq!(f64::from_bits(nodes), 2.0);
            let rounds = values.get(&format!("{} {labels}", names::ROUNDS));
            assert!(rounds >= 8 && rounds <= stats.protocol.rounds, "{rounds}");
            let sent = values.get(&format!("{} {labels} direction=sent", names::MESSAGES));
            assert!(sent > 0 && sent <= stats.protocol.messages_sent, "{sent}");
            assert_eq!(
                values.get(&format!("{} {labels} reason=queue_full", names::SEND_ERRORS)),
                0
            );
        });
    });
}
