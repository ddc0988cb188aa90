//! The vital signs of one peer, and the judgement on them.

use std::time::Duration;

use crate::failure::health::SelfHealth;
use crate::failure::window::Window;
use crate::state::MAX_VERSION;
use crate::time::Timestamp;

/// Deviations that the detector allows for, in mean phi units: `12 sd` of Rule D4.
const DEVIATIONS: f32 = 12.0;
/// Least deviation that is assumed, in intervals. Below this a single lost exchange would look
/// like a death.
const LEAST_DEVIATION: f32 = 0.42;
/// The scale of phi: at this value the wait equals the allowance.
const SCALE: f32 = 8.0;

/// The parameters of the judgement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detector {
    pub(crate) interval: Duration,
    pub(crate) phi_threshold: f64,
    pub(crate) max_interval: Duration,
    /// No silence is too long before this.
    least_timeout: Duration,
}

impl Detector {
    pub(crate) fn new(interval: Duration, phi_threshold: f64, max_interval: Duration) -> Detector {
        let least = f64::from(DEVIATIONS * LEAST_DEVIATION) * interval.as_secs_f64();
        // A little less, so that rounding does not matter.
        let seconds = 0.99 * phi_threshold / f64::from(SCALE) * least;
        let least_timeout = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Detector { interval, phi_threshold, max_interval, least_timeout }
    }
}

/// How long a death goes unnoticed when the network is calm: heartbeats arrive 1.5 intervals apart
/// on average, with little deviation.
pub(crate) fn calm_timeout(interval: Duration, phi_threshold: f64) -> Duration {
    let allowance = 1.5 + f64::from(DEVIATIONS * LEAST_DEVIATION);
    let factor = phi_threshold / f64::from(SCALE) * allowance;
    interval.mul_f64(factor.clamp(0.0, 1e6))
}

/// What is known of one peer's life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vitals {
    heartbeat: u64,
    last_sign_of_life: Timestamp,
    window: Window,
}

impl Vitals {
    /// A peer that was just heard of.
    pub(crate) fn new(heartbeat: u64, last_sign_of_life: Timestamp, detector: &Detector) -> Vitals {
        Vitals { heartbeat, last_sign_of_life, window: Window::prior(detector.interval) }
    }

    /// The newest heartbeat heard.
    pub(crate) fn heartbeat(&self) -> u64 {
        self.heartbeat
    }

    /// When the peer emitted it, as far as is known. May predate this process.
    pub(crate) fn last_sign_of_life(&self) -> Timestamp {
        self.last_sign_of_life
    }

    /// Takes in a heartbeat that the peer emitted `age` ago (rules D2 and D3). True if it was news.
    ///
    /// A heartbeat that is not newer says nothing, whatever its age: relays disagree on ages, and
    /// both the least and the greatest of them go wrong.
    pub(crate) fn observe(
        &mut self,
        heartbeat: u64,
        age: Duration,
        now: Timestamp,
        health: &SelfHealth,
        detector: &Detector,
    ) -> bool {
        if heartbeat <= self.heartbeat || heartbeat > MAX_VERSION {
            return false;
        }
        let elapsed = self.elapsed(now, health);
        self.heartbeat = heartbeat;
        self.last_sign_of_life = self.last_sign_of_life.max(now - age);
        // News of one who is silent again since, or dead, says nothing of how often it is heard.
        // Learnt from, it would lengthen the wait until the dead look live.
        if self.revives(now, detector) {
            self.window.sample(elapsed.min(detector.max_interval));
        }
        true
    }

    /// Time since the last sign of life, less what this process slept through.
    fn elapsed(&self, now: Timestamp, health: &SelfHealth) -> Duration {
        let forgiven = health.forgiven(self.last_sign_of_life, now);
        now.since(self.last_sign_of_life).saturating_sub(forgiven)
    }

    /// The allowance: how long a silence has phi = 8.
    fn allowance(&self, detector: &Detector) -> f32 {
        let interval = detector.interval.as_secs_f32();
        let deviation = self.window.deviation().max(LEAST_DEVIATION * interval);
        self.window.mean() + DEVIATIONS * deviation
    }

    /// Suspicion (rule D4).
    pub(crate) fn phi(&self, now: Timestamp, health: &SelfHealth, detector: &Detector) -> f64 {
        let elapsed = self.elapsed(now, health).as_secs_f64();
        f64::from(SCALE) * elapsed / f64::from(self.allowance(detector))
    }

    /// How long a silence is tolerated.
    pub(crate) fn timeout(&self, detector: &Detector) -> Duration {
        let allowance = f64::from(self.allowance(detector));
        let seconds = detector.phi_threshold / f64::from(SCALE) * allowance;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// When the peer is dead if nothing more is heard.
    pub(crate) fn deadline(
        &self,
        now: Timestamp,
        health: &SelfHealth,
        detector: &Detector,
    ) -> Timestamp {
        let forgiven = health.forgiven(self.last_sign_of_life, now);
        self.last_sign_of_life + self.timeout(detector) + forgiven
    }

    /// A time before [`Vitals::deadline`], which costs nothing to know.
    pub(crate) fn deadline_is_after(&self, detector: &Detector) -> Timestamp {
        self.last_sign_of_life + detector.least_timeout
    }

    /// Whether the last sign of life is young enough for one who was dead, or not known, to be live.
    /// Nothing is forgiven here: others measured the age, while this process may have slept.
    pub(crate) fn revives(&self, now: Timestamp, detector: &Detector) -> bool {
        let silence = now.since(self.last_sign_of_life);
        silence <= detector.least_timeout || silence <= self.timeout(detector)
    }
}
