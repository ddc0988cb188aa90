//! What befalls hosts: processes that do not run, and clocks that stand still.

use std::time::Duration;

use crate::sim::{Checker, HostId, Sim, View};

/// So many of the last faults stand in the message of a failure.
const TRACE: usize = 24;

impl Sim {
    /// Stops the process of a host for a while: messages queue, timers are late.
    pub fn stop_for(&mut self, host: HostId, pause: Duration) {
        self.hosts[host].stopped_until = self.now + pause;
    }

    /// Suspends the machine of a host for a while: messages are lost, timers are late. With
    /// `counted` its clock has jumped afterwards, as one does that counts suspends; else it goes on
    /// where it was.
    pub fn suspend_for(&mut self, host: HostId, pause: Duration, counted: bool) {
        if self.is_stopped(host) {
            return;
        }
        let host = &mut self.hosts[host];
        host.suspended_until = self.now + pause;
        if !counted {
            host.lag += pause;
        }
    }

    /// Keeps the process of a host waiting for up to this long after each thing that it handles;
    /// `None`: no longer.
    pub fn starve(&mut self, host: HostId, longest: Option<Duration>) {
        self.hosts[host].starved = longest.filter(|longest| !longest.is_zero());
    }

    /// Whether the process of a host does not run at present.
    pub fn is_stopped(&self, host: HostId) -> bool {
        let host = &self.hosts[host];
        host.stopped_until.max(host.suspended_until) > self.now
    }

    /// Whether a message that is sent now passes between these hosts, if it is not lost by chance.
    pub fn would_pass(&self, from: HostId, to: HostId) -> bool {
        self.links.is_open(from, to, self.now)
    }

    /// The delay of a message that is sent now.
    pub fn draw_delay(&mut self) -> Duration {
        self.links.draw_delay(&mut self.rng)
    }

    /// Has every publication judged from now on, also in a large cluster.
    pub fn judge_from_now(&mut self) {
        let mut checker = Checker::default();
        for (_, host) in self.running() {
            let own = host.snapshot().self_state().expect("a node has a state of its own");
            let view = View::of(own, host.lag);
            checker.own(&own.id().node_id, view).expect("nothing is known of it yet");
        }
        self.checker = Some(checker);
    }

    /// Remembers what is done to the cluster: the last such notes stand in the message of a failed
    /// assertion.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{}: {}", self.now, what()));
    }

    /// The last notes, a line each.
    pub fn trace(&self) -> String {
        self.trace.iter().map(|note| format!("\n  {note}")).collect()
    }
}
